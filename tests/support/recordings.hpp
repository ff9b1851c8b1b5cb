// Small recordings for tests: files as bytes, and a few lines to make and read them.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "sds/format/recording.hpp"

namespace sds::test {

struct TestBlock {
  std::uint32_t timeslot = 0;
  std::string data;
  bool operator==(const TestBlock&) const = default;
};

inline std::string le32(std::uint32_t value) {
  std::string text(4, '\0');
  store_le(text.data(), value);
  return text;
}

/// Blocks as the bytes of a plain `.sds` file.
inline std::string plain(const std::vector<TestBlock>& blocks) {
  std::string text;
  for (const auto& block : blocks)
    text += le32(block.timeslot) + le32(static_cast<std::uint32_t>(block.data.size())) + block.data;
  return text;
}

inline void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// All blocks of a stream; fails the test if they cannot be read.
inline std::vector<TestBlock> read_blocks(BlockCursor& cursor) {
  std::vector<TestBlock> blocks;
  for (;;) {
    auto block = cursor.next();
    if (!block) {
      ADD_FAILURE() << block.error().to_string();
      return blocks;
    }
    if (!*block) return blocks;
    blocks.push_back({(*block)->timeslot, std::string(as_text((*block)->data))});
  }
}

inline std::vector<TestBlock> read_blocks(const std::filesystem::path& path, std::size_t stream = 0) {
  auto recording = Recording::open(path);
  if (!recording) {
    ADD_FAILURE() << recording.error().to_string();
    return {};
  }
  auto cursor = recording->cursor(stream);
  return read_blocks(**cursor);
}

/// A generator of numbers that is the same on every machine.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ull + 1) {}
  std::uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }
  std::uint64_t below(std::uint64_t limit) { return next() % limit; }

 private:
  std::uint64_t state_;
};

/// Metadata of `channels` int16 channels named c0, c1, ...
inline std::string int16_metadata(int channels) {
  std::string yaml = "sds:\n  name: Test\n  sample-frequency: 100\n  content:\n";
  for (int i = 0; i < channels; ++i) yaml += "    - value: c" + std::to_string(i) + "\n      type: int16_t\n";
  return yaml;
}

/// `count` blocks of `samples` samples of `channels` int16 values: a slow wave with noise.
inline std::vector<TestBlock> wave_blocks(int count, int samples, int channels, std::uint64_t seed = 1) {
  Random random(seed);
  std::vector<TestBlock> blocks;
  int phase = 0;
  for (int b = 0; b < count; ++b) {
    TestBlock block{static_cast<std::uint32_t>(b * samples * 10), {}};
    for (int s = 0; s < samples; ++s, ++phase)
      for (int c = 0; c < channels; ++c) {
        const auto value = static_cast<std::int16_t>((phase % 200) * 30 * (c + 1) + static_cast<int>(random.below(7)));
        std::string bytes(2, '\0');
        store_le(bytes.data(), value);
        block.data += bytes;
      }
    blocks.push_back(block);
  }
  return blocks;
}

/// Writes blocks as the one stream of a `.sdsz`; fails the test on errors.
inline void write_packed(const std::filesystem::path& path, const std::vector<TestBlock>& blocks,
                         const std::string& metadata, SdszWriterOptions options = {}) {
  options.if_exists = IfExists::overwrite;
  auto writer = SdszWriter::create(path, Properties{}, options);
  ASSERT_TRUE(writer) << writer.error().to_string();
  StreamDescription stream;
  stream.name = "Test";
  stream.label = "0";
  if (!metadata.empty()) {
    stream.metadata_file_name = "Test.sds.yml";
    stream.metadata_text = metadata;
  }
  auto id = writer->add_stream(stream);
  ASSERT_TRUE(id);
  for (const auto& block : blocks) ASSERT_TRUE(writer->append(*id, block.timeslot, as_bytes(block.data)));
  ASSERT_TRUE(writer->close());
}

}  // namespace sds::test
