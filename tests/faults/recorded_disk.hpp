// Writes down every operation on files, and tells what a disk may hold when the power is cut at any of them: all that
// was synced, and of the rest any part, in any order, torn at 512 bytes (the model of ALICE, Pillai et al., OSDI 2014).
#pragma once

#include <fcntl.h>

#include <map>
#include <string>
#include <vector>

#include "sds/format/file_system.hpp"
#include "support/recordings.hpp"
#include "support/replaced_file_system.hpp"

namespace sds::test {

struct Operation {
  enum class Kind { create, write, truncate, sync, close, rename, unlink, sync_directory } kind;
  std::size_t file = 0;  // its number; of create, write, truncate, sync
  std::uint64_t offset = 0;
  std::string data;
  std::string name;  // of create, rename (from), unlink
  std::string to;    // of rename
};

/// In use for as long as it lives. All files stand in one folder.
class RecordingFileSystem final : public ReplacedFileSystem {
 public:
  [[nodiscard]] const std::vector<Operation>& log() const { return log_; }

  int open(const std::filesystem::path& path, int flags, mode_t mode) override {
    const bool existed = std::filesystem::exists(path);
    const int descriptor = FileSystem::open(path, flags, mode);
    if (descriptor < 0) return descriptor;
    const auto name = path.filename().string();
    if (!existed) {
      numbers_[name] = files_++;
      log_.push_back({Operation::Kind::create, numbers_[name], 0, {}, name, {}});
    }
    open_[descriptor] = {numbers_.at(name), 0};
    if (existed && (flags & O_TRUNC) != 0)
      log_.push_back({Operation::Kind::truncate, numbers_.at(name), 0, {}, {}, {}});
    return descriptor;
  }
  ssize_t write(int descriptor, ByteView bytes) override {
    auto& [file, at] = open_.at(descriptor);
    const ssize_t put = FileSystem::write(descriptor, bytes);
    log_.push_back({Operation::Kind::write, file, at, std::string(as_text(bytes)), {}, {}});
    at += bytes.size();
    return put;
  }
  int truncate(int descriptor, std::uint64_t size) override {
    log_.push_back({Operation::Kind::truncate, open_.at(descriptor).first, size, {}, {}, {}});
    open_.at(descriptor).second = size;
    return FileSystem::truncate(descriptor, size);
  }
  int sync(int descriptor) override {
    log_.push_back({Operation::Kind::sync, open_.at(descriptor).first, 0, {}, {}, {}});
    return 0;
  }
  int close(int descriptor) override {
    log_.push_back({Operation::Kind::close, open_.at(descriptor).first, 0, {}, {}, {}});
    open_.erase(descriptor);
    return FileSystem::close(descriptor);
  }
  int rename(const std::filesystem::path& from, const std::filesystem::path& to) override {
    const int done = FileSystem::rename(from, to);
    if (done == 0) renamed(from.filename(), to.filename());
    return done;
  }
  int rename_new(const std::filesystem::path& from, const std::filesystem::path& to) override {
    const int done = FileSystem::rename_new(from, to);
    if (done == 0) renamed(from.filename(), to.filename());
    return done;
  }
  int unlink(const std::filesystem::path& path) override {
    const int done = FileSystem::unlink(path);
    if (done == 0) log_.push_back({Operation::Kind::unlink, 0, 0, {}, path.filename(), {}});
    return done;
  }
  int sync_directory(const std::filesystem::path&) override {
    log_.push_back({Operation::Kind::sync_directory, 0, 0, {}, {}, {}});
    return 0;
  }

 private:
  void renamed(const std::string& from, const std::string& to) {
    numbers_[to] = numbers_.at(from);
    numbers_.erase(from);
    log_.push_back({Operation::Kind::rename, 0, 0, {}, from, to});
  }

  std::vector<Operation> log_;
  std::size_t files_ = 0;
  std::map<std::string, std::size_t> numbers_;
  std::map<int, std::pair<std::size_t, std::uint64_t>> open_;  // file, where writing goes on
};

/// What stands in the folder: contents by name.
using Folder = std::map<std::string, std::string>;

/// A disk that has been given the first operations of a log.
class SimulatedDisk {
 public:
  SimulatedDisk(const std::vector<Operation>& log, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) perform(log[i]);
  }

  /// What a kill of the process leaves: everything.
  [[nodiscard]] Folder all() const {
    Folder folder;
    auto names = names_;
    for (const auto& change : changes_) change_names(names, change);
    for (const auto& [name, file] : names) {
      folder[name] = files_[file].synced;
      for (const auto& operation : files_[file].rest) apply(folder[name], operation);
    }
    return folder;
  }

  /// What a power cut may leave.
  [[nodiscard]] Folder cut(Random& random) const {
    Folder folder;
    auto names = names_;
    const auto likely = random.below(5);
    for (const auto& change : changes_)
      if (random.below(4) < likely) change_names(names, change);
    for (const auto& [name, file] : names) folder[name] = torn(files_[file], random);
    return folder;
  }

 private:
  struct File {
    std::string synced;
    std::vector<Operation> rest;  // writes and truncations since
  };

  void perform(const Operation& operation) {
    using Kind = Operation::Kind;
    switch (operation.kind) {
      case Kind::create:
        files_.resize(std::max(files_.size(), operation.file + 1));
        current_[operation.name] = operation.file;
        changes_.push_back(operation);
        break;
      case Kind::rename:
        current_[operation.to] = current_.at(operation.name);
        changes_.push_back(operation);
        changes_.back().file = current_.at(operation.name);
        current_.erase(operation.name);
        break;
      case Kind::unlink:
        current_.erase(operation.name);
        changes_.push_back(operation);
        break;
      case Kind::sync_directory:
        for (const auto& change : changes_) change_names(names_, change);
        changes_.clear();
        break;
      case Kind::sync: {
        File& file = files_[operation.file];
        for (const auto& one : file.rest) apply(file.synced, one);
        file.rest.clear();
        break;
      }
      case Kind::write:
      case Kind::truncate:
        files_[operation.file].rest.push_back(operation);
        break;
      case Kind::close:
        break;
    }
  }

  static void change_names(std::map<std::string, std::size_t>& names, const Operation& change) {
    if (change.kind == Operation::Kind::create) names[change.name] = change.file;
    if (change.kind == Operation::Kind::rename) names[change.to] = change.file;
    if (change.kind != Operation::Kind::create) names.erase(change.name);
  }

  static void apply(std::string& content, const Operation& operation) {
    if (operation.kind == Operation::Kind::truncate) {
      content.resize(operation.offset, '\0');
    } else {
      content.resize(std::max<std::size_t>(content.size(), operation.offset + operation.data.size()), '\0');
      content.replace(operation.offset, operation.data.size(), operation.data);
    }
  }

  static std::string torn(const File& file, Random& random) {
    static constexpr std::size_t sector = 512;
    std::string content = file.synced;
    std::string whole = file.synced;
    const auto likely = random.below(5);
    for (const auto& operation : file.rest) {
      apply(whole, operation);
      if (operation.kind == Operation::Kind::truncate) {
        if (random.below(4) < likely) apply(content, operation);
        continue;
      }
      for (std::size_t at = 0; at < operation.data.size();) {
        const std::size_t bytes = std::min(sector - (operation.offset + at) % sector, operation.data.size() - at);
        if (random.below(4) < likely) {
          Operation piece = operation;
          piece.offset += at;
          piece.data = operation.data.substr(at, bytes);
          apply(content, piece);
        }
        at += bytes;
      }
    }
    // The size goes its own way as long as it is not synced.
    if (!file.rest.empty() && random.below(4) == 0 && content.size() > file.synced.size())
      content.resize(file.synced.size());
    if (!file.rest.empty() && random.below(4) == 0) content.resize(std::max(whole.size(), content.size()), '\0');
    return content;
  }

  std::vector<File> files_;
  std::map<std::string, std::size_t> names_;    // as synced
  std::map<std::string, std::size_t> current_;  // as the program sees them
  std::vector<Operation> changes_;              // of names, since
};

inline void make_folder(const std::filesystem::path& path, const Folder& folder) {
  std::filesystem::remove_all(path);
  std::filesystem::create_directory(path);
  for (const auto& [name, content] : folder) write_file(path / name, content);
}

}  // namespace sds::test
