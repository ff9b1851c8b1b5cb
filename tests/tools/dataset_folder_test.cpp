// The folder of a dataset takes its place at once, or on file systems that cannot do that, so that the old one is never
// lost.
#include "dataset_folder.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <functional>

#include "dataset.hpp"
#include "sds/format/file_system.hpp"
#include "support/recordings.hpp"
#include "support/replaced_file_system.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

namespace fs = std::filesystem;

// A system that cannot exchange names, as NFS; `before` hears of each change of a name, and may fail it.
class NoExchange final : public test::ReplacedFileSystem {
 public:
  int rename_new(const fs::path& from, const fs::path& to) override {
    const int error = before(from, to);
    return error != 0 ? error : FileSystem::rename_new(from, to);
  }
  int exchange(const fs::path& /*a*/, const fs::path& /*b*/) override { return -EINVAL; }
  std::function<int(const fs::path&, const fs::path&)> before = [](const fs::path&, const fs::path&) { return 0; };
};

struct DatasetFolderTest : testing::Test {
  /// A dataset of one file with `text` in it, not kept yet.
  Expected<DatasetFolder> staged(const std::string& text, bool force) {
    auto folder = DatasetFolder::create(set_, force);
    if (!folder) return folder;
    fs::create_directory(folder->path() / "train");
    test::write_file(folder->path() / "train" / "a.csv", text);
    DatasetItem item;
    item.name = item.group = "a";
    test::write_file(folder->path() / "manifest.yml", manifest({item}, {}, "csv", nullptr, folder->files()));
    return folder;
  }
  [[nodiscard]] std::string text() const { return test::read_file(set_ / "train" / "a.csv"); }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(dir_.path())) names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }
  test::TempDir dir_;
  fs::path set_ = dir_ / "set";
};

TEST_F(DatasetFolderTest, WhatAppearsMeanwhileStaysWithoutForce) {
  auto one = staged("one", false);
  auto other = staged("other", false);
  ASSERT_TRUE(one && other);
  ASSERT_TRUE(one->keep());
  const auto kept = other->keep();
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().code, ErrorCode::exists);
  EXPECT_EQ(text(), "one");
}

TEST_F(DatasetFolderTest, OfTwoThatFillOneFolderTheSecondIsRefused) {
  fs::create_directory(set_);
  auto one = staged("one", false);
  ASSERT_TRUE(one);
  const auto other = staged("other", true);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::exists);
  ASSERT_TRUE(one->keep());
  EXPECT_EQ(text(), "one");
  EXPECT_FALSE(fs::exists(set_ / "dataset.partial"));
}

TEST_F(DatasetFolderTest, AFolderThatIsFilledKeepsWhatSomebodyPutsIntoIt) {
  fs::create_directory(set_);
  auto folder = staged("one", true);
  ASSERT_TRUE(folder);
  test::write_file(set_ / "mine.txt", "mine");
  EXPECT_EQ(folder->keep().error().code, ErrorCode::exists);
  { const auto gone = std::move(*folder); }
  EXPECT_EQ(std::distance(fs::directory_iterator(set_), fs::directory_iterator()), 1);
}

// At every change of a name there is one of the two datasets, under its name or one that is not to be deleted.
TEST_F(DatasetFolderTest, WithoutExchangeTheOldOneIsKeptUnderAName) {
  NoExchange system;
  ASSERT_TRUE(staged("old", false)->keep());
  test::write_file(dir_ / "set.bak", "mine");
  auto folder = staged("new", true);
  ASSERT_TRUE(folder);
  int looks = 0;
  system.before = [&](const fs::path&, const fs::path&) {
    ++looks;
    EXPECT_TRUE(fs::exists(set_ / "manifest.yml") || fs::exists(dir_ / "set.bak~2/manifest.yml"));
    return 0;
  };
  const auto kept = folder->keep();
  ASSERT_TRUE(kept) << kept.error().to_string();
  EXPECT_GE(looks, 3);
  EXPECT_EQ(text(), "new");
  EXPECT_EQ(names(), (std::vector<std::string>{"set", "set.bak"}));
}

TEST_F(DatasetFolderTest, WhereTheOldOneCannotComeBackTheErrorSaysWhereItIs) {
  NoExchange system;
  ASSERT_TRUE(staged("old", false)->keep());
  auto folder = staged("new", true);
  ASSERT_TRUE(folder);
  system.before = [&](const fs::path&, const fs::path& to) { return to == set_ ? -EIO : 0; };
  const auto kept = folder->keep();
  ASSERT_FALSE(kept);
  EXPECT_NE(kept.error().to_string().find("the dataset that was there is now " + (dir_ / "set.bak").string()),
            std::string::npos)
      << kept.error().to_string();
  { const auto gone = std::move(*folder); }
  EXPECT_EQ(test::read_file(dir_ / "set.bak" / "train" / "a.csv"), "old");
}

TEST_F(DatasetFolderTest, WhatIsReplacedPassesItsModeOn) {
  ASSERT_TRUE(staged("old", false)->keep());
  for (const mode_t mode : {0700, 02770}) {
    ASSERT_EQ(::chmod(set_.c_str(), mode), 0);
    ASSERT_TRUE(staged("new", true)->keep());
    struct stat info {};
    ASSERT_EQ(::stat(set_.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, mode);
  }
  EXPECT_EQ(names(), std::vector<std::string>{"set"});
}

}  // namespace
}  // namespace sds
