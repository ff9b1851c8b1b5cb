#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <set>

#include "plot.hpp"
#include "plot_axis.hpp"
#include "plot_colors.hpp"
#include "plot_labels.hpp"
#include "scratch_folder.hpp"
#include "sds/bridge/child_process.hpp"
#include "sds/format/partial_file.hpp"

namespace sds {

namespace {

constexpr int kLookMs = 100;  // for who wants to interrupt

// In gnuplot's single quotes only the quote itself is special; ours come from recordings.
std::string gnuplot_text(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out += '\'';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + "'";
}

std::string series_data(const PlotSeries& series) {
  std::string out;
  for (std::size_t i = 0; i < series.times.size(); ++i)
    // An empty line interrupts the curve.
    out += std::isnan(series.low[i]) ? std::string("\n")
                                     : fmt::format("{} {} {}\n", series.times[i], series.low[i], series.high[i]);
  return out;
}

// Values that have no line to a neighbour, as dots; of a column that stands for many, a stroke from dot to dot.
std::string lone_values(const PlotSeries& series) {
  std::string out;
  const auto is_value = [&](std::size_t i) { return i < series.low.size() && !std::isnan(series.low[i]); };
  for (std::size_t i = 0; i < series.times.size(); ++i)
    if (is_value(i) && (i == 0 || !is_value(i - 1)) && !is_value(i + 1))
      out += fmt::format("{0} {1}\n{0} {2}\n\n", series.times[i], series.low[i], series.high[i]);
  return out;
}

std::string spectrogram_data(const Plot& plot, const PlotSpectrogram& s) {
  std::string out;
  for (std::size_t c = 0; c < s.columns; ++c)
    for (std::size_t r = 0; r < s.rows; ++r) {
      const float value = s.db[r * s.columns + c];
      out += fmt::format(
          "{} {} {}\n",
          plot.begin + (static_cast<double>(c) + 0.5) / static_cast<double>(s.columns) * (plot.end - plot.begin),
          (static_cast<double>(r) + 0.5) / static_cast<double>(s.rows) * s.max_hz / 1000,
          std::isnan(value) ? -120.0f : value);
    }
  return out;
}

// Of what it printed only what is wrong, without the script and its path.
std::string what_gnuplot_said(const std::string& log) {
  std::string last = "failed";
  for (std::size_t at = 0; at < log.size();) {
    const std::size_t end = std::min(log.find('\n', at), log.size());
    if (end > at) last = log.substr(at, end - at);
    at = end + 1;
  }
  const std::size_t place = last.rfind("\" line ");
  const std::size_t colon = place == std::string::npos ? place : last.find(": ", place);
  return (colon == std::string::npos ? last : last.substr(colon + 2)).substr(0, 200);
}

// What gnuplot draws comes through a pipe: it does not look whether its own writing succeeds. It ends with this.
Expected<void> run_gnuplot(const std::filesystem::path& script, const std::filesystem::path& log_path,
                           ByteSink& picture, const OnProgress& on_progress) {
  const Descriptor log(::open(log_path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (log.get() < 0) return fail_errno(errno, "cannot create", log_path);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "cannot make a pipe", {});
  const Descriptor from(ends[0]);
  Descriptor to(ends[1]);
  ChildProcess child;
  if (auto started = child.start({"gnuplot", script.string()}, {{to.get(), 1}, {log.get(), 2}}, {}); !started)
    return fail(ErrorCode::io,
                "PNG and SVG are drawn by gnuplot, which is not installed (Debian: apt-get install gnuplot-nox "
                "fonts-dejavu-core); HTML needs none");
  to = Descriptor();
  Bytes piece(std::size_t{1} << 16);
  bool anything = false;
  for (;;) {
    if (auto go_on = report(on_progress, 0); !go_on) return go_on;
    pollfd readable{from.get(), POLLIN, 0};
    if (::poll(&readable, 1, kLookMs) <= 0) continue;
    const ssize_t got = ::read(from.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "cannot read from gnuplot", {});
    if (got == 0) break;
    anything = true;
    if (auto done = picture.append(ByteView(piece).first(static_cast<std::size_t>(got))); !done) return done;
  }
  const int status = child.wait();
  if (anything && WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  auto said = read_small_file(log_path, 1u << 20);
  return fail(ErrorCode::io, "gnuplot: " + what_gnuplot_said(said ? *said : std::string()), picture.path());
}

constexpr double kLeft = 70;  // pixels
constexpr double kRight = 20;
constexpr double kPanel = 144;
constexpr double kBetween = 16;  // above a spectrogram and the labels: numbers of two axes do not meet
constexpr double kTextRow = 18;
constexpr double kLabelRow = 18;

// Places panels from top to bottom.
class PanelPlaces {
 public:
  PanelPlaces(double top, double height) : at_(top), height_(height) {}
  [[nodiscard]] double at() const { return at_; }
  std::string next(double above, double pixels) {
    const double top = at_ + above;
    at_ = top + pixels;
    return fmt::format("set tmargin at screen {:.5f}\nset bmargin at screen {:.5f}\n", 1 - top / height_,
                       1 - at_ / height_);
  }

 private:
  double at_;
  double height_;
};

struct LegendEntry {
  std::string text;
  std::string color;
  double x = 0;  // pixels
  std::size_t row = 0;
};

// Texts from left to right, in up to `most_rows` rows.
class Legend {
 public:
  Legend(unsigned width, std::size_t most_rows) : width_(width), most_rows_(most_rows) {}
  void add(const std::string& text, const std::string& color) {
    if (left_out_ > 0) {
      ++left_out_;
      return;
    }
    const double needed = text_pixels(text) + 10;
    if (x_ > kLeft && x_ + needed > width_ - kRight) {
      x_ = kLeft;
      ++row_;
    }
    if (row_ == most_rows_) {
      left_out_ = 1;
      return;
    }
    entries_.push_back({text, color, x_, row_});
    x_ += needed;
  }
  [[nodiscard]] double pixels() const {
    if (entries_.empty()) return 0;
    return kTextRow * static_cast<double>(entries_.back().row + (left_out_ > 0 ? 2 : 1));
  }
  [[nodiscard]] std::string script(int number, double top, double height) const {
    std::string out;
    const auto label = [&](const LegendEntry& entry) {
      const double y = top + kTextRow * (static_cast<double>(entry.row) + 0.5);
      out += fmt::format("set label {} {} at screen {:.5f}, screen {:.5f} left front textcolor rgb '{}'\n", number++,
                         gnuplot_text(entry.text), entry.x / width_, 1 - y / height, entry.color);
    };
    for (const auto& entry : entries_) label(entry);
    if (left_out_ > 0) label({fmt::format("and {} more", left_out_), "#4a5560", kLeft, most_rows_});
    return out;
  }

 private:
  double width_;
  std::size_t most_rows_;
  double x_ = kLeft;
  std::size_t row_ = 0;
  std::size_t left_out_ = 0;
  std::vector<LegendEntry> entries_;
};

std::string swatch(const std::string& name) { return "\u25A0 " + name; }

// The classes of the labels, beneath the title.
Legend legend_of(const Plot& plot, unsigned width) {
  std::set<std::string> names;
  for (const auto& label : plot.labels) names.insert(label.name);
  Legend legend(width, 4);
  for (const auto& name : names) legend.add(swatch(name), color_of(plot, name));
  return legend;
}

// What stands above a panel: its title and the names of its curves.
Legend heading_of(const PlotPanel& panel, unsigned width) {
  Legend legend(width, 4);
  legend.add(panel.title + (panel.unit.empty() ? "" : " (" + panel.unit + ")"), "#20262c");
  for (std::size_t i = 0; i < panel.series.size(); ++i) legend.add(swatch(panel.series[i].name), series_color(i));
  return legend;
}

// Shades the labels' times in every panel; what is too short to be seen is a line.
std::string shades(const Plot& plot, double pixel) {
  std::string out;
  int object = 1;
  for (const auto& label : plot.labels) {
    const bool is_short = label.end - label.begin < 1.5 * pixel;
    out += fmt::format(
        "set object {} rect from {}, graph 0 to {}, graph 1 fc rgb '{}' fs transparent solid {} noborder behind\n",
        object++, label.begin, is_short ? label.begin + pixel : label.end, color_of(plot, label.name),
        is_short ? 0.5 : 0.12);
  }
  return out;
}

// The bars of the labels, and their names.
std::string label_bars(const Plot& plot, const std::vector<PlacedLabel>& placed, double pixel) {
  using Name = PlacedLabel::Name;
  std::string out;
  const auto rows = static_cast<double>(rows_of(placed));
  for (std::size_t i = 0; i < placed.size(); ++i) {
    const PlacedLabel& at = placed[i];
    const std::string color = color_of(plot, plot.labels[i].name);
    const double top = 1 - static_cast<double>(at.row) / rows;
    const auto time = [&](double pixels) { return plot.begin + pixels * pixel; };
    out += fmt::format(
        "set object {} rect from {}, graph {:.5f} to {}, graph {:.5f} fc rgb '{}' fs solid 0.8 noborder front\n", i + 1,
        time(at.from), top - 0.9 / rows, time(at.to), top - 0.1 / rows, color);
    if (at.name == Name::none) continue;
    const double x = at.name == Name::inside ? (at.from + at.to) / 2 : at.name == Name::right ? at.to + 3 : at.from - 3;
    out += fmt::format("set label {} at {}, graph {:.5f} {} front textcolor rgb '{}'\n",
                       gnuplot_text(plot.labels[i].name), time(x), top - 0.5 / rows,
                       at.name == Name::inside  ? "center"
                       : at.name == Name::right ? "left"
                                                : "right",
                       at.name == Name::inside ? "white" : color);
  }
  return out;
}

// Where the ticks of the time axis are: seconds by gnuplot's own choice, of longer times hours, minutes and seconds.
std::string time_ticks(const Plot& plot) {
  if (!tells_clock(plot.begin, plot.end)) return "";
  double step = kClockSteps_s.back();
  while (step * 12 < plot.end - plot.begin) step *= 2;
  for (const double each : kClockSteps_s)
    if (each * 12 >= plot.end - plot.begin) {
      step = each;
      break;
    }
  return fmt::format("set xtics time {}\n", step);
}

// The texts beneath the last of them.
std::string time_axis(const Plot& plot) {
  const bool clock = tells_clock(plot.begin, plot.end);
  // Of late times as many digits as tell them apart.
  const double late = std::max(std::abs(plot.begin), std::abs(plot.end)) / (plot.end - plot.begin);
  const int digits = std::clamp(static_cast<int>(std::log10(std::max(1.0, late))) + 4, 6, 15);
  return fmt::format("set format x '{}'\nset xlabel '{}' textcolor rgb '#4a5560'\n",
                     clock ? std::string("%tH:%tM:%tS") : fmt::format("%.{}g", digits),
                     clock ? "hours, minutes, seconds" : "seconds");
}

}  // namespace

Expected<void> draw_with_gnuplot(const Plot& plot, const std::filesystem::path& output, unsigned width, bool force,
                                 const OnProgress& on_progress) {
  if (auto ok = refuse_existing(output, force); !ok) return ok;
  auto scratch = ScratchFolder::create();
  if (!scratch) return fail(scratch);
  const bool svg = output.extension() == ".svg";
  const auto legend = legend_of(plot, width);
  const double across = width - kLeft - kRight;
  const auto placed = place_labels(plot, across);
  const double pixel = (plot.end - plot.begin) / across;  // in seconds
  const double label_pixels = kLabelRow * static_cast<double>(rows_of(placed));
  std::vector<Legend> headings;
  double total = 32 + legend.pixels() + 48;  // the title above, the axis beneath
  for (const auto& panel : plot.panels) {
    headings.push_back(heading_of(panel, width));
    total += 4 + headings.back().pixels() + kPanel;
  }
  total += (kBetween + kPanel) * static_cast<double>(plot.spectrograms.size());
  if (!placed.empty()) total += kBetween + label_pixels;
  const auto height = static_cast<unsigned>(total);
  auto file = PartialFile::create(output, if_exists(force));
  if (!file) return fail(file);
  const std::string size = fmt::format("size {},{}", width, height);
  std::string script =
      svg ? fmt::format("set terminal svg {} dynamic font 'DejaVu Sans,12' background rgb 'white' noenhanced\n", size)
          : fmt::format("set terminal pngcairo {} font 'DejaVu Sans,9' noenhanced\n", size);
  script += fmt::format("set multiplot\nset lmargin at screen {:.5f}\nset rmargin at screen {:.5f}\n", kLeft / width,
                        1 - kRight / width);
  script += fmt::format("set xrange [{}:{}]\nset style fill solid 0.45 noborder\nunset key\n", plot.begin, plot.end);
  script +=
      "set grid lc rgb '#e4e7eb' lt 1\nset border 3 lc rgb '#8a94a0'\nset tics nomirror textcolor rgb '#4a5560'\nset "
      "format x ''\nset ytics autofreq\n";
  script += time_ticks(plot);
  script += fmt::format("set label 1 {} at screen 0.5, screen {:.5f} center font ',13' textcolor rgb '#20262c'\n",
                        gnuplot_text(plot.title), 1 - 16.0 / height);
  script += legend.script(10, 32, height);
  PanelPlaces layout(32 + legend.pixels(), height);
  script += shades(plot, pixel);
  std::size_t number = 0;
  const auto write_data = [&](const std::string& text) -> Expected<std::string> {
    const auto path = scratch->path() / fmt::format("{}.dat", number++);
    if (auto done = write_scratch_file(path, text); !done) return fail(done);
    return path.string();
  };
  const std::size_t count = plot.panels.size() + plot.spectrograms.size();
  std::size_t drawn = 0;
  const auto last_axis = [&] {
    ++drawn;
    if (drawn == count && plot.labels.empty()) script += time_axis(plot);
  };
  for (const auto& panel : plot.panels) {
    const Legend& heading = headings[static_cast<std::size_t>(&panel - plot.panels.data())];
    script += heading.script(1000, layout.at() + 4, height);
    script += layout.next(4 + heading.pixels(), kPanel);
    last_axis();
    std::string curves;
    for (std::size_t i = 0; i < panel.series.size(); ++i) {
      auto path = write_data(series_data(panel.series[i]));
      if (!path) return fail(path);
      const std::string color = series_color(i);
      // Not drawn, but in an SVG it is what a pointer tells; without it gnuplot names the scratch file there.
      const std::string title = " title " + gnuplot_text(panel.series[i].name);
      if (!curves.empty()) curves += ", ";
      curves += fmt::format(
          "{0} using 1:2:3{2} with filledcurves lc rgb '{1}', {0} using 1:(($2+$3)/2){2} with lines lw 1 lc rgb '{1}'",
          gnuplot_text(*path), color, title);
      const std::string lone = lone_values(panel.series[i]);
      if (lone.empty()) continue;
      path = write_data(lone);
      if (!path) return fail(path);
      curves += fmt::format(", {} using 1:2{} with linespoints lw 1 pt 7 ps 0.4 lc rgb '{}'", gnuplot_text(*path),
                            title, color);
    }
    script += "plot " + curves + "\nunset label\n";
    // A spectrogram stands beneath the stream that it is of.
    for (const auto& spectrogram : plot.spectrograms) {
      if (&plot.panels[spectrogram.panel] != &panel) continue;
      auto path = write_data(spectrogram_data(plot, spectrogram));
      if (!path) return fail(path);
      float top = -1e30f;
      for (const float value : spectrogram.db)
        if (value > top) top = value;
      script += layout.next(kBetween, kPanel);
      last_axis();
      script += fmt::format(
          "set ylabel 'kHz' textcolor rgb '#4a5560'\nset yrange [0:{}]\nset cbrange [{}:{}]\nunset colorbox\n",
          spectrogram.max_hz / 1000, top - 80, top);
      script += "set palette defined (0 '#0b1026', 0.35 '#3b2a7a', 0.6 '#b0346f', 0.82 '#f58a4b', 1 '#fdf2c0')\n";
      script += fmt::format("plot {} using 1:2:3 title 'spectrogram' with image\nset autoscale y\nunset ylabel\n",
                            gnuplot_text(*path));
    }
  }
  if (!plot.labels.empty()) {
    script += layout.next(kBetween, label_pixels);
    script += time_axis(plot) + "set yrange [0:1]\nunset ytics\nset ylabel 'labels'\nunset grid\n";
    script += label_bars(plot, placed, pixel);
    script += "plot -1\n";
  }
  script += "unset multiplot\n";
  const auto script_path = scratch->path() / "plot.gp";
  if (auto done = write_scratch_file(script_path, script); !done) return done;
  if (auto drawn_into = run_gnuplot(script_path, scratch->path() / "gnuplot.log", file->sink(), on_progress);
      !drawn_into)
    return drawn_into;
  return file->keep();
}

}  // namespace sds
