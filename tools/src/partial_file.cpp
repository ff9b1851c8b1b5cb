#include "sds/tools/partial_file.hpp"

#include "sds/format/file.hpp"

namespace sds {

PartialFile::PartialFile(std::filesystem::path final_path) : final_(std::move(final_path)), partial_(final_) {
  partial_ += ".partial";
}

PartialFile::~PartialFile() {
  std::error_code ignored;
  if (!kept_) std::filesystem::remove(partial_, ignored);
}

Expected<void> PartialFile::keep() {
  std::error_code error;
  std::filesystem::rename(partial_, final_, error);
  if (error) return fail_errno(error.value(), "cannot rename to its final name", partial_);
  kept_ = true;
  return {};
}

Expected<void> refuse_existing(const std::filesystem::path& path, bool force) {
  std::error_code ignored;
  if (!force && std::filesystem::exists(path, ignored))
    return fail(ErrorCode::io, "exists already (--force replaces it)", path);
  return {};
}

Expected<void> write_text_file(const std::filesystem::path& path, std::string_view text) {
  PartialFile file(path);
  auto sink = OutputFile::create(file.path(), IfExists::overwrite);
  if (!sink) return fail(sink);
  if (auto done = (*sink)->append(as_bytes(text)); !done) return done;
  if (auto done = (*sink)->close(); !done) return done;
  return file.keep();
}

}  // namespace sds
