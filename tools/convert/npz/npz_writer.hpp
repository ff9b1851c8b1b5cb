// NumPy's `.npz`: a zip archive of arrays, written by libarchive one array after the other.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sds/format/bytes.hpp"
#include "sds/format/file.hpp"
#include "sds/format/metadata.hpp"

struct archive;  // libarchive's

namespace sds {

/// The head of a `.npy` file, format 1.0 or 2.0 (numpy.lib.format). `descr` and `shape` are Python literals.
std::string npy_header(const std::string& descr, const std::string& shape);

/// The sink is not closed. Arrays are announced with their exact size, and then filled.
class NpzWriter {
 public:
  static Expected<std::unique_ptr<NpzWriter>> create(std::unique_ptr<ByteSink> sink, bool compress);
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
  /// Texts, as NumPy's Unicode strings (UTF-32). What is not UTF-8 becomes U+FFFD.
  [[nodiscard]] Expected<void> put_texts(const std::string& name, const std::vector<std::string>& texts);
  [[nodiscard]] Expected<void> close();

 private:
  explicit NpzWriter(std::unique_ptr<ByteSink> sink) : sink_(std::move(sink)) {}
  [[nodiscard]] tl::unexpected<Error> problem(const char* what) const;
  static ssize_t write(::archive* archive, void* self, const void* data, std::size_t bytes);
  std::unique_ptr<ByteSink> sink_;
  std::optional<Error> error_;  // of the sink
  ::archive* archive_ = nullptr;
};

/// "<i2", "|u1", "<f8", ...
const char* npy_type(ScalarType type);

}  // namespace sds
