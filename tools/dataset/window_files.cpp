#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <set>

#include "archive_functions.hpp"
#include "hdf5_columns.hpp"
#include "hdf5_functions.hpp"
#include "npz_writer.hpp"
#include "scratch_folder.hpp"
#include "sds/format/names.hpp"
#include "sds/format/partial_file.hpp"
#include "windows.hpp"

#include "sds/format/worker_pool.hpp"

namespace sds {

namespace {

// What all windows of a dataset have in common of a stream, and how it is called in a file.
struct Shape {
  std::string suffix;  // of the names of its arrays: "", ".Imu"
  std::size_t samples = 0;
  std::vector<std::string> channels;
  bool counted = false;

  [[nodiscard]] std::size_t window_bytes() const { return samples * channels.size() * sizeof(float); }
};

struct Names {
  std::vector<std::string> classes;
  std::vector<std::string> recordings;
};

// The windows of one part of a dataset.
struct PartWindows {
  std::vector<const RecordingWindows*> recordings;
  std::vector<std::int32_t> y;
  std::vector<std::int32_t> recording;
  std::vector<double> begin;
  const std::vector<Shape>& shapes;
  const Names& names;
};

// Hands the values of a stream's windows to `take`, in pieces of whole windows: what a window lacks is NaN.
Expected<void> for_each_values(const PartWindows& part, std::size_t tensor, const Shape& shape,
                               const std::function<Expected<void>(ByteView)>& take) {
  const std::size_t row = shape.channels.size() * sizeof(float);
  const std::size_t at_once = std::max<std::size_t>(1, (std::size_t{1} << 18) / shape.window_bytes());
  Bytes nothing;
  while (nothing.size() < row) append_le(nothing, std::numeric_limits<float>::quiet_NaN());
  for (const RecordingWindows* recording : part.recordings) {
    const WindowTensor& values = recording->tensors[tensor];
    const std::size_t windows = recording->begins.size();
    if (windows == 0) continue;
    auto file = InputFile::open(values.values);
    if (!file) return fail(file);
    std::uint64_t at = 0;
    Bytes piece;
    Bytes stored;
    for (std::size_t first = 0; first < windows; first += at_once) {
      const std::size_t end = std::min(windows, first + at_once);
      std::size_t rows = 0;
      for (std::size_t w = first; w < end; ++w) rows += values.count(w);
      stored.resize(rows * row);
      if (auto got = (*file)->read_exactly(at, stored); !got) return got;
      at += stored.size();
      piece.clear();
      auto from = stored.begin();
      for (std::size_t w = first; w < end; ++w) {
        const auto to = from + static_cast<std::ptrdiff_t>(values.count(w) * row);
        piece.insert(piece.end(), from, to);
        from = to;
        for (std::size_t k = values.count(w); k < shape.samples; ++k)
          piece.insert(piece.end(), nothing.begin(), nothing.end());
      }
      if (auto done = take(piece); !done) return done;
    }
  }
  return {};
}

std::vector<std::int32_t> counts_of(const PartWindows& part, std::size_t tensor) {
  std::vector<std::int32_t> counts;
  for (const RecordingWindows* recording : part.recordings)
    for (std::size_t w = 0; w < recording->begins.size(); ++w)
      counts.push_back(static_cast<std::int32_t>(recording->tensors[tensor].count(w)));
  return counts;
}

template <class T>
Bytes packed(const std::vector<T>& numbers) {
  Bytes out;
  for (const T number : numbers) append_le(out, number);
  return out;
}

Expected<void> write_npz(PartialFile& file, const PartWindows& part, bool compress) {
  auto npz = NpzWriter::create(file.borrow_sink(), compress);
  if (!npz) return fail(npz);
  NpzWriter& out = **npz;
  const std::size_t windows = part.begin.size();
  const std::string count = fmt::format("({},)", windows);
  for (std::size_t t = 0; t < part.shapes.size(); ++t) {
    const Shape& shape = part.shapes[t];
    if (auto done = out.begin("x" + shape.suffix, "'<f4'",
                              fmt::format("({}, {}, {})", windows, shape.samples, shape.channels.size()),
                              windows * shape.window_bytes());
        !done)
      return done;
    if (auto done = for_each_values(part, t, shape, [&](ByteView bytes) { return out.append(bytes); }); !done)
      return done;
    if (!shape.counted) continue;
    if (auto done = out.put("count" + shape.suffix, "'<i4'", count, packed(counts_of(part, t))); !done) return done;
  }
  if (auto done = out.put("y", "'<i4'", count, packed(part.y)); !done) return done;
  if (auto done = out.put("recording", "'<i4'", count, packed(part.recording)); !done) return done;
  if (auto done = out.put("begin", "'<f8'", count, packed(part.begin)); !done) return done;
  if (auto done = out.put_texts("classes", part.names.classes); !done) return done;
  if (auto done = out.put_texts("recordings", part.names.recordings); !done) return done;
  for (const auto& shape : part.shapes)
    if (auto done = out.put_texts("channels" + shape.suffix, shape.channels); !done) return done;
  return out.close();
}

void write_column(hid_t file, const std::string& name, const std::vector<std::int32_t>& numbers, int deflate,
                  hdf5::ChunkWriter& writer) {
  hdf5::Column column(file, name, ScalarType::i32, {}, deflate, writer);
  for (const std::int32_t number : numbers) {
    store_le(column.extend(1), number);
    column.commit();
  }
  column.finish();
  writer.finish();
}

Expected<void> write_hdf5(PartialFile& partial, const PartWindows& part, int deflate, Executor* executor) {
  using namespace hdf5;
  try {
    Handle file = create_file(partial.path());
    put_attribute(file, "creator", std::string("sdskit"));
    {
      ChunkWriter writer(executor);
      for (std::size_t t = 0; t < part.shapes.size(); ++t) {
        const Shape& shape = part.shapes[t];
        Column x(file, "x" + shape.suffix, ScalarType::f32, {shape.samples, shape.channels.size()}, deflate, writer);
        auto done = for_each_values(part, t, shape, [&](ByteView bytes) -> Expected<void> {
          while (!bytes.empty()) {
            const std::size_t n = std::min(x.room(), bytes.size() / shape.window_bytes());
            std::copy_n(bytes.begin(), n * shape.window_bytes(), x.extend(n));
            x.commit();
            bytes = bytes.subspan(n * shape.window_bytes());
          }
          return {};
        });
        if (!done) return done;
        x.finish();
        writer.finish();
        if (shape.counted) write_column(file, "count" + shape.suffix, counts_of(part, t), deflate, writer);
      }
      write_column(file, "y", part.y, deflate, writer);
      write_column(file, "recording", part.recording, deflate, writer);
    }
    write_numbers(file, "begin", part.begin);
    write_strings(file, "classes", part.names.classes);
    write_strings(file, "recordings", part.names.recordings);
    for (const auto& shape : part.shapes) write_strings(file, ("channels" + shape.suffix).c_str(), shape.channels);
    close_file(std::move(file));
  } catch (const HdfProblem& problem) {
    return fail(ErrorCode::io, problem.message, partial.final_path());
  }
  return {};
}

// An error where what writes this format cannot be loaded.
Expected<void> writer_of(TensorFormat format) {
  if (format == TensorFormat::npz) return archive_functions().map([](auto*) {});
  return hdf5_functions().map([](auto*) {});
}

// The shape that the windows of all recordings have; an error where they have several.
Expected<std::vector<Shape>> shapes_of(const std::vector<DatasetItem>& items,
                                       const std::vector<RecordingWindows>& windows) {
  std::vector<Shape> shapes;
  FileNames names;  // members of an archive become files where it is unpacked
  for (const auto& tensor : windows.front().tensors) {
    Shape& shape = shapes.emplace_back();
    shape.samples = tensor.samples;
    shape.channels = tensor.channels;
    shape.counted = !tensor.stream.empty();
    if (shape.counted) {
      shape.suffix = "." + names.take(tensor.stream, ".npy");
      shape.suffix.resize(shape.suffix.size() - std::string_view(".npy").size());
    }
  }
  for (std::size_t i = 0; i < items.size(); ++i)
    for (std::size_t t = 0; t < shapes.size(); ++t) {
      const WindowTensor& tensor = windows[i].tensors[t];
      const WindowTensor& first = windows.front().tensors[t];
      if (tensor.channels != first.channels || tensor.samples != first.samples)
        return fail(ErrorCode::bad_input,
                    fmt::format("{} has windows of {} samples and {} channels, {} of {} and {}: one dataset needs one "
                                "shape (sds resample)",
                                items[i].name, tensor.samples, tensor.channels.size(), items.front().name,
                                first.samples, first.channels.size()),
                    items[i].path);
      for (const std::uint32_t count : tensor.counts)
        shapes[t].samples = std::max<std::size_t>(shapes[t].samples, count);
    }
  for (const auto& shape : shapes)
    if (shape.samples * shape.channels.size() > max_window_values)
      return fail(ErrorCode::limit, "a window of more than 4 million values", items.front().path);
  return shapes;
}

PartWindows windows_of_part(std::size_t which, const std::vector<DatasetItem>& items,
                            const std::vector<RecordingWindows>& windows, const std::vector<Shape>& shapes,
                            const Names& names) {
  PartWindows part{{}, {}, {}, {}, shapes, names};
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].part != which) continue;
    part.recordings.push_back(&windows[i]);
    for (std::size_t w = 0; w < windows[i].begins.size(); ++w) {
      const std::string& name = windows[i].classes[w];
      const auto at = std::lower_bound(names.classes.begin(), names.classes.end(), name);
      part.y.push_back(name.empty() ? -1 : static_cast<std::int32_t>(at - names.classes.begin()));
      part.recording.push_back(static_cast<std::int32_t>(i));
      part.begin.push_back(windows[i].begins[w]);
    }
  }
  return part;
}

void add_counts(const std::vector<WindowCounts>& of_recording, std::vector<WindowCounts>& all) {
  all.resize(of_recording.size());
  for (std::size_t t = 0; t < of_recording.size(); ++t) {
    all[t].stream = of_recording[t].stream;
    all[t].samples = of_recording[t].samples;
    all[t].largest = std::max(all[t].largest, of_recording[t].largest);
    all[t].fewer += of_recording[t].fewer;
    all[t].more += of_recording[t].more;
  }
}

}  // namespace

Expected<DatasetReport> export_windows(std::vector<DatasetItem>& items, const WindowOptions& options,
                                       TensorFormat format, const std::filesystem::path& directory, Executor* executor,
                                       const OnProgress& on_progress) {
  const char* extension = format == TensorFormat::npz ? ".npz" : ".h5";
  for (const char* name : part_names)
    if (auto ok = refuse_existing(directory / (std::string(name) + extension), options.force); !ok) return fail(ok);
  if (auto there = writer_of(format); !there) return fail(there);
  if (auto made = make_directories(directory); !made) return fail(made);
  // Beside the outputs, where there is room for them.
  auto scratch = ScratchFolder::create_in(directory);
  if (!scratch) return fail(scratch);
  std::vector<RecordingWindows> windows(items.size());
  std::mutex progress_mutex;
  std::optional<Error> stopped;
  const OnProgress shared_progress = [&](std::uint64_t bytes) -> Expected<void> {
    const std::lock_guard lock(progress_mutex);
    if (stopped) return tl::unexpected<Error>(*stopped);
    auto go_on = report(on_progress, bytes);
    if (!go_on) stopped = go_on.error();
    return go_on;
  };
  for_each_parallel(executor, items.size(), [&](std::size_t i) {
    const auto cut = options.streams.size() > 1 ? cut_joint_windows : cut_windows;
    const auto values = scratch->path() / fmt::format("{}.f32", i);
    if (auto done = cut(items[i], options, values, windows[i], shared_progress); !done) windows[i].error = done.error();
  });
  DatasetReport report;
  Names names;
  std::set<std::string> classes;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const RecordingWindows& of_item = windows[i];
    if (of_item.error) return tl::unexpected<Error>(*of_item.error);
    items[i].windows = of_item.begins.size();
    names.recordings.push_back(items[i].name);
    report.windows += of_item.begins.size();
    report.unlabelled += of_item.unlabelled;
    for (const auto& name : of_item.classes)
      if (!name.empty()) classes.insert(name);
    report.notes.insert(report.notes.end(), of_item.notes.begin(), of_item.notes.end());
    add_counts(of_item.unusual, report.counts);
  }
  names.classes.assign(classes.begin(), classes.end());
  if (items.empty()) return report;
  auto shapes = shapes_of(items, windows);
  if (!shapes) return fail(shapes);
  for (std::size_t p = 0; p < part_names.size(); ++p) {
    const PartWindows part = windows_of_part(p, items, windows, *shapes, names);
    if (part.begin.empty()) continue;
    auto file = PartialFile::create(directory / (std::string(part_names[p]) + extension), if_exists(options.force));
    if (!file) return fail(file);
    auto done = format == TensorFormat::npz ? write_npz(*file, part, options.compress)
                                            : write_hdf5(*file, part, options.deflate, executor);
    if (!done) return fail(done);
    if (auto kept = file->keep(); !kept) return fail(kept);
    report.files.push_back(file->final_path());
  }
  return report;
}

}  // namespace sds
