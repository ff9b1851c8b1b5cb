// OutputFile on a system that fails: what was not written is never claimed to be, and a signal costs nothing.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <functional>

#include "sds/format/file.hpp"
#include "sds/format/partial_file.hpp"
#include "sds/format/section.hpp"
#include "support/replaced_file_system.hpp"
#include "support/temp_dir.hpp"

namespace sds {
namespace {

// Answers with `fault(call)` where that is not 0; "write" may also be told to store only a part.
class Faulty : public test::ReplacedFileSystem {
 public:
  ssize_t write(int descriptor, ByteView bytes) override {
    if (const int error = fault("write"); error != 0) return error;
    return FileSystem::write(descriptor, bytes.first(std::min(at_most, bytes.size())));
  }
  int truncate(int descriptor, std::uint64_t size) override {
    const int error = fault("truncate");
    return error != 0 ? error : FileSystem::truncate(descriptor, size);
  }
  int sync(int descriptor) override {
    const int error = fault("sync");
    return error != 0 ? error : FileSystem::sync(descriptor);
  }
  int close(int descriptor) override {
    const int done = FileSystem::close(descriptor);  // it is closed, whatever is said
    const int error = fault("close");
    return error != 0 ? error : done;
  }
  int sync_directory(const std::filesystem::path& directory) override {
    const int error = fault("sync_directory");
    return error != 0 ? error : FileSystem::sync_directory(directory);
  }
  std::function<int(std::string_view)> fault = [](std::string_view) { return 0; };
  std::size_t at_most = SIZE_MAX;
};

std::function<int(std::string_view)> once(std::string_view name, int error) {
  return [name, error, done = false](std::string_view call) mutable {
    return call == name && !std::exchange(done, true) ? error : 0;
  };
}

std::string content(const std::filesystem::path& path) { return read_small_file(path, 1000).value(); }

TEST(OutputFile, ShortWritesAndSignalsCostNothing) {
  const test::TempDir dir;
  Faulty system;
  system.at_most = 3;
  int calls = 0;
  system.fault = [&](std::string_view) { return ++calls % 2 == 1 ? -EINTR : 0; };
  auto file = OutputFile::create(dir / "a", IfExists::fail).value();
  EXPECT_TRUE(file->append(as_bytes("0123456789")));
  EXPECT_TRUE(file->truncate(9));
  EXPECT_TRUE(file->append(as_bytes("x")));
  EXPECT_TRUE(file->sync());
  system.fault = [](std::string_view) { return 0; };
  EXPECT_TRUE(file->close());
  EXPECT_EQ(content(dir / "a"), "012345678x");
}

TEST(OutputFile, AWriteOfNothingIsAnErrorAndNoEndlessLoop) {
  const test::TempDir dir;
  Faulty system;
  auto file = OutputFile::create(dir / "a", IfExists::fail).value();
  system.at_most = 0;
  EXPECT_EQ(file->append(as_bytes("x")).error().code, ErrorCode::io);
}

TEST(OutputFile, AfterAFailedWriteOnlyTruncateHelps) {
  const test::TempDir dir;
  Faulty system;
  auto file = OutputFile::create(dir / "a", IfExists::fail).value();
  ASSERT_TRUE(file->append(as_bytes("good")));
  system.fault = once("write", -ENOSPC);
  EXPECT_NE(file->append(as_bytes("lost")).error().message.find("No space left"), std::string::npos);
  EXPECT_FALSE(file->append(as_bytes("hole")));
  EXPECT_FALSE(file->sync());
  EXPECT_TRUE(file->truncate(4));
  EXPECT_TRUE(file->append(as_bytes(" again")));
  EXPECT_TRUE(file->sync());
  EXPECT_TRUE(file->close());
  EXPECT_EQ(content(dir / "a"), "good again");
}

TEST(OutputFile, ClosingAfterAFailedWriteFails) {
  const test::TempDir dir;
  Faulty system;
  auto file = OutputFile::create(dir / "a", IfExists::fail).value();
  system.fault = once("write", -EIO);
  EXPECT_FALSE(file->append(as_bytes("lost")));
  EXPECT_FALSE(file->close());
  EXPECT_FALSE(file->close());
  EXPECT_FALSE(file->truncate(0));
}

TEST(OutputFile, AfterAFailedSyncNothingSucceeds) {
  const test::TempDir dir;
  Faulty system;
  auto file = OutputFile::create(dir / "a", IfExists::fail).value();
  ASSERT_TRUE(file->append(as_bytes("x")));
  system.fault = once("sync", -EIO);
  EXPECT_FALSE(file->sync());
  EXPECT_FALSE(file->sync());
  EXPECT_FALSE(file->truncate(0));
  EXPECT_FALSE(file->append(as_bytes("y")));
  EXPECT_NE(file->close().error().message.find("cannot sync"), std::string::npos);
}

TEST(OutputFile, AnErrorOfCloseIsReportedEachTime) {
  const test::TempDir dir;
  Faulty system;
  auto file = OutputFile::create(dir / "a", IfExists::fail).value();
  system.fault = once("close", -EDQUOT);
  EXPECT_FALSE(file->close());
  EXPECT_FALSE(file->close());
  EXPECT_FALSE(file->append(as_bytes("x")));
}

TEST(OutputFile, WhatExistsIsLeftAlone) {
  const test::TempDir dir;
  std::ofstream(dir / "a") << "mine";
  std::filesystem::create_symlink("nowhere", dir / "b");
  for (const char* name : {"a", "b"}) {
    const auto file = OutputFile::create(dir / name, IfExists::fail);
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code, ErrorCode::exists);
    EXPECT_EQ(file.error().exit_code(), 4);
  }
  EXPECT_EQ(content(dir / "a"), "mine");
  EXPECT_FALSE(std::filesystem::exists(dir / "nowhere"));
}

TEST(OutputFile, NeverTakesThePlaceOfAStandardStream) {
  const test::TempDir dir;
  const int kept = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
  ::close(STDIN_FILENO);
  auto file = OutputFile::create(dir / "a", IfExists::fail);
  EXPECT_LT(::fcntl(STDIN_FILENO, F_GETFD), 0);
  if (kept >= 0) {
    ::dup2(kept, STDIN_FILENO);
    ::close(kept);
  }
  ASSERT_TRUE(file);
  EXPECT_TRUE((*file)->close());
}

TEST(Files, ARenameReplacesOrRefusesAsAsked) {
  const test::TempDir dir;
  std::ofstream(dir / "a") << "new";
  std::ofstream(dir / "b") << "old";
  EXPECT_EQ(rename_file_new(dir / "a", dir / "b").error().code, ErrorCode::exists);
  EXPECT_EQ(content(dir / "a"), "new");
  EXPECT_EQ(content(dir / "b"), "old");
  EXPECT_TRUE(rename_file_new(dir / "a", dir / "c"));
  EXPECT_TRUE(rename_file(dir / "c", dir / "b"));
  EXPECT_EQ(content(dir / "b"), "new");
  EXPECT_FALSE(std::filesystem::exists(dir / "c"));
  EXPECT_EQ(rename_file(dir / "c", dir / "b").error().code, ErrorCode::io);
}

TEST(Files, DeletingWhatIsNotThereIsNoError) {
  const test::TempDir dir;
  std::ofstream(dir / "a") << "x";
  EXPECT_TRUE(remove_file(dir / "a"));
  EXPECT_FALSE(std::filesystem::exists(dir / "a"));
  EXPECT_TRUE(remove_file(dir / "a"));
  EXPECT_FALSE(remove_file(dir.path()));
}

TEST(Files, ARecordingOfALaterVersionIsNotReplacedAndTheReasonIsItsVersion) {
  const test::TempDir dir;
  SectionHeader header;
  header.version = SectionHeader::current_version + 1;
  std::ofstream(dir / "a.sdsz") << as_text(header.encode());
  const auto file = PartialFile::create(dir / "a.sdsz", IfExists::overwrite);
  ASSERT_FALSE(file);
  EXPECT_NE(
      file.error().message.find("is a recording of a later version (format version 3; this program reads up to 2)"),
      std::string::npos)
      << file.error().message;
  EXPECT_EQ(file.error().message.find("not closed"), std::string::npos) << file.error().message;
}

TEST(Files, DirectoriesAreMadeAndTheirNamesSynced) {
  const test::TempDir dir;
  Faulty system;
  int synced = 0;
  system.fault = [&](std::string_view call) { return synced += call == "sync_directory", 0; };
  EXPECT_TRUE(make_directories(dir / "a" / "b" / ""));
  EXPECT_TRUE(std::filesystem::is_directory(dir / "a" / "b"));
  EXPECT_EQ(synced, 2);
  EXPECT_TRUE(make_directories(dir / "a"));
  std::ofstream(dir / "f") << "x";
  EXPECT_FALSE(make_directories(dir / "f"));
  EXPECT_FALSE(make_directories(dir / "f" / "g"));
  EXPECT_TRUE(sync_directory(""));
  EXPECT_FALSE(sync_directory(dir / "none"));
  system.fault = once("sync_directory", -EIO);
  EXPECT_FALSE(sync_directory(dir.path()));
}

}  // namespace
}  // namespace sds
