// The folder of a dataset: it has what one export made, and nothing of another one, for a recording that is in train
// here and in test there is in both.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "sds/format/error.hpp"

namespace sds {

/// A folder that is made beside the one it is to become, and takes its place when all of it is there. Until then, and
/// if it never is, what stood there stays.
class DatasetFolder {
 public:
  /// Fails if there is a folder that is not empty (ErrorCode::exists), unless `force`: then a dataset will be replaced,
  /// as its manifest lists it. A folder with anything else in it is never replaced (ErrorCode::usage).
  static Expected<DatasetFolder> create(const std::filesystem::path& folder, bool force);
  ~DatasetFolder();
  DatasetFolder(DatasetFolder&& other) noexcept;
  DatasetFolder& operator=(DatasetFolder&&) = delete;

  /// Where to write for the time being.
  [[nodiscard]] const std::filesystem::path& path() const { return staged_; }
  /// The name that a file in path() is going to have.
  [[nodiscard]] std::filesystem::path final_path(const std::filesystem::path& file) const;
  /// The files that are there, by their names in the folder, in order.
  [[nodiscard]] std::vector<std::string> files() const;
  /// Gives the folder its name. What stood there is deleted.
  [[nodiscard]] Expected<void> keep();

 private:
  DatasetFolder(std::filesystem::path folder, std::filesystem::path staged)
      : folder_(std::move(folder)), staged_(std::move(staged)) {}
  std::filesystem::path folder_;
  std::filesystem::path staged_;  // empty once it has its name
};

}  // namespace sds
