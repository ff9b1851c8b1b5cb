// Our levels and their peers on the same bytes, in memory, one thread, 1 MiB at a time; every result verified.
#include <FLAC/stream_decoder.h>
#include <FLAC/stream_encoder.h>
#include <fmt/format.h>
#include <hdf5.h>
#include <lz4.h>
#include <zstd.h>

#include <cstring>
#include <filesystem>
#include <memory>

#include "harness.hpp"
#include "sds/format/data_section.hpp"
#include "sds/format/recording.hpp"

namespace sds::bench {

namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxBytes = std::size_t{32} << 20;

// One stream as the peers get it: interleaved payload bytes in chunks, and as block runs for us.
struct DataSet {
  std::string name;
  Metadata metadata;
  std::vector<BlockRun> runs;
  std::size_t bytes = 0;
};

DataSet load(const std::filesystem::path& path) {
  const Recording recording = must(Recording::open(path));
  const StreamInfo& stream = recording.streams().at(0);
  DataSet set;
  set.name = stream.id;
  if (!stream.metadata) give_up(path.string() + ": no metadata");
  set.metadata = *stream.metadata;
  auto cursor = must(recording.cursor(0));
  set.runs.emplace_back();
  for (;;) {
    auto block = must(cursor->next());
    if (!block || set.bytes >= kMaxBytes) break;
    if (set.runs.back().bytes.size() >= kChunkBytes) set.runs.emplace_back();
    set.runs.back().append(block->timeslot, block->tick, block->data);
    set.bytes += block->data.size();
  }
  if (set.bytes == 0) give_up(path.string() + ": no data");
  return set;
}

// A codec: encodes chunk i of the set into its own store, and decodes it into `out`.
class Codec {
 public:
  virtual ~Codec() = default;
  virtual void encode(const DataSet& set, std::size_t chunk) = 0;
  virtual void decode(const DataSet& set, std::size_t chunk, Bytes& out) = 0;
  [[nodiscard]] std::size_t stored() const {
    std::size_t sum = 0;
    for (const auto& chunk : chunks_) sum += chunk.size();
    return sum;
  }
  void prepare(std::size_t chunks) { chunks_.resize(chunks); }

 protected:
  std::vector<Bytes> chunks_;
};

class Ours final : public Codec {
 public:
  Ours(const DataSet& set, Level level) : layout_(Layout::from(set.metadata)), level_(level) {
    headers_.resize(set.runs.size());
  }
  void encode(const DataSet& set, std::size_t i) override {
    auto section = coder_.encode(set.runs[i], 0, layout_, level_);
    headers_[i] = section.header;
    chunks_[i] = std::move(section.payload);
  }
  void decode(const DataSet&, std::size_t i, Bytes& out) override {
    must_be(coder_.decode(headers_[i], chunks_[i], layout_, run_));
    out.swap(run_.bytes);
  }

 private:
  static void must_be(const Expected<void>& done) {
    if (!done) give_up(done.error().to_string());
  }
  Layout layout_;
  Level level_;
  DataSectionCoder coder_;
  BlockRun run_;
  std::vector<SectionHeader> headers_;
};

class Zstd final : public Codec {
 public:
  explicit Zstd(int level) : level_(level) {}
  void encode(const DataSet& set, std::size_t i) override {
    const Bytes& in = set.runs[i].bytes;
    buffer_.resize(ZSTD_compressBound(in.size()));
    const std::size_t size =
        ZSTD_compressCCtx(compressor_.get(), buffer_.data(), buffer_.size(), in.data(), in.size(), level_);
    chunks_[i].assign(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(size));
  }
  void decode(const DataSet& set, std::size_t i, Bytes& out) override {
    out.resize(set.runs[i].bytes.size());
    ZSTD_decompressDCtx(decompressor_.get(), out.data(), out.size(), chunks_[i].data(), chunks_[i].size());
  }

 private:
  int level_;
  Bytes buffer_;
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> compressor_{ZSTD_createCCtx(), ZSTD_freeCCtx};
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> decompressor_{ZSTD_createDCtx(), ZSTD_freeDCtx};
};

class Lz4 final : public Codec {
 public:
  void encode(const DataSet& set, std::size_t i) override {
    const Bytes& in = set.runs[i].bytes;
    buffer_.resize(static_cast<std::size_t>(LZ4_compressBound(static_cast<int>(in.size()))));
    const int size =
        LZ4_compress_default(reinterpret_cast<const char*>(in.data()), reinterpret_cast<char*>(buffer_.data()),
                             static_cast<int>(in.size()), static_cast<int>(buffer_.size()));
    chunks_[i].assign(buffer_.begin(), buffer_.begin() + size);
  }
  void decode(const DataSet& set, std::size_t i, Bytes& out) override {
    out.resize(set.runs[i].bytes.size());
    LZ4_decompress_safe(reinterpret_cast<const char*>(chunks_[i].data()), reinterpret_cast<char*>(out.data()),
                        static_cast<int>(chunks_[i].size()), static_cast<int>(out.size()));
  }

 private:
  Bytes buffer_;
};

// 16-bit channels only, at most 8 of them. One FLAC stream a chunk.
class Flac final : public Codec {
 public:
  Flac(unsigned level, unsigned channels, unsigned rate) : level_(level), channels_(channels), rate_(rate) {}
  void encode(const DataSet& set, std::size_t i) override {
    const Bytes& in = set.runs[i].bytes;
    const std::size_t values = in.size() / 2;
    wide_.resize(values);
    for (std::size_t v = 0; v < values; ++v) wide_[v] = load_le<std::int16_t>(in.data() + 2 * v);
    chunks_[i].clear();
    const std::unique_ptr<FLAC__StreamEncoder, decltype(&FLAC__stream_encoder_delete)> encoder(
        FLAC__stream_encoder_new(), FLAC__stream_encoder_delete);
    FLAC__stream_encoder_set_channels(encoder.get(), channels_);
    FLAC__stream_encoder_set_bits_per_sample(encoder.get(), 16);
    FLAC__stream_encoder_set_sample_rate(encoder.get(), rate_);
    FLAC__stream_encoder_set_compression_level(encoder.get(), level_);
    if (FLAC__stream_encoder_init_stream(encoder.get(), on_write, nullptr, nullptr, nullptr, &chunks_[i]) !=
        FLAC__STREAM_ENCODER_INIT_STATUS_OK)
      give_up("FLAC does not take this stream");
    FLAC__stream_encoder_process_interleaved(encoder.get(), wide_.data(), static_cast<unsigned>(values / channels_));
    FLAC__stream_encoder_finish(encoder.get());
  }
  void decode(const DataSet& set, std::size_t i, Bytes& out) override {
    Decoding d{chunks_[i], 0, out};
    out.clear();
    out.reserve(set.runs[i].bytes.size());
    const std::unique_ptr<FLAC__StreamDecoder, decltype(&FLAC__stream_decoder_delete)> decoder(
        FLAC__stream_decoder_new(), FLAC__stream_decoder_delete);
    FLAC__stream_decoder_init_stream(decoder.get(), on_read, nullptr, nullptr, nullptr, nullptr, on_frame, nullptr,
                                     on_error, &d);
    FLAC__stream_decoder_process_until_end_of_stream(decoder.get());
  }

 private:
  struct Decoding {
    const Bytes& in;
    std::size_t at;
    Bytes& out;
  };
  static FLAC__StreamEncoderWriteStatus on_write(const FLAC__StreamEncoder*, const FLAC__byte buffer[],
                                                 std::size_t bytes, std::uint32_t, std::uint32_t, void* client) {
    append_bytes(*static_cast<Bytes*>(client), std::as_bytes(std::span(buffer, bytes)));
    return FLAC__STREAM_ENCODER_WRITE_STATUS_OK;
  }
  static FLAC__StreamDecoderReadStatus on_read(const FLAC__StreamDecoder*, FLAC__byte buffer[], std::size_t* bytes,
                                               void* client) {
    auto& d = *static_cast<Decoding*>(client);
    *bytes = std::min(*bytes, d.in.size() - d.at);
    std::memcpy(buffer, d.in.data() + d.at, *bytes);
    d.at += *bytes;
    return *bytes == 0 ? FLAC__STREAM_DECODER_READ_STATUS_END_OF_STREAM : FLAC__STREAM_DECODER_READ_STATUS_CONTINUE;
  }
  static FLAC__StreamDecoderWriteStatus on_frame(const FLAC__StreamDecoder*, const FLAC__Frame* frame,
                                                 const FLAC__int32* const buffer[], void* client) {
    auto& d = *static_cast<Decoding*>(client);
    const unsigned channels = frame->header.channels;
    const std::size_t at = d.out.size();
    d.out.resize(at + std::size_t{2} * channels * frame->header.blocksize);
    std::byte* p = d.out.data() + at;
    for (unsigned s = 0; s < frame->header.blocksize; ++s)
      for (unsigned c = 0; c < channels; ++c, p += 2) store_le(p, static_cast<std::int16_t>(buffer[c][s]));
    return FLAC__STREAM_DECODER_WRITE_STATUS_CONTINUE;
  }
  static void on_error(const FLAC__StreamDecoder*, FLAC__StreamDecoderErrorStatus, void*) {
    give_up("FLAC cannot decode");
  }

  unsigned level_;
  unsigned channels_;
  unsigned rate_;
  std::vector<FLAC__int32> wide_;
};

// An in-memory HDF5 file a chunk: one dataset, chunked by channel, shuffled and deflated at level 4.
class Hdf5 final : public Codec {
 public:
  Hdf5(std::size_t width, std::size_t channels) : width_(width), channels_(channels) {}
  void encode(const DataSet& set, std::size_t i) override {
    const Bytes& in = set.runs[i].bytes;
    const hsize_t rows = in.size() / (width_ * channels_);
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_core(access, 1 << 20, 0);
    const hid_t file = H5Fcreate("memory", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    const hsize_t dims[2] = {rows, channels_};
    const hsize_t chunk[2] = {std::min<hsize_t>(rows, 1 << 16), 1};
    const hid_t space = H5Screate_simple(2, dims, nullptr);
    const hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(create, 2, chunk);
    H5Pset_shuffle(create);
    H5Pset_deflate(create, 4);
    const hid_t set_id = H5Dcreate2(file, "d", type(), space, H5P_DEFAULT, create, H5P_DEFAULT);
    H5Dwrite(set_id, type(), H5S_ALL, H5S_ALL, H5P_DEFAULT, in.data());
    H5Dclose(set_id);
    H5Fflush(file, H5F_SCOPE_GLOBAL);
    chunks_[i].resize(static_cast<std::size_t>(H5Fget_file_image(file, nullptr, 0)));
    H5Fget_file_image(file, chunks_[i].data(), chunks_[i].size());
    H5Pclose(create);
    H5Sclose(space);
    H5Fclose(file);
    H5Pclose(access);
  }
  void decode(const DataSet& set, std::size_t i, Bytes& out) override {
    out.resize(set.runs[i].bytes.size());
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_core(access, 1 << 20, 0);
    H5Pset_file_image(access, chunks_[i].data(), chunks_[i].size());
    const hid_t file = H5Fopen("memory", H5F_ACC_RDONLY, access);
    const hid_t set_id = H5Dopen2(file, "d", H5P_DEFAULT);
    H5Dread(set_id, type(), H5S_ALL, H5S_ALL, H5P_DEFAULT, out.data());
    H5Dclose(set_id);
    H5Fclose(file);
    H5Pclose(access);
  }

 private:
  [[nodiscard]] hid_t type() const {
    return width_ == 1   ? H5T_NATIVE_UINT8
           : width_ == 2 ? H5T_NATIVE_UINT16
           : width_ == 4 ? H5T_NATIVE_UINT32
                         : H5T_NATIVE_UINT64;
  }
  std::size_t width_;
  hsize_t channels_;
};

class Copy final : public Codec {
 public:
  void encode(const DataSet& set, std::size_t i) override {
    chunks_[i].resize(set.runs[i].bytes.size());
    std::memcpy(chunks_[i].data(), set.runs[i].bytes.data(), chunks_[i].size());
  }
  void decode(const DataSet& set, std::size_t i, Bytes& out) override {
    out.resize(set.runs[i].bytes.size());
    std::memcpy(out.data(), chunks_[i].data(), out.size());
  }
};

Table measure(const DataSet& set, int rounds) {
  struct Entry {
    std::string name;
    std::unique_ptr<Codec> codec;
  };
  std::vector<Entry> entries;
  const auto add = [&](std::string name, std::unique_ptr<Codec> codec) {
    codec->prepare(set.runs.size());
    entries.push_back({std::move(name), std::move(codec)});
  };
  add("memcpy", std::make_unique<Copy>());
  add("sdskit store", std::make_unique<Ours>(set, Level::store));
  add("sdskit fast", std::make_unique<Ours>(set, Level::fast));
  add("sdskit dense", std::make_unique<Ours>(set, Level::dense));
  for (const int level : {1, 3, 9}) add(fmt::format("zstd -{}", level), std::make_unique<Zstd>(level));
  add("lz4", std::make_unique<Lz4>());
  const auto& channels = set.metadata.channels;
  bool uniform = true;
  for (const auto& channel : channels)
    uniform = uniform && channel.type == channels[0].type && channel.count() == 1 && channel.bits == 0;
  if (uniform && channels[0].type == ScalarType::i16 && channels.size() <= 8)
    for (const unsigned level : {5u, 8u})
      add(fmt::format("FLAC -{}", level), std::make_unique<Flac>(level, static_cast<unsigned>(channels.size()), 48000));
  if (uniform && size_of(channels[0].type) != 3)
    add("HDF5 shuffle + deflate 4", std::make_unique<Hdf5>(size_of(channels[0].type), channels.size()));

  Bytes out;
  std::vector<Task> tasks;
  for (auto& entry : entries) {
    Codec* codec = entry.codec.get();
    const auto bytes = static_cast<double>(set.bytes);
    tasks.push_back({entry.name, bytes, [&set, codec] {
                       for (std::size_t i = 0; i < set.runs.size(); ++i) codec->encode(set, i);
                     }});
    tasks.push_back({entry.name, bytes, [&set, codec, &out] {
                       for (std::size_t i = 0; i < set.runs.size(); ++i) {
                         codec->decode(set, i, out);
                         keep(out.data());
                       }
                     }});
  }
  const auto seconds = median_seconds(tasks, rounds);
  for (auto& entry : entries)
    for (std::size_t i = 0; i < set.runs.size(); ++i) {
      entry.codec->decode(set, i, out);
      if (out != set.runs[i].bytes) give_up(entry.name + " does not give back " + set.name);
    }
  std::size_t zstd1 = 0;
  for (std::size_t i = 0; i < entries.size(); ++i)
    if (entries[i].name == "zstd -1") zstd1 = i;
  Table table(fmt::format("{}: {:.1f} MB, {} channels of {}; medians of {}", set.name,
                          static_cast<double>(set.bytes) / 1e6, channels.size(), name_of(channels[0].type), rounds),
              {"", "ratio", "encode GB/s", "decode GB/s", "size of zstd -1", "encode of zstd -1", "decode of zstd -1"});
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto stored = static_cast<double>(entries[i].codec->stored());
    const double encode = static_cast<double>(set.bytes) / seconds[2 * i];
    const double decode = static_cast<double>(set.bytes) / seconds[2 * i + 1];
    table.add({entries[i].name, fmt::format("{:.3f}", static_cast<double>(set.bytes) / stored),
               fmt::format("{:.2f}", encode / 1e9), fmt::format("{:.2f}", decode / 1e9),
               fmt::format("{:.3f}", stored / static_cast<double>(entries[zstd1].codec->stored())),
               fmt::format("{:.2f}", seconds[2 * zstd1] / seconds[2 * i]),
               fmt::format("{:.2f}", seconds[2 * zstd1 + 1] / seconds[2 * i + 1])});
  }
  return table;
}

}  // namespace

std::vector<Table> run_codecs(const std::string& folder, const std::vector<std::string>& files, int rounds) {
  std::vector<std::filesystem::path> paths(files.begin(), files.end());
  if (paths.empty())
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      if (entry.path().extension() == ".sds") paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  if (paths.empty()) give_up("no .sds files in " + folder);
  std::vector<Table> tables;
  for (const auto& path : paths) tables.push_back(measure(load(path), rounds));
  return tables;
}

}  // namespace sds::bench
