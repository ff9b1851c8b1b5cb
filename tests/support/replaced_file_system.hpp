// The system's files as a test wants them to fail.
#pragma once

#include "sds/format/file_system.hpp"

namespace sds::test {

/// In use by the whole process while it exists.
class ReplacedFileSystem : public FileSystem {
 public:
  ReplacedFileSystem() : before_(replace_file_system(this)) {}
  ~ReplacedFileSystem() override { replace_file_system(before_); }
  ReplacedFileSystem(const ReplacedFileSystem&) = delete;
  ReplacedFileSystem& operator=(const ReplacedFileSystem&) = delete;

 private:
  FileSystem* before_;
};

}  // namespace sds::test
