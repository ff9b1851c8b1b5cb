#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <set>

#include "plot.hpp"
#include "plot_axis.hpp"
#include "plot_colors.hpp"
#include "scratch_folder.hpp"
#include "sds/bridge/child_process.hpp"
#include "sds/format/partial_file.hpp"

namespace sds {

namespace {

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
  if (out.empty()) out = "nan nan nan\n";
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

// What gnuplot draws comes through a pipe: it does not look whether its own writing succeeds.
Expected<void> run_gnuplot(const std::filesystem::path& script, const std::filesystem::path& log_path,
                           ByteSink& picture) {
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
  return fail(ErrorCode::io, "gnuplot: " + (said && !said->empty() ? said->substr(0, 500) : std::string("failed")),
              picture.path());
}

// Places panels from top to bottom, in fractions of the picture's height.
class PanelPlaces {
 public:
  PanelPlaces(double top, double height) : at_(top), unit_(height) {}
  std::string next(double parts) {
    const double top = at_;
    at_ -= parts * unit_;
    return fmt::format("set tmargin at screen {:.4f}\nset bmargin at screen {:.4f}\n", top, at_ + gap_);
  }
  static constexpr double gap_ = 0.012;

 private:
  double at_;
  double unit_;
};

}  // namespace

namespace {

struct LegendEntry {
  std::string name;
  std::string color;
  double x = 0;  // pixels
  std::size_t row = 0;
};

// The classes of the labels, in rows beneath the title.
std::vector<LegendEntry> legend_of(const Plot& plot, unsigned width) {
  std::set<std::string> names;
  for (const auto& label : plot.labels) names.insert(label.name);
  std::vector<LegendEntry> entries;
  double x = 70;
  std::size_t row = 0;
  for (const auto& name : names) {
    const auto characters = std::count_if(name.begin(), name.end(), [](char c) { return (c & 0xC0) != 0x80; });
    const double needed = 26 + 8.0 * static_cast<double>(characters);
    if (x > 70 && x + needed > width - 20.0) {
      x = 70;
      ++row;
    }
    if (row == 4) {
      entries.push_back({fmt::format("and {} more", names.size() - entries.size()), "#4a5560", x, row});
      break;
    }
    entries.push_back({name, color_of(plot, name), x, row});
    x += needed;
  }
  return entries;
}

// Where the ticks of the time axis are: seconds by gnuplot's own choice, of longer times hours, minutes and seconds.
std::string time_ticks(const Plot& plot) {
  if (plot.end - plot.begin < kClockFrom_s) return "";
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
  const bool clock = plot.end - plot.begin >= kClockFrom_s;
  return fmt::format("set format x '{}'\nset xlabel '{}' textcolor rgb '#4a5560'\n", clock ? "%tH:%tM:%tS" : "%g",
                     clock ? "hours, minutes, seconds" : "seconds");
}

}  // namespace

Expected<void> draw_with_gnuplot(const Plot& plot, const std::filesystem::path& output, unsigned width, bool force) {
  if (auto ok = refuse_existing(output, force); !ok) return ok;
  auto scratch = ScratchFolder::create();
  if (!scratch) return fail(scratch);
  const bool svg = output.extension() == ".svg";
  const double label_parts = plot.labels.empty() ? 0 : 0.35;
  const double parts =
      static_cast<double>(plot.panels.size()) + static_cast<double>(plot.spectrograms.size()) + label_parts;
  const auto legend = legend_of(plot, width);
  const double head = 44 + (legend.empty() ? 0 : 18.0 * static_cast<double>(legend.back().row + 1));
  const auto height = static_cast<unsigned>(36 + head + 170 * parts);
  auto file = PartialFile::create(output, if_exists(force));
  if (!file) return fail(file);
  const std::string size = fmt::format("size {},{}", width, height);
  std::string script =
      svg ? fmt::format("set terminal svg {} dynamic font 'DejaVu Sans,12' background rgb 'white' noenhanced\n", size)
          : fmt::format("set terminal pngcairo {} font 'DejaVu Sans,9' noenhanced\n", size);
  script += fmt::format("set multiplot\nset lmargin at screen {:.4f}\nset rmargin at screen {:.4f}\n", 70.0 / width,
                        1 - 20.0 / width);
  script += fmt::format(
      "set xrange [{}:{}]\nset style fill solid 0.45 noborder\nset key inside top right horizontal samplen 1 opaque\n",
      plot.begin, plot.end);
  script +=
      "set grid lc rgb '#e4e7eb' lt 1\nset border 3 lc rgb '#8a94a0'\nset tics nomirror textcolor rgb '#4a5560'\nset "
      "format x ''\nset ytics autofreq\n";
  script += time_ticks(plot);
  script += fmt::format("set label 1 {} at screen 0.5, screen {:.4f} center font ',13' textcolor rgb '#20262c'\n",
                        gnuplot_text(plot.title), 1 - 16.0 / height);
  for (std::size_t i = 0; i < legend.size(); ++i) {
    const double y = 1 - (40 + 18.0 * static_cast<double>(legend[i].row)) / height;
    script += fmt::format("set label {} {} at screen {:.4f}, screen {:.4f} left textcolor rgb '{}'\n", 10 + i,
                          gnuplot_text("\u25A0 " + legend[i].name), legend[i].x / width, y, legend[i].color);
  }
  PanelPlaces layout(1 - head / height, (1 - (head + 40) / height) / parts);
  int object = 1;
  for (const auto& label : plot.labels)
    script += fmt::format(
        "set object {} rect from {}, graph 0 to {}, graph 1 fc rgb '{}' fs transparent solid 0.12 noborder behind\n",
        object++, label.begin, label.end, color_of(plot, label.name));
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
    script += layout.next(1);
    last_axis();
    script += fmt::format("set label 2 {} at graph 0.004, graph 0.92 front textcolor rgb '#20262c'\n",
                          gnuplot_text(panel.title + (panel.unit.empty() ? "" : " (" + panel.unit + ")")));
    std::string curves;
    for (std::size_t i = 0; i < panel.series.size(); ++i) {
      auto path = write_data(series_data(panel.series[i]));
      if (!path) return fail(path);
      const std::string color = series_color(i);
      if (!curves.empty()) curves += ", ";
      curves += fmt::format(
          "{0} using 1:2:3 with filledcurves lc rgb '{1}' notitle, {0} using 1:(($2+$3)/2) with lines lw 1 lc rgb "
          "'{1}' title {2}",
          gnuplot_text(*path), color, gnuplot_text(panel.series[i].name));
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
      script += layout.next(1);
      last_axis();
      script += fmt::format(
          "set ylabel 'kHz' textcolor rgb '#4a5560'\nset yrange [0:{}]\nset cbrange [{}:{}]\nunset colorbox\n",
          spectrogram.max_hz / 1000, top - 80, top);
      script += "set palette defined (0 '#0b1026', 0.35 '#3b2a7a', 0.6 '#b0346f', 0.82 '#f58a4b', 1 '#fdf2c0')\n";
      script +=
          fmt::format("plot {} using 1:2:3 with image notitle\nset autoscale y\nunset ylabel\n", gnuplot_text(*path));
    }
  }
  if (!plot.labels.empty()) {
    script += layout.next(label_parts);
    script += time_axis(plot) + "set yrange [0:1]\nunset ytics\nset ylabel 'labels'\nunset grid\nunset key\n";
    object = 1;
    for (const auto& label : plot.labels) {
      script += fmt::format(
          "set object {} rect from {}, graph 0.1 to {}, graph 0.9 fc rgb '{}' fs solid 0.8 noborder front\n", object++,
          label.begin, label.end, color_of(plot, label.name));
      if (label.end - label.begin > 0.03 * (plot.end - plot.begin))
        script += fmt::format("set label {} at {}, graph 0.5 center front textcolor rgb 'white'\n",
                              gnuplot_text(label.name), (label.begin + label.end) / 2);
    }
    script += "plot -1 notitle\n";
  }
  script += "unset multiplot\n";
  const auto script_path = scratch->path() / "plot.gp";
  if (auto done = write_scratch_file(script_path, script); !done) return done;
  if (auto drawn_into = run_gnuplot(script_path, scratch->path() / "gnuplot.log", file->sink()); !drawn_into)
    return drawn_into;
  return file->keep();
}

}  // namespace sds
