#include "sds/format/data_section.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "kernels.hpp"
#include "sds/format/limits.hpp"

namespace sds {

namespace {

constexpr std::size_t kFixedColumns = 3;  // timeslots, sizes, rest
// Statistics of more columns than this would weigh more than they help.
constexpr std::size_t kMaxStatistics = 256;
// And so would more than this many bytes of them, where they are more than a sixteenth of the blocks.
constexpr std::size_t kFreeStatisticsBytes = 1024;

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
  // Divisions are slow and sizes repeat: divide only when the size changes.
  std::uint32_t size = 0;
  std::uint32_t samples = 0;
  std::uint32_t rest = 0;
  for (const std::uint32_t next : sizes) {
    if (next != size) {
      size = next;
      samples = sample_bytes == 0 ? 0 : static_cast<std::uint32_t>(size / sample_bytes);
      rest = static_cast<std::uint32_t>(size - samples * sample_bytes);
    }
    shape.samples += samples;
    shape.rest += rest;
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

// Calls f(block, tick) for each block of a run.
template <class F>
void for_each_tick(const BlockRun& run, F&& f) {
  TickUnwrapper ticks(run.first_tick);
  auto jump = run.jumps.begin();
  for (std::size_t i = 0; i < run.count(); ++i) {
    if (jump != run.jumps.end() && jump->block == i) ticks = TickUnwrapper((jump++)->tick);
    f(i, ticks.next(run.timeslots[i]));
  }
}

// Where each column stands in the buffer of all columns: aligned, so that floats can be read in place.
std::vector<std::size_t> column_offsets(const Layout& layout, std::uint64_t samples) {
  std::vector<std::size_t> offsets;
  std::size_t at = 0;
  for (const auto& column : layout.columns) {
    offsets.push_back(at);
    at += (samples * column.bytes() + 63) / 64 * 64;
  }
  offsets.push_back(at);
  return offsets;
}

// Neighbouring columns that are moved together: up to eight single 16-bit ones, or any one.
struct ColumnGroup {
  std::size_t first = 0;
  std::size_t count = 1;
  bool words = false;  // 16-bit columns
};

std::vector<ColumnGroup> column_groups(const Layout& layout) {
  std::vector<ColumnGroup> groups;
  for (std::size_t c = 0; c < layout.columns.size(); ++c) {
    const bool word = layout.columns[c].elements == 1 && size_of(layout.columns[c].type) == 2;
    if (word && !groups.empty() && groups.back().words && groups.back().count < 8) {
      ++groups.back().count;
    } else {
      groups.push_back({c, 1, word});
    }
  }
  return groups;
}

// Visits all samples in tiles that stay in the first cache while every group of columns takes its part of them:
// f(group, first sample, offset of that sample in the blocks, number of samples).
template <class F>
void for_each_tile(const BlockRun& run, const Layout& layout, const Shape& shape, F&& f) {
  if (layout.columns.empty()) return;
  const std::size_t tile = std::max<std::size_t>(1, 8192 / layout.sample_bytes);
  const auto groups = column_groups(layout);
  std::size_t sample = 0;
  for_each_sample_run(run.sizes, run.bytes.size(), layout.sample_bytes, shape.all_fit,
                      [&](std::size_t at, std::size_t n) {
                        for (std::size_t done = 0; done < n; done += tile) {
                          const std::size_t count = std::min(tile, n - done);
                          for (const auto& group : groups)
                            f(group, sample + done, at + done * layout.sample_bytes, count);
                        }
                        sample += n;
                      });
}

void store_column_header(std::byte* p, const ColumnHeader& header) {
  store_le(p, static_cast<std::uint8_t>(header.codec));
  store_le(p + 1, static_cast<std::uint8_t>(header.predictor));
  store_le(p + 2, static_cast<std::uint8_t>(header.quantised ? 1 : 0));
  store_le(p + 3, std::uint8_t{0});
  store_le(p + 4, header.stored_bytes);
}

}  // namespace

EncodedSection DataSectionCoder::encode(const BlockRun& run, std::uint32_t stream, const Layout& layout, Level level) {
  const std::size_t sample_bytes = layout.sample_bytes;
  const Shape shape = shape_of(run.sizes, sample_bytes);
  EncodedSection section;
  std::vector<bool> has_statistics(layout.columns.size());
  std::size_t statistics_count = 0;
  for (std::size_t c = 0; c < layout.columns.size(); ++c) {
    has_statistics[c] = layout.columns.size() <= kMaxStatistics && layout.columns[c].elements == 1;
    statistics_count += has_statistics[c] ? 1 : 0;
  }
  const std::size_t statistics_bytes = statistics_count * ColumnStatistics::stored_bytes;
  if (statistics_bytes > kFreeStatisticsBytes && 16 * statistics_bytes > run.raw_bytes()) {
    has_statistics.assign(has_statistics.size(), false);
    statistics_count = 0;
  }
  // The headers' room comes first; the columns are coded right behind it.
  Bytes& payload = section.payload;
  payload.reserve(run.bytes.size() / 2 + 4096);
  const std::size_t column_count = kFixedColumns + layout.columns.size();
  payload.resize(8 + column_count * ColumnHeader::bytes + statistics_count * ColumnStatistics::stored_bytes);
  std::size_t header_at = 8;
  const auto add_column = [&](ScalarType type, ByteView values) {
    const ColumnHeader header = coder_.encode(type, values, level, payload);
    store_column_header(payload.data() + header_at, header);
    header_at += ColumnHeader::bytes;
  };
  if (run.jumps.empty()) {
    add_column(ScalarType::u32, bytes_of(run.timeslots));
  } else {
    std::vector<std::uint64_t> ticks(run.count());
    for_each_tick(run, [&](std::size_t i, std::uint64_t tick) { ticks[i] = tick; });
    add_column(ScalarType::u64, std::as_bytes(std::span(ticks)));
  }
  add_column(ScalarType::u32, bytes_of(run.sizes));
  columns_.resize(std::max<std::size_t>(columns_.size(), shape.rest));
  if (shape.rest > 0)
    for_each_rest(run.sizes, sample_bytes, [&](std::size_t from, std::size_t to, std::size_t count) {
      std::memcpy(columns_.data() + to, run.bytes.data() + from, count);
    });
  add_column(ScalarType::u8, ByteView(columns_).first(shape.rest));
  const auto offsets = column_offsets(layout, shape.samples);
  columns_.resize(std::max(columns_.size(), offsets.back()));
  for_each_tile(run, layout, shape, [&](const ColumnGroup& group, std::size_t first, std::size_t at, std::size_t n) {
    const auto& column = layout.columns[group.first];
    const std::byte* from = run.bytes.data() + at + column.byte_offset;
    std::byte* to = columns_.data() + offsets[group.first] + first * column.bytes();
    if (column.bytes() == sample_bytes) {
      std::memcpy(to, from, n * sample_bytes);
    } else if (group.words) {
      kernels::best().gather_16(reinterpret_cast<const std::uint8_t*>(from), sample_bytes, n, group.count,
                                reinterpret_cast<std::uint8_t*>(to), offsets[group.first + 1] - offsets[group.first]);
    } else {
      gather_column(from, sample_bytes, n, column.bytes(), to);
    }
  });
  for (std::size_t c = 0; c < layout.columns.size(); ++c) {
    const ByteView values = ByteView(columns_).subspan(offsets[c], shape.samples * layout.columns[c].bytes());
    if (has_statistics[c]) section.statistics.push_back(statistics_of(layout.columns[c].type, values));
    add_column(layout.columns[c].type, values);
  }
  store_le(payload.data(), static_cast<std::uint32_t>(column_count));
  store_le(payload.data() + 4, static_cast<std::uint32_t>(statistics_count));
  for (std::size_t i = 0; i < statistics_count; ++i) {
    Bytes stored;
    section.statistics[i].encode(stored);
    std::copy(stored.begin(), stored.end(),
              payload.begin() + static_cast<std::ptrdiff_t>(header_at + i * ColumnStatistics::stored_bytes));
  }

  SectionHeader& header = section.header;
  header.kind = SectionKind::data;
  if (run.unsorted) header.flags |= SectionHeader::flag_unsorted;
  if (!run.jumps.empty()) header.flags |= SectionHeader::flag_wide;
  header.stream = stream;
  header.raw_bytes = static_cast<std::uint32_t>(run.raw_bytes());
  header.block_count = static_cast<std::uint32_t>(run.count());
  header.first_tick = run.first_tick;
  header.last_tick = run.last_tick;
  seal_payload(header, payload, false);
  return section;
}

namespace {

struct ParsedPayload {
  DataSectionSummary summary;
  std::vector<ByteView> stored;  // per column
};

tl::unexpected<Error> bad_section(std::string_view why) {
  return fail(ErrorCode::bad_input, fmt::format("data section: {}", why));
}

Expected<ParsedPayload> parse_payload(ByteView payload) {
  ByteReader reader(payload);
  const auto columns = reader.number<std::uint32_t>();
  const auto statistics = reader.number<std::uint32_t>();
  if (!statistics || *columns < kFixedColumns || *columns > reader.left() / ColumnHeader::bytes ||
      *statistics > *columns)
    return bad_section("bad column count");
  ParsedPayload parsed;
  parsed.summary.columns.reserve(*columns);
  for (std::uint32_t i = 0; i < *columns; ++i) {
    ColumnHeader header;
    header.codec = static_cast<ColumnCodec>(*reader.number<std::uint8_t>());
    header.predictor = static_cast<Predictor>(*reader.number<std::uint8_t>());
    header.quantised = *reader.number<std::uint8_t>() != 0;
    (void)reader.number<std::uint8_t>();
    header.stored_bytes = *reader.number<std::uint32_t>();
    parsed.summary.columns.push_back(header);
  }
  for (std::uint32_t i = 0; i < *statistics; ++i) {
    const auto stored = reader.take(ColumnStatistics::stored_bytes);
    if (!stored) return bad_section("statistics are cut off");
    parsed.summary.statistics.push_back(ColumnStatistics::decode(stored->data()));
  }
  for (const auto& header : parsed.summary.columns) {
    const auto stored = reader.take(header.stored_bytes);
    if (!stored) return bad_section("a column is cut off");
    parsed.stored.push_back(*stored);
  }
  if (reader.left() != 0) return bad_section("bytes are left over");
  return parsed;
}

// Timeslots, sizes and jumps of the blocks.
Expected<void> decode_times_and_sizes(ColumnCoder& coder, const SectionHeader& header, const ParsedPayload& parsed,
                                      BlockRun& run) {
  const auto& columns = parsed.summary.columns;
  if (header.block_count > header.raw_bytes / 8) return bad_section("more blocks than fit its size");
  run.timeslots.resize(header.block_count);
  run.sizes.resize(header.block_count);
  run.first_tick = header.first_tick;
  if ((header.flags & SectionHeader::flag_wide) != 0) {
    std::vector<std::uint64_t> ticks(header.block_count);
    if (auto done =
            coder.decode(columns[0], ScalarType::u64, parsed.stored[0], std::as_writable_bytes(std::span(ticks)));
        !done)
      return done;
    if (!ticks.empty() && ticks.front() != header.first_tick) return bad_section("does not begin at its first tick");
    for (std::size_t i = 0; i < ticks.size(); ++i) {
      run.timeslots[i] = static_cast<std::uint32_t>(ticks[i]);
      if (i > 0 && TickUnwrapper(ticks[i - 1]).next(run.timeslots[i]) != ticks[i]) run.jumps.push_back({i, ticks[i]});
    }
  } else if (auto done = coder.decode(columns[0], ScalarType::u32, parsed.stored[0],
                                      std::as_writable_bytes(std::span(run.timeslots)));
             !done) {
    return done;
  }
  if (auto done =
          coder.decode(columns[1], ScalarType::u32, parsed.stored[1], std::as_writable_bytes(std::span(run.sizes)));
      !done)
    return done;
  const std::uint64_t total = std::accumulate(run.sizes.begin(), run.sizes.end(), std::uint64_t{0});
  if (total + 8 * std::uint64_t{header.block_count} != header.raw_bytes)
    return bad_section("block sizes do not add up");
  if (!run.sizes.empty())
    if (auto ok = check_block_size(*std::max_element(run.sizes.begin(), run.sizes.end())); !ok) return ok;
  run.last_tick = header.last_tick;
  run.unsorted = (header.flags & SectionHeader::flag_unsorted) != 0;
  return {};
}

}  // namespace

Expected<void> DataSectionCoder::decode(const SectionHeader& header, ByteView payload, const Layout& layout,
                                        BlockRun& run) {
  // Whatever goes wrong from here, the run is not half filled: it keeps its buffers, but has no blocks.
  run.timeslots.clear();
  run.sizes.clear();
  run.jumps.clear();
  run.unsorted = false;
  auto done = decode_into(header, payload, layout, run);
  if (!done) run.clear();
  return done;
}

Expected<void> DataSectionCoder::decode_blocks(const SectionHeader& header, ByteView payload, BlockRun& run) {
  run.clear();
  if (auto sound = check_payload(header, payload); !sound) return sound;
  auto parsed = parse_payload(payload);
  if (!parsed) return fail(parsed);
  auto done = decode_times_and_sizes(coder_, header, *parsed, run);
  if (!done) run.clear();
  return done;
}

Expected<void> DataSectionCoder::decode_into(const SectionHeader& header, ByteView payload, const Layout& layout,
                                             BlockRun& run) {
  if (auto sound = check_payload(header, payload); !sound) return sound;
  auto parsed = parse_payload(payload);
  if (!parsed) return fail(parsed);
  const auto& columns = parsed->summary.columns;
  if (columns.size() != kFixedColumns + layout.columns.size()) return bad_section("does not have the stream's columns");
  if (auto done = decode_times_and_sizes(coder_, header, *parsed, run); !done) return done;
  const auto decode_column = [&](std::size_t i, ScalarType type, std::span<std::byte> values) {
    return coder_.decode(columns[i], type, parsed->stored[i], values);
  };
  const Shape shape = shape_of(run.sizes, layout.sample_bytes);
  run.bytes.resize(header.raw_bytes - 8 * std::size_t{header.block_count});
  columns_.resize(std::max<std::size_t>(columns_.size(), shape.rest));
  if (auto done = decode_column(2, ScalarType::u8, std::span(columns_).first(shape.rest)); !done) return done;
  if (shape.rest > 0)
    for_each_rest(run.sizes, layout.sample_bytes, [&](std::size_t to, std::size_t from, std::size_t count) {
      std::memcpy(run.bytes.data() + to, columns_.data() + from, count);
    });
  const auto offsets = column_offsets(layout, shape.samples);
  columns_.resize(std::max(columns_.size(), offsets.back()));
  for (std::size_t c = 0; c < layout.columns.size(); ++c) {
    const auto values = std::span(columns_).subspan(offsets[c], shape.samples * layout.columns[c].bytes());
    if (auto done = decode_column(kFixedColumns + c, layout.columns[c].type, values); !done) return done;
  }
  for_each_tile(run, layout, shape, [&](const ColumnGroup& group, std::size_t first, std::size_t at, std::size_t n) {
    const auto& column = layout.columns[group.first];
    const std::byte* from = columns_.data() + offsets[group.first] + first * column.bytes();
    std::byte* to = run.bytes.data() + at + column.byte_offset;
    if (column.bytes() == layout.sample_bytes) {
      std::memcpy(to, from, n * column.bytes());
    } else if (group.words) {
      kernels::best().scatter_16(reinterpret_cast<const std::uint8_t*>(from),
                                 offsets[group.first + 1] - offsets[group.first], n, group.count,
                                 reinterpret_cast<std::uint8_t*>(to), layout.sample_bytes);
    } else {
      scatter_column(from, layout.sample_bytes, n, column.bytes(), to);
    }
  });
  return {};
}

Expected<DataSectionSummary> summarize(ByteView payload) {
  auto parsed = parse_payload(payload);
  if (!parsed) return fail(parsed);
  return std::move(parsed->summary);
}

bool has_equal_blocks(ByteView payload_head) {
  constexpr std::size_t sizes_at = 8 + ColumnHeader::bytes;  // behind two counts and the timeslots' header
  static_assert(sizes_at + ColumnHeader::bytes == head_bytes);
  return payload_head.size() >= head_bytes &&
         static_cast<ColumnCodec>(payload_head[sizes_at]) == ColumnCodec::constant &&
         load_le<std::uint32_t>(payload_head.data() + sizes_at + 4) == sizeof(std::uint32_t);
}

}  // namespace sds
