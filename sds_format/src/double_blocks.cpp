#include "double_blocks.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "sds/format/if_damaged.hpp"
#include "sds/format/limits.hpp"
#include "section_walker.hpp"

namespace sds {

SectionProver::SectionProver(const ByteSource& file, std::uint64_t file_bytes)
    : file_(file), file_bytes_(file_bytes), budget_(std::max<std::uint64_t>(file_bytes, limits::min_proof_bytes)) {}

Expected<SectionProver::Verdict> SectionProver::judge(const IndexEntry& entry, const Layout* layout) {
  if (layout == nullptr) return Verdict::unknown;
  const auto payload = read_payload(file_, entry, file_bytes_);
  if (!payload) return if_damaged(payload, Verdict::unsound);
  if (entry.header.raw_bytes > budget_) return Verdict::unknown;
  budget_ -= entry.header.raw_bytes;
  return coder_.decode(entry.header, *payload, *layout, run_) ? Verdict::sound : Verdict::unsound;
}

namespace {

using Verdict = SectionProver::Verdict;

bool each_begins_behind_the_one_before(const std::vector<IndexEntry>& data) {
  return std::adjacent_find(data.begin(), data.end(), [](const IndexEntry& a, const IndexEntry& b) {
           return b.header.first_block < a.header.end_block();
         }) == data.end();
}

}  // namespace

Expected<void> leave_out_double_blocks(std::vector<IndexEntry>& data, const Layout* layout, SectionProver& prover,
                                       const std::function<void(const IndexEntry&, const char* why)>& left_out) {
  if (each_begins_behind_the_one_before(data)) return {};
  struct Kept {
    const IndexEntry* entry;
    std::optional<Verdict> verdict = {};  // once it was asked for
  };
  std::map<std::uint64_t, Kept> kept;  // by first blocks
  for (const IndexEntry& entry : data) {
    const SectionHeader& header = entry.header;
    if (header.block_count == 0) continue;
    // Those that claim its blocks, from the last one on: each is judged once, and is left out or ends the search.
    std::optional<Verdict> stays;
    for (auto behind = kept.lower_bound(header.end_block()); !stays && behind != kept.begin();) {
      const auto other = std::prev(behind);
      auto& [before, verdict] = other->second;
      if (before->header.end_block() <= header.first_block) break;
      if (!verdict) {
        auto found = prover.judge(*before, layout);
        if (!found) return fail(found);
        verdict = *found;
      }
      if (*verdict == Verdict::unsound) {
        left_out(*before, "are not what is in their section");
        behind = kept.erase(other);
      } else {
        stays = verdict;
      }
    }
    if (!stays) {
      kept.emplace(header.first_block, Kept{&entry});
    } else {
      left_out(entry, *stays == Verdict::sound ? "stand twice" : "stand twice; which are sound was not looked for");
    }
  }
  std::vector<IndexEntry> ascending;
  ascending.reserve(kept.size());
  for (const auto& [first_block, section] : kept) ascending.push_back(*section.entry);
  data = std::move(ascending);
  return {};
}

}  // namespace sds
