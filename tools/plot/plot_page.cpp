#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>

#include "duration_text.hpp"
#include "json_text.hpp"
#include "plot.hpp"
#include "plot_axis.hpp"
#include "plot_colors.hpp"
#include "plot_labels.hpp"
#include "sds/format/partial_file.hpp"

namespace sds {

namespace {

std::string html(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

// JSON inside a script element: what would end the element is taken apart.
std::string script_string(const std::string& text) {
  std::string json = json_string(text);
  for (std::size_t at = json.find("</"); at != std::string::npos; at = json.find("</", at + 3))
    json.insert(at + 1, "\\");
  for (std::size_t at = json.find("<!"); at != std::string::npos; at = json.find("<!", at + 6))
    json.replace(at, 2, "\\u003c!");
  return json;
}

std::string base64(const std::string& bytes) {
  static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve(bytes.size() / 3 * 4 + 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    unsigned v = 0;
    for (std::size_t k = 0; k < 3; ++k)
      v = v << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0);
    for (int k = 3; k >= 0; --k)
      out += static_cast<std::size_t>(3 - k) > bytes.size() - i ? '=' : digits[v >> (6 * k) & 63];
  }
  return out;
}

std::string number(double value) { return std::isfinite(value) ? fmt::format("{}", value) : "null"; }
std::string number(float value) { return std::isfinite(value) ? fmt::format("{}", value) : "null"; }

// One row a time: [time, [low, middle, high] or null, ...]. Series of a panel share a stream, and mostly their times.
std::string panel_data(const PlotPanel& panel) {
  std::map<double, std::vector<std::pair<float, float>>> rows;
  const float none = std::numeric_limits<float>::infinity();
  for (std::size_t s = 0; s < panel.series.size(); ++s)
    for (std::size_t i = 0; i < panel.series[s].times.size(); ++i) {
      auto& row = rows[panel.series[s].times[i]];
      row.resize(panel.series.size(), {none, none});
      row[s] = {panel.series[s].low[i], panel.series[s].high[i]};
    }
  std::string out = "[";
  for (const auto& [time, values] : rows) {
    out += fmt::format("{}[{}", out.size() > 1 ? "," : "", number(time));
    for (const auto& [low, high] : values)
      // A line goes on through null, for other series may have values there, and not through NaN.
      out += std::isinf(low)   ? std::string(",null")
             : std::isnan(low) ? std::string(",[NaN,NaN,NaN]")
                               : fmt::format(",[{},{},{}]", number(low), number((low + high) / 2), number(high));
    out += "]";
  }
  return out + "]";
}

// Levels as bytes, 80 dB below the loudest is 0.
std::string spectrogram_bytes(const PlotSpectrogram& s) {
  float top = -1e30f;
  for (const float value : s.db)
    if (value > top) top = value;
  std::string bytes(s.db.size(), '\0');
  for (std::size_t i = 0; i < s.db.size(); ++i) {
    const float level = std::isnan(s.db[i]) ? 0 : (s.db[i] - top + 80) / 80 * 255;
    bytes[i] = static_cast<char>(static_cast<unsigned char>(std::min(255.0f, std::max(0.0f, level))));
  }
  return bytes;
}

constexpr double kPagePixels = 1300;  // what a wide window leaves the time axis

constexpr const char* kStyle = R"css(
body{font:14px/1.45 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;margin:0 auto;max-width:1400px;padding:18px 22px;color:#20262c;background:#fff}
h1{font-size:19px;margin:0 0 2px}
.facts{color:#667380;margin:0 0 12px}
.panel{margin:0 0 10px}
.panel h2{font-size:13px;font-weight:600;margin:0 0 2px;color:#3a444e}
.chart{width:100%;height:170px}
.legend{font-size:12px;color:#4a5560;min-height:18px;margin-left:56px}
canvas.strip{width:100%;display:block}
canvas.spectrum{width:100%;height:150px;display:block;margin:0 0 12px}
.classes span{display:inline-block;margin:0 14px 4px 0}
.classes i{display:inline-block;width:11px;height:11px;border-radius:2px;margin-right:5px;vertical-align:-1px}
audio{width:100%;margin:4px 0 10px}
.hint,.notes{color:#667380;font-size:12px}
.dygraph-legend{background:transparent!important}
)css";

constexpr const char* kScript = R"js(
(function () {
  "use strict";
  var charts = [], syncing = false, pad = 56;
  var clock = P.end - P.begin >= P.clockFrom && Math.max(Math.abs(P.begin), Math.abs(P.end)) <= P.clockUpTo;
  function hms(s) {
    var t = Math.round(s * 1000), two = function (n) { return (n < 10 ? "0" : "") + n; };
    var text = Math.floor(t / 3600000) + ":" + two(Math.floor(t / 60000) % 60) + ":" + two(Math.floor(t / 1000) % 60);
    return t % 1000 ? text + "." + ("00" + t % 1000).slice(-3) : text;
  }
  function ticks(a, b, pixels) {
    var most = Math.max(2, pixels / 80), steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30].concat(P.clockSteps), step = steps[0];
    for (var i = 0; step * most < b - a; ++i) step = i < steps.length ? steps[i] : 2 * step;
    var all = [];
    for (var n = Math.ceil(a / step); n * step <= b; ++n) all.push({ v: n * step, label: hms(n * step) });
    return all;
  }
  function windowOf() { return charts.length ? charts[0].xAxisRange() : [P.begin, P.end]; }
  function shade(ctx, area, g) {
    P.labels.forEach(function (l) {
      var a = g.toDomXCoord(l.begin), b = g.toDomXCoord(l.end);
      if (b < area.x || a > area.x + area.w) return;
      a = Math.max(a, area.x); b = Math.min(b, area.x + area.w);
      ctx.fillStyle = l.color + (b - a < 1.5 ? "80" : "22");
      ctx.fillRect(a, area.y, Math.max(1, b - a), area.h);
    });
    if (playing !== null) {
      var x = g.toDomXCoord(playing);
      ctx.fillStyle = "#20262c"; ctx.fillRect(x, area.y, 1, area.h);
    }
  }
  function zoomTo(range) {
    var span = Math.min(range[1] - range[0], P.end - P.begin), from = Math.max(P.begin, Math.min(range[0], P.end - span));
    syncing = true;
    charts.forEach(function (c) { c.updateOptions({ dateWindow: [from, from + span] }); });
    syncing = false; drawStrips();
  }
  var playing = null, model = Object.assign({}, Dygraph.defaultInteractionModel, {
    dblclick: function () { zoomTo([P.begin, P.end]); },
    wheel: function (event, g) {
      event.preventDefault();
      var w = g.xAxisRange(), at = g.toDataXCoord(event.offsetX), k = event.deltaY > 0 ? 1.25 : 0.8;
      zoomTo([at - (at - w[0]) * k, at + (w[1] - at) * k]);
    }
  });
  // A value without a line to a neighbour; of a column that stands for many, a stroke.
  function lone(p) {
    return function (g, name, ctx, x, y, color, size, row) {
      var v = (p.data[row] || [])[1 + p.names.indexOf(name)];
      ctx.fillStyle = ctx.strokeStyle = color;
      ctx.beginPath(); ctx.arc(x, y, size, 0, 2 * Math.PI); ctx.fill();
      if (!v || !(v[2] > v[0])) return;
      ctx.beginPath(); ctx.moveTo(x, g.toDomYCoord(v[0])); ctx.lineTo(x, g.toDomYCoord(v[2])); ctx.stroke();
    };
  }
  P.panels.forEach(function (p, i) {
    var chart = new Dygraph(document.getElementById("chart" + i), p.data, {
      labels: ["seconds"].concat(p.names), colors: p.colors, customBars: true, dateWindow: [P.begin, P.end],
      strokeWidth: 1.2, pointSize: 2, drawPointCallback: lone(p), fillAlpha: 0.35, axisLabelFontSize: 11, labelsDiv: document.getElementById("legend" + i),
      legend: "always", gridLineColor: "#e4e7eb", axisLineColor: "#b8c0c8", interactionModel: model,
      axes: { y: { axisLabelWidth: pad - 6 }, x: clock ? { ticker: ticks, valueFormatter: hms } : {} }, rightGap: 0, underlayCallback: shade, connectSeparatedPoints: true,
      drawCallback: function (g, first) { if (!first && !syncing) zoomTo(g.xAxisRange()); },
      highlightCallback: function (e, x) { charts.forEach(function (c) { if (c !== chart) { var row = nearest(c, x); if (row >= 0) c.setSelection(row); } }); },
      unhighlightCallback: function () { charts.forEach(function (c) { if (c !== chart) c.clearSelection(); }); }
    });
    charts.push(chart);
  });
  function nearest(c, x) {
    var a = 0, b = c.numRows() - 1;
    while (a < b) { var m = (a + b) >> 1; if (c.getValue(m, 0) < x) a = m + 1; else b = m; }
    return b < 0 ? -1 : a;
  }
  function fit(canvas) {
    var k = window.devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
    canvas.width = w * k; canvas.height = h * k;
    var ctx = canvas.getContext("2d"); ctx.scale(k, k); return [ctx, w, h];
  }
  var ramp = [[11, 16, 38], [59, 42, 122], [176, 52, 111], [245, 138, 75], [253, 242, 192]];
  function color(v) {
    var t = v / 255 * 4, i = Math.min(3, Math.floor(t)), f = t - i;
    return ramp[i].map(function (c, k) { return c + (ramp[i + 1][k] - c) * f; });
  }
  var images = P.spectrograms.map(function (s) {
    var bytes = atob(s.bytes), canvas = document.createElement("canvas");
    canvas.width = s.columns; canvas.height = s.rows;
    var ctx = canvas.getContext("2d"), image = ctx.createImageData(s.columns, s.rows);
    for (var r = 0; r < s.rows; ++r) for (var c = 0; c < s.columns; ++c) {
      var rgb = color(bytes.charCodeAt((s.rows - 1 - r) * s.columns + c)), at = 4 * (r * s.columns + c);
      image.data[at] = rgb[0]; image.data[at + 1] = rgb[1]; image.data[at + 2] = rgb[2]; image.data[at + 3] = 255;
    }
    ctx.putImageData(image, 0, 0); return canvas;
  });
  function drawStrips() {
    var w = windowOf(), span = w[1] - w[0];
    P.spectrograms.forEach(function (s, i) {
      var f = fit(document.getElementById("spectrum" + i)), ctx = f[0], area = f[1] - pad, k = s.columns / (P.end - P.begin);
      ctx.drawImage(images[i], (w[0] - P.begin) * k, 0, span * k, s.rows, pad, 0, area, f[2]);
      ctx.fillStyle = "#4a5560"; ctx.font = "11px sans-serif"; ctx.textAlign = "right";
      ctx.fillText((s.max_hz / 1000) + " kHz", pad - 5, 11); ctx.fillText("0", pad - 5, f[2] - 2);
    });
    if (!strip) return;
    var f = fit(strip), ctx = f[0], area = f[1] - pad;
    ctx.font = "12px sans-serif"; ctx.textBaseline = "middle";
    var seen = P.labels.map(function (l) { return { l: l, a: (l.begin - w[0]) / span * area, b: (l.end - w[0]) / span * area }; })
      .filter(function (s) { return s.b >= 0 && s.a <= area; });
    shown = seen.map(function (s) {
      s.a = Math.max(0, Math.min(s.a, area - 1)); s.b = Math.max(s.a + 1, Math.min(area, s.b));
      ctx.fillStyle = s.l.color; ctx.fillRect(pad + s.a, s.l.row * rowHeight + 2, s.b - s.a, rowHeight - 4);
      return s;
    });
    // A name stands in its bar, or beside it up to the next one.
    shown.forEach(function (s) {
      var name = ctx.measureText(s.l.name).width + 6, y = (s.l.row + 0.5) * rowHeight, left = 0, right = area;
      shown.forEach(function (o) {
        if (o === s || o.l.row !== s.l.row) return;
        if (o.a >= s.a) right = Math.min(right, o.a); else left = Math.max(left, o.b);
      });
      if (name <= s.b - s.a) { ctx.textAlign = "center"; ctx.fillStyle = "#fff"; ctx.fillText(s.l.name, pad + (s.a + s.b) / 2, y); return; }
      ctx.fillStyle = s.l.color;
      if (s.b + name <= right) { ctx.textAlign = "left"; ctx.fillText(s.l.name, pad + s.b + 3, y); }
      else if (s.b + name > area && s.a - name >= left) { ctx.textAlign = "right"; ctx.fillText(s.l.name, pad + s.a - 3, y); }
    });
  }
  // What has no room is told where the pointer is.
  var shown = [], rowHeight = 20, strip = document.getElementById("strip");
  if (strip) {
    strip.style.height = P.labelRows * rowHeight + "px";
    strip.addEventListener("mousemove", function (event) {
      var x = event.offsetX - pad, row = Math.floor(event.offsetY / rowHeight);
      strip.title = shown.filter(function (s) { return s.l.row === row && x >= s.a - 2 && x <= s.b + 2; })
        .map(function (s) { return s.l.name + ": " + s.l.begin + " to " + s.l.end + " s"; }).join("\n");
    });
  }
  var audio = document.querySelector("audio");
  if (audio) audio.addEventListener("timeupdate", function () {
    playing = P.wavBegin + audio.currentTime;
    syncing = true; charts.forEach(function (c) { c.updateOptions({}); }); syncing = false;
  });
  window.addEventListener("resize", drawStrips);
  drawStrips();
})();
)js";

Expected<std::string> library_file(const char* name) {
  const char* chosen = std::getenv("SDSKIT_DYGRAPHS");
  const std::filesystem::path folder = chosen != nullptr ? chosen : SDSKIT_DYGRAPHS_DIR;
  auto text = read_small_file(folder / name, 4u << 20);
  if (!text)
    return fail(ErrorCode::io, fmt::format("pages need dygraphs, and {} cannot be read (Debian: apt-get install "
                                           "libjs-dygraphs; or say in SDSKIT_DYGRAPHS where it is)",
                                           (folder / name).string()));
  return text;
}

}  // namespace

Expected<void> write_plot_page(const Plot& plot, const std::filesystem::path& output, bool force) {
  if (auto ok = refuse_existing(output, force); !ok) return ok;
  auto library = library_file("dygraph.min.js");
  if (!library) return fail(library);
  auto style = library_file("dygraph.min.css");
  if (!style) return fail(style);
  // The map of the minified source is not in the page.
  const std::size_t map = library->find("//# sourceMappingURL");
  if (map != std::string::npos) library->resize(map);
  std::string page = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" + html(plot.title) +
                     "</title>\n<style>" + *style + kStyle + "</style></head><body>\n<h1>" + html(plot.title) +
                     "</h1>\n";
  page += fmt::format("<p class=\"facts\">{} s to {} s</p>\n", seconds_text(plot.begin), seconds_text(plot.end));
  if (!plot.labels.empty()) {
    page += "<p class=\"classes\">";
    std::set<std::string> names;
    for (const auto& label : plot.labels)
      if (names.insert(label.name).second)
        page +=
            fmt::format("<span><i style=\"background:{}\"></i>{}</span>", color_of(plot, label.name), html(label.name));
    page += "</p>\n<canvas id=\"strip\" class=\"strip\"></canvas>\n";
  }
  if (!plot.wav.empty()) page += "<audio controls src=\"data:audio/wav;base64," + base64(plot.wav) + "\"></audio>\n";
  std::string panels;
  std::string spectrograms;
  std::size_t spectrum = 0;
  for (std::size_t i = 0; i < plot.panels.size(); ++i) {
    const PlotPanel& panel = plot.panels[i];
    page += fmt::format(
        "<div class=\"panel\"><h2>{}{}</h2><div id=\"legend{}\" class=\"legend\"></div><div id=\"chart{}\" "
        "class=\"chart\"></div></div>\n",
        html(panel.title), panel.unit.empty() ? "" : " (" + html(panel.unit) + ")", i, i);
    std::string names;
    std::string colors;
    for (std::size_t s = 0; s < panel.series.size(); ++s) {
      names += (s > 0 ? "," : "") + script_string(panel.series[s].name);
      colors += fmt::format("{}\"{}\"", s > 0 ? "," : "", series_color(s));
    }
    panels += fmt::format("{}{{names:[{}],colors:[{}],data:{}}}", i > 0 ? ",\n" : "", names, colors, panel_data(panel));
    for (const auto& s : plot.spectrograms) {
      if (s.panel != i) continue;
      page += fmt::format("<canvas id=\"spectrum{}\" class=\"spectrum\"></canvas>\n", spectrum);
      spectrograms += fmt::format("{}{{columns:{},rows:{},max_hz:{},bytes:\"{}\"}}", spectrum > 0 ? "," : "", s.columns,
                                  s.rows, number(s.max_hz), base64(spectrogram_bytes(s)));
      ++spectrum;
    }
  }
  page += "<p class=\"hint\">Wheel or drag: zoom. Shift and drag: move. Double click: everything.</p>\n";
  for (const auto& note : plot.notes) page += "<p class=\"notes\">" + html(note) + "</p>\n";
  std::string labels;
  const auto placed = place_labels(plot, kPagePixels);
  for (std::size_t i = 0; i < placed.size(); ++i) {
    const PlotLabel& label = plot.labels[i];
    labels += fmt::format("{}{{name:{},begin:{},end:{},row:{},color:\"{}\"}}", labels.empty() ? "" : ",",
                          script_string(label.name), number(label.begin), number(label.end), placed[i].row,
                          color_of(plot, label.name));
  }
  page += "<script>" + *library + "</script>\n<script>var P={begin:" + number(plot.begin) + ",end:" + number(plot.end) +
          ",wavBegin:" + number(plot.wav_begin) + ",clockFrom:" + number(kClockFrom_s) +
          ",clockUpTo:" + number(kClockUpTo_s) + fmt::format(",clockSteps:[{}]", fmt::join(kClockSteps_s, ",")) +
          ",labels:[" + labels + fmt::format("],labelRows:{}", rows_of(placed)) + ",spectrograms:[" + spectrograms +
          "],panels:[" + panels + "]};" + kScript + "</script>\n</body></html>\n";
  return write_text_file(output, page, if_exists(force));
}

}  // namespace sds
