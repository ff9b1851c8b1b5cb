#include "sds/format/names.hpp"

#include <gtest/gtest.h>

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

TEST(CheckNames, RefuseWhatWouldLeaveTheDirectory) {
  for (const char* name : {"", "../x", "a/b", "a\\b", ".hidden", "a:b", "x\n", "\xFF"})
    EXPECT_FALSE(check_stream_name(name)) << name;
  EXPECT_TRUE(check_stream_name("Microphone 1"));
  for (const char* name : {"", ".", "..", "a/b", "/etc/passwd"}) EXPECT_FALSE(check_file_name(name)) << name;
  EXPECT_TRUE(check_file_name("A.0.sds"));
}

}  // namespace
}  // namespace sds
