// Recordings in the formats that other tools read. Every function writes its outputs under temporary names and gives
// them their own when they are complete; what a format cannot hold is in the report's notes.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edge_impulse_labels.hpp"
#include "sample_reader.hpp"
#include "sds/format/steps.hpp"

namespace sds {

struct ExportOptions {
  SampleOptions samples;
  StreamTimes within;        ///< instead of SampleOptions::within, for exports of several streams
  bool physical = false;     ///< values as raw * scale + offset, as floats, where the format could hold raw ones
  int deflate = 1;           ///< HDF5: level 0 (none) to 12
  bool compress = false;     ///< npz: deflate the arrays
  double interval_s = 0.05;  ///< Qeexo: length of a row
  std::string label;         ///< class for formats that have one for a whole file; empty: from the labels
  std::string device_type = "sdskit";      ///< Edge Impulse
  bool multi_label = false;                ///< Edge Impulse: find the classes of the samples, for info.labels,
  std::vector<std::string> label_classes;  ///< of these; empty: of all
  bool raw_frames = false;                 ///< images: the frames' bytes instead of PNG
  bool force = false;                      ///< replace existing outputs
  /// Audio and Edge Impulse: which steps of the stream are gaps, for several parts of it; filled by the first that has
  /// to know. May be null.
  std::shared_ptr<std::optional<GapRule>> gap_rule;
};

struct ExportReport {
  std::uint64_t samples = 0;
  std::uint64_t streams = 0;
  std::vector<std::filesystem::path> files;
  std::vector<std::string> notes;
  std::uint64_t values_not_written = 0;  ///< for which the format has nothing: another value stands there
  std::vector<LabelledFile> labelled;    ///< with ExportOptions::multi_label
};

/// One stream as audio, by libsndfile: the format follows the file's name (wav, flac, aiff, au, caf, w64, ogg, ...).
/// Audio and sensor channels alike become the file's channels: integers as PCM of at least their width, floats as
/// floats, bit for bit; `physical` writes scaled floats. WAV beyond 4 GB becomes RF64. Needs a sample frequency; gaps
/// in time are closed, and noted.
Expected<ExportReport> export_audio(const Recording& recording, std::size_t stream, const std::filesystem::path& output,
                                    const ExportOptions& options, const OnProgress& on_progress);

/// A recording for export_hdf5, and the name of its group.
struct NamedRecording {
  std::string name;
  Recording recording;
  std::vector<std::size_t> streams;
  StreamTimes within{};  ///< instead of ExportOptions::within
};

/// One HDF5 file: a group a recording, in it a group a stream with `time` (seconds) and one dataset a channel, raw
/// values with the attributes `scale`, `offset`, `unit`, and a group `labels`. Chunked, shuffled, deflated; chunks are
/// compressed on `executor`'s threads. docs/exports.md has the layout.
Expected<ExportReport> export_hdf5(const std::vector<NamedRecording>& recordings, const std::filesystem::path& output,
                                   const ExportOptions& options, Executor* executor, const OnProgress& on_progress);

/// One `.npz`: for each stream `<id>` a structured array with a field a channel (raw values; physical ones with
/// `physical`), `<id>.time` in seconds, and `<id>.metadata`, the YAML.
Expected<ExportReport> export_npz(const Recording& recording, const std::vector<std::size_t>& streams,
                                  const std::filesystem::path& output, const ExportOptions& options,
                                  const OnProgress& on_progress);

/// Qeexo AutoML's CSV, version 2, as Arm's sds-convert writes it: a row for each interval, with raw values as lists.
/// Samples of a block belong to the interval of the block's timeslot. `timeslot` is in milliseconds.
Expected<ExportReport> export_qeexo(const Recording& recording, const std::vector<std::size_t>& streams,
                                    const std::filesystem::path& output, const ExportOptions& options,
                                    const OnProgress& on_progress);

/// Edge Impulse's data acquisition format, JSON or (with `cbor`) CBOR, unsigned. One stream with a sample frequency,
/// physical values.
Expected<ExportReport> export_edge_impulse(const Recording& recording, std::size_t stream,
                                           const std::filesystem::path& output, bool cbor, const ExportOptions& options,
                                           const OnProgress& on_progress);

/// MCAP with JSON messages, one a sample, in chunks compressed with zstd and indexed: a topic a stream, with a JSON
/// schema. Times are UTC where the recording has a clock pair, else seconds of the device's clock.
Expected<ExportReport> export_mcap(const Recording& recording, const std::vector<std::size_t>& streams,
                                   const std::filesystem::path& output, const ExportOptions& options,
                                   const OnProgress& on_progress);

/// The frames of an image stream as `<directory>/<stream>.<number>.png` (or `.raw`). RGB888, BGR888, RGB565, RAW8,
/// YUYV, UYVY, NV12, NV21, I420, YUV444 and YUV444P; YUV by BT.601, limited range, YUV444 full range.
Expected<ExportReport> export_images(const Recording& recording, std::size_t stream,
                                     const std::filesystem::path& directory, const ExportOptions& options,
                                     const OnProgress& on_progress);

}  // namespace sds
