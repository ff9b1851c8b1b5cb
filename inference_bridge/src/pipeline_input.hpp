// Where the blocks of streams become the rows that a pipeline works on.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "frames.hpp"
#include "sds/format/recording.hpp"

namespace sds::pipeline {

/// Turns a stream's blocks into rows: as they are where all channels have one type, else as floats of physical values.
class Source {
 public:
  Expected<FrameType> bind(const StreamInfo& stream);
  /// The rows of a block; valid until the next call.
  Expected<ByteView> rows(ByteView block);
  [[nodiscard]] const FrameType& type() const { return type_; }

 private:
  FrameType type_;
  std::optional<Metadata> metadata_;
  bool as_floats_ = false;
  Bytes floats_;
};

/// Several streams become one: each row of the first one, and beside it the newest row of every other stream that is
/// not later than it, among the blocks that have been delivered: what a device would have had in hand at that moment.
class Alignment {
 public:
  Expected<FrameType> bind(const std::vector<Source>& sources);
  /// Takes rows of stream `port`; those of stream 0 come out joined. The tick of the first that does is set.
  ByteView push(std::size_t port, std::uint64_t tick, ByteView rows, std::uint64_t& first_tick);
  void reset();

 private:
  struct Row {
    Instant time;
    std::vector<float> values;
  };
  bool catch_up(const Instant& time);

  std::vector<FrameType> types_;
  std::vector<std::deque<Row>> waiting_;
  std::vector<std::vector<float>> newest_;
  Bytes joined_;
};

}  // namespace sds::pipeline
