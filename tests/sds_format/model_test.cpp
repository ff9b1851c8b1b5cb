// Random sequences of what one can do with a writer, against a simple model in memory: after each of them a reader sees
// what was flushed or sealed, in order, once, with its gaps and clock pairs. SDSKIT_MODEL_RUNS sets their number.
#include <gtest/gtest.h>

#include <cstdlib>

#include "sds/format/recording.hpp"
#include "sds/format/wal.hpp"
#include "sds/format/worker_pool.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

struct ModelStream {
  std::vector<std::pair<std::uint64_t, std::string>> blocks;  // tick, data
  std::size_t flushed = 0;                                    // of blocks: a reader must see these
  std::vector<std::uint64_t> gaps;                            // blocks before each
  std::size_t clocks = 0;
  std::size_t told = 0;  // of blocks: the newest clock pair, which is written at once, says that they came
};

class Model {
 public:
  Model(std::uint64_t seed, const std::filesystem::path& path) : random_(seed), path_(path), pool_(2) {}

  void run() {
    options_.durability = Durability::process;
    options_.section_bytes = static_cast<std::uint32_t>(64 + random_.below(2000));
    if (random_.below(2) == 0) options_.executor = &pool_;
    Properties session;
    session.set("id", std::to_string(random_.next()));
    auto made = SdszWriter::create(path_, session, options_);
    ASSERT_TRUE(made) << made.error().to_string();
    std::optional<SdszWriter> writer(std::move(*made));
    add_stream(*writer);
    const std::uint64_t steps = random_.below(60);
    for (std::uint64_t i = 0; i < steps; ++i) {
      step(*writer);
      if (random_.below(12) == 0) look(Writer::at_work);
      if (::testing::Test::HasFailure()) return;
    }
    if (random_.below(3) == 0) {
      writer.reset();  // as a kill
      look(Writer::killed);
      return;
    }
    ASSERT_TRUE(writer->close());
    EXPECT_TRUE(writer->close()) << "a second close says the same";
    EXPECT_FALSE(writer->append(0, 1, {})) << "and nothing comes after it";
    for (auto& stream : streams_) stream.flushed = stream.blocks.size();
    look(Writer::has_closed);
  }

 private:
  void add_stream(SdszWriter& writer) {
    StreamDescription description;
    description.name = "S" + std::to_string(streams_.size());
    description.label = "0";
    if (random_.below(2) == 0) {
      description.metadata_file_name = description.name + ".sds.yml";
      description.metadata_text = test::int16_metadata(1 + static_cast<int>(random_.below(3)));
    }
    auto id = writer.add_stream(description);
    ASSERT_TRUE(id);
    ASSERT_EQ(*id, streams_.size());
    streams_.emplace_back();
  }

  void step(SdszWriter& writer) {
    const auto id = static_cast<std::uint32_t>(random_.below(streams_.size()));
    ModelStream& stream = streams_[id];
    switch (random_.below(10)) {
      case 0:
        if (streams_.size() < 5) add_stream(writer);
        return;
      case 1:
        ASSERT_TRUE(writer.flush());
        for (auto& each : streams_) each.flushed = each.blocks.size();
        return;
      case 2:
        ASSERT_TRUE(writer.seal(id));
        return;
      case 3:
        ASSERT_TRUE(writer.add_gap(id, "gap"));
        stream.gaps.push_back(stream.blocks.size());
        return;
      case 4:
        ASSERT_TRUE(writer.add_clock(id, {1, 2, 3}));
        ++stream.clocks;
        stream.told = stream.blocks.size();
        return;
      default:
        for (std::uint64_t n = random_.below(20); n > 0; --n) append(writer, id);
    }
  }

  void append(SdszWriter& writer, std::uint32_t id) {
    ModelStream& stream = streams_[id];
    std::string data(random_.below(random_.below(10) == 0 ? 3000 : 40), '\0');
    for (auto& c : data) c = static_cast<char>(random_.below(3) == 0 ? random_.next() : 7);
    std::uint64_t tick = (stream.blocks.empty() ? 1000 : stream.blocks.back().first) + random_.below(20);
    if (random_.below(40) == 0) tick += random_.next() >> (24 + random_.below(40));
    if (random_.below(40) == 0) tick -= std::min(tick, random_.below(5'000'000'000));
    ASSERT_TRUE(writer.append_at(id, tick, as_bytes(data)));
    stream.blocks.emplace_back(tick, std::move(data));
  }

  enum class Writer { at_work, killed, has_closed };

  // A reader sees each stream's blocks from the first on, at least those flushed; what else came before a clock pair is
  // lost if the writer was killed.
  void look(Writer state) {
    const bool closed = state == Writer::has_closed;
    std::size_t lost = 0;
    auto recording = Recording::open(path_, {.metadata = {}, .walk = random_.below(2) == 0});
    ASSERT_TRUE(recording) << recording.error().to_string();
    ASSERT_EQ(recording->streams().size(), streams_.size());
    for (std::size_t s = 0; s < streams_.size(); ++s) {
      const ModelStream& stream = streams_[s];
      auto cursor = recording->cursor(s, random_.below(2) == 0 ? &pool_ : nullptr);
      std::size_t n = 0;
      for (;; ++n) {
        auto block = (*cursor)->next();
        ASSERT_TRUE(block) << block.error().to_string();
        if (!*block) break;
        ASSERT_LT(n, stream.blocks.size());
        ASSERT_EQ((*block)->ordinal, n);
        ASSERT_EQ((*block)->tick, stream.blocks[n].first);
        ASSERT_EQ(as_text((*block)->data), stream.blocks[n].second);
        ASSERT_EQ((*block)->after_loss, std::count(stream.gaps.begin(), stream.gaps.end(), n) > 0);
      }
      ASSERT_GE(n, stream.flushed);
      const SdszStream& packed = recording->sdsz()->streams()[s];
      ASSERT_EQ(packed.block_count, n);
      if (state == Writer::killed) lost += stream.told - std::min(stream.told, n);
      if (!closed) continue;
      ASSERT_EQ(n, stream.blocks.size());
      ASSERT_EQ(packed.clocks.size(), stream.clocks);
      std::vector<std::uint64_t> gaps;
      for (const auto& gap : packed.gaps) gaps.push_back(gap.before_block);
      ASSERT_EQ(gaps, stream.gaps);
    }
    std::size_t told = 0;
    for (const auto& damage : recording->damages()) told += damage.blocks.value();
    if (options_.executor == nullptr) {
      ASSERT_EQ(told, lost);
    } else {  // the clock pair may wait for sections that are on their way
      ASSERT_LE(told, lost);
    }
    ASSERT_EQ(recording->sdsz()->being_written(), state == Writer::at_work);
    ASSERT_EQ(recording->sdsz()->complete(), closed);
  }

  test::Random random_;
  std::filesystem::path path_;
  WorkerPool pool_;
  SdszWriterOptions options_;
  std::vector<ModelStream> streams_;
};

TEST(WriterModel, RandomSequencesGiveWhatTheModelHas) {
  const test::TempDir dir;
  const char* wanted = std::getenv("SDSKIT_MODEL_RUNS");
  const std::uint64_t runs = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 1000;
  for (std::uint64_t seed = 1; seed <= runs; ++seed) {
    std::filesystem::remove(dir / "a.sdsz");
    std::filesystem::remove(wal_path(dir / "a.sdsz"));
    Model(seed, dir / "a.sdsz").run();
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace sds
