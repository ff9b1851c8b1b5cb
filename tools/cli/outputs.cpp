#include "outputs.hpp"

#include "command.hpp"
#include "progress.hpp"

namespace sds::cli {

CLI::Validator no_standard_output() {
  return {[](std::string& name) {
            return name == "-" ? std::string("standard output is not possible here: give a name") : std::string();
          },
          "", "no_standard_output"};
}

CLI::Validator names_recording() {
  return {[](std::string& name) {
            if (name == "-") return std::string("standard output is not possible here: give a name");
            if (std::filesystem::path(name).extension() == ".sds")
              return name + " is the name of a plain recording: call it .sdsz";
            return std::string();
          },
          "", "names_recording"};
}

Expected<FolderLock> lock_labels(const std::filesystem::path& path) {
  auto lock = FolderLock::of(path, interrupted);
  if (lock && !lock->holds()) warn("this file system has no locks: do not change the labels twice at the same time");
  return lock;
}

}  // namespace sds::cli
