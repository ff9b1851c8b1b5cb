// Data sections that claim blocks of each other, as only a file has that somebody made: which of them count.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sds/format/byte_source.hpp"
#include "sds/format/data_section.hpp"
#include "sds/format/sdsz_index.hpp"

namespace sds {

/// Finds out whether data sections of a file have the blocks that their headers say. What is decoded for that, of all
/// of them together, is bounded by what the file holds (limits::min_proof_bytes).
class SectionProver {
 public:
  SectionProver(const ByteSource& file, std::uint64_t file_bytes);

  enum class Verdict {
    sound,
    unsound,
    unknown,  ///< it checks, and decoding it would be too much
  };
  /// `layout`: of its stream; null where nobody knows it, nor what is sound therefore.
  [[nodiscard]] Expected<Verdict> judge(const IndexEntry& entry, const Layout* layout);

 private:
  const ByteSource& file_;
  std::uint64_t file_bytes_;
  std::uint64_t budget_;
  DataSectionCoder coder_;
  BlockRun run_;
};

/// Leaves those in `data`, the sections of one stream in the order in which they were written, that claim no block of
/// each other, in the order of their blocks: of two that do the first, if it is sound (or nobody knows), else the
/// second. Calls `left_out` for each of the others, with the reason. Each section is judged once at most, and of a
/// recording that a writer made none is.
Expected<void> leave_out_double_blocks(std::vector<IndexEntry>& data, const Layout* layout, SectionProver& prover,
                                       const std::function<void(const IndexEntry&, const char* why)>& left_out);

}  // namespace sds
