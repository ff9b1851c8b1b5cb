// The folder of a dataset: it has what one export made, and nothing of another one, for a recording that is in train
// here and in test there is in both.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sds/format/error.hpp"

namespace sds {

/// A folder that is made beside the one it is to become, and takes its place when all of it is there. Until then, and
/// if it never is, what stood there stays. An empty folder that somebody has made already (a mount point, perhaps) is
/// not replaced but filled: the dataset is made in its `dataset.partial`, and moved out of it at the end, the manifest
/// last.
class DatasetFolder {
 public:
  /// Fails if there is a folder that is not empty (ErrorCode::exists), unless `force`: then a dataset will be replaced,
  /// as its manifest lists it. A folder with anything else in it is never replaced, nor is one that cannot be: a mount
  /// point, or where this process runs (ErrorCode::usage).
  static Expected<DatasetFolder> create(const std::filesystem::path& folder, bool force);
  ~DatasetFolder();
  DatasetFolder(DatasetFolder&& other) noexcept;
  DatasetFolder& operator=(DatasetFolder&&) = delete;

  /// Where to write for the time being.
  [[nodiscard]] const std::filesystem::path& path() const { return staged_; }
  /// The files that are there, by their names in the folder, in order.
  [[nodiscard]] std::vector<std::string> files() const;
  /// Gives the folder its name. Without `force`, what has appeared there meanwhile stays (ErrorCode::exists); with it,
  /// the dataset that stood there is deleted, and a sentence says so where that did not succeed.
  [[nodiscard]] Expected<std::optional<std::string>> keep();

 private:
  DatasetFolder(std::filesystem::path folder, std::filesystem::path staged, bool fills, bool force)
      : folder_(std::move(folder)), staged_(std::move(staged)), fills_(fills), force_(force) {}
  Expected<void> fill();
  Expected<std::optional<std::string>> replace();
  Expected<std::optional<std::string>> replace_in_two_steps();
  std::filesystem::path folder_;
  std::filesystem::path staged_;  // empty once there is nothing to delete
  bool fills_ = false;
  bool force_ = false;
};

}  // namespace sds
