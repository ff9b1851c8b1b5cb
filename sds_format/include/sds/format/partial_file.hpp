// How sdskit makes a file: complete or not at all, durably, and never over one of somebody else's. Everything that a
// command writes under a name that a user chose goes through PartialFile.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "sds/format/file.hpp"

namespace sds {

/// The name of what is in the making, a file or a folder, beside `final_path`: nobody has it, but by chance.
std::string partial_name(const std::filesystem::path& final_path);

/// A file in the making, under a name of its own in the folder of its final one: `walk.csv` is made as
/// `walk.csv.1f0a93c2.partial`, which did not exist before. keep() gives it its final name; without keep(), or when
/// that fails, it is deleted. What is killed leaves the `.partial` file, and the final name as it was.
///
/// What is no plain file (/dev/null, a named pipe) is written in place. A symbolic link to a file stays one: what it
/// points to is replaced.
class PartialFile {
 public:
  /// IfExists::fail: fails if `final_path` exists (ErrorCode::exists), now or when keep() is called. What this process
  /// reads (file_in_use.hpp) and recordings that grow are never replaced (ErrorCode::usage), now or then.
  static Expected<PartialFile> create(const std::filesystem::path& final_path, IfExists if_exists);
  ~PartialFile();
  PartialFile(PartialFile&&) noexcept;
  PartialFile& operator=(PartialFile&&) = delete;

  /// Where its bytes go. Errors name the final path. close() does nothing: keep() closes.
  [[nodiscard]] ByteSink& sink();
  /// The same, for who wants to own a sink; must not be used after keep() or this object's end.
  [[nodiscard]] std::unique_ptr<ByteSink> borrow_sink();
  /// For libraries that come back to what they have written. Not mixed with the sinks.
  [[nodiscard]] Expected<void> write_at(std::uint64_t offset, ByteView bytes);
  /// The name for the time being: for libraries that write files by name. They close it, successfully, before keep().
  [[nodiscard]] const std::filesystem::path& path() const;
  [[nodiscard]] const std::filesystem::path& final_path() const;

  /// Brings the bytes to the disk, closes the file, gives it its final name, and brings that to the disk. Fails if
  /// anything failed before. After an error of the last step alone (ErrorCode::io) the complete file has its name.
  /// `sync_names` false: the caller calls sync_directory() behind the last of many files.
  [[nodiscard]] Expected<void> keep(bool sync_names = true);

 private:
  struct State;
  explicit PartialFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// IfExists as the option --force says it.
constexpr IfExists if_exists(bool force) { return force ? IfExists::overwrite : IfExists::fail; }

/// An error (ErrorCode::exists) if `path` exists and `force` is not set, or (ErrorCode::usage) if this process reads
/// it. To say so before any work is done; what decides is PartialFile.
Expected<void> refuse_existing(const std::filesystem::path& path, bool force);

/// Makes the file `path`, or replaces it, by way of PartialFile.
Expected<void> write_text_file(const std::filesystem::path& path, std::string_view text,
                               IfExists if_exists = IfExists::overwrite);

}  // namespace sds
