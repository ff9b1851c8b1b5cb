// Pictures of recordings: channels over time with labels, outputs beneath, spectrograms of audio. PNG and SVG are drawn
// by gnuplot; HTML is one file that holds dygraphs, the data and, for short recordings, the sound.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "label_file.hpp"
#include "sample_reader.hpp"

namespace sds {

/// A value over time: for each of up to PlotOptions::columns stretches of time its smallest and largest value. Where
/// the line is interrupted, by a gap in time, a loss or values that are no numbers, a point is NaN.
struct PlotSeries {
  std::string name;
  std::vector<double> times;  ///< seconds
  std::vector<float> low;
  std::vector<float> high;
};

/// What shares an axis: the values of one stream that have one unit.
struct PlotPanel {
  std::string title;
  std::string unit;
  std::vector<PlotSeries> series;
};

/// Levels in dB, row by row from 0 Hz up; columns evenly over the plot's time. NaN: no data.
struct PlotSpectrogram {
  std::size_t panel = 0;  ///< in Plot::panels: it stands beneath that of the stream that it is of
  double max_hz = 0;
  std::size_t columns = 0;
  std::size_t rows = 0;
  std::vector<float> db;
};

struct PlotLabel {
  std::string name;
  double begin = 0;
  double end = 0;
};

struct Plot {
  std::string title;
  double begin = 0;  ///< seconds
  double end = 0;
  std::vector<PlotPanel> panels;
  std::vector<PlotSpectrogram> spectrograms;
  std::vector<PlotLabel> labels;
  std::string wav;       ///< a whole WAV file to listen to; empty: none
  double wav_begin = 0;  ///< its time
  std::vector<std::string> notes;
  std::uint64_t streams_read = 0;  ///< 0 where all came from the index
};

struct PlotOptions {
  std::vector<std::string> streams;   ///< empty: all
  std::vector<std::string> channels;  ///< empty: all
  std::optional<double> from;
  std::optional<double> to;
  std::size_t columns = 1500;
  bool spectrogram = true;  ///< of audio streams, and of single values at 4 kHz and more
  bool sound = false;       ///< put the first audio stream into Plot::wav, if it is short enough
};

/// Reads what is to be drawn of `recording`; `below` are further recordings (outputs of a replay), `with` are drawn
/// into the panels of the same streams, for comparison. A stream with at least columns / 2 sections in the time asked
/// for is drawn from the index's statistics alone, but for sections that must have a gap inside.
Expected<Plot> collect_plot(const Recording& recording, const std::vector<Recording>& below,
                            const std::vector<Recording>& with, const PlotOptions& options,
                            const OnProgress& on_progress);

/// Draws with gnuplot; the file's name says png or svg. `width` in pixels. `on_progress` is asked now and then.
Expected<void> draw_with_gnuplot(const Plot& plot, const std::filesystem::path& output, unsigned width, bool force,
                                 const OnProgress& on_progress);

/// One self-contained page.
Expected<void> write_plot_page(const Plot& plot, const std::filesystem::path& output, bool force);

}  // namespace sds
