// From recordings to what a training script loads: windows with labels, and a split into train, validation and test
// that never runs through a recording.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "exports.hpp"

namespace sds {

/// How recordings are shared out. Groups are kept together; the same seed and recordings give the same parts on every
/// machine, in whatever order they are named.
struct SplitOptions {
  std::array<double, 3> shares{1, 0, 0};  ///< train, validation, test; of the labelled time of each class
  /// What keeps a group together. session: recordings of one session (parts that were cut from it), and copies of one
  /// recording. recording: nothing. device (without its port), label (of the file's name), or a key of the session;
  /// with these, too, copies of one recording stay together.
  std::string by = "session";
  std::uint64_t seed = 1;
};

inline constexpr std::array part_names{"train", "validation", "test"};

/// A recording of a dataset.
struct DatasetItem {
  std::string name;  ///< unique in the dataset: the file's stem, or `<stem>~2`
  std::filesystem::path path;
  std::string group;
  std::vector<std::string> sessions;      ///< their ids: several of a merged recording; none: none is known
  std::string fingerprint;                ///< of all blocks of all streams, one stream after the other
  double seconds = 0;                     ///< from the first begin of its streams to their last end, of the part
  std::map<std::string, double> classes;  ///< labelled seconds of the part
  std::size_t part = 0;                   ///< in part_names
  std::uint64_t windows = 0;
};

/// Looks at a recording: reads it once. Its seconds and classes are those of what goes into the dataset: of `streams`
/// (none: of all), `within` a part of the time. `name` empty: the file's stem.
Expected<DatasetItem> describe_item(const std::filesystem::path& path, const Recording& recording,
                                    const SplitOptions& options, const OnProgress& on_progress,
                                    const std::vector<std::size_t>& streams = {}, const StreamTimes& within = {},
                                    const std::string& name = {});

/// Sets the items' parts. Groups come in an order that only the seed and their names decide; each goes to the part that
/// lacks most of what it has. No part that is to have something stays empty where there are groups enough.
void assign_parts(std::vector<DatasetItem>& items, const SplitOptions& options);

struct WindowOptions {
  double window_s = 0;                ///< length
  double stride_s = 0;                ///< from one window's begin to the next one's
  std::vector<std::string> streams;   ///< none: the only one; several: windows have all of them
  std::vector<std::string> channels;  ///< empty: all
  double min_label_share = 0.5;       ///< a window has the class that covers most of it, if it covers at least so much
  bool keep_unlabelled = false;
  bool force = false;
  int deflate = 1;        ///< HDF5: level 0 (none) to 12
  bool compress = false;  ///< npz: deflate the arrays
  /// How a recording is opened; empty: Recording::open().
  std::function<Expected<Recording>(const std::filesystem::path&)> open;
};

enum class TensorFormat { npz, hdf5 };

/// The most values of one stream that a window has.
inline constexpr std::size_t max_window_values = std::size_t{4} << 20;

/// Of several streams that are cut by time: how many windows have other numbers of samples than the sample-frequency
/// gives.
struct WindowCounts {
  std::string stream;
  std::size_t samples = 0;  ///< of a window, by the sample-frequency
  std::size_t largest = 0;  ///< that any has
  std::uint64_t fewer = 0;
  std::uint64_t more = 0;
};

struct DatasetReport {
  std::uint64_t windows = 0;
  std::uint64_t unlabelled = 0;      ///< windows without a class; left out unless they are to be kept
  std::vector<WindowCounts> counts;  ///< of several streams
  std::vector<std::filesystem::path> files;
  std::vector<std::string> notes;
};

/// Cuts every recording into windows of equally many samples, none across a gap, and writes for each part that has any
/// `<directory>/<part>.npz` or `.h5`: x (windows, samples, channels) float32, physical; y int32, the index in
/// `classes`, -1 without a class; recording int32, the index in `recordings`; begin float64, seconds. Of several
/// streams a window is a span of time in which none of them has a gap, with `x.<stream>`, and `count.<stream>`, int32,
/// the samples that are there; behind them is NaN. Recordings are worked on in parallel by `executor`; the bytes are
/// the same for any number of threads. Sets the items' windows.
Expected<DatasetReport> export_windows(std::vector<DatasetItem>& items, const WindowOptions& options,
                                       TensorFormat format, const std::filesystem::path& directory, Executor* executor,
                                       const OnProgress& on_progress);

/// Says which parts get nothing although they are to, and why.
std::vector<std::string> empty_parts(const std::vector<DatasetItem>& items, const SplitOptions& options);

/// What is in a dataset, and where it came from: YAML. `files`: what else is in its folder (DatasetFolder::files()).
std::string manifest(const std::vector<DatasetItem>& items, const SplitOptions& split, const std::string& format,
                     const WindowOptions* windows, const std::vector<std::string>& files);

}  // namespace sds
