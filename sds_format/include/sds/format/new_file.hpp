// A file that was just made, and is removed again unless it is kept.
#pragma once

#include <filesystem>

namespace sds {

/// For what may fail, or throw, behind the creation of a file. Its destructor needs no memory.
class NewFile {
 public:
  explicit NewFile(std::filesystem::path path);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  /// The file is there from now on, and is ours.
  void made() { made_ = true; }
  void keep() { made_ = false; }

 private:
  std::filesystem::path path_;
  bool made_ = false;
};

}  // namespace sds
