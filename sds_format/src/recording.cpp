#include "sds/format/recording.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>

#include "sds/format/column.hpp"
#include "sds/format/if_damaged.hpp"
#include "sds/format/limits.hpp"
#include "sds/format/names.hpp"

namespace sds {

namespace {

// Tells of a stream's torn end when it is met. Bytes that are no more than a block of the stream are what a recorder
// was at when it ended; more than that are damage: behind a wrong size no block is found. Where blocks are of different
// sizes, four times the mean counts as one: the largest may be the one with the wrong size.
class TornEnd {
 public:
  TornEnd(std::shared_ptr<DamageLog> log, std::size_t stream, bool grows = false)
      : log_(std::move(log)), stream_(stream), grows_(grows) {}
  void saw(const BlockView& block) { add(1, block.data.size(), block.data.size()); }
  void saw(const SectionHeader& header) {
    if (header.block_count == 0) return;
    const std::uint64_t heads = std::uint64_t{8} * header.block_count;
    const std::uint64_t bytes = header.raw_bytes - std::min<std::uint64_t>(header.raw_bytes, heads);
    equal_ = equal_ && bytes % header.block_count == 0;
    add(header.block_count, bytes, bytes / header.block_count);
  }
  /// `sizes_differ` is asked where sums alone do not tell whether blocks differ in size, and it matters.
  void tell(const std::optional<Tail>& tail, const std::function<bool()>& sizes_differ) {
    if (!tail || std::exchange(told_, true)) return;
    Damage damage;
    damage.offset = tail->offset;
    damage.bytes = tail->bytes;
    damage.stream = stream_;
    const std::uint64_t mean = blocks_ > 0 ? bytes_ / blocks_ : 0;
    const std::uint64_t four = 8 + 4 * mean;
    damage.harmless = grows_ || tail->bytes <= 8 + mean || (tail->bytes <= four && (!equal_ || sizes_differ()));
    damage.torn_end = true;
    damage.reason = "a torn end: " + tail->reason;
    log_->add(damage);
  }

 private:
  void add(std::uint64_t blocks, std::uint64_t bytes, std::uint64_t size) {
    if (blocks_ == 0) size_ = size;
    equal_ &= size == size_;
    blocks_ += blocks;
    bytes_ += bytes;
  }

  std::shared_ptr<DamageLog> log_;
  std::size_t stream_;
  bool grows_;              // then the rest of the block is still to come
  std::uint64_t size_ = 0;  // of the first blocks
  std::uint64_t blocks_ = 0;
  std::uint64_t bytes_ = 0;
  bool equal_ = true;  // all blocks are of one size, as far as is known
  bool told_ = false;
};

class PlainCursor final : public BlockCursor {
 public:
  PlainCursor(PlainReader reader, TornEnd torn_end) : reader_(std::move(reader)), torn_end_(std::move(torn_end)) {}
  Expected<std::optional<BlockView>> next() override {
    auto block = reader_.next();
    if (block && *block) {
      (*block)->ordinal = ordinal_++;
      torn_end_.saw(**block);
    } else if (block) {
      torn_end_.tell(reader_.tail(), [] { return false; });
    }
    return block;
  }
  std::vector<Damage> damages() const override { return {}; }
  std::size_t damage_count() const override { return 0; }
  std::optional<Tail> tail() const override { return reader_.tail(); }
  Expected<void> read_tail(const std::function<Expected<void>(ByteView)>& take) override {
    if (!reader_.tail()) return {};
    Bytes piece;
    std::uint64_t offset = reader_.tail()->offset;
    for (std::uint64_t left = reader_.tail()->bytes; left > 0;) {
      piece.resize(std::min<std::uint64_t>(left, 1u << 20));
      if (auto got = reader_.file()->read_exactly(offset, piece); !got) return got;
      if (auto taken = take(piece); !taken) return taken;
      offset += piece.size();
      left -= piece.size();
    }
    return {};
  }

 private:
  PlainReader reader_;
  TornEnd torn_end_;
  std::uint64_t ordinal_ = 0;
};

std::optional<Tail> tail_of(const SdszStream& stream) {
  if (stream.tail.empty()) return std::nullopt;
  Tail tail{stream.tail.front().offset, 0, "the recorded stream ends in an incomplete block"};
  for (const auto& piece : stream.tail) tail.bytes += piece.header.raw_bytes;
  return tail;
}

// Whether a section's blocks differ in size, by the codec of that column; a section that is cut off says nothing.
Expected<bool> sizes_differ(const SdszReader& reader, const IndexEntry& section) {
  constexpr std::size_t kCodecOfSizes = 8 + 8;  // behind two counts and the header of the timeslots' column
  if (section.header.block_count < 2) return false;
  std::array<std::byte, kCodecOfSizes + 1> head{};
  if (section.header.stored_bytes < head.size()) return false;
  if (auto read = reader.file()->read_exactly(section.payload_offset(), head); !read) {
    if (is_unread(read.error())) return fail(read);
    return false;
  }
  return static_cast<ColumnCodec>(head.back()) != ColumnCodec::constant;
}

// The torn ends of a `.sdsz` stand in its index: they are known without reading, as a rule.
Expected<void> tell_torn_ends(const SdszReader& reader) {
  Expected<void> read;
  for (std::size_t i = 0; i < reader.streams().size(); ++i) {
    const SdszStream& stream = reader.streams()[i];
    TornEnd torn_end(reader.damage_log(), i);
    for (const auto& entry : stream.data) torn_end.saw(entry.header);
    torn_end.tell(tail_of(stream), [&] {
      return std::any_of(stream.data.begin(), stream.data.end(), [&](const IndexEntry& section) {
        auto differ = sizes_differ(reader, section);
        if (!differ) read = fail(differ);
        return differ.value_or(true);
      });
    });
  }
  return read;
}

class PackedCursor final : public BlockCursor {
 public:
  PackedCursor(const std::shared_ptr<const SdszReader>& reader, std::size_t stream, Executor* executor,
               SectionFilter wanted)
      : reader_(reader), stream_(stream), cursor_(reader, stream, executor, std::move(wanted)) {}
  Expected<std::optional<BlockView>> next() override { return cursor_.next(); }
  std::vector<Damage> damages() const override { return cursor_.damages(); }
  std::size_t damage_count() const override { return cursor_.damages().size(); }
  std::optional<Tail> tail() const override { return tail_of(reader_->streams()[stream_]); }
  Expected<void> read_tail(const std::function<Expected<void>(ByteView)>& take) override {
    return cursor_.read_tail(take);
  }

 private:
  std::shared_ptr<const SdszReader> reader_;
  std::size_t stream_;
  SdszCursor cursor_;
};

void parse_metadata(StreamInfo& stream) {
  if (stream.description.metadata_file_name.empty()) return;
  auto metadata = Metadata::parse(stream.description.metadata_text, stream.description.metadata_file_name);
  if (metadata) {
    stream.metadata = std::move(*metadata);
  } else {
    stream.metadata_error = metadata.error();
  }
}

Expected<StreamInfo> open_plain(const std::filesystem::path& path, const Recording::Options& options,
                                std::vector<FileInUse>& files) {
  auto reader = PlainReader::open(path);  // so that a missing file is an error now, and not at the first block
  if (!reader) return fail(reader);
  StreamInfo stream;
  stream.path = path;
  stream.raw_bytes = reader->file_bytes();
  stream.being_written = reader->file()->in_use() == ByteSource::InUse::yes;
  SdsFileName name = parse_sds_file_name(path);
  auto metadata = options.metadata ? options.metadata : find_metadata(path, name);
  stream.description.name = to_stream_name(name.stream);
  stream.description.label = name.label;
  stream.description.playback = name.playback;
  stream.description.file_name = path.filename().string();
  files.emplace_back(path);
  if (metadata) {
    files.emplace_back(*metadata);
    auto text = read_small_file(*metadata, limits::max_metadata_bytes);
    if (!text) return fail(text);
    stream.description.metadata_file_name = metadata->filename().string();
    stream.description.metadata_text = std::move(*text);
    parse_metadata(stream);
    if (stream.metadata_error) stream.metadata_error->path = *metadata;
  }
  return stream;
}

// Gives the metadata of a file to the streams of a `.sdsz` that have none, or some that cannot be read: to those of its
// name, or to the only one.
Expected<void> give_metadata(std::vector<StreamInfo>& streams, const std::filesystem::path& file) {
  auto text = read_small_file(file, limits::max_metadata_bytes);
  if (!text) return fail(text);
  auto metadata = Metadata::parse(*text, file.string());
  if (!metadata) return fail(metadata);
  std::vector<StreamInfo*> without;
  for (auto& stream : streams)
    if (stream.description.metadata_file_name.empty() || stream.metadata_error) without.push_back(&stream);
  if (without.empty()) return fail(ErrorCode::usage, "every stream of the recording has metadata already", file);
  std::vector<StreamInfo*> wanted;
  for (auto* stream : without)
    if (stream->description.name == metadata->name) wanted.push_back(stream);
  if (wanted.empty() && without.size() == 1) wanted = without;
  if (wanted.empty())
    return fail(ErrorCode::usage,
                fmt::format("several streams have no metadata, and none of them is named '{}'", metadata->name), file);
  for (auto* stream : wanted) {
    stream->description.metadata_file_name = stream->description.name + ".sds.yml";
    stream->description.metadata_text = *text;
    stream->metadata_error.reset();
    parse_metadata(*stream);
  }
  return {};
}

void name_streams(std::vector<StreamInfo>& streams) {
  std::vector<SdsFileName> names;
  names.reserve(streams.size());
  for (const auto& stream : streams)
    names.push_back({stream.description.name, stream.description.label, stream.description.playback});
  auto ids = ids_of_streams(names);
  for (std::size_t i = 0; i < streams.size(); ++i) streams[i].id = std::move(ids[i]);
}

}  // namespace

std::string StreamInfo::file_name() const {
  if (!description.file_name.empty()) return description.file_name;
  return SdsFileName{description.name, description.label, description.playback}.to_string();
}

Expected<bool> is_sdsz(const std::filesystem::path& path) {
  if (path.extension() == ".sdsz") return true;
  auto file = InputFile::open(path);
  if (!file) return false;
  std::array<std::byte, 8> start{};
  auto got = (*file)->read(0, start);
  if (!got) return fail(got);
  return *got == start.size() && std::memcmp(start.data(), SectionHeader::magic.data(), start.size()) == 0;
}

Expected<Recording> Recording::open(std::span<const std::filesystem::path> paths, const Options& options) {
  Recording recording;
  if (paths.empty()) return fail(ErrorCode::usage, "no recording is named");
  recording.path_ = paths.front();
  const auto is_packed = is_sdsz(paths.front());
  if (!is_packed) return fail(is_packed);
  if (paths.size() == 1 && *is_packed) {
    for (const auto& file : {paths.front(), wal_path(paths.front()), new_wal_path(paths.front())})
      recording.files_.emplace_back(file);
    auto reader =
        SdszReader::open(paths.front(), {.walk = options.walk, .with_index = options.with_index, .stop = options.stop});
    if (!reader) return fail(reader);
    recording.sdsz_ = std::move(*reader);
    recording.damage_log_ = recording.sdsz_->damage_log();
    if (auto told = tell_torn_ends(*recording.sdsz_); !told) return fail(told);
    for (const auto& packed : recording.sdsz_->streams()) {
      StreamInfo stream;
      stream.description = packed.description;
      stream.path = paths.front();
      stream.raw_bytes = packed.raw_bytes;
      stream.block_count = packed.block_count;
      parse_metadata(stream);
      if (stream.metadata_error) stream.metadata_error->path = paths.front() / stream.metadata_error->path;
      recording.streams_.push_back(std::move(stream));
    }
    if (options.metadata) {
      recording.files_.emplace_back(*options.metadata);
      if (auto given = give_metadata(recording.streams_, *options.metadata); !given) return fail(given);
    }
  } else {
    for (const auto& path : paths) {
      const auto alone = is_sdsz(path);
      if (!alone) return fail(alone);
      if (*alone)
        return fail(ErrorCode::usage, "a .sdsz recording stands alone; it cannot be joined with other files", path);
      auto stream = open_plain(path, options, recording.files_);
      if (!stream) return fail(stream);
      recording.streams_.push_back(std::move(*stream));
    }
  }
  name_streams(recording.streams_);
  return recording;
}

Expected<Recording> Recording::open(const std::filesystem::path& path, const Options& options) {
  return open(std::span(&path, 1), options);
}

Expected<Recording> Recording::open(const std::filesystem::path& path) { return open(path, Options{}); }

Expected<std::size_t> Recording::find_stream(const std::string& id) const {
  for (std::size_t i = 0; i < streams_.size(); ++i)
    if (streams_[i].id == id) return i;
  std::string names;
  for (const auto& stream : streams_) {
    const auto& d = stream.description;
    if (d.name + "." + d.label == id) return static_cast<std::size_t>(&stream - streams_.data());
    names += (names.empty() ? "" : ", ") + stream.id;
  }
  return fail(ErrorCode::usage, fmt::format("no stream '{}'; there is: {}", id, names.empty() ? "none" : names), path_);
}

Expected<std::unique_ptr<BlockCursor>> Recording::cursor(std::size_t stream, Executor* executor,
                                                         SectionFilter wanted) const {
  if (sdsz_) return std::make_unique<PackedCursor>(sdsz_, stream, executor, std::move(wanted));
  // Whoever reads it again finds the same.
  auto reader = PlainReader::open(streams_[stream].path, streams_[stream].raw_bytes);
  if (!reader) return fail(reader);
  return std::make_unique<PlainCursor>(std::move(*reader),
                                       TornEnd(damage_log_, stream, streams_[stream].being_written));
}

}  // namespace sds
