#include "sds/format/sdsz_index.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace sds {

namespace {

constexpr std::size_t kFooterBytes = SectionHeader::bytes + Footer::payload_bytes;

Expected<SectionHeader> read_header(const InputFile& file, std::uint64_t offset) {
  std::array<std::byte, SectionHeader::bytes> stored;
  if (auto got = file.read_exactly(offset, stored); !got) return fail(got);
  auto header = SectionHeader::decode(stored);
  if (!header) {
    header.error().path = file.path();
    header.error().offset = offset;
  }
  return header;
}

Expected<Bytes> read_payload(const InputFile& file, std::uint64_t offset, const SectionHeader& header,
                             std::uint64_t file_bytes) {
  if (header.stored_bytes > file_bytes - std::min(file_bytes, offset + SectionHeader::bytes))
    return fail(ErrorCode::bad_input, "a section runs past the end of the file", file.path(), offset);
  Bytes stored(header.stored_bytes);
  if (auto got = file.read_exactly(offset + SectionHeader::bytes, stored); !got) return fail(got);
  auto payload = open_payload(header, std::move(stored));
  if (!payload) {
    payload.error().path = file.path();
    payload.error().offset = offset;
  }
  return payload;
}

struct IndexSection {
  std::uint64_t previous = 0;
  std::vector<IndexEntry> entries;
  std::vector<std::vector<ColumnStatistics>> statistics;  // per entry
};

Expected<IndexSection> parse_index(ByteView payload) {
  const auto bad = [] { return fail(ErrorCode::bad_input, "a malformed index"); };
  ByteReader reader(payload);
  IndexSection index;
  const auto previous = reader.number<std::uint64_t>();
  const auto count = reader.number<std::uint32_t>();
  if (!count || *count > reader.left() / SectionHeader::bytes) return bad();
  index.previous = *previous;
  for (std::uint32_t i = 0; i < *count; ++i) {
    const auto stored = reader.take(SectionHeader::bytes);
    const auto offset = reader.number<std::uint64_t>();
    const auto statistics = reader.number<std::uint32_t>();
    if (!stored || !statistics || *statistics > reader.left() / ColumnStatistics::stored_bytes) return bad();
    auto header = SectionHeader::decode(stored->first<SectionHeader::bytes>());
    if (!header) return fail(header);
    index.entries.push_back({*header, *offset});
    auto& list = index.statistics.emplace_back();
    for (std::uint32_t s = 0; s < *statistics; ++s)
      list.push_back(ColumnStatistics::decode(reader.take(ColumnStatistics::stored_bytes)->data()));
  }
  return index;
}

Expected<Footer> read_footer(const InputFile& file, std::uint64_t file_bytes) {
  if (file_bytes < kFooterBytes) return fail(ErrorCode::bad_input, "no footer");
  const std::uint64_t offset = file_bytes - kFooterBytes;
  auto header = read_header(file, offset);
  if (!header) return fail(header);
  if (header->kind != SectionKind::footer || header->stored_bytes != Footer::payload_bytes)
    return fail(ErrorCode::bad_input, "no footer");
  auto payload = read_payload(file, offset, *header, file_bytes);
  if (!payload) return fail(payload);
  if (payload->size() != Footer::payload_bytes) return fail(ErrorCode::bad_input, "no footer");
  return Footer{load_le<std::uint64_t>(payload->data()), load_le<std::uint64_t>(payload->data() + 8)};
}

// Follows the chain of index sections backwards, calling f(section) for each; offsets must fall, so it ends.
template <class F>
Expected<void> for_each_index(const InputFile& file, std::uint64_t last, std::uint64_t file_bytes, F&& f) {
  std::uint64_t limit = file_bytes;
  for (std::uint64_t offset = last; offset != 0;) {
    if (offset >= limit) return fail(ErrorCode::bad_input, "the index chain runs forward", file.path(), offset);
    limit = offset;
    auto header = read_header(file, offset);
    if (!header) return fail(header);
    if (header->kind != SectionKind::index) return fail(ErrorCode::bad_input, "no index section", file.path(), offset);
    auto payload = read_payload(file, offset, *header, file_bytes);
    if (!payload) return fail(payload);
    auto index = parse_index(*payload);
    if (!index) return fail(index);
    offset = index->previous;
    f(*header, limit, *index);
  }
  return {};
}

Expected<SectionTable> sections_from_index(const InputFile& file, std::uint64_t file_bytes) {
  auto footer = read_footer(file, file_bytes);
  if (!footer) return fail(footer);
  std::vector<IndexEntry> entries;
  auto done = for_each_index(file, footer->last_index, file_bytes,
                             [&](const SectionHeader& header, std::uint64_t offset, const IndexSection& index) {
                               entries.insert(entries.end(), index.entries.begin(), index.entries.end());
                               entries.push_back({header, offset});
                             });
  if (!done) return fail(done);
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
  if (entries.size() != footer->section_count) return fail(ErrorCode::bad_input, "the index misses sections");
  std::uint64_t at = 0;
  for (const auto& entry : entries) {
    if (entry.offset != at) return fail(ErrorCode::bad_input, "the index does not cover the file");
    at += SectionHeader::bytes + entry.header.stored_bytes;
  }
  if (at != file_bytes - kFooterBytes) return fail(ErrorCode::bad_input, "the index does not cover the file");
  return SectionTable{std::move(entries), {}, true, true, file_bytes};
}

// The next offset at or after `from` where a valid header stands.
Expected<std::optional<std::uint64_t>> resynchronize(const InputFile& file, std::uint64_t from,
                                                     std::uint64_t file_bytes) {
  constexpr std::size_t kWindow = std::size_t{1} << 20;
  Bytes window;
  const auto* magic = reinterpret_cast<const std::byte*>(SectionHeader::magic.data());
  while (from + SectionHeader::bytes <= file_bytes) {
    window.resize(std::min<std::uint64_t>(kWindow, file_bytes - from));
    auto got = file.read(from, window);
    if (!got) return fail(got);
    window.resize(*got);
    if (window.size() < SectionHeader::bytes) break;
    for (auto at = window.begin();;) {
      at = std::search(at, window.end(), magic, magic + SectionHeader::magic.size());
      if (window.end() - at < static_cast<std::ptrdiff_t>(SectionHeader::bytes)) break;
      if (SectionHeader::decode(std::span<const std::byte, SectionHeader::bytes>(&*at, SectionHeader::bytes)))
        return from + static_cast<std::uint64_t>(at - window.begin());
      ++at;
    }
    from += window.size() - (SectionHeader::bytes - 1);
  }
  return std::nullopt;
}

Expected<SectionTable> sections_by_walking(const InputFile& file, std::uint64_t file_bytes) {
  SectionTable table;
  table.end = file_bytes;
  std::uint64_t at = 0;
  std::optional<std::uint32_t> last_sequence;
  while (at < file_bytes) {
    std::string reason;
    if (file_bytes - at < SectionHeader::bytes) {
      table.damages.push_back({at, file_bytes - at, "the file ends inside a section header"});
      break;
    }
    auto header = read_header(file, at);
    if (header) {
      const std::uint64_t left = file_bytes - at - SectionHeader::bytes;
      if (header->stored_bytes <= left) {
        if (last_sequence && header->sequence != *last_sequence + 1 && table.damages.empty())
          table.damages.push_back(
              {at, 0, fmt::format("section {} follows section {}", header->sequence, *last_sequence)});
        last_sequence = header->sequence;
        if (header->kind == SectionKind::footer) {
          table.complete = at + SectionHeader::bytes + header->stored_bytes == file_bytes;
        } else {
          table.entries.push_back({*header, at});
        }
        at += SectionHeader::bytes + header->stored_bytes;
        continue;
      }
      reason = fmt::format("the file ends inside a {} section ({} of {} bytes)", name_of(header->kind), left,
                           header->stored_bytes);
    } else if (header.error().code == ErrorCode::io ||
               (header.error().code == ErrorCode::unsupported && table.entries.empty())) {
      return fail(header);
    } else {
      reason = header.error().message;
    }
    auto next = resynchronize(file, at + 1, file_bytes);
    if (!next) return fail(next);
    const std::uint64_t end = next->value_or(file_bytes);
    table.damages.push_back({at, end - at, reason});
    at = end;
  }
  return table;
}

}  // namespace

void IndexBuilder::add(const IndexEntry& entry, const std::vector<ColumnStatistics>& statistics) {
  append_bytes(pending_, entry.header.encode());
  append_le(pending_, entry.offset);
  append_le(pending_, static_cast<std::uint32_t>(statistics.size()));
  for (const auto& s : statistics) s.encode(pending_);
  ++entries_;
}

Bytes IndexBuilder::take(std::uint64_t previous_index_offset) {
  Bytes payload;
  append_le(payload, previous_index_offset);
  append_le(payload, entries_);
  append_bytes(payload, pending_);
  pending_.clear();
  entries_ = 0;
  return payload;
}

Expected<SectionTable> load_sections(const InputFile& file, bool walk) {
  auto size = file.size();
  if (!size) return fail(size);
  if (!walk) {
    auto table = sections_from_index(file, *size);
    if (table || table.error().code == ErrorCode::io) return table;
  }
  return sections_by_walking(file, *size);
}

Expected<std::vector<IndexedStatistics>> load_statistics(const InputFile& file, std::uint32_t stream) {
  auto size = file.size();
  if (!size) return fail(size);
  auto footer = read_footer(file, *size);
  if (!footer) return fail(footer);
  std::vector<IndexedStatistics> all;
  auto done =
      for_each_index(file, footer->last_index, *size, [&](const SectionHeader&, std::uint64_t, IndexSection& index) {
        for (std::size_t i = 0; i < index.entries.size(); ++i)
          if (index.entries[i].header.stream == stream && index.entries[i].header.kind == SectionKind::data)
            all.push_back({index.entries[i].offset, std::move(index.statistics[i])});
      });
  if (!done) return fail(done);
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.section_offset < b.section_offset; });
  return all;
}

}  // namespace sds
