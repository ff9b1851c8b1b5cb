// Labelled time, with sums made on paper.
#include "class_cover.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "dataset.hpp"
#include "quality.hpp"
#include "session_ids.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

using Seconds = std::map<std::string, double>;

LabelFile labels(std::vector<Label> list) {
  LabelFile file;
  file.labels = std::move(list);
  return file;
}

Label label(const char* name, std::uint64_t begin_ms, std::uint64_t end_ms, const char* stream = "") {
  Label l;
  l.name = name;
  l.begin = begin_ms;
  l.end = end_ms;
  l.stream = stream;
  return l;
}

// b 4 to 5 s; a 4.5 to 5.4 and 5.4 to 6 s: in a file made by hand they may stand in any order.
TEST(ClassCover, TheOrderOfLabelsDoesNotMatter) {
  std::vector<Label> list{label("b", 4000, 5000), label("a", 5400, 6000), label("a", 4500, 5400),
                          label("a", 4600, 4700)};
  std::sort(list.begin(), list.end(), [](const Label& x, const Label& y) { return x.end < y.end; });
  const auto before = [](const Label& x, const Label& y) {
    return std::tie(x.begin, x.end, x.name) < std::tie(y.begin, y.end, y.name);
  };
  std::sort(list.begin(), list.end(), before);
  int orders = 0;
  do {
    const auto seconds = covered_seconds(labels(list), "S", {{4, 6}});
    ASSERT_EQ(seconds.size(), 2u);
    EXPECT_NEAR(seconds.at("a"), 1.5, 1e-9);
    EXPECT_NEAR(seconds.at("b"), 1.0, 1e-9);
    EXPECT_EQ(class_with_most(seconds), "a");
    ++orders;
  } while (std::next_permutation(list.begin(), list.end(), before));
  EXPECT_EQ(orders, 24);
}

TEST(Dataset, ADeviceIsItsAddressWithoutThePort) {
  for (const auto& [device, expected] : {std::pair{"192.168.0.7:50123", "192.168.0.7"},
                                         {"192.168.0.7", "192.168.0.7"},
                                         {"[fe80::1]:5050", "[fe80::1]"},
                                         {"fe80::1", "fe80::1"},
                                         {"board 7", "board 7"},
                                         {"rig:left", "rig:left"},
                                         {"rig:", "rig:"},
                                         {"", ""}})
    EXPECT_EQ(without_port(device), expected);
}

TEST(ClassCover, OfEqualClassesTheFirstByNameAndOfNoneNone) {
  EXPECT_EQ(class_with_most({{"b", 2}, {"a", 2}, {"c", 1}}), "a");
  EXPECT_EQ(class_with_most({}), "");
}

TEST(ClassCover, OnlyLabelsOfTheStreamWithinTheRangesCount) {
  const auto file = labels(
      {label("a", 0, 4000), label("b", 3000, 10'000, "S"), label("c", 0, 9000, "T"), label("d", 20'000, 30'000)});
  EXPECT_EQ(covered_seconds(file, "S", {{0, 2}, {3, 5}}), (Seconds{{"a", 3}, {"b", 2}}));
  EXPECT_EQ(covered_seconds(file, "T", {{0, 10}}), (Seconds{{"a", 4}, {"c", 9}}));
}

// Stream A has samples from 100 to 200 s, stream B from 0 to 90 s.
class TwoSpans : public ::testing::Test {
 protected:
  void SetUp() override {
    auto writer = SdszWriter::create(path_, {}, {});
    ASSERT_TRUE(writer);
    const auto yaml = [](const std::string& name) {
      return "sds:\n  name: " + name + "\n  sample-frequency: 1\n  content:\n    - {value: x, type: int16_t}\n";
    };
    const auto a = *writer->add_stream({"A", "0", false, "", "A.sds.yml", yaml("A")});
    const auto b = *writer->add_stream({"B", "0", false, "", "B.sds.yml", yaml("B")});
    for (std::uint64_t s = 100; s < 200; ++s) ASSERT_TRUE(writer->append_at(a, s * 1000, as_bytes("xy")));
    for (std::uint64_t s = 0; s < 90; ++s) ASSERT_TRUE(writer->append_at(b, s * 1000, as_bytes("xy")));
    ASSERT_TRUE(writer->close());
  }
  void label_it(const std::string& intervals) const {
    std::ofstream(label_path(path_)) << "labels:\n  version: 1\n  intervals:\n" << intervals;
  }
  [[nodiscard]] Seconds seconds() const {
    const auto recording = *Recording::open(path_);
    const auto seconds = *labelled_seconds(recording, *labels_of(recording));
    // Whoever asks is told the same.
    EXPECT_EQ(assess(recording, {})->classes, seconds);
    EXPECT_EQ(describe_item(path_, recording, {}, {})->classes, seconds);
    return seconds;
  }
  test::TempDir dir_;
  std::filesystem::path path_ = dir_ / "r.sdsz";
};

TEST_F(TwoSpans, ALabelCountsWhereItsStreamIs) {
  label_it(
      "    - {class: walk, from: 0, to: 50, stream: A}\n"
      "    - {class: walk, from: 10, to: 60, stream: B}\n"
      "    - {class: rest, from: 300, to: 400}\n"
      "    - {class: lost, from: 0, to: 10, stream: C}\n");
  EXPECT_EQ(seconds(), (Seconds{{"lost", 0}, {"rest", 0}, {"walk", 50}}));
  label_it(
      "    - {class: walk, from: 0, to: 150, stream: A}\n"
      "    - {class: walk, from: 10, to: 60, stream: B}\n");
  EXPECT_EQ(seconds(), (Seconds{{"walk", 100}}));
}

TEST_F(TwoSpans, TwoAuthorsWhoSayTheSameCountOnce) {
  label_it(
      "    - {class: walk, from: 10, to: 60, author: bob}\n"
      "    - {class: walk, from: 10, to: 60, author: ann}\n"
      "    - {class: walk, from: 190, to: 500, author: ann}\n");
  EXPECT_EQ(seconds(), (Seconds{{"walk", 60}}));
}

}  // namespace
}  // namespace sds
