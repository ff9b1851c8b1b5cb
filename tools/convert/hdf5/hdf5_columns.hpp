// HDF5 as the exports use it: handles that close themselves, attributes, and datasets that grow chunk by chunk, with
// the chunks coded on several threads and handed to H5Dwrite_chunk. HDF5 itself is only called by the thread that owns
// the file. Problems are thrown as HdfProblem, and do not leave the exports; whether HDF5 is there, they have asked
// first.
#pragma once

#include <fmt/format.h>
#include <libdeflate.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "hdf5_functions.hpp"
#include "sds/format/bytes.hpp"
#include "sds/format/executor.hpp"
#include "sds/format/metadata.hpp"

namespace sds::hdf5 {

// Whether anything of this thread's file could not be closed. HDF5 writes what it has cached when a dataset or an
// attribute is closed, drops what it could not write, and says so only there.
inline bool& a_close_failed() {
  static thread_local bool failed = false;
  return failed;
}

// Anything HDF5 numbers, closed when it goes.
class Handle {
 public:
  Handle() = default;
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  ~Handle() {
    if (id_ >= 0 && close_(id_) < 0) a_close_failed() = true;
  }
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  operator hid_t() const { return id_; }  // NOLINT(google-explicit-constructor): it stands for the number
  [[nodiscard]] bool ok() const { return id_ >= 0; }
  /// The number, to be closed by the caller.
  hid_t release() { return std::exchange(id_, -1); }

 private:
  hid_t id_ = -1;
  herr_t (*close_)(hid_t) = nullptr;
};

struct HdfProblem {
  std::string message;
};

// The text of the innermost error on HDF5's stack: what the system said.
inline std::string hdf_reason() {
  std::string reason;
  h5().H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned, const H5E_error2_t* error, void* text) -> herr_t {
        if (static_cast<std::string*>(text)->empty() && error->desc != nullptr)
          *static_cast<std::string*>(text) = error->desc;
        return 0;
      },
      &reason);
  // Its drivers tell all of a write's circumstances; what people need is what the system said.
  const std::size_t said = reason.find("error message = '");
  if (said != std::string::npos) {
    const std::size_t begin = said + std::string_view("error message = '").size();
    reason = reason.substr(begin, reason.find('\'', begin) - begin);
  }
  return reason.substr(0, 300);
}

template <class T>
T check(T result, const char* what) {
  if (result < 0) throw HdfProblem{fmt::format("cannot {}: {}", what, hdf_reason())};
  return result;
}

inline Handle make_string_type(std::size_t bytes) {
  Handle type(check(h5().H5Tcopy(*h5().c_s1), "copy a type"), h5().H5Tclose);
  check(h5().H5Tset_size(type, std::max<std::size_t>(1, bytes)), "size a type");
  check(h5().H5Tset_cset(type, H5T_CSET_UTF8), "set a character set");
  check(h5().H5Tset_strpad(type, H5T_STR_NULLPAD), "set padding");
  return type;
}

inline void put_attribute(hid_t object, const char* name, const std::string& text) {
  const Handle type = make_string_type(text.size());
  const Handle space(check(h5().H5Screate(H5S_SCALAR), "make a space"), h5().H5Sclose);
  const Handle attribute(
      check(h5().H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT), "make an attribute"), h5().H5Aclose);
  check(h5().H5Awrite(attribute, type, text.empty() ? "" : text.data()), "write an attribute");
}

inline void put_attribute(hid_t object, const char* name, double value) {
  const Handle space(check(h5().H5Screate(H5S_SCALAR), "make a space"), h5().H5Sclose);
  const Handle attribute(
      check(h5().H5Acreate2(object, name, *h5().ieee_f64le, space, H5P_DEFAULT, H5P_DEFAULT), "make an attribute"),
      h5().H5Aclose);
  check(h5().H5Awrite(attribute, *h5().native_double, &value), "write an attribute");
}

// Properties of new objects without the time of their creation: it would make two exports of one recording differ.
inline Handle make_properties(hid_t object_class) {
  Handle properties(check(h5().H5Pcreate(object_class), "make properties"), h5().H5Pclose);
  check(h5().H5Pset_obj_track_times(properties, false), "set times");
  return properties;
}

inline Handle make_group(hid_t parent, const std::string& name) {
  const Handle properties = make_properties(*h5().group_create);
  return {check(h5().H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, properties, H5P_DEFAULT), "make a group"),
          h5().H5Gclose};
}

inline Handle make_dataset(hid_t parent, const char* name, hid_t type, hid_t space) {
  const Handle properties = make_properties(*h5().dataset_create);
  return {check(h5().H5Dcreate2(parent, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT), "make a dataset"),
          h5().H5Dclose};
}

// A name that HDF5 can link: no slash, not a dot alone, unique among `taken`.
inline std::string link_name(std::string name, std::vector<std::string>& taken) {
  std::replace(name.begin(), name.end(), '/', '_');
  if (name.empty() || name == "." || name == "..") name = "_";
  std::string unique = name;
  for (int n = 2; std::find(taken.begin(), taken.end(), unique) != taken.end(); ++n)
    unique = fmt::format("{}_{}", name, n);
  taken.push_back(unique);
  return unique;
}

inline hid_t file_type(ScalarType type) {
  switch (type) {
    case ScalarType::u8:
      return *h5().std_u8le;
    case ScalarType::i8:
      return *h5().std_i8le;
    case ScalarType::u16:
      return *h5().std_u16le;
    case ScalarType::i16:
      return *h5().std_i16le;
    case ScalarType::u32:
      return *h5().std_u32le;
    case ScalarType::u64:
      return *h5().std_u64le;
    case ScalarType::i64:
      return *h5().std_i64le;
    case ScalarType::f32:
      return *h5().ieee_f32le;
    case ScalarType::f64:
      return *h5().ieee_f64le;
    default:
      return *h5().std_i32le;
  }
}

// One chunk on its way: shuffled and deflated on some thread, written by the one that owns the file.
struct ChunkJob {
  Bytes raw;
  Bytes stored;
  std::size_t width = 1;  // bytes of a number
  int level = 1;
  hid_t dataset = -1;
  std::vector<hsize_t> offset;
  bool finished = false;
  bool failed = false;

  // HDF5's shuffle filter (byte b of every number together), then its deflate filter (zlib's format).
  void code() {
    if (level == 0) {
      stored.swap(raw);
      return;
    }
    const std::size_t n = raw.size() / width;
    Bytes shuffled(raw.size());
    for (std::size_t b = 0; b < width; ++b) {
      std::byte* to = shuffled.data() + b * n;
      const std::byte* from = raw.data() + b;
      for (std::size_t i = 0; i < n; ++i) to[i] = from[i * width];
    }
    const std::unique_ptr<libdeflate_compressor, void (*)(libdeflate_compressor*)> compressor(
        libdeflate_alloc_compressor(level), libdeflate_free_compressor);
    if (!compressor) {
      failed = true;
      return;
    }
    stored.resize(libdeflate_zlib_compress_bound(compressor.get(), shuffled.size()));
    const std::size_t bytes =
        libdeflate_zlib_compress(compressor.get(), shuffled.data(), shuffled.size(), stored.data(), stored.size());
    stored.resize(bytes);
    failed = bytes == 0;
  }
};

// Codes chunks on an executor's threads, and writes them in the order in which they came.
class ChunkWriter {
 public:
  explicit ChunkWriter(Executor* executor) : executor_(executor), state_(std::make_shared<State>()) {}
  ~ChunkWriter() {
    for (const auto& job : jobs_) wait_for(*job);
  }
  ChunkWriter(const ChunkWriter&) = delete;
  ChunkWriter& operator=(const ChunkWriter&) = delete;

  void put(std::shared_ptr<ChunkJob> job) {
    if (executor_ == nullptr) {
      job->code();
      job->finished = true;
    } else {
      executor_->run([job, state = state_] {
        try {
          job->code();
        } catch (const std::bad_alloc&) {
          job->failed = true;
        }
        const std::lock_guard lock(state->mutex);
        job->finished = true;
        state->changed.notify_all();
      });
    }
    jobs_.push_back(std::move(job));
    const std::size_t most = executor_ == nullptr ? 0 : 2 * std::size_t{executor_->concurrency()};
    while (jobs_.size() > most) write_front();
  }
  void finish() {
    while (!jobs_.empty()) write_front();
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
  };
  void wait_for(const ChunkJob& job) {
    for (;;) {
      std::unique_lock lock(state_->mutex);
      if (job.finished) return;
      lock.unlock();
      if (executor_ != nullptr && executor_->help()) continue;
      lock.lock();
      state_->changed.wait(lock, [&] { return job.finished; });
      return;
    }
  }
  void write_front() {
    const auto job = std::move(jobs_.front());
    jobs_.pop_front();
    wait_for(*job);
    if (job->failed) throw HdfProblem{"cannot deflate a chunk"};
    check(h5().H5Dwrite_chunk(job->dataset, H5P_DEFAULT, 0, job->offset.data(), job->stored.size(), job->stored.data()),
          "write a chunk");
  }

  Executor* executor_;
  std::shared_ptr<State> state_;
  std::deque<std::shared_ptr<ChunkJob>> jobs_;
};

// A dataset that grows along its first dimension.
class Column {
 public:
  /// `siblings`: how many columns are open at a time; all their chunks together are bounded.
  Column(hid_t parent, const std::string& name, ScalarType type, std::vector<hsize_t> shape, int level,
         ChunkWriter& writer, std::size_t siblings = 1)
      : writer_(writer), shape_(std::move(shape)), level_(level), width_(size_of(type)) {
    row_bytes_ = width_;
    for (const auto n : shape_) row_bytes_ *= n;
    chunk_rows_ = std::max<std::size_t>(1, std::min(kChunkBytes, kOpenBytes / siblings) / row_bytes_);
    std::vector<hsize_t> dims{0};
    std::vector<hsize_t> most{H5S_UNLIMITED};
    std::vector<hsize_t> chunk{chunk_rows_};
    for (const auto n : shape_) {
      dims.push_back(n);
      most.push_back(n);
      chunk.push_back(n);
    }
    const Handle space(
        check(h5().H5Screate_simple(static_cast<int>(dims.size()), dims.data(), most.data()), "make a space"),
        h5().H5Sclose);
    const Handle properties = make_properties(*h5().dataset_create);
    check(h5().H5Pset_chunk(properties, static_cast<int>(chunk.size()), chunk.data()), "set chunks");
    check(h5().H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER), "set the fill time");
    if (level_ > 0) {
      check(h5().H5Pset_shuffle(properties), "set shuffle");
      check(h5().H5Pset_deflate(properties, static_cast<unsigned>(std::min(level_, 9))), "set deflate");
    }
    // Chunks are written whole, past HDF5's cache of them.
    const Handle access(check(h5().H5Pcreate(*h5().dataset_access), "make properties"), h5().H5Pclose);
    check(h5().H5Pset_chunk_cache(access, 1, 0, H5D_CHUNK_CACHE_W0_DEFAULT), "set the chunk cache");
    dataset_ =
        Handle(check(h5().H5Dcreate2(parent, name.c_str(), file_type(type), space, H5P_DEFAULT, properties, access),
                     "make a dataset"),
               h5().H5Dclose);
  }

  [[nodiscard]] hid_t id() const { return dataset_; }

  /// Room for up to `rows` more rows, as many as the open chunk has; commit() takes what was filled in.
  std::size_t room() const { return chunk_rows_ - pending_.size() / row_bytes_; }
  std::byte* extend(std::size_t rows) {
    const std::size_t at = pending_.size();
    if (at == 0) pending_.reserve(chunk_rows_ * row_bytes_);
    pending_.resize(at + rows * row_bytes_);
    return pending_.data() + at;
  }
  void commit() {
    if (pending_.size() == chunk_rows_ * row_bytes_) seal(chunk_rows_);
  }
  void finish() {
    const std::size_t rows = pending_.size() / row_bytes_;
    if (rows > 0) seal(rows);
  }

 private:
  static constexpr std::size_t kChunkBytes = std::size_t{1} << 18;
  static constexpr std::size_t kOpenBytes = std::size_t{1} << 24;

  void seal(std::size_t rows) {
    std::vector<hsize_t> dims{rows_ + rows};
    dims.insert(dims.end(), shape_.begin(), shape_.end());
    check(h5().H5Dset_extent(dataset_, dims.data()), "extend a dataset");
    auto job = std::make_shared<ChunkJob>();
    pending_.resize(chunk_rows_ * row_bytes_);  // a chunk is whole in the file, also the last one
    job->raw.swap(pending_);
    job->width = width_;
    job->level = level_;
    job->dataset = dataset_;
    job->offset.assign(dims.size(), 0);
    job->offset[0] = rows_;
    rows_ += rows;
    writer_.put(std::move(job));
  }

  ChunkWriter& writer_;
  std::vector<hsize_t> shape_;
  int level_;
  std::size_t width_;
  std::size_t row_bytes_ = 0;
  std::size_t chunk_rows_ = 0;
  std::uint64_t rows_ = 0;
  Handle dataset_;
  Bytes pending_;
};

inline void write_strings(hid_t parent, const char* name, const std::vector<std::string>& texts) {
  std::size_t longest = 1;
  for (const auto& text : texts) longest = std::max(longest, text.size());
  std::string all(longest * texts.size(), '\0');
  for (std::size_t i = 0; i < texts.size(); ++i)
    std::copy(texts[i].begin(), texts[i].end(), all.begin() + static_cast<std::ptrdiff_t>(i * longest));
  const Handle type = make_string_type(longest);
  const hsize_t count = texts.size();
  const Handle space(check(h5().H5Screate_simple(1, &count, nullptr), "make a space"), h5().H5Sclose);
  const Handle dataset = make_dataset(parent, name, type, space);
  if (count > 0) check(h5().H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, all.data()), "write strings");
}

inline void write_numbers(hid_t parent, const char* name, const std::vector<double>& numbers) {
  const hsize_t count = numbers.size();
  const Handle space(check(h5().H5Screate_simple(1, &count, nullptr), "make a space"), h5().H5Sclose);
  const Handle dataset = make_dataset(parent, name, *h5().ieee_f64le, space);
  if (count > 0)
    check(h5().H5Dwrite(dataset, *h5().native_double, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers.data()), "write numbers");
}

inline Handle create_file(const std::filesystem::path& path) {
  // A file that could not be written (disk full) cannot be closed either, and HDF5 would try again at the program's
  // end, and crash over it. Every file is flushed and closed here; nothing is left for then.
  [[maybe_unused]] static const herr_t no_exit_handler = h5().H5dont_atexit();
  h5().H5check_version(H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE);  // as H5F_ACC_TRUNC does, which is a macro
  static constexpr unsigned replace = 0x0002;                           // and has this value
  h5().H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);                     // errors are ours to report
  a_close_failed() = false;
  return {check(h5().H5Fcreate(path.c_str(), replace, H5P_DEFAULT, H5P_DEFAULT), "create the file"), h5().H5Fclose};
}

// Everything is on its way to the system, or this is an error; nothing of the file may be open any more.
inline void close_file(Handle file) {
  check(h5().H5Fflush(file, H5F_SCOPE_GLOBAL), "write the file");
  check(h5().H5Fclose(file.release()), "close the file");
  if (a_close_failed()) throw HdfProblem{"cannot write the file: a part of it could not be closed"};
}

}  // namespace sds::hdf5
