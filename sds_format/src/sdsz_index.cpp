#include "sds/format/sdsz_index.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sds/format/if_damaged.hpp"
#include "sds/format/limits.hpp"
#include "sds/format/properties.hpp"
#include "section_walker.hpp"

namespace sds {

namespace {

struct ParsedEntry {
  IndexEntry entry;
  std::vector<ColumnStatistics> statistics;
  ByteView facts;
};

// Calls f(ParsedEntry) for each entry of an index section, in file order; returns the offset of the section before.
template <class F>
Expected<std::uint64_t> parse_index(const SectionHeader& index_header, ByteView payload, F&& f) {
  const auto bad = [] { return fail(ErrorCode::bad_input, "a malformed index"); };
  ByteReader reader(payload);
  const auto previous = reader.number<std::uint64_t>();
  const auto count = reader.number<std::uint32_t>();
  if (!count || *count > reader.left() / SectionHeader::bytes_v1) return bad();
  const std::size_t header_bytes = index_header.size();
  ParsedEntry parsed;
  for (std::uint32_t i = 0; i < *count; ++i) {
    const auto stored = reader.take(header_bytes);
    const auto offset = reader.number<std::uint64_t>();
    const auto statistics = reader.number<std::uint32_t>();
    if (!stored || !statistics || *statistics > reader.left() / ColumnStatistics::stored_bytes) return bad();
    auto header = SectionHeader::decode(*stored);
    if (!header) return fail(header);
    parsed.entry = {*header, *offset};
    parsed.statistics.clear();
    for (std::uint32_t s = 0; s < *statistics; ++s)
      parsed.statistics.push_back(ColumnStatistics::decode(reader.take(ColumnStatistics::stored_bytes)->data()));
    parsed.facts = {};
    if (index_header.version > 1) {
      const auto bytes = reader.number<std::uint32_t>();
      const auto facts = bytes ? reader.take(*bytes) : std::nullopt;
      if (!facts) return bad();
      parsed.facts = *facts;
    }
    if (auto done = f(parsed); !done) return fail(done);
  }
  return reader.left() == 0 ? Expected<std::uint64_t>(*previous) : bad();
}

struct FoundFooter {
  Footer footer;
  IndexEntry entry;
  bool is_own = false;  // of the recording that the file begins with; not known where the first header is damaged
};

// The footer at the end of the file, if it is of the recording that the file begins with: what is recorded may end like
// another one. Where the first header is damaged, any.
Expected<FoundFooter> read_footer(const ByteSource& file, std::uint64_t file_bytes) {
  const auto first = read_header(file, 0);
  if (!first && (is_unread(first.error()) || first.error().code == ErrorCode::unsupported)) return fail(first);
  for (const std::size_t header_bytes : {SectionHeader::bytes, SectionHeader::bytes_v1}) {
    const std::uint64_t length = header_bytes + Footer::payload_bytes;
    if (file_bytes < length) continue;
    auto header = read_header(file, file_bytes - length);
    if (!header && is_unread(header.error())) return fail(header);
    if (!header || header->size() != header_bytes || header->kind != SectionKind::footer ||
        header->stored_bytes != Footer::payload_bytes)
      continue;
    if (first && identity(*first) != identity(*header)) continue;
    const IndexEntry entry{*header, file_bytes - length};
    auto payload = read_payload(file, entry, file_bytes);
    if (!payload) return fail(payload);
    if (payload->size() != Footer::payload_bytes) continue;
    return FoundFooter{{load_le<std::uint64_t>(payload->data()), load_le<std::uint64_t>(payload->data() + 8)},
                       entry,
                       first.has_value()};
  }
  return fail(ErrorCode::bad_input, "no footer");
}

// Whether this program looks at the payloads of such sections.
bool is_read(SectionKind kind) {
  return kind >= SectionKind::session && kind <= SectionKind::footer && kind != SectionKind::label &&
         kind != SectionKind::attachment;
}

// What index sections hold, decompressed, stands in the file, too: headers and statistics as they are, and reasons of
// gaps, which compress. More than this has none but a file that is made to keep its reader busy.
std::uint64_t most_index_bytes(std::uint64_t file_bytes) { return limits::max_described_bytes + 16 * file_bytes; }

// Follows the chain of index sections backwards, calling f(index section, parsed entry) for each entry; offsets must
// fall, so it ends. Fails unless each section's entries stand back to back between the index before and itself, and
// those of a kind that nobody reads have their headers there.
template <class F>
Expected<void> for_each_index(const ByteSource& file, const FoundFooter& footer, std::uint64_t file_bytes, F&& f) {
  const auto bad = [&](const char* why, std::uint64_t offset) {
    return fail(ErrorCode::bad_input, why, file.path(), offset);
  };
  std::uint64_t end = footer.entry.offset;  // of what the next index section reaches to
  std::uint64_t left = most_index_bytes(file_bytes);
  for (std::uint64_t offset = footer.footer.last_index; offset != 0;) {
    if (offset >= end) return bad("the index chain runs forward", offset);
    auto header = read_header(file, offset);
    if (!header) return fail(header);
    const IndexEntry index{*header, offset};
    if (header->kind != SectionKind::index || index.end() != end) return bad("no index section", offset);
    if (header->raw_bytes > left) return bad("the index is larger than what it tells of", offset);
    left -= header->raw_bytes;
    auto payload = read_payload(file, index, file_bytes);
    if (!payload) return fail(payload);
    std::optional<std::uint64_t> first;
    std::uint64_t at = 0;
    auto previous = parse_index(*header, *payload, [&](ParsedEntry& parsed) -> Expected<void> {
      if (!first) first = at = parsed.entry.offset;
      if (parsed.entry.offset != at || parsed.entry.header.recording != footer.entry.header.recording)
        return bad("the index does not cover the file", parsed.entry.offset);
      if (!is_read(parsed.entry.header.kind)) {
        const auto there = read_header(file, parsed.entry.offset);
        if (!there && is_unread(there.error())) return fail(there);
        if (!there || there->encode() != parsed.entry.header.encode())
          return bad("the index tells of a section that is not there", parsed.entry.offset);
      }
      at = parsed.entry.end();
      return f(index, parsed);
    });
    if (!previous) return fail(previous);
    if (at != (first ? offset : 0) || (*previous == 0 && first && *first != 0))
      return bad("the index does not cover the file", offset);
    end = first.value_or(offset);
    offset = *previous;
  }
  return end == 0 ? Expected<void>{} : bad("the index does not cover the file", end);
}

Expected<SectionTable> sections_from_index(const ByteSource& file, std::uint64_t file_bytes) {
  auto footer = read_footer(file, file_bytes);
  if (!footer) return fail(footer);
  if (footer->footer.section_count > limits::max_sections)
    return fail(ErrorCode::limit, fmt::format("more than {} sections", limits::max_sections), file.path());
  SectionTable table;
  table.from_index = table.complete = true;
  table.end = file_bytes;
  table.recording = footer->entry.header.recording;
  std::uint64_t counted = 0;
  std::uint64_t last_index = 0;
  auto done = for_each_index(
      file, *footer, file_bytes, [&](const IndexEntry& index, const ParsedEntry& parsed) -> Expected<void> {
        if (index.offset != std::exchange(last_index, index.offset)) ++counted;
        if (++counted > footer->footer.section_count)
          return fail(ErrorCode::bad_input, "the index has too many sections");
        const SectionKind kind = parsed.entry.header.kind;
        if (parsed.entry.header.version == 1 && (kind == SectionKind::gap || kind == SectionKind::clock)) {
          auto payload = read_payload(file, parsed.entry, file_bytes);
          if (!payload) return fail(payload);
          take_section(table, parsed.entry, *payload);
        } else {
          take_section(table, parsed.entry, parsed.facts);
        }
        return {};
      });
  if (!done) return fail(done);
  if (counted != footer->footer.section_count) return fail(ErrorCode::bad_input, "the index misses sections");
  table.sections = counted + 1;
  const auto by_offset = [](const auto& a, const auto& b) { return a.offset < b.offset; };
  std::sort(table.entries.begin(), table.entries.end(), by_offset);
  std::sort(table.gaps.begin(), table.gaps.end(), by_offset);
  std::stable_sort(table.clocks.begin(), table.clocks.end(),
                   [](const auto& a, const auto& b) { return a.offset < b.offset; });
  return table;
}

}  // namespace

Expected<bool> has_footer(const ByteSource& file, std::uint64_t file_bytes) {
  auto footer = read_footer(file, file_bytes);
  if (!footer) return if_damaged(footer, false);
  if (footer->is_own) return true;
  const auto indexed = sections_from_index(file, file_bytes);
  return indexed ? Expected<bool>(true) : if_damaged(indexed, false);
}

Bytes encode_gap(const std::string& reason) {
  Properties properties;
  properties.set("reason", reason.size() <= limits::max_gap_reason_bytes
                               ? reason
                               : reason.substr(0, limits::max_gap_reason_bytes - 3) + "...");
  return properties.encode();
}

Bytes encode_clock(const ClockPair& pair) {
  Bytes payload;
  append_le(payload, pair.tick);
  append_le(payload, pair.utc_ns);
  append_le(payload, pair.monotonic_ns);
  return payload;
}

void IndexBuilder::add(const IndexEntry& entry, const std::vector<ColumnStatistics>& statistics, ByteView facts) {
  Bytes added = entry.header.encode();
  append_le(added, entry.offset);
  append_le(added, static_cast<std::uint32_t>(statistics.size()));
  for (const auto& s : statistics) s.encode(added);
  append_le(added, static_cast<std::uint32_t>(facts.size()));
  append_bytes(added, facts);
  append_bytes(pending_, added);
  ++entries_;
}

Bytes IndexBuilder::payload(std::uint64_t previous_index_offset) const {
  Bytes payload;
  payload.reserve(12 + pending_.size());
  append_le(payload, previous_index_offset);
  append_le(payload, entries_);
  append_bytes(payload, pending_);
  return payload;
}

void IndexBuilder::clear() {
  pending_.clear();
  entries_ = 0;
}

Expected<SectionTable> load_sections(const ByteSource& file, const LoadOptions& options) {
  auto size = file.size();
  if (!size) return fail(size);
  if (!options.walk) {
    auto table = sections_from_index(file, *size);
    if (table || is_unread(table.error())) return table;
  }
  std::vector<IndexEntry> index;
  if (options.with_index) {
    auto footer = read_footer(file, *size);
    if (!footer && is_unread(footer.error())) return fail(footer);
    if (footer) {
      auto done = for_each_index(file, *footer, *size, [&](const IndexEntry&, const ParsedEntry& parsed) {
        if (index.size() == limits::max_sections) return Expected<void>(fail(ErrorCode::limit, "too many sections"));
        index.push_back(parsed.entry);
        return Expected<void>{};
      });
      if (!done && is_unread(done.error())) return fail(done);
      if (!done) index.clear();
      std::sort(index.begin(), index.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
    }
  }
  return walk_sections(file, *size, index, options.verify);
}

Expected<void> for_each_statistics(
    const ByteSource& file,
    const std::function<void(const IndexEntry& section, std::span<const ColumnStatistics> statistics)>& take) {
  auto size = file.size();
  if (!size) return fail(size);
  auto footer = read_footer(file, *size);
  if (!footer) return fail(footer);
  return for_each_index(file, *footer, *size, [&](const IndexEntry&, const ParsedEntry& parsed) -> Expected<void> {
    if (parsed.entry.header.kind == SectionKind::data) take(parsed.entry, parsed.statistics);
    return {};
  });
}

Expected<std::vector<IndexedStatistics>> load_statistics(const ByteSource& file, std::uint32_t stream) {
  std::vector<IndexedStatistics> all;
  auto done = for_each_statistics(file, [&](const IndexEntry& section, std::span<const ColumnStatistics> statistics) {
    if (section.header.stream == stream)
      all.push_back({section.offset, std::vector(statistics.begin(), statistics.end())});
  });
  if (!done) return fail(done);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.section_offset < b.section_offset; });
  return all;
}

}  // namespace sds
