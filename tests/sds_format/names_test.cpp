#include "sds/format/names.hpp"

#include <gtest/gtest.h>

#include <cctype>
#include <set>

#include "sds/format/stream_files.hpp"
#include "support/recordings.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

TEST(SdsFileName, SplitsNameLabelAndPlaybackMark) {
  auto name = parse_sds_file_name("dir/ML_Out.0.p.sds");
  EXPECT_EQ(name.stream, "ML_Out");
  EXPECT_EQ(name.label, "0");
  EXPECT_TRUE(name.playback);
  EXPECT_EQ(name.to_string(), "ML_Out.0.p.sds");
  name = parse_sds_file_name("ML_In.rock.1.sds");
  EXPECT_EQ(name.stream, "ML_In");
  EXPECT_EQ(name.label, "rock.1");
  EXPECT_EQ(name.to_string(), "ML_In.rock.1.sds");
}

TEST(FindMetadata, TheLongestMatchingNameWins) {
  const test::TempDir dir;
  test::write_file(dir / "a.sds.yml", "x");
  auto name = parse_sds_file_name(dir / "a.b.0.sds");
  EXPECT_EQ(*find_metadata(dir / "a.b.0.sds", name), dir / "a.sds.yml");
  EXPECT_EQ(name.label, "b.0");
  test::write_file(dir / "a.b.sds.yml", "x");
  EXPECT_EQ(*find_metadata(dir / "a.b.0.sds", name), dir / "a.b.sds.yml");
  EXPECT_EQ(name.stream, "a.b");
  EXPECT_EQ(name.label, "0");
  EXPECT_FALSE(find_metadata(dir / "c.0.sds", name));
}

TEST(CheckStreamName, IsArmsRuleForWhatADeviceMayOpen) {
  for (const char* name : {"", "../x", "a/b", "a\\b", "a:b", "a*", "a?", "a|b", "<", ">", "\"", "x\n", "\x7F", "\xFF"})
    EXPECT_FALSE(check_stream_name(name)) << name;
  for (const char* name : {"Microphone 1", ".0", ".", "..", "\xC3\xA9"}) EXPECT_TRUE(check_stream_name(name)) << name;
  EXPECT_EQ(to_stream_name("a:b\n\xFF"), "a_b__");
  EXPECT_EQ(to_stream_name("Imu"), "Imu");
  EXPECT_TRUE(check_stream_name(to_stream_name(std::string(300, '\xC3'))));
}

TEST(FileNames, PlainNamesStayAsTheyAre) {
  FileNames names;
  for (const std::string name : {"Imu.0.sds", "a:b.0.sds", "-x.sds", ".0.sds", "..sds", "a..sds", ".sds", ".p.sds", "x",
                                 "Imu.sds.yml", "my metadata.txt", "Auxiliary.0.sds", "\xFF.sds", "~.sds"})
    EXPECT_EQ(names.take(name), name);
  const std::string longest = std::string(251, 'n').append(".sds");
  EXPECT_EQ(names.take(longest), longest);
}

TEST(FileNames, NothingLeavesTheFolderOrSteersAnything) {
  // Whatever is asked for, in whatever order: one plain name, and never the same twice.
  const std::vector<std::string> hostile{"",
                                         ".",
                                         "..",
                                         "/",
                                         "../x",
                                         "/etc/passwd",
                                         "a/b",
                                         "a\\b",
                                         std::string("a\0b", 3),
                                         "a\nb",
                                         "\x1B[2J",
                                         "\xC2\x9B"
                                         "2J",
                                         "\x7F",
                                         ".bashrc",
                                         ".git",
                                         ".gitlab-ci.yml",
                                         "CON",
                                         "nul.0.sds",
                                         "Aux",
                                         "lpt1.sds.yml",
                                         "com9 .sds",
                                         std::string(300, 'x') + ".sds",
                                         std::string(400, '\xC3'),
                                         "." + std::string(400, 'y'),
                                         "x." + std::string(300, 'z')};
  FileNames names;
  std::set<std::string> given;
  for (int round = 0; round < 3; ++round)
    for (const auto& wanted : hostile) {
      const std::string name = names.take(wanted);
      EXPECT_TRUE(given.insert(name).second) << wanted << " -> " << name;
      EXPECT_EQ(std::filesystem::path(name).filename(), name);
      EXPECT_FALSE(name.empty() || name == "." || name == "..");
      EXPECT_LE(name.size(), 255u);
      EXPECT_FALSE(name.starts_with(".") && !name.ends_with(".sds")) << name;
      for (const char c : name) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) << name;
      EXPECT_EQ(name.find("\xC2\x9B"), std::string::npos);
      for (const char* device : {"con", "nul", "aux", "lpt1", "com9 "}) {
        std::string base = name.substr(0, name.find('.'));
        for (char& c : base) c = static_cast<char>(std::tolower(c));
        EXPECT_NE(base, device);
      }
    }
}

TEST(FileNames, TwoOfOneNameAreToldApartBeforeTheEnding) {
  FileNames names;
  EXPECT_EQ(names.take("Imu.0.sds"), "Imu.0.sds");
  EXPECT_EQ(names.take("Imu.0.sds"), "Imu.0~2.sds");
  EXPECT_EQ(names.take("Imu.0~2.sds"), "Imu.0~2~2.sds");
  EXPECT_EQ(names.take("a/b", ".csv"), "a_b.csv");
  EXPECT_EQ(names.take("a_b", ".csv"), "a_b~2.csv");
  EXPECT_EQ(names.take(std::string(255, 'x')).size(), 255u);
  EXPECT_EQ(names.take(std::string(255, 'x')), std::string(253, 'x') + "~2");
}

TEST(FileNames, CompanionsAreNobodyElses) {
  FileNames names;
  const std::vector<std::string_view> companions{".time.npy"};
  EXPECT_EQ(names.take("Imu", ".npy", companions), "Imu.npy");
  EXPECT_EQ(names.take("Imu.time", ".npy", companions), "Imu.time~2.npy");
}

TEST(StreamFiles, MetadataOfOneNameAndTwoContentsBecomeTwoFilesThatAreFound) {
  std::vector<StreamDescription> streams(4);
  streams[0] = {"Imu", "0", false, "", "Imu.sds.yml", "one"};
  streams[1] = {"Imu", "1", false, "", "Imu.sds.yml", "one"};
  streams[2] = {"Imu", "2", true, "", "Imu.sds.yml", "two"};
  streams[3] = {"Imu", "0", false, "../../Imu.0.sds", "/tmp/x.yml", "three"};
  const auto files = plain_files_of(streams);
  EXPECT_EQ(files[0].data, "Imu.0.sds");
  EXPECT_EQ(files[0].metadata, "Imu.sds.yml");
  EXPECT_EQ(files[1].metadata, "Imu.sds.yml");
  EXPECT_EQ(files[2].data, "Imu.2.p.sds");
  EXPECT_EQ(files[2].metadata, "Imu.2.p.sds.yml");
  EXPECT_EQ(files[3].recorded, "../../Imu.0.sds");
  EXPECT_EQ(files[3].data, ".._.._Imu.0.sds");
  EXPECT_EQ(files[3].metadata, "_tmp_x.yml");
}

TEST(Names, TheClassInALabelIsWithoutTheNumbersOfTakes) {
  EXPECT_EQ(class_in_label("rock"), "rock");
  EXPECT_EQ(class_in_label("rock.1"), "rock");
  EXPECT_EQ(class_in_label("rock.1.12"), "rock");
  EXPECT_EQ(class_in_label("rock.1a"), "rock.1a");
  EXPECT_EQ(class_in_label("v2.rock"), "v2.rock");
  EXPECT_EQ(class_in_label("rig1"), "rig1");
  for (const char* number : {"", "0", "12", "3.2"}) EXPECT_EQ(class_in_label(number), "") << number;
}

}  // namespace
}  // namespace sds
