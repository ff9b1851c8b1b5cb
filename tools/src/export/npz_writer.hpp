// NumPy's `.npz`: a zip archive of arrays, written by libarchive one array after the other.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "sds/format/bytes.hpp"
#include "sds/format/error.hpp"
#include "sds/format/metadata.hpp"

struct archive;  // libarchive's

namespace sds {

/// The head of a `.npy` file, format 1.0 or 2.0 (numpy.lib.format). `descr` and `shape` are Python literals.
std::string npy_header(const std::string& descr, const std::string& shape);

/// Arrays are announced with their exact size, and then filled.
class NpzWriter {
 public:
  static Expected<std::unique_ptr<NpzWriter>> create(const std::filesystem::path& path, bool compress);
  ~NpzWriter();
  NpzWriter(const NpzWriter&) = delete;
  NpzWriter& operator=(const NpzWriter&) = delete;

  /// Begins array `name` (without `.npy`) of `data_bytes`.
  [[nodiscard]] Expected<void> begin(const std::string& name, const std::string& descr, const std::string& shape,
                                     std::uint64_t data_bytes);
  [[nodiscard]] Expected<void> append(ByteView bytes);
  /// A whole array at once.
  [[nodiscard]] Expected<void> put(const std::string& name, const std::string& descr, const std::string& shape,
                                   ByteView bytes);
  [[nodiscard]] Expected<void> close();

 private:
  explicit NpzWriter(std::filesystem::path path) : path_(std::move(path)) {}
  [[nodiscard]] tl::unexpected<Error> problem(const char* what) const;
  std::filesystem::path path_;
  ::archive* archive_ = nullptr;
};

/// "<i2", "|u1", "<f8", ...
const char* npy_type(ScalarType type);

}  // namespace sds
