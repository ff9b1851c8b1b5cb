#include "pack.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <map>
#include <set>

#include "label_file.hpp"
#include "support/recordings.hpp"
#include "support/replaced_file_system.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

class PackTest : public ::testing::Test {
 protected:
  void expect_round_trip(const std::vector<std::string>& names) {
    std::vector<std::filesystem::path> paths;
    for (const auto& name : names) paths.push_back(dir_ / name);
    auto input = Recording::open(paths, {});
    ASSERT_TRUE(input) << input.error().to_string();
    PackOptions options;
    options.force = true;
    auto packed = pack(*input, dir_ / "a.sdsz", options, {});
    ASSERT_TRUE(packed) << packed.error().to_string();
    auto recording = Recording::open(dir_ / "a.sdsz");
    ASSERT_TRUE(recording);
    ASSERT_TRUE(unpack(*recording, dir_ / "out", {0, true}, {}));
    for (const auto& name : names)
      EXPECT_EQ(test::read_file(dir_ / "out" / name), test::read_file(dir_ / name)) << name;
  }
  test::TempDir dir_;
};

TEST_F(PackTest, GivesBackEveryFileByteForByte) {
  test::write_file(dir_ / "A.0.sds", test::plain(test::wave_blocks(300, 20, 6)));
  test::write_file(dir_ / "A.sds.yml", test::int16_metadata(6) + "\r\n# comment \xE2\x82\xAC\n");
  test::write_file(dir_ / "A.1.p.sds", test::plain({{5, "odd"}, {4, ""}, {4, "size"}}));
  test::write_file(dir_ / "torn.0.sds", test::plain({{1, "abc"}, {2, "def"}}).substr(0, 20));
  test::write_file(dir_ / "empty.x.y.sds", "");
  test::write_file(dir_ / "nolabel.sds", test::plain({{1, "z"}}));
  test::write_file(dir_ / "notsds.bin", "arbitrary bytes, of no structure");
  expect_round_trip({"A.0.sds", "A.1.p.sds", "torn.0.sds", "empty.x.y.sds", "nolabel.sds", "notsds.bin"});
  EXPECT_EQ(test::read_file(dir_ / "out" / "A.sds.yml"), test::read_file(dir_ / "A.sds.yml"));
}

TEST_F(PackTest, KeepsMetadataThatCannotBeRead) {
  test::write_file(dir_ / "A.0.sds", test::plain({{1, "abc"}}));
  test::write_file(dir_ / "A.sds.yml", std::string("sds: \xFF\xFE\0 not text", 18));
  expect_round_trip({"A.0.sds"});
  EXPECT_EQ(test::read_file(dir_ / "out" / "A.sds.yml"), test::read_file(dir_ / "A.sds.yml"));
}

TEST_F(PackTest, KeepsATailLargerThanASection) {
  test::write_file(dir_ / "A.0.sds",
                   test::plain({{1, "abc"}}) + test::le32(2) + test::le32(0x7FFFFFFF) + std::string(3'000'000, 't'));
  expect_round_trip({"A.0.sds"});
}

TEST_F(PackTest, TheSameInputGivesTheSameBytesWhateverTheThreads) {
  test::write_file(dir_ / "A.0.sds", test::plain(test::wave_blocks(5000, 20, 6)));
  test::write_file(dir_ / "A.sds.yml", test::int16_metadata(6));
  auto input = Recording::open(dir_ / "A.0.sds");
  std::string first;
  for (const unsigned threads : {1u, 2u, 5u}) {
    PackOptions options;
    options.threads = threads;
    options.section_bytes = 1u << 16;
    options.force = true;
    ASSERT_TRUE(pack(*input, dir_ / "a.sdsz", options, {}));
    if (first.empty()) first = test::read_file(dir_ / "a.sdsz");
    EXPECT_EQ(test::read_file(dir_ / "a.sdsz"), first) << threads;
  }
}

// A system that gives no label file its name.
class NoNameForLabels final : public test::ReplacedFileSystem {
 public:
  int rename_new(const std::filesystem::path& from, const std::filesystem::path& to) override {
    return to.string().ends_with(".labels.yml") ? -EIO : FileSystem::rename_new(from, to);
  }
};

TEST_F(PackTest, LabelsThatFailBehindTheRecordingAreToldWithWhereTheOldOnesAre) {
  test::write_file(dir_ / "A.0.sds", test::plain({{1, "abc"}}));
  test::write_file(dir_ / "A.0.labels.yml", "labels:\n  version: 1\n  intervals: []\n");
  test::write_file(dir_ / "a.sdsz", "old");
  test::write_file(dir_ / "a.labels.yml", "old labels");
  auto input = Recording::open(dir_ / "A.0.sds");
  ASSERT_TRUE(input);
  PackOptions options;
  options.force = true;
  const NoNameForLabels disk;
  const auto packed = pack(*input, dir_ / "a.sdsz", options, {});
  ASSERT_FALSE(packed);
  const std::string message = packed.error().message;
  EXPECT_TRUE(message.ends_with("; the new recording is there, without its labels; labels that were there are in " +
                                (dir_ / "a.labels.yml.bak").string()))
      << message;
  EXPECT_TRUE(Recording::open(dir_ / "a.sdsz"));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "a.labels.yml"));
  EXPECT_EQ(test::read_file(dir_ / "a.labels.yml.bak"), "old labels");
}

TEST_F(PackTest, TheSameInputElsewhereGivesTheSameBytes) {
  for (const char* folder : {"one", "two"}) {
    std::filesystem::create_directory(dir_ / folder);
    test::write_file(dir_ / folder / "A.0.sds", test::plain({{1, "abc"}}));
    auto input = Recording::open(dir_ / folder / "A.0.sds");
    ASSERT_TRUE(pack(*input, dir_ / folder / "a.sdsz", {}, {}));
  }
  EXPECT_EQ(test::read_file(dir_ / "one" / "a.sdsz"), test::read_file(dir_ / "two" / "a.sdsz"));
}

// Each byte of a file's beginning, its size, its name and its metadata make another recording of it, whose sections do
// not belong: what lies behind the end of a file is often the rest of another.
TEST_F(PackTest, ARecordingBehindAnotherIsNotTakenForIt) {
  const std::string magic("\x89SDSZ\r\n\x1A", 8);
  const std::uint64_t cut_after = 10;
  // Twelve sections of a block each, of which no byte after the first one is different.
  const auto packed = [&](const std::string& folder, const std::string& name, char first, std::size_t size,
                          const std::string& metadata) {
    std::filesystem::create_directory(dir_ / folder);
    std::vector<test::TestBlock> blocks;
    for (std::uint32_t tick = 0; tick < 12; ++tick) blocks.push_back({tick, std::string(size, 'b')});
    blocks.front().data.front() = first;
    test::write_file(dir_ / folder / (name + ".0.sds"), test::plain(blocks));
    if (!metadata.empty()) test::write_file(dir_ / folder / (name + ".sds.yml"), metadata);
    auto input = Recording::open(dir_ / folder / (name + ".0.sds"));
    PackOptions options;
    options.section_bytes = 1u << 14;
    EXPECT_TRUE(pack(*input, dir_ / folder / "a.sdsz", options, {}));
    return test::read_file(dir_ / folder / "a.sdsz");
  };
  // Where the section behind those stands; the first one stands at 0.
  const auto section = [&](const std::string& file) {
    std::size_t at = 0;
    for (std::uint64_t before = 0; before < cut_after + 2; ++before) at = file.find(magic, at + 1);
    return at;
  };
  const std::string mine = packed("mine", "A", 'a', 17000, "");
  const std::vector<std::string> others{packed("byte", "A", 'c', 17000, ""), packed("size", "A", 'a', 17001, ""),
                                        packed("name", "B", 'a', 17000, ""),
                                        packed("metadata", "A", 'a', 17000, test::int16_metadata(2))};
  for (const auto& other : others) {
    // The first one ends behind its session, its stream and ten blocks; of the second one all the rest follows.
    test::write_file(dir_ / "both.sdsz", mine.substr(0, section(mine)) + other.substr(section(other)));
    Recording::Options options;
    options.walk = true;
    auto both = Recording::open(dir_ / "both.sdsz", options);
    ASSERT_TRUE(both);
    auto cursor = both->cursor(0);
    std::uint64_t blocks = 0;
    for (auto block = (*cursor)->next(); block && *block; block = (*cursor)->next()) ++blocks;
    EXPECT_EQ(blocks, cut_after);
  }
}

TEST_F(PackTest, RefusesToReplaceOutputsUnlessToldTo) {
  test::write_file(dir_ / "A.0.sds", test::plain({{1, "x"}}));
  test::write_file(dir_ / "a.sdsz", "precious");
  auto input = Recording::open(dir_ / "A.0.sds");
  EXPECT_EQ(pack(*input, dir_ / "a.sdsz", {}, {}).error().message, "exists already (--force replaces it)");
  EXPECT_EQ(test::read_file(dir_ / "a.sdsz"), "precious");
  EXPECT_FALSE(unpack(*input, dir_.path(), {}, {}));
}

TEST_F(PackTest, AnInterruptionLeavesNothingHalfDone) {
  test::write_file(dir_ / "A.0.sds", test::plain(test::wave_blocks(5000, 20, 6)));
  auto input = Recording::open(dir_ / "A.0.sds");
  const auto stop = [](std::uint64_t) { return Expected<void>(fail(ErrorCode::interrupted, "interrupted")); };
  EXPECT_EQ(pack(*input, dir_ / "a.sdsz", {}, stop).error().code, ErrorCode::interrupted);
  EXPECT_EQ(unpack(*input, dir_ / "out", {}, stop).error().code, ErrorCode::interrupted);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "a.sdsz"));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "a.sdsz.partial"));
  EXPECT_TRUE(std::filesystem::is_empty(dir_ / "out"));
}

TEST_F(PackTest, InputsOfOneNameAreRefused) {
  std::filesystem::create_directory(dir_ / "other");
  test::write_file(dir_ / "A.0.sds", "");
  test::write_file(dir_ / "other" / "A.0.sds", "");
  const std::vector<std::filesystem::path> paths{dir_ / "A.0.sds", dir_ / "other" / "A.0.sds"};
  auto input = Recording::open(paths, {});
  EXPECT_EQ(pack(*input, dir_ / "a.sdsz", {}, {}).error().code, ErrorCode::usage);
}

TEST_F(PackTest, OddNamesComeBackAsTheyWere) {
  // Labels that are empty, names that begin with a dot, characters that only Arm forbids, bytes that are no UTF-8.
  const std::vector<std::string> names{".0.sds", "..sds",     ".sds",     "a..sds",     "a..p.sds", ".p.sds",
                                       "a.sds",  "a:b.0.sds", "a*.1.sds", "\xFF.0.sds", "x.0"};
  for (const auto& name : names) test::write_file(dir_ / name, test::plain({{1, name}, {2, "z"}}));
  expect_round_trip(names);
  EXPECT_TRUE(Recording::open(dir_ / "a.sdsz")->sdsz()->damages().empty());
}

TEST_F(PackTest, HostileNamesDoNotLeaveTheDirectory) {
  auto writer = SdszWriter::create(dir_ / "evil.sdsz", {}, {});
  ASSERT_TRUE(writer);
  const std::vector<StreamDescription> streams{{"A", "0", false, "../escaped.sds", "../escaped.yml", "sds: x"},
                                               {"B", "../../b", false, "", "/tmp/sdskit-escaped.yml", "sds: y"},
                                               {"C", "0", false, ".bashrc", ".profile", "rm"},
                                               {"D", "0", false, "A.0.sds", "A.sds.yml", ""},
                                               {"D", "1", false, "A.0.sds", "A.sds.yml", "other"}};
  for (const auto& stream : streams) {
    auto id = writer->add_stream(stream);
    ASSERT_TRUE(id);
    ASSERT_TRUE(writer->append(*id, 1, as_bytes(stream.name + stream.label)));
  }
  ASSERT_TRUE(writer->close());
  std::filesystem::create_directory(dir_ / "in");
  auto recording = Recording::open(dir_ / "evil.sdsz");
  auto report = unpack(*recording, dir_ / "in" / "out", {}, {});
  ASSERT_TRUE(report) << report.error().to_string();
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.path()))
    if (entry.is_regular_file()) files.insert(std::filesystem::relative(entry.path(), dir_ / "in" / "out").string());
  EXPECT_EQ(files, (std::set<std::string>{"../../evil.sdsz", ".._escaped.sds", "_._escaped.yml", "B..._.._b.sds",
                                          "A.0.sds", "A.0~2.sds", "A.sds.yml", "A.0~2.sds.yml", "_bashrc", "_profile",
                                          "_tmp_sdskit-escaped.yml"}));
  EXPECT_EQ(test::read_blocks(dir_ / "in" / "out" / "A.0~2.sds")[0].data, "D1");
  EXPECT_EQ(report->notes.size(), 8u + 5);  // names that changed, and metadata that is none
  EXPECT_EQ(report->files[4].data, dir_ / "in" / "out" / "A.0~2.sds");
}

TEST(Pack, LabelsOfAStreamThatIsCalledOtherwiseAmongSeveralAreTold) {
  const test::TempDir dir;
  for (const char* name : {"A.0.sds", "A.1.sds"}) test::write_file(dir / name, test::plain({{1, "abc"}, {2, "def"}}));
  test::write_file(dir / "A.0.labels.yml",
                   "labels:\n  version: 1\n  intervals:\n    - {class: a, from: 0, to: 1, stream: A}\n"
                   "    - {class: b, from: 0, to: 1}\n    - {class: c, from: 0, to: 1, stream: Z}\n");
  const std::vector<std::filesystem::path> both{dir / "A.0.sds", dir / "A.1.sds"};
  const auto report = pack(*Recording::open(both, {}), dir / "both.sdsz", {}, {});
  ASSERT_TRUE(report);
  ASSERT_EQ(report->notes.size(), 1u);
  EXPECT_NE(
      report->notes[0].find("1 label is about the stream 'Z', which the recording does not have (there is: A.0, A.1)"),
      std::string::npos)
      << report->notes[0];
  // By itself the first file's stream is called A.
  const auto labels = LabelFile::load(dir / "both.labels.yml");
  ASSERT_TRUE(labels);
  std::map<std::string, std::string> streams;
  for (const auto& label : labels->labels) streams[label.name] = label.stream;
  EXPECT_EQ(streams, (std::map<std::string, std::string>{{"a", "A.0"}, {"b", ""}, {"c", "Z"}}));
  const auto one = pack(*Recording::open(dir / "A.0.sds"), dir / "one.sdsz", {}, {});
  EXPECT_EQ(one->notes.size(), 1u);  // of Z
  EXPECT_EQ(test::read_file(dir / "one.labels.yml"), test::read_file(dir / "A.0.labels.yml"));
}

}  // namespace
}  // namespace sds
