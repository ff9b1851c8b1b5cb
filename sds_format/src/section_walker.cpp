#include "section_walker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "sds/format/if_damaged.hpp"
#include "sds/format/limits.hpp"
#include "sds/format/properties.hpp"

namespace sds {

namespace {

constexpr const char* kDamagedGap = "a loss was recorded here; what was said of it is damaged";

// Searches a file for valid section headers; keeps what it read, so that a search that begins where the one before
// ended costs nothing.
class HeaderSearch {
 public:
  HeaderSearch(const ByteSource& file, std::uint64_t file_bytes) : file_(file), file_bytes_(file_bytes) {}

  // The next offset at or after `from` where a valid header stands that `belongs`.
  template <class Belongs>  // Expected<bool>(const IndexEntry&)
  Expected<std::optional<std::uint64_t>> next(std::uint64_t from, Belongs&& belongs) {
    const auto* magic = reinterpret_cast<const std::byte*>(SectionHeader::magic.data());
    while (from + SectionHeader::bytes_v1 <= file_bytes_) {
      auto window = window_at(from);
      if (!window) return fail(window);
      if (window->size() < SectionHeader::bytes_v1) break;
      const auto at = std::search(window->begin(), window->end(), magic, magic + SectionHeader::magic.size());
      const auto skipped = static_cast<std::uint64_t>(at - window->begin());
      if (window->size() - skipped < SectionHeader::bytes && from + window->size() < file_bytes_) {
        // A header may begin in the last bytes of the window: go on from there with more behind it.
        from += std::max<std::uint64_t>(1, std::min<std::uint64_t>(skipped, window->size() - SectionHeader::bytes));
        continue;
      }
      if (at == window->end()) break;
      from += skipped;
      if (auto header = SectionHeader::decode(window->subspan(skipped)); header) {
        auto ours = belongs(IndexEntry{*header, from});
        if (!ours) return fail(ours);
        if (*ours) return from;
      }
      ++from;
    }
    return std::nullopt;
  }

 private:
  static constexpr std::size_t kWindowBytes = std::size_t{1} << 20;

  // What is in the file from `from` on, at least a header's bytes unless it ends before.
  Expected<ByteView> window_at(std::uint64_t from) {
    const std::uint64_t end = offset_ + bytes_.size();
    if (from < offset_ || from + SectionHeader::bytes > end) {
      bytes_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kWindowBytes, file_bytes_ - from)));
      auto got = file_.read(from, bytes_);
      if (!got) return fail(got);
      bytes_.resize(*got);
      offset_ = from;
    }
    return ByteView(bytes_).subspan(static_cast<std::size_t>(from - offset_));
  }

  const ByteSource& file_;
  std::uint64_t file_bytes_;
  Bytes bytes_;
  std::uint64_t offset_ = 0;
};

// How many headers each recording has: a file's recording is that of most of them, the first one of equals.
class Census {
 public:
  // False if there are too many to count this one.
  bool add(std::uint64_t recording) {
    if (counts_.size() >= limits::max_recordings_in_file && counts_.count(recording) == 0) return false;
    auto [at, is_new] = counts_.try_emplace(recording, Count{0, counts_.size()});
    ++at->second.headers;
    if (counts_.size() == 1) {
      leader_ = recording;
    } else if (leads(at->second, counts_.at(leader_))) {
      leader_ = recording;
      changed_ = true;
    }
    return true;
  }
  [[nodiscard]] std::uint64_t leader() const { return leader_; }
  // True if it has not been the same one all the time.
  [[nodiscard]] bool led_by_others() const { return changed_; }

 private:
  struct Count {
    std::uint64_t headers = 0;
    std::size_t place = 0;  // among the recordings, by their first header
  };
  static bool leads(const Count& a, const Count& b) {
    return a.headers > b.headers || (a.headers == b.headers && a.place < b.place);
  }

  std::map<std::uint64_t, Count> counts_;
  std::uint64_t leader_ = 0;
  bool changed_ = false;
};

Damage damage_at(const IndexEntry& entry, std::string reason) {
  Damage damage;
  damage.offset = entry.offset;
  damage.bytes = entry.header.section_bytes();
  damage.reason = std::move(reason);
  damage.blocks = 0;
  return damage;
}

// True if a section's payload is as it was sealed.
Expected<bool> payload_checks(const ByteSource& file, const IndexEntry& entry) {
  Bytes stored(entry.header.stored_bytes);
  auto got = file.read(entry.payload_offset(), stored);
  if (!got) return fail(got);
  return *got == stored.size() && check_payload(entry.header, stored).has_value();
}

// Tells sections that a search found from copies of their headers in an index section: the payload checks, or the
// number is higher than that of the section before and another header, or the end of the file, stands behind; and one
// before that has the number is damaged. What checking reads is bounded by what the file holds, also where hostile
// headers all claim the rest of it; beyond that none counts. Numbers that a section before has, most of them in an
// index, spend nothing of what there is for others.
class FoundHeaders {
 public:
  FoundHeaders(const ByteSource& file, std::uint64_t file_bytes)
      : file_(file),
        file_bytes_(file_bytes),
        budget_(file_bytes),
        repeats_budget_(file_bytes),
        last_budget_(file_bytes) {}

  // `before`: which of `found`, all sections so far, are of its recording.
  Expected<bool> is_section(const IndexEntry& entry, const std::vector<IndexEntry>& found,
                            const std::vector<std::uint32_t>& before) {
    const bool later = before.empty() || entry.header.sequence > found[before.back()].header.sequence;
    const std::uint64_t size = entry.header.section_bytes();
    if (size >= file_bytes_ - entry.offset && later) return true;
    if (size > file_bytes_ - entry.offset) return false;
    if (later) {
      auto next = read_header(file_, entry.end());
      if (next) return true;
      if (is_unread(next.error())) return fail(next);
    }
    const IndexEntry* same = later ? nullptr : with_number(entry.header.sequence, found, before);
    auto sound = sound_within(same ? repeats_budget_ : budget_, entry);
    if (!same || !sound || !*sound) return sound;
    auto other = sound_within(repeats_budget_, *same);
    return other ? Expected<bool>(!*other) : other;
  }

  // Whether sections may stand within the last one that was found, behind which there is none. Sections that stand one
  // behind the other are no more than the file.
  Expected<bool> is_damaged(const IndexEntry& entry) {
    const std::uint64_t size = entry.header.section_bytes();
    if (size > last_budget_) return false;
    last_budget_ -= size;
    auto sound = payload_checks(file_, entry);
    return sound ? Expected<bool>(!*sound) : sound;
  }

 private:
  // Sections stand in the order of their numbers, but for those that somebody moved.
  static const IndexEntry* with_number(std::uint32_t number, const std::vector<IndexEntry>& found,
                                       const std::vector<std::uint32_t>& before) {
    const auto at = std::lower_bound(before.begin(), before.end(), number, [&](std::uint32_t place, std::uint32_t n) {
      return found[place].header.sequence < n;
    });
    return at != before.end() && found[*at].header.sequence == number ? &found[*at] : nullptr;
  }

  Expected<bool> sound_within(std::uint64_t& budget, const IndexEntry& entry) {
    const std::uint64_t size = entry.header.section_bytes();
    if (size > budget) return false;
    budget -= size;
    return payload_checks(file_, entry);
  }

  const ByteSource& file_;
  std::uint64_t file_bytes_;
  std::uint64_t budget_;
  std::uint64_t repeats_budget_;
  std::uint64_t last_budget_;
};

// Leaves the sections of one recording, each once (a sound one where there is one), in the order in which they were
// written.
Expected<void> set_in_order(const ByteSource& file, SectionTable& table, std::vector<IndexEntry>& found,
                            std::uint64_t recording) {
  std::erase_if(found, [&](const IndexEntry& entry) {
    if (identity(entry.header) == recording) return false;
    table.damages.push_back(
        damage_at(entry, fmt::format("a {} section of another recording", name_of(entry.header.kind))));
    return true;
  });
  const auto by_sequence = [](const IndexEntry& a, const IndexEntry& b) {
    return a.header.sequence < b.header.sequence;
  };
  if (!std::is_sorted(found.begin(), found.end(), by_sequence)) {
    Damage damage;
    damage.reason = "sections stand in another order than they were written";
    damage.blocks = 0;
    damage.harmless = true;
    table.damages.push_back(std::move(damage));
    std::stable_sort(found.begin(), found.end(), by_sequence);
  }
  std::vector<IndexEntry> once;
  once.reserve(found.size());
  for (const auto& entry : found) {
    if (!once.empty() && once.back().header.sequence == entry.header.sequence) {
      auto sound = payload_checks(file, once.back());
      if (!sound) return fail(sound);
      IndexEntry other = entry;
      if (!*sound) {
        std::swap(once.back(), other);
        sound = payload_checks(file, once.back());
        if (!sound) return fail(sound);
      }
      table.damages.push_back(damage_at(other, fmt::format("section {} stands twice", other.header.sequence)));
      table.damages.back().harmless = *sound && once.back().header.encode() == other.header.encode();
    } else {
      once.push_back(entry);
    }
  }
  found = std::move(once);
  return {};
}

void take_gap(SectionTable& table, const IndexEntry& entry, std::string reason) {
  const SectionHeader& header = entry.header;
  table.gaps.push_back(
      {header.stream, header.version, entry.offset, {header.first_tick, std::move(reason), header.first_block}});
}

// Finds where sections are missing: numbers that none has, in a damaged stretch or where something was taken out of the
// file, and stretches behind the last one. `stretches`: damage in which no section was found, in the order of the file.
void find_missing(SectionTable& table, const std::vector<IndexEntry>& found, const std::vector<Damage>& stretches) {
  const auto by_offset = [](const IndexEntry& a, const IndexEntry& b) { return a.offset < b.offset; };
  if (!std::is_sorted(found.begin(), found.end(), by_offset)) {  // no place can be told from numbers
    for (const auto& stretch : stretches) table.lost.push_back({stretch.offset, std::nullopt, stretch.reason});
    const std::uint64_t missing = std::uint64_t{found.back().header.sequence} + 1 - found.size();
    if (missing == 0 || !stretches.empty()) return;
    Damage damage;
    damage.offset = table.end;
    damage.reason = fmt::format("{} of {} sections are missing", missing, found.size() + missing);
    damage.has_doubts = true;
    table.lost.push_back({0, std::nullopt, damage.reason});  // anywhere
    table.damages.push_back(std::move(damage));
    return;
  }
  std::uint64_t expected = 0;
  auto stretch = stretches.begin();
  for (const auto& entry : found) {
    const std::uint64_t missing = entry.header.sequence - expected;
    const std::uint64_t unknown = missing - (expected == 0 && missing > 0 ? 1 : 0);  // the first is the session
    const auto first = stretch;
    while (stretch != stretches.end() && stretch->offset < entry.offset) ++stretch;
    if (missing > 0 && first != stretch) {
      if (unknown > 0) table.lost.push_back({first->offset, unknown, first->reason});
    } else if (missing > 0) {
      Damage damage;
      damage.offset = entry.offset;
      damage.reason = missing == 1 ? fmt::format("section {} is missing", expected)
                                   : fmt::format("sections {} to {} are missing", expected, entry.header.sequence - 1);
      damage.has_doubts = true;
      if (unknown > 0) table.lost.push_back({entry.offset, unknown, damage.reason});
      table.damages.push_back(std::move(damage));
    }
    expected = std::uint64_t{entry.header.sequence} + 1;
  }
  for (; stretch != stretches.end(); ++stretch) table.lost.push_back({stretch->offset, std::nullopt, stretch->reason});
}

}  // namespace

std::uint64_t identity(const SectionHeader& header) { return header.version == 1 ? 0 : header.recording; }

Expected<SectionHeader> read_header(const ByteSource& file, std::uint64_t offset) {
  std::array<std::byte, SectionHeader::bytes> stored;
  auto got = file.read(offset, stored);
  if (!got) return fail(got);
  auto header = SectionHeader::decode(ByteView(stored).first(*got));
  if (!header) {
    header.error().path = file.path();
    header.error().offset = offset;
  }
  return header;
}

Expected<Bytes> read_payload(const ByteSource& file, const IndexEntry& entry, std::uint64_t file_bytes) {
  if (entry.offset > file_bytes || entry.header.section_bytes() > file_bytes - entry.offset)
    return fail(ErrorCode::bad_input, "a section runs past the end of the file", file.path(), entry.offset);
  Bytes stored(entry.header.stored_bytes);
  if (auto got = file.read_exactly(entry.payload_offset(), stored); !got) return fail(got);
  auto payload = open_payload(entry.header, std::move(stored));
  if (!payload) {
    payload.error().path = file.path();
    payload.error().offset = entry.offset;
  }
  return payload;
}

Expected<bool> only_zeros(const ByteSource& file, std::uint64_t from, std::uint64_t to) {
  Bytes window(std::size_t{1} << 16);
  while (from < to) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(window.size(), to - from));
    auto got = file.read(from, std::span(window).first(wanted));
    if (!got) return fail(got);
    const auto end = window.begin() + static_cast<std::ptrdiff_t>(*got);
    if (std::any_of(window.begin(), end, [](std::byte b) { return b != std::byte{0}; })) return false;
    if (*got < wanted) break;
    from += *got;
  }
  return true;
}

void take_section(SectionTable& table, const IndexEntry& entry, ByteView facts) {
  const SectionHeader& header = entry.header;
  switch (header.kind) {
    case SectionKind::index:
    case SectionKind::footer:
      return;
    case SectionKind::gap: {
      auto properties = Properties::decode(facts);
      if (!properties) table.damages.push_back(damage_at(entry, "a malformed gap section"));
      take_gap(table, entry, properties ? properties->get("reason").value_or("") : std::string(kDamagedGap));
      return;
    }
    case SectionKind::clock:
      if (facts.size() != 16 && facts.size() != 24) {
        table.damages.push_back(damage_at(entry, "a malformed clock section"));
        return;
      }
      table.clocks.push_back({header.stream,
                              entry.offset,
                              {load_le<std::uint64_t>(facts.data()), load_le<std::uint64_t>(facts.data() + 8),
                               facts.size() == 24 ? load_le<std::uint64_t>(facts.data() + 16) : 0},
                              header.version == 1 ? 0 : header.first_block});
      return;
    default:
      table.entries.push_back(entry);
  }
}

namespace {

struct Found {
  std::vector<IndexEntry> sections;  // of whatever recording, in the order of the file
  std::vector<Damage> stretches;     // in which there is none
  std::vector<Damage> headers;       // that are damaged, of sections which the index tells of
  Damage unfinished;
  bool footer_last = false;
};

// Goes from header to header; behind damage it searches for one of recording `searched` (null: of the one that leads by
// then).
Expected<Found> find_sections(const ByteSource& file, std::uint64_t file_bytes, std::optional<std::uint64_t> searched,
                              Census& census) {
  Found result;
  auto& found = result.sections;
  std::map<std::uint64_t, std::vector<std::uint32_t>> places;  // of each recording's sections among those found
  HeaderSearch search(file, file_bytes);
  FoundHeaders headers(file, file_bytes);
  for (std::uint64_t at = 0; at < file_bytes;) {
    std::string reason;
    auto header = read_header(file, at);
    if (header && header->section_bytes() <= file_bytes - at) {
      if (found.size() >= limits::max_sections + 1)
        return fail(ErrorCode::limit, fmt::format("more than {} sections", limits::max_sections), file.path(), at);
      if (census.add(identity(*header))) places[identity(*header)].push_back(static_cast<std::uint32_t>(found.size()));
      found.push_back({*header, at});
      at += header->section_bytes();
      result.footer_last = header->kind == SectionKind::footer && at == file_bytes;
      continue;
    }
    result.footer_last = false;
    if (header) {
      reason = fmt::format("the file ends inside a{} {} section ({} of {} bytes)",
                           header->kind == SectionKind::index ? "n" : "", name_of(header->kind),
                           file_bytes - at - header->size(), header->stored_bytes);
    } else if (is_unread(header.error()) || (header.error().code == ErrorCode::unsupported && found.empty())) {
      return fail(header);
    } else {
      reason =
          file_bytes - at < SectionHeader::bytes ? "the file ends inside a section header" : header.error().message;
    }
    // Bytes that were taken out of a payload, or put in, leave no header where it should end: the next one is searched
    // from behind its own.
    std::uint64_t from = at + 1;
    if (!header && !found.empty() && found.back().end() == at) {
      auto damaged = headers.is_damaged(found.back());
      if (!damaged) return fail(damaged);
      if (*damaged) from = found.back().payload_offset();
    }
    // A payload may hold bytes that look like a header: of another recording's section.
    const std::uint64_t wanted = searched.value_or(census.leader());
    const std::vector<std::uint32_t>& before = places[wanted];
    auto next = search.next(from, [&](const IndexEntry& candidate) -> Expected<bool> {
      // A first section that is cut off says whose the file is.
      if (found.empty() && !searched) return at > 0 || !header || identity(candidate.header) == identity(*header);
      if (identity(candidate.header) != wanted) return false;
      return headers.is_section(candidate, found, before);
    });
    if (!next) return fail(next);
    const std::uint64_t end = next->value_or(file_bytes);
    if (end <= at) {
      // The payload before was shorter than its header says, and is damaged: its cursor will say so.
      at = end;
      continue;
    }
    // A section that is cut off, or bytes that the disk never got, are what a writer was at; anything else is damage.
    bool unfinished = header.has_value() || end - at < SectionHeader::bytes;
    if (!*next && !unfinished) {
      auto zeros = only_zeros(file, at, end);
      if (!zeros) return fail(zeros);
      unfinished = *zeros;
    }
    auto& stretches = result.stretches;
    if (!*next && unfinished) {
      result.unfinished = {at, end - at, reason};
    } else if (!stretches.empty() && stretches.back().offset + stretches.back().bytes == at) {
      stretches.back().bytes += end - at;
    } else {
      stretches.push_back({at, end - at, reason});
    }
    at = end;
  }
  return result;
}

// Which blocks the data sections of one recording have, by stream and in the order in which they were written: what an
// index says of another one must lie between.
class KnownBlocks {
 public:
  KnownBlocks(const std::vector<IndexEntry>& sections, std::uint64_t recording) {
    for (const auto& entry : sections)
      if (identity(entry.header) == recording && is_numbered(entry.header)) known_.push_back(entry.header);
    std::sort(known_.begin(), known_.end(), before);
  }

  [[nodiscard]] bool have_room_for(const SectionHeader& header) const {
    if (!is_numbered(header)) return true;
    const auto behind = std::upper_bound(known_.begin(), known_.end(), header, before);
    if (behind != known_.end() && behind->stream == header.stream && header.end_block() > behind->first_block)
      return false;
    return behind == known_.begin() || std::prev(behind)->stream != header.stream ||
           std::prev(behind)->end_block() <= header.first_block;
  }

 private:
  static bool is_numbered(const SectionHeader& header) {
    return header.kind == SectionKind::data && header.version > 1;
  }
  static bool before(const SectionHeader& a, const SectionHeader& b) {
    return a.stream != b.stream ? a.stream < b.stream : a.sequence < b.sequence;
  }

  std::vector<SectionHeader> known_;
};

// Adds sections that the index knows and no header tells of: theirs are damaged. What is damaged beside them is damage
// of its own. `index`: in the order of the file.
Expected<void> add_from_index(const ByteSource& file, const std::vector<IndexEntry>& index, Found& result) {
  const KnownBlocks known(result.sections, identity(index.front().header));
  std::set<std::uint32_t> there;
  for (const auto& entry : result.sections)
    if (identity(entry.header) == identity(index.front().header)) there.insert(entry.header.sequence);
  std::vector<Damage> rests;
  std::vector<IndexEntry> added;
  auto entry = index.begin();
  for (const auto& stretch : result.stretches) {
    const std::uint64_t end = stretch.offset + stretch.bytes;
    std::uint64_t at = stretch.offset;
    for (; entry != index.end() && entry->offset < end; ++entry) {
      if (entry->offset < at || entry->end() > end || there.count(entry->header.sequence) > 0 ||
          !known.have_room_for(entry->header))
        continue;
      auto sound = payload_checks(file, *entry);
      if (!sound) return fail(sound);
      if (!*sound) continue;
      if (entry->offset > at) rests.push_back({at, entry->offset - at, stretch.reason});
      added.push_back(*entry);
      at = entry->end();
      Damage header{entry->offset, entry->header.size(), "a damaged section header; the index has it, too"};
      header.blocks = 0;
      header.harmless = true;
      result.headers.push_back(std::move(header));
    }
    if (at < end) rests.push_back({at, end - at, stretch.reason});
  }
  result.stretches = std::move(rests);
  auto& found = result.sections;
  const auto before = static_cast<std::ptrdiff_t>(found.size());
  found.insert(found.end(), added.begin(), added.end());
  std::inplace_merge(found.begin(), found.begin() + before, found.end(),
                     [](const IndexEntry& a, const IndexEntry& b) { return a.offset < b.offset; });
  return {};
}

}  // namespace

Expected<SectionTable> walk_sections(const ByteSource& file, std::uint64_t file_bytes,
                                     const std::vector<IndexEntry>& index, bool verify) {
  SectionTable table;
  table.end = file_bytes;
  Census census;
  // An index that covers the file says whose it is.
  const auto known = index.empty() ? std::nullopt : std::optional(identity(index.front().header));
  auto result = find_sections(file, file_bytes, known, census);
  if (!result) return fail(result);
  table.recording = known.value_or(census.leader());
  if (!known && census.led_by_others()) {
    // Behind damage sections of another recording were searched than those that the file is of.
    result = find_sections(file, file_bytes, table.recording, census);
    if (!result) return fail(result);
  }
  if (!index.empty())
    if (auto done = add_from_index(file, index, *result); !done) return fail(done);
  auto& found = result->sections;
  table.unfinished = std::move(result->unfinished);
  table.damages = result->stretches;
  for (auto& stretch : table.damages) stretch.has_doubts = true;
  if (auto done = set_in_order(file, table, found, table.recording); !done) return fail(done);
  find_missing(table, found, result->stretches);
  std::move(result->headers.begin(), result->headers.end(), std::back_inserter(table.damages));
  table.sections = found.size();
  table.complete = result->footer_last && !found.empty() && found.back().header.kind == SectionKind::footer;
  for (const auto& entry : found) {
    const SectionKind kind = entry.header.kind;
    Bytes facts;
    if (kind == SectionKind::gap || kind == SectionKind::clock || (verify && kind == SectionKind::index)) {
      auto payload = read_payload(file, entry, file_bytes);
      if (!payload && is_unread(payload.error())) return fail(payload);
      if (!payload) {
        table.damages.push_back(damage_at(entry, payload.error().message));
        if (kind == SectionKind::gap) take_gap(table, entry, kDamagedGap);
        continue;
      }
      facts = std::move(*payload);
    }
    take_section(table, entry, facts);
  }
  return table;
}

}  // namespace sds
