#include "npz_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "archive_functions.hpp"

namespace sds {

namespace {

std::u32string code_points(std::string_view text) {
  std::u32string points;
  while (!text.empty()) {
    const std::size_t good = std::min(find_invalid_utf8(text).value_or(text.size()), text.size());
    for (std::size_t at = 0; at < good;) {
      const auto first = static_cast<unsigned char>(text[at]);
      const std::size_t more = first < 0x80 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
      char32_t point = more == 0 ? first : first & (0x3FU >> more);
      for (std::size_t k = 1; k <= more; ++k) point = point << 6 | (static_cast<unsigned char>(text[at + k]) & 0x3FU);
      points.push_back(point);
      at += more + 1;
    }
    text.remove_prefix(good);
    if (text.empty()) break;
    points.push_back(0xFFFD);
    text.remove_prefix(1);
  }
  return points;
}

}  // namespace

std::string npy_header(const std::string& descr, const std::string& shape) {
  std::string dict = fmt::format("{{'descr': {}, 'fortran_order': False, 'shape': {}, }}", descr, shape);
  const bool wide = dict.size() + 80 > 65535;
  const std::size_t head = wide ? 12 : 10;
  // Padded so that the data begins at a multiple of 64.
  dict += std::string(63 - (head + dict.size()) % 64, ' ') + "\n";
  std::string out = "\x93NUMPY";
  out += wide ? '\2' : '\1';
  out += '\0';
  for (std::size_t i = 0; i < (wide ? 4u : 2u); ++i) out += static_cast<char>(dict.size() >> (8 * i) & 0xFF);
  return out + dict;
}

const char* npy_type(ScalarType type) {
  switch (type) {
    case ScalarType::u8:
      return "|u1";
    case ScalarType::i8:
      return "|i1";
    case ScalarType::u16:
      return "<u2";
    case ScalarType::i16:
      return "<i2";
    case ScalarType::u32:
      return "<u4";
    case ScalarType::u64:
      return "<u8";
    case ScalarType::i64:
      return "<i8";
    case ScalarType::f32:
      return "<f4";
    case ScalarType::f64:
      return "<f8";
    default:
      return "<i4";
  }
}

tl::unexpected<Error> NpzWriter::problem(const char* what) const {
  if (error_) return tl::unexpected<Error>(*error_);
  const char* reason = libarchive().archive_error_string(archive_);
  return fail(ErrorCode::io, fmt::format("cannot {}: {}", what, reason == nullptr ? "unknown reason" : reason),
              sink_->path());
}

Expected<std::unique_ptr<NpzWriter>> NpzWriter::create(std::unique_ptr<ByteSink> sink, bool compress) {
  if (auto there = archive_functions(); !there) return fail(there);
  auto writer = std::unique_ptr<NpzWriter>(new NpzWriter(std::move(sink)));
  writer->archive_ = libarchive().archive_write_new();
  if (writer->archive_ == nullptr) throw std::bad_alloc();
  if (libarchive().archive_write_set_format_zip(writer->archive_) != ARCHIVE_OK ||
      (compress ? libarchive().archive_write_zip_set_compression_deflate(writer->archive_)
                : libarchive().archive_write_zip_set_compression_store(writer->archive_)) != ARCHIVE_OK ||
      libarchive().archive_write_set_bytes_in_last_block(writer->archive_, 1) != ARCHIVE_OK ||  // no padding
      libarchive().archive_write_open2(writer->archive_, writer.get(), nullptr, &NpzWriter::write, nullptr, nullptr) !=
          ARCHIVE_OK)
    return writer->problem("create the archive");
  return writer;
}

ssize_t NpzWriter::write(::archive* archive, void* self, const void* data, std::size_t bytes) {
  auto& writer = *static_cast<NpzWriter*>(self);
  if (auto done = writer.sink_->append({static_cast<const std::byte*>(data), bytes}); !done) {
    writer.error_ = done.error();
    libarchive().archive_set_error(archive, EIO, "%s", done.error().message.c_str());
    return ARCHIVE_FATAL;
  }
  return static_cast<ssize_t>(bytes);
}

NpzWriter::~NpzWriter() {
  if (archive_ != nullptr) libarchive().archive_write_free(archive_);
}

Expected<void> NpzWriter::begin(const std::string& name, const std::string& descr, const std::string& shape,
                                std::uint64_t data_bytes) {
  const std::string header = npy_header(descr, shape);
  const std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry(libarchive().archive_entry_new(),
                                                                       libarchive().archive_entry_free);
  if (!entry) throw std::bad_alloc();
  libarchive().archive_entry_set_pathname(entry.get(), (name + ".npy").c_str());
  libarchive().archive_entry_set_size(entry.get(), static_cast<std::int64_t>(header.size() + data_bytes));
  libarchive().archive_entry_set_filetype(entry.get(), AE_IFREG);
  libarchive().archive_entry_set_perm(entry.get(), 0644);
  libarchive().archive_entry_set_mtime(entry.get(), 315532800,
                                       0);  // 1980, where zip's time begins: nothing of the moment
  if (libarchive().archive_write_header(archive_, entry.get()) != ARCHIVE_OK) return problem("write an array");
  return append(as_bytes(header));
}

Expected<void> NpzWriter::append(ByteView bytes) {
  while (!bytes.empty()) {
    const la_ssize_t written = libarchive().archive_write_data(archive_, bytes.data(), bytes.size());
    if (written <= 0) return problem("write an array");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Expected<void> NpzWriter::put(const std::string& name, const std::string& descr, const std::string& shape,
                              ByteView bytes) {
  if (auto done = begin(name, descr, shape, bytes.size()); !done) return done;
  return append(bytes);
}

Expected<void> NpzWriter::put_texts(const std::string& name, const std::vector<std::string>& texts) {
  std::vector<std::u32string> all;
  std::size_t longest = 1;
  for (const auto& text : texts) {
    all.push_back(code_points(text));
    longest = std::max(longest, all.back().size());
  }
  Bytes bytes;
  for (auto& text : all) {
    text.resize(longest);
    for (const char32_t point : text) append_le(bytes, static_cast<std::uint32_t>(point));
  }
  return put(name, fmt::format("'<U{}'", longest), fmt::format("({},)", texts.size()), bytes);
}

Expected<void> NpzWriter::close() {
  if (libarchive().archive_write_close(archive_) != ARCHIVE_OK) return problem("finish the archive");
  return {};
}

}  // namespace sds
