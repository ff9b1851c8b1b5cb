#include "sds/tools/dataset.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <numeric>
#include <set>
#include <tuple>

#include "export/hdf5_columns.hpp"
#include "export/npz_writer.hpp"
#include "json_text.hpp"
#include "sds/format/names.hpp"
#include "sds/format/partial_file.hpp"
#include "sds/format/stream_losses.hpp"
#include "sds/player/fingerprint.hpp"
#include "sds/tools/channel_values.hpp"
#include "sds/tools/class_cover.hpp"
#include "sds/tools/label_tools.hpp"
#include "sds/tools/sampled_time.hpp"
#include "sds/tools/scratch_folder.hpp"
#include "sds/tools/time_span.hpp"
#include "session_ids.hpp"

namespace sds {

namespace {

std::string group_of(const DatasetItem& item, const Recording& recording, const std::string& by) {
  if (by == "recording" || by == "session") return item.name;
  if (by == "label") {
    for (const auto& stream : recording.streams())
      if (auto name = class_in_label(stream.description.label); !name.empty()) return name;
    return "";
  }
  const auto value = recording.sdsz() ? recording.sdsz()->session().get(by).value_or("") : "";
  return by == "device" ? without_port(value) : value;
}

// What has the same content, or is of one session, is in one group, whatever their groups were: that of the first name.
void join_groups(std::vector<DatasetItem>& items, bool by_session) {
  std::vector<std::size_t> order(items.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::tie(items[a].group, items[a].name) < std::tie(items[b].group, items[b].name);
  });
  std::map<std::string, std::string> group_with;  // by what is shared
  std::map<std::string, std::string> joined;      // a group, and the one that it is part of
  const auto root = [&](std::string name) {
    for (auto at = joined.find(name); at != joined.end(); at = joined.find(name)) name = at->second;
    return name;
  };
  for (const std::size_t i : order) {
    const DatasetItem& item = items[i];
    std::vector<std::string> shared{"content " + item.fingerprint};
    if (by_session)
      for (const auto& id : item.sessions) shared.push_back("session " + id);
    for (const auto& what : shared) {
      const auto a = root(group_with.emplace(what, item.group).first->second);
      const auto b = root(item.group);
      if (a != b) joined.emplace(std::max(a, b), std::min(a, b));
    }
  }
  for (auto& item : items) item.group = root(item.group);
}

// The windows of one recording: values in a scratch file, the rest in memory.
struct WindowPart {
  std::filesystem::path values;
  std::uint64_t windows = 0;
  std::vector<std::string> classes;  // one a window; empty: none
  std::vector<double> begins;
  std::uint64_t unlabelled = 0;
  std::vector<std::string> channels;
  std::size_t window_samples = 0;
  std::size_t stride_samples = 0;
  std::optional<Error> error;
  std::vector<std::string> notes;
};

// Which class covers most of [begin, end), if it covers enough.
std::string class_of(const LabelFile& labels, const std::string& stream, double begin, double end, double least) {
  const auto covered = covered_seconds(labels, stream, {{begin, end}});
  std::string most = class_with_most(covered);
  if (most.empty() || covered.at(most) < least * (end - begin) - 1e-9) return "";
  return most;
}

Expected<void> cut_windows(const DatasetItem& item, const WindowOptions& options, WindowPart& part,
                           const OnProgress& on_progress) {
  auto recording = options.open ? options.open(item.path) : Recording::open(item.path);
  if (!recording) return fail(recording);
  std::size_t index = 0;
  if (!options.stream.empty()) {
    auto found = recording->find_stream(options.stream);
    if (!found) return fail(found);
    index = *found;
  } else if (recording->streams().size() != 1) {
    return fail(ErrorCode::usage, "the recording has several streams: choose one with -s", item.path);
  }
  StreamLosses losses(*recording, index);
  bool lost = false;  // before the samples that come next
  SampleOptions sample_options;
  sample_options.on_block = [&](const BlockView& block) { lost = !losses.before(block).empty() || lost; };
  auto reader = SampleReader::open(*recording, index, sample_options, on_progress);
  if (!reader) return fail(reader);
  const Metadata& metadata = reader->metadata();
  if (!metadata.sample_frequency)
    return fail(ErrorCode::usage,
                fmt::format("stream {} has no sample-frequency: windows need one", recording->streams()[index].id),
                item.path);
  auto values = choose_values(metadata, options.channels);
  if (!values) return fail(values);
  for (const auto& ref : *values) part.channels.push_back(ref.name(metadata));
  const double rate = metadata.sample_frequency->hz();
  part.window_samples = static_cast<std::size_t>(std::llround(options.window_s * rate));
  part.stride_samples = static_cast<std::size_t>(std::llround(options.stride_s * rate));
  if (part.window_samples == 0 || part.stride_samples == 0)
    return fail(ErrorCode::usage, fmt::format("a window or stride is shorter than a sample at {} Hz", rate), item.path);
  const std::size_t row = values->size();
  if (part.window_samples * row > (std::size_t{4} << 20))
    return fail(ErrorCode::limit, "a window of more than 4 million values", item.path);
  auto labels = labels_of(*recording);
  if (!labels) return fail(labels);
  auto sink = OutputFile::create(part.values, IfExists::overwrite);
  if (!sink) return fail(sink);
  const std::string& stream = recording->streams()[index].id;
  std::vector<float> window;  // samples without a gap
  std::vector<double> times;  // theirs: by their blocks' ticks, whatever the sensor's true rate is
  double expected = 0;
  std::size_t skip = 0;  // samples until the next window begins, where the stride is longer than the window
  bool any = false;
  std::vector<double> column;
  Bytes out;
  for (;;) {
    auto run = reader->next();
    if (!run) return fail(run);
    if (*run == nullptr) break;
    const SampleRun& samples = **run;
    const double length = static_cast<double>(samples.count) / rate;
    if (any &&
        (lost || std::abs(samples.times[0] - expected) > std::max(0.5 * length, 2 / metadata.tick_frequency.hz()))) {
      window.clear();
      times.clear();
      skip = 0;
    }
    any = true;
    lost = false;
    expected = samples.times[0] + length;
    std::size_t at = 0;
    while (at < samples.count) {
      const std::size_t skipped = std::min(skip, samples.count - at);
      skip -= skipped;
      at += skipped;
      if (at == samples.count) break;
      const std::size_t have = times.size();
      const std::size_t n = std::min(part.window_samples - have, samples.count - at);
      column.resize(n);
      window.resize((have + n) * row);
      for (std::size_t v = 0; v < row; ++v) {
        const auto& ref = (*values)[v];
        physical_values(metadata.channels[ref.channel], ref.element, samples.data + at * metadata.sample_bytes, n,
                        metadata.sample_bytes, column.data());
        for (std::size_t k = 0; k < n; ++k) window[(have + k) * row + v] = static_cast<float>(column[k]);
      }
      times.insert(times.end(), samples.times.begin() + static_cast<std::ptrdiff_t>(at),
                   samples.times.begin() + static_cast<std::ptrdiff_t>(at + n));
      at += n;
      if (have + n < part.window_samples) break;
      const double begin = times.front();
      const double end = times.back() + 1 / rate;
      std::string name = class_of(*labels, stream, begin, end, options.min_label_share);
      if (name.empty()) ++part.unlabelled;
      if (!name.empty() || options.keep_unlabelled) {
        out.clear();
        for (const float value : window) append_le(out, value);
        if (auto done = (*sink)->append(out); !done) return done;
        part.classes.push_back(std::move(name));
        part.begins.push_back(begin);
        ++part.windows;
      }
      if (part.stride_samples < part.window_samples) {
        window.erase(window.begin(), window.begin() + static_cast<std::ptrdiff_t>(part.stride_samples * row));
        times.erase(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(part.stride_samples));
      } else {
        window.clear();
        times.clear();
        skip = part.stride_samples - part.window_samples;
      }
    }
  }
  for (const auto& notes : {reader->notes(), reader->notes_of_losses("cut out, no window reaches across")})
    for (const auto& note : notes) part.notes.push_back(item.name + ": " + note);
  return (*sink)->close();
}

// Hands the values of the windows of one part, in the items' order, to `take`, in pieces of whole windows.
Expected<void> for_each_values(const std::vector<DatasetItem>& items, const std::vector<WindowPart>& parts,
                               std::size_t which, const std::function<Expected<void>(ByteView)>& take) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].part != which || parts[i].windows == 0) continue;
    auto file = InputFile::open(parts[i].values);
    if (!file) return fail(file);
    const std::size_t window_bytes = parts[i].window_samples * parts[i].channels.size() * sizeof(float);
    Bytes piece(std::max<std::size_t>(1, (std::size_t{1} << 18) / window_bytes) * window_bytes);
    for (std::uint64_t at = 0, all = parts[i].windows * window_bytes; at < all; at += piece.size()) {
      piece.resize(std::min<std::uint64_t>(piece.size(), all - at));
      if (auto got = (*file)->read_exactly(at, piece); !got) return got;
      if (auto done = take(piece); !done) return done;
    }
  }
  return {};
}

// What goes beside the windows' values.
struct Beside {
  std::uint64_t windows = 0;
  std::vector<std::int32_t> y;
  std::vector<std::int32_t> recording;
  std::vector<double> begin;
};

template <class T>
Bytes packed(const std::vector<T>& numbers) {
  Bytes out;
  for (const T number : numbers) append_le(out, number);
  return out;
}

struct Names {
  std::vector<std::string> classes;
  std::vector<std::string> recordings;
  std::vector<std::string> channels;
};

Expected<void> write_npz(PartialFile& file, const std::vector<DatasetItem>& items, const std::vector<WindowPart>& parts,
                         std::size_t which, const Beside& beside, const Names& names, std::size_t window_samples,
                         bool compress) {
  auto npz = NpzWriter::create(file.borrow_sink(), compress);
  if (!npz) return fail(npz);
  NpzWriter& out = **npz;
  const std::string count = fmt::format("({},)", beside.windows);
  if (auto done =
          out.begin("x", "'<f4'", fmt::format("({}, {}, {})", beside.windows, window_samples, names.channels.size()),
                    beside.windows * window_samples * names.channels.size() * sizeof(float));
      !done)
    return done;
  if (auto done = for_each_values(items, parts, which, [&](ByteView bytes) { return out.append(bytes); }); !done)
    return done;
  if (auto done = out.put("y", "'<i4'", count, packed(beside.y)); !done) return done;
  if (auto done = out.put("recording", "'<i4'", count, packed(beside.recording)); !done) return done;
  if (auto done = out.put("begin", "'<f8'", count, packed(beside.begin)); !done) return done;
  for (const auto& [name, texts] :
       {std::pair{"classes", &names.classes}, {"recordings", &names.recordings}, {"channels", &names.channels}})
    if (auto done = out.put_texts(name, *texts); !done) return done;
  return out.close();
}

Expected<void> write_hdf5(PartialFile& partial, const std::vector<DatasetItem>& items,
                          const std::vector<WindowPart>& parts, std::size_t which, const Beside& beside,
                          const Names& names, std::size_t window_samples, int deflate, Executor* executor) {
  using namespace hdf5;
  try {
    Handle file = create_file(partial.path());
    put_attribute(file, "creator", std::string("sdskit"));
    {
      ChunkWriter writer(executor);
      Column x(file, "x", ScalarType::f32, {window_samples, names.channels.size()}, deflate, writer);
      const std::size_t window_bytes = window_samples * names.channels.size() * sizeof(float);
      auto done = for_each_values(items, parts, which, [&](ByteView bytes) -> Expected<void> {
        while (!bytes.empty()) {
          const std::size_t n = std::min(x.room(), bytes.size() / window_bytes);
          std::copy_n(bytes.begin(), n * window_bytes, x.extend(n));
          x.commit();
          bytes = bytes.subspan(n * window_bytes);
        }
        return {};
      });
      if (!done) return done;
      x.finish();
      Column y(file, "y", ScalarType::i32, {}, deflate, writer);
      Column recording(file, "recording", ScalarType::i32, {}, deflate, writer);
      for (std::size_t i = 0; i < beside.windows; ++i) {
        store_le(y.extend(1), beside.y[i]);
        y.commit();
        store_le(recording.extend(1), beside.recording[i]);
        recording.commit();
      }
      y.finish();
      recording.finish();
      writer.finish();
    }
    write_numbers(file, "begin", beside.begin);
    write_strings(file, "classes", names.classes);
    write_strings(file, "recordings", names.recordings);
    write_strings(file, "channels", names.channels);
    close_file(std::move(file));
  } catch (const HdfProblem& problem) {
    return fail(ErrorCode::io, problem.message, partial.final_path());
  }
  return {};
}

}  // namespace

void for_each_parallel(Executor* executor, std::size_t count, const std::function<void(std::size_t)>& work) {
  if (executor == nullptr) {
    for (std::size_t i = 0; i < count; ++i) work(i);
    return;
  }
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t running = 0;
    std::exception_ptr failure;  // the first one
  } state;
  const auto wait_below = [&](std::size_t limit) {
    for (;;) {
      std::unique_lock lock(state.mutex);
      if (state.running < limit) return;
      lock.unlock();
      if (executor->help()) continue;
      lock.lock();
      state.changed.wait(lock, [&] { return state.running < limit; });
      return;
    }
  };
  for (std::size_t i = 0; i < count; ++i) {
    wait_below(executor->concurrency());
    {
      const std::lock_guard lock(state.mutex);
      ++state.running;
    }
    const auto end = [&state](std::exception_ptr failure) {
      const std::lock_guard lock(state.mutex);
      if (failure && !state.failure) state.failure = std::move(failure);
      --state.running;
      state.changed.notify_all();
    };
    try {
      executor->run([&work, end, i] {
        std::exception_ptr failure;
        try {
          work(i);
        } catch (...) {
          failure = std::current_exception();
        }
        end(std::move(failure));
      });
    } catch (const std::bad_alloc&) {
      end(std::current_exception());
    }
  }
  wait_below(1);
  if (state.failure) std::rethrow_exception(state.failure);
}

Expected<DatasetItem> describe_item(const std::filesystem::path& path, const Recording& recording,
                                    const SplitOptions& options, const OnProgress& on_progress,
                                    const std::vector<std::size_t>& streams, const TimeRanges& within,
                                    const std::string& name) {
  DatasetItem item;
  item.name = name.empty() ? path.stem().string() : name;
  item.path = path;
  Fingerprint fingerprint;
  std::map<std::string, TimeRanges> sampled;
  std::set<std::string> others;  // streams that are not asked for
  for (std::size_t s = 0; s < recording.streams().size(); ++s) {
    auto cursor = recording.cursor(s);
    if (!cursor) return fail(cursor);
    const Frequency ticks = recording.streams()[s].tick_frequency();
    SampledTime time(recording, s);
    for (;;) {
      auto block = (*cursor)->next();
      if (!block) return fail(block);
      if (!*block) break;
      fingerprint.add(static_cast<std::uint32_t>(s), (*block)->tick, ticks, (*block)->data);
      time.add(**block);
      if (auto go_on = report(on_progress, (*block)->data.size() + 8); !go_on) return fail(go_on);
    }
    if (streams.empty() || std::find(streams.begin(), streams.end(), s) != streams.end()) {
      sampled.emplace(recording.streams()[s].id, both(time.ranges(), within));
    } else {
      others.insert(recording.streams()[s].id);
    }
  }
  item.fingerprint = fingerprint.hex();
  // Of samples, as those of classes are: where any of the streams has some.
  TimeRanges all_sampled;
  for (const auto& [stream, ranges] : sampled) all_sampled = either(all_sampled, ranges);
  item.seconds = total_seconds(all_sampled);
  auto labels = labels_of(recording);
  if (!labels) return fail(labels);
  std::vector<Label> all = std::move(labels->labels);
  labels->labels.clear();
  for (const auto& label : all)
    if (others.count(label.stream) == 0)
      for (auto& piece : pieces_within(*labels, label, within)) labels->labels.push_back(std::move(piece));
  item.classes = labelled_seconds(*labels, std::move(sampled));
  item.sessions = sessions_of(recording);
  item.group = group_of(item, recording, options.by);
  if (item.group.empty())
    return fail(ErrorCode::usage,
                fmt::format("the recording says nothing of its '{}', by which the split is to be made", options.by),
                path);
  return item;
}

std::string without_port(const std::string& device) {
  const auto colon = device.rfind(':');
  if (colon == std::string::npos || colon + 1 == device.size()) return device;
  const bool port = std::all_of(device.begin() + static_cast<std::ptrdiff_t>(colon) + 1, device.end(),
                                [](char c) { return c >= '0' && c <= '9'; });
  const bool bare_ipv6 = device.find(':') != colon && device[colon - 1] != ']';
  return port && !bare_ipv6 ? device.substr(0, colon) : device;
}

std::vector<std::string> empty_parts(const std::vector<DatasetItem>& items, const SplitOptions& options) {
  std::set<std::string> groups;
  for (const auto& item : items) groups.insert(item.group);
  std::vector<std::string> texts;
  for (std::size_t p = 0; p < part_names.size(); ++p) {
    const bool any = std::any_of(items.begin(), items.end(), [&](const DatasetItem& item) { return item.part == p; });
    if (options.shares[p] > 0 && !any)
      texts.push_back(fmt::format("{} gets nothing: there {} {} group{} of recordings only, and none is divided",
                                  part_names[p], groups.size() == 1 ? "is" : "are", groups.size(),
                                  groups.size() == 1 ? "" : "s"));
  }
  return texts;
}

void assign_parts(std::vector<DatasetItem>& items, const SplitOptions& options) {
  if (options.by != "recording") join_groups(items, options.by == "session");
  struct Group {
    std::uint64_t order = 0;
    std::string name;
    std::vector<DatasetItem*> items;
    std::map<std::string, double> classes;
  };
  std::map<std::string, Group> by_name;
  std::map<std::string, double> totals;
  for (auto& item : items) {
    Group& group = by_name[item.group];
    group.name = item.group;
    group.items.push_back(&item);
    auto classes = item.classes;
    if (classes.empty()) classes[""] = item.seconds;
    for (const auto& [name, time] : classes) {
      group.classes[name] += time;
      totals[name] += time;
    }
  }
  std::vector<Group> groups;
  for (auto& [name, group] : by_name) {
    group.order = XXH3_64bits_withSeed(name.data(), name.size(), options.seed);
    groups.push_back(std::move(group));
  }
  std::sort(groups.begin(), groups.end(),
            [](const Group& a, const Group& b) { return std::tie(a.order, a.name) < std::tie(b.order, b.name); });
  double sum = 0;
  for (const double share : options.shares) sum += share;
  std::array<std::map<std::string, double>, 3> have;
  for (auto& group : groups) {
    std::size_t best = 0;
    double most = -1e300;
    for (std::size_t p = 0; p < 3; ++p) {
      if (options.shares[p] <= 0) continue;
      // How much of what the group has is lacking, relative to what the part is to get.
      double lack = 0;
      for (const auto& [name, time] : group.classes) {
        const double wanted = options.shares[p] / sum * totals[name];
        if (wanted > 0) lack += time * (1 - (have[p][name] + 0.5 * time) / wanted);
      }
      if (lack > most) {
        most = lack;
        best = p;
      }
    }
    for (const auto& [name, time] : group.classes) have[best][name] += time;
    for (DatasetItem* item : group.items) item->part = best;
  }
  for (std::size_t p = 0; p < 3; ++p) {
    std::array<std::vector<Group*>, 3> of_part;
    for (auto& group : groups) of_part[group.items.front()->part].push_back(&group);
    if (options.shares[p] <= 0 || !of_part[p].empty()) continue;
    // From the part with most groups, the one with the least time.
    auto& fullest = *std::max_element(of_part.begin(), of_part.end(),
                                      [](const auto& a, const auto& b) { return a.size() < b.size(); });
    if (fullest.size() < 2) continue;
    const auto time = [](const Group* group) {
      double total = 0;
      for (const auto& [name, seconds] : group->classes) total += seconds;
      return total;
    };
    Group* least = *std::min_element(fullest.begin(), fullest.end(),
                                     [&](const Group* a, const Group* b) { return time(a) < time(b); });
    for (DatasetItem* item : least->items) item->part = p;
  }
}

Expected<DatasetReport> export_windows(std::vector<DatasetItem>& items, const WindowOptions& options,
                                       TensorFormat format, const std::filesystem::path& directory, Executor* executor,
                                       const OnProgress& on_progress) {
  const char* extension = format == TensorFormat::npz ? ".npz" : ".h5";
  for (const char* name : part_names)
    if (auto ok = refuse_existing(directory / (std::string(name) + extension), options.force); !ok) return fail(ok);
  if (auto made = make_directories(directory); !made) return fail(made);
  // Beside the outputs, where there is room for them.
  auto scratch = ScratchFolder::create_in(directory);
  if (!scratch) return fail(scratch);
  std::vector<WindowPart> parts(items.size());
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
    parts[i].values = scratch->path() / fmt::format("{}.f32", i);
    if (auto done = cut_windows(items[i], options, parts[i], shared_progress); !done) parts[i].error = done.error();
  });
  DatasetReport report;
  Names names;
  std::set<std::string> classes;
  const WindowPart* first = nullptr;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const WindowPart& part = parts[i];
    if (part.error) return tl::unexpected<Error>(*part.error);
    if (first == nullptr) {
      first = &part;
      names.channels = part.channels;
    } else if (part.channels != first->channels || part.window_samples != first->window_samples) {
      return fail(ErrorCode::bad_input,
                  fmt::format("{} has windows of {} samples and {} channels, {} of {} and {}: one dataset needs one "
                              "shape (sds resample)",
                              items[i].name, part.window_samples, part.channels.size(), items.front().name,
                              first->window_samples, first->channels.size()),
                  items[i].path);
    }
    items[i].windows = part.windows;
    names.recordings.push_back(items[i].name);
    report.windows += part.windows;
    report.unlabelled += part.unlabelled;
    for (const auto& name : part.classes)
      if (!name.empty()) classes.insert(name);
    report.notes.insert(report.notes.end(), part.notes.begin(), part.notes.end());
  }
  names.classes.assign(classes.begin(), classes.end());
  for (std::size_t p = 0; p < part_names.size(); ++p) {
    Beside beside;
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (items[i].part != p) continue;
      beside.windows += parts[i].windows;
      for (std::size_t w = 0; w < parts[i].windows; ++w) {
        const auto at = std::lower_bound(names.classes.begin(), names.classes.end(), parts[i].classes[w]);
        beside.y.push_back(parts[i].classes[w].empty() ? -1 : static_cast<std::int32_t>(at - names.classes.begin()));
        beside.recording.push_back(static_cast<std::int32_t>(i));
        beside.begin.push_back(parts[i].begins[w]);
      }
    }
    if (beside.windows == 0) continue;
    auto file = PartialFile::create(directory / (std::string(part_names[p]) + extension), if_exists(options.force));
    if (!file) return fail(file);
    auto done =
        format == TensorFormat::npz
            ? write_npz(*file, items, parts, p, beside, names, first->window_samples, options.compress)
            : write_hdf5(*file, items, parts, p, beside, names, first->window_samples, options.deflate, executor);
    if (!done) return fail(done);
    if (auto kept = file->keep(); !kept) return fail(kept);
    report.files.push_back(file->final_path());
  }
  return report;
}

namespace {

// Recordings of one name are told from each other by their folders.
std::string source_of(const DatasetItem& item) {
  const auto file = item.path.filename();
  if (item.name == item.path.stem().string()) return file.string();
  return (item.path.parent_path().filename() / file).generic_string();
}

}  // namespace

std::string manifest(const std::vector<DatasetItem>& items, const SplitOptions& split, const std::string& format,
                     const WindowOptions* windows, const std::vector<std::string>& files) {
  std::string out = "dataset:\n  version: 1\n";
  out += fmt::format("  format: {}\n  seed: {}\n  split-by: {}\n", format, split.seed, json_string(split.by));
  out += fmt::format("  shares: [{}, {}, {}]\n", split.shares[0], split.shares[1], split.shares[2]);
  if (windows != nullptr) {
    out += fmt::format("  window: {{seconds: {}, stride: {}, label-share: {}, unlabelled: {}", windows->window_s,
                       windows->stride_s, windows->min_label_share, windows->keep_unlabelled);
    if (!windows->stream.empty()) out += ", stream: " + json_string(windows->stream);
    out += "}\n";
  }
  out += "  parts:\n";
  const auto class_list = [](const std::map<std::string, double>& classes) {
    std::string list;
    for (const auto& [name, time] : classes)
      list += fmt::format("{}{}: {:.3f}", list.empty() ? "" : ", ", json_string(name), time);
    return "{" + list + "}";
  };
  for (std::size_t p = 0; p < part_names.size(); ++p) {
    std::size_t recordings = 0;
    double time = 0;
    std::uint64_t count = 0;
    std::map<std::string, double> classes;
    for (const auto& item : items) {
      if (item.part != p) continue;
      ++recordings;
      time += item.seconds;
      count += item.windows;
      for (const auto& [name, s] : item.classes) classes[name] += s;
    }
    if (recordings == 0) continue;
    out += fmt::format("    {}: {{recordings: {}, seconds: {:.3f}{}, class-seconds: {}}}\n", part_names[p], recordings,
                       time, windows != nullptr ? fmt::format(", windows: {}", count) : "", class_list(classes));
  }
  out += "  recordings:\n";
  for (const auto& item : items)
    out += fmt::format(
        "    - {{name: {}, source: {}, part: {}, group: {}, fingerprint: \"{}\", seconds: {:.3f}{}, class-seconds: "
        "{}}}\n",
        json_string(item.name), json_string(source_of(item)), part_names[item.part], json_string(item.group),
        item.fingerprint, item.seconds, windows != nullptr ? fmt::format(", windows: {}", item.windows) : "",
        class_list(item.classes));
  out += "  files:\n";
  for (const auto& file : files) out += fmt::format("    - {}\n", json_string(file));
  return out;
}

}  // namespace sds
