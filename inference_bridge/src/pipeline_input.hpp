// Where the blocks of streams become the rows that a pipeline works on.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "frames.hpp"
#include "sds/format/recording.hpp"

namespace sds::pipeline {

/// Turns a stream's blocks into rows: as they are where all channels have one type, else as physical values: as floats,
/// or as doubles where a channel has values that a float cannot hold.
class Source {
 public:
  Expected<FrameType> bind(const StreamInfo& stream);
  /// The rows of a block; valid until the next call.
  Expected<ByteView> rows(ByteView block);
  [[nodiscard]] const FrameType& type() const { return type_; }
  [[nodiscard]] const std::string& id() const { return id_; }
  /// False if rows are the bytes of their block.
  [[nodiscard]] bool converts() const { return as_physical_; }

 private:
  std::string id_;
  FrameType type_;
  std::optional<Metadata> metadata_;
  bool as_physical_ = false;  // in type_.type
  Bytes physical_;
};

/// Several streams become one: each row of the first one, and beside it the newest row of every other stream that is
/// not later than it, among the blocks that have been delivered: what a device would have had in hand at that moment.
/// "Not later" is decided in exact time. Rows are stored values where all streams have one type that a float cannot
/// hold, else physical ones, as floats, or as doubles where a stream has such a type.
class Alignment {
 public:
  Expected<FrameType> bind(const std::vector<Source>& sources);

  struct Joined {
    ByteView rows;              ///< valid until the next call
    RowTime first;              ///< time of the first of them
    std::uint64_t too_old = 0;  ///< rows left out: what stands beside their successors is later than they are
  };
  /// Takes the rows of a block of stream `port`; those of stream 0 come out joined. Blocks come in the order of their
  /// ticks, but for those of stream 0 that step back. Fails where a stream is more than 64 MiB ahead of the first.
  Expected<Joined> push(std::size_t port, std::uint64_t tick, ByteView rows);
  void reset();

 private:
  // Rows of a block from `begin` on, which are later than where the first stream's next block can begin. Before `next`
  // they are not later than the first stream's row at hand.
  struct Block {
    std::uint64_t tick = 0;
    std::size_t begin = 0;
    std::size_t next = 0;
    Bytes rows;
  };
  // A row as it comes out; it is none while the stream has not begun.
  struct Row {
    Bytes bytes;
    RowTime time;
  };
  // Blocks overlap where a sensor runs fast: the newest row is looked for in all of them.
  struct Other {
    std::deque<Block> blocks;  // ascending in ticks
    std::size_t bytes = 0;
    Row oldest;  // the newest of the rows that are gone
    Row newest;  // not later than the first stream's row at hand
  };
  void advance(std::size_t other, const FrameType& type, const RowTime& time);
  void forget_before(const FrameType& type, std::uint64_t tick);
  void append_row(std::size_t port, const std::byte* row, Bytes& to) const;

  std::vector<std::string> ids_;
  std::vector<FrameType> types_;
  ScalarType type_ = ScalarType::f32;
  bool stored_ = false;
  std::vector<Other> others_;  // the entry of stream 0 is not used
  Bytes joined_;
};

}  // namespace sds::pipeline
