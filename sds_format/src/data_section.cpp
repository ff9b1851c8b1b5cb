#include "sds/format/data_section.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "sds/format/limits.hpp"

namespace sds {

namespace {

constexpr std::size_t kFixedColumns = 3;  // timeslots, sizes, rest
// Statistics of more columns than this would weigh more than they help.
constexpr std::size_t kMaxStatistics = 256;

template <std::size_t Width>
void gather(const std::byte* in, std::size_t stride, std::size_t count, std::byte* out) {
  for (std::size_t i = 0; i < count; ++i) std::memcpy(out + i * Width, in + i * stride, Width);
}

template <std::size_t Width>
void scatter(const std::byte* in, std::size_t stride, std::size_t count, std::byte* out) {
  for (std::size_t i = 0; i < count; ++i) std::memcpy(out + i * stride, in + i * Width, Width);
}

void gather_column(const std::byte* samples, std::size_t stride, std::size_t count, std::size_t width, std::byte* out) {
  switch (width) {
    case 1:
      return gather<1>(samples, stride, count, out);
    case 2:
      return gather<2>(samples, stride, count, out);
    case 3:
      return gather<3>(samples, stride, count, out);
    case 4:
      return gather<4>(samples, stride, count, out);
    case 8:
      return gather<8>(samples, stride, count, out);
    default:
      for (std::size_t i = 0; i < count; ++i) std::memcpy(out + i * width, samples + i * stride, width);
  }
}

void scatter_column(const std::byte* column, std::size_t stride, std::size_t count, std::size_t width, std::byte* out) {
  switch (width) {
    case 1:
      return scatter<1>(column, stride, count, out);
    case 2:
      return scatter<2>(column, stride, count, out);
    case 3:
      return scatter<3>(column, stride, count, out);
    case 4:
      return scatter<4>(column, stride, count, out);
    case 8:
      return scatter<8>(column, stride, count, out);
    default:
      for (std::size_t i = 0; i < count; ++i) std::memcpy(out + i * stride, column + i * width, width);
  }
}

// Walks the runs of whole samples in the concatenated blocks: one run if every block is whole samples, else one a
// block. Calls f(byte offset, sample count) for each.
template <class F>
void for_each_sample_run(const std::vector<std::uint32_t>& sizes, std::size_t total_bytes, std::size_t sample_bytes,
                         bool all_fit, F&& f) {
  if (all_fit) return f(std::size_t{0}, total_bytes / sample_bytes);
  std::size_t offset = 0;
  for (const std::uint32_t size : sizes) {
    if (size >= sample_bytes) f(offset, size / sample_bytes);
    offset += size;
  }
}

struct Shape {
  bool all_fit = true;        // every block is a whole number of samples
  std::uint64_t samples = 0;  // whole samples in all blocks
  std::uint64_t rest = 0;     // bytes that belong to no whole sample
};

Shape shape_of(const std::vector<std::uint32_t>& sizes, std::size_t sample_bytes) {
  Shape shape;
  for (const std::uint32_t size : sizes) {
    if (sample_bytes == 0) {
      shape.rest += size;
      continue;
    }
    shape.samples += size / sample_bytes;
    shape.rest += size % sample_bytes;
  }
  shape.all_fit = shape.rest == 0 && sample_bytes != 0;
  return shape;
}

// The bytes after the last whole sample of each block. copy(offset in the blocks, offset in the rest, count)
template <class F>
void for_each_rest(const std::vector<std::uint32_t>& sizes, std::size_t sample_bytes, F&& copy) {
  std::size_t offset = 0;
  std::size_t rest = 0;
  for (const std::uint32_t size : sizes) {
    const std::size_t left = sample_bytes == 0 ? size : size % sample_bytes;
    if (left > 0) copy(offset + size - left, rest, left);
    offset += size;
    rest += left;
  }
}

ByteView bytes_of(const std::vector<std::uint32_t>& values) { return std::as_bytes(std::span(values)); }

void append_column_header(Bytes& out, const ColumnHeader& header) {
  append_le(out, static_cast<std::uint8_t>(header.codec));
  append_le(out, header.order);
  append_le(out, std::uint16_t{0});
  append_le(out, header.stored_bytes);
}

}  // namespace

EncodedSection DataSectionCoder::encode(const BlockRun& run, std::uint32_t stream, const Layout& layout, Level level) {
  const std::size_t sample_bytes = layout.sample_bytes;
  const Shape shape = shape_of(run.sizes, sample_bytes);
  EncodedSection section;
  std::vector<ColumnHeader> headers;
  Bytes coded;
  coded.reserve(run.bytes.size() / 2);
  headers.push_back(coder_.encode(ScalarType::u32, bytes_of(run.timeslots), level, coded));
  headers.push_back(coder_.encode(ScalarType::u32, bytes_of(run.sizes), level, coded));
  column_.resize(shape.rest);
  for_each_rest(run.sizes, sample_bytes, [&](std::size_t from, std::size_t to, std::size_t count) {
    std::memcpy(column_.data() + to, run.bytes.data() + from, count);
  });
  headers.push_back(coder_.encode(ScalarType::u8, column_, level, coded));
  const bool with_statistics = layout.columns.size() <= kMaxStatistics;
  for (const auto& column : layout.columns) {
    const std::size_t width = column.bytes();
    column_.resize(shape.samples * width);
    std::size_t done = 0;
    for_each_sample_run(run.sizes, run.bytes.size(), sample_bytes, shape.all_fit, [&](std::size_t at, std::size_t n) {
      gather_column(run.bytes.data() + at + column.byte_offset, sample_bytes, n, width, column_.data() + done * width);
      done += n;
    });
    if (with_statistics && column.elements == 1) section.statistics.push_back(statistics_of(column.type, column_));
    headers.push_back(coder_.encode(column.type, column_, level, coded));
  }
  Bytes& payload = section.payload;
  payload.reserve(coded.size() + 8 + headers.size() * ColumnHeader::bytes +
                  section.statistics.size() * ColumnStatistics::stored_bytes);
  append_le(payload, static_cast<std::uint32_t>(headers.size()));
  append_le(payload, static_cast<std::uint32_t>(section.statistics.size()));
  for (const auto& header : headers) append_column_header(payload, header);
  for (const auto& statistics : section.statistics) statistics.encode(payload);
  append_bytes(payload, coded);

  SectionHeader& header = section.header;
  header.kind = SectionKind::data;
  header.flags = run.unsorted ? SectionHeader::flag_unsorted : std::uint16_t{0};
  header.stream = stream;
  header.stored_bytes = static_cast<std::uint32_t>(payload.size());
  header.raw_bytes = static_cast<std::uint32_t>(run.raw_bytes());
  header.block_count = static_cast<std::uint32_t>(run.count());
  header.first_tick = run.first_tick;
  header.last_tick = run.last_tick;
  header.payload_checksum = checksum(payload);
  return section;
}

namespace {

struct ParsedPayload {
  DataSectionSummary summary;
  std::vector<ByteView> stored;  // per column
};

Expected<ParsedPayload> parse_payload(ByteView payload) {
  const auto bad = [](std::string_view why) {
    return fail(ErrorCode::bad_input, fmt::format("data section: {}", why));
  };
  ByteReader reader(payload);
  const auto columns = reader.number<std::uint32_t>();
  const auto statistics = reader.number<std::uint32_t>();
  if (!statistics || *columns < kFixedColumns || *columns > reader.left() / ColumnHeader::bytes ||
      *statistics > *columns)
    return bad("bad column count");
  ParsedPayload parsed;
  parsed.summary.columns.reserve(*columns);
  for (std::uint32_t i = 0; i < *columns; ++i) {
    ColumnHeader header;
    header.codec = static_cast<ColumnCodec>(*reader.number<std::uint8_t>());
    header.order = *reader.number<std::uint8_t>();
    (void)reader.number<std::uint16_t>();
    header.stored_bytes = *reader.number<std::uint32_t>();
    parsed.summary.columns.push_back(header);
  }
  for (std::uint32_t i = 0; i < *statistics; ++i) {
    const auto stored = reader.take(ColumnStatistics::stored_bytes);
    if (!stored) return bad("statistics are cut off");
    parsed.summary.statistics.push_back(ColumnStatistics::decode(stored->data()));
  }
  for (const auto& header : parsed.summary.columns) {
    const auto stored = reader.take(header.stored_bytes);
    if (!stored) return bad("a column is cut off");
    parsed.stored.push_back(*stored);
  }
  if (reader.left() != 0) return bad("bytes are left over");
  return parsed;
}

}  // namespace

Expected<void> DataSectionCoder::decode(const SectionHeader& header, ByteView payload, const Layout& layout,
                                        BlockRun& run) {
  const auto bad = [](std::string_view why) {
    return fail(ErrorCode::bad_input, fmt::format("data section: {}", why));
  };
  run.clear();
  if (checksum(payload) != header.payload_checksum) return bad("payload checksum mismatch");
  auto parsed = parse_payload(payload);
  if (!parsed) return fail(parsed);
  const auto& columns = parsed->summary.columns;
  if (columns.size() != kFixedColumns + layout.columns.size()) return bad("does not have the stream's columns");
  if (header.block_count > header.raw_bytes / 8) return bad("more blocks than fit its size");
  run.timeslots.resize(header.block_count);
  run.sizes.resize(header.block_count);
  const auto decode_column = [&](std::size_t i, ScalarType type, std::span<std::byte> values) {
    return coder_.decode(columns[i], type, parsed->stored[i], values);
  };
  if (auto done = decode_column(0, ScalarType::u32, std::as_writable_bytes(std::span(run.timeslots))); !done)
    return done;
  if (auto done = decode_column(1, ScalarType::u32, std::as_writable_bytes(std::span(run.sizes))); !done) return done;
  const std::uint64_t total = std::accumulate(run.sizes.begin(), run.sizes.end(), std::uint64_t{0});
  if (total + 8 * std::uint64_t{header.block_count} != header.raw_bytes) return bad("block sizes do not add up");
  const Shape shape = shape_of(run.sizes, layout.sample_bytes);
  run.bytes.resize(total);
  column_.resize(shape.rest);
  if (auto done = decode_column(2, ScalarType::u8, column_); !done) return done;
  for_each_rest(run.sizes, layout.sample_bytes, [&](std::size_t to, std::size_t from, std::size_t count) {
    std::memcpy(run.bytes.data() + to, column_.data() + from, count);
  });
  for (std::size_t c = 0; c < layout.columns.size(); ++c) {
    const auto& column = layout.columns[c];
    const std::size_t width = column.bytes();
    column_.resize(shape.samples * width);
    if (auto done = decode_column(kFixedColumns + c, column.type, column_); !done) return done;
    std::size_t at_sample = 0;
    for_each_sample_run(run.sizes, total, layout.sample_bytes, shape.all_fit, [&](std::size_t at, std::size_t n) {
      scatter_column(column_.data() + at_sample * width, layout.sample_bytes, n, width,
                     run.bytes.data() + at + column.byte_offset);
      at_sample += n;
    });
  }
  run.first_tick = header.first_tick;
  run.last_tick = header.last_tick;
  run.unsorted = (header.flags & SectionHeader::flag_unsorted) != 0;
  return {};
}

Expected<DataSectionSummary> summarize(ByteView payload) {
  auto parsed = parse_payload(payload);
  if (!parsed) return fail(parsed);
  return std::move(parsed->summary);
}

}  // namespace sds
