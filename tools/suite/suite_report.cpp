// Results for CI systems (JUnit) and for people (a page).
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <pugixml.hpp>
#include <sstream>
#include <utility>

#include "duration_text.hpp"
#include "shell_text.hpp"
#include "suite.hpp"

namespace sds {

namespace {

std::string text_of(const pugi::xml_document& document, unsigned flags) {
  std::ostringstream text;
  document.save(text, "  ", flags);
  return text.str();
}

// XML has no way to write control characters, nor U+FFFE and U+FFFF; names of files need not be UTF-8.
std::string printable(const std::string& text) {
  std::string clean = visible_text(text);
  for (const auto& [beyond, escaped] : {std::pair{"\xef\xbf\xbe", "\\ufffe"}, {"\xef\xbf\xbf", "\\uffff"}})
    for (auto at = clean.find(beyond); at != std::string::npos; at = clean.find(beyond, at))
      clean.replace(at, 3, escaped);
  return clean;
}

std::string percent(double share) { return std::isnan(share) ? "–" : fmt::format("{:.1f} %", 100 * share); }
std::string number(double value) { return std::isnan(value) ? "–" : fmt::format("{:.4f}", value); }
std::string microseconds(double us) {
  // By what it is rounded to: "1.00 ms", not "1000.0 µs".
  return us < 999.95     ? fmt::format("{:.1f} µs", us)
         : us < 999'995. ? fmt::format("{:.2f} ms", us / 1e3)
                         : fmt::format("{:.2f} s", us / 1e6);
}

// A page, element by element.
class Page {
 public:
  Page() : html_(document_.append_child("html")) { html_.append_attribute("lang") = "en"; }

  static pugi::xml_node add(pugi::xml_node parent, const char* tag, const std::string& text = "",
                            const char* css_class = nullptr) {
    auto node = parent.append_child(tag);
    if (css_class != nullptr) node.append_attribute("class") = css_class;
    if (!text.empty()) node.append_child(pugi::node_pcdata).set_value(printable(text).c_str());
    return node;
  }

  static pugi::xml_node row(pugi::xml_node table, const char* tag, const std::vector<std::string>& cells) {
    auto tr = table.append_child("tr");
    for (const auto& cell : cells) add(tr, tag, cell);
    return tr;
  }

  pugi::xml_node html() { return html_; }
  std::string text() {
    return "<!DOCTYPE html>\n" + text_of(document_, pugi::format_raw | pugi::format_no_declaration);
  }

 private:
  pugi::xml_document document_;
  pugi::xml_node html_;
};

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --good: #1a7f37; --bad: #cf222e; --warn: #9a6700; --bar: #4c8dd6; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 68rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.sub { opacity: .7; margin: 0 0 1.2rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; }
.tile { border: 1px solid var(--line); border-radius: 8px; padding: .6rem 1rem; min-width: 7rem; }
.tile b { display: block; font-size: 1.35rem; } .tile span { opacity: .7; font-size: .85rem; }
.passed { color: var(--good); } .failed, .error { color: var(--bad); }
table { border-collapse: collapse; } th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; opacity: .8; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
table.matrix td { text-align: right; min-width: 3.2rem; font-variant-numeric: tabular-nums; }
td.n { white-space: nowrap; } table.wide { width: 100%; } .reasons { margin: .2rem 0 0; padding-left: 1.1rem; } .reasons li { margin: .1rem 0; }
.note { opacity: .7; } .bar { display: inline-block; height: .6rem; background: var(--bar); border-radius: 2px; vertical-align: baseline; }
figure { margin: .6rem 0; } figure svg { width: 100%; max-width: 40rem; height: auto; border: 1px solid var(--line); border-radius: 4px; }
figcaption { font-size: .85rem; } polyline { fill: none; stroke-width: 1.5; } polyline.expected { stroke: var(--good); }
polyline.came { stroke: var(--bad); stroke-dasharray: 4 2; } circle.expected { fill: var(--good); } circle.came { fill: var(--bad); }
line.first { stroke: var(--line); stroke-width: 2; }
span.expected { color: var(--good); } span.came { color: var(--bad); }
code { font-size: .85em; } .scroll { overflow-x: auto; }
)";

void add_tile(pugi::xml_node tiles, const std::string& value, const std::string& what,
              const char* css_class = nullptr) {
  auto tile = Page::add(tiles, "div", "", "tile");
  Page::add(tile, "b", value, css_class);
  Page::add(tile, "span", what);
}

void add_tiles(pugi::xml_node body, const SuiteSummary& s) {
  auto tiles = Page::add(body, "div", "", "tiles");
  add_tile(tiles, std::to_string(s.passed), "passed", "passed");
  add_tile(tiles, std::to_string(s.failed), "failed", s.failed > 0 ? "failed" : nullptr);
  add_tile(tiles, std::to_string(s.errors), "with errors", s.errors > 0 ? "error" : nullptr);
  if (s.decisions > 0)
    add_tile(tiles, percent(static_cast<double>(s.right) / static_cast<double>(s.decisions)),
             fmt::format("accuracy ({} of {})", s.right, s.decisions));
  add_tile(tiles, microseconds(s.p50_us), "median execution");
  add_tile(tiles, microseconds(s.p99_us), "largest p99");
  add_tile(tiles, std::to_string(s.executions), "executions");
  if (s.wall_seconds > 0) add_tile(tiles, fmt::format("{:.0f} ×", s.recorded_seconds / s.wall_seconds), "real time");
}

void add_matrix(pugi::xml_node body, const SuiteSummary& s) {
  if (s.labels.empty()) return;
  Page::add(body, "h2", "What was taken for what");
  auto table = Page::add(Page::add(body, "div", "", "scroll"), "table", "", "matrix");
  auto head = table.append_child("tr");
  Page::add(head, "th", "label \\ predicted");
  for (const auto& name : s.classes) Page::add(head, "th", name, "n");
  for (std::size_t l = 0; l < s.labels.size(); ++l) {
    auto tr = table.append_child("tr");
    Page::add(tr, "th", s.labels[l]);
    std::uint64_t total = 0;
    for (const auto count : s.confusion[l]) total += count;
    for (std::size_t c = 0; c < s.classes.size(); ++c) {
      const auto count = s.confusion[l][c];
      auto td = Page::add(tr, "td", count > 0 ? std::to_string(count) : "·");
      if (count == 0) continue;
      const double share = static_cast<double>(count) / static_cast<double>(total);
      const char* colour = s.right_of[l][c] == count ? "26, 127, 55" : "207, 34, 46";
      td.append_attribute("style") = fmt::format("background: rgba({}, {:.2f})", colour, 0.08 + 0.5 * share).c_str();
    }
  }
}

void add_classes(pugi::xml_node body, const SuiteSummary& s) {
  if (s.by_class.empty()) return;
  Page::add(body, "h2", "By class");
  auto table = body.append_child("table");
  Page::row(table, "th", {"class", "decisions", "precision", "recall", "ROC-AUC"});
  for (const auto& c : s.by_class)
    for (auto& cell :
         Page::row(table, "td",
                   {c.name, std::to_string(c.count), percent(c.precision), percent(c.recall), number(c.auc)})
             .children())
      if (cell.previous_sibling()) cell.append_attribute("class") = "n";
}

void add_events(pugi::xml_node body, const SuiteSummary& s) {
  if (s.events.empty()) return;
  Page::add(body, "h2", "Events");
  auto table = body.append_child("table");
  Page::row(table, "th", {"class", "labels", "events", "right", "precision", "recall", "F1", "mean onset", "largest"});
  const auto add = [&](const std::string& name, const EventScore& e) {
    const auto ms = [&](double value_s) { return e.right == 0 ? "–" : fmt::format("{:.0f} ms", value_s * 1000); };
    for (auto& cell : Page::row(table, "td",
                                {name, std::to_string(e.labels), std::to_string(e.found), std::to_string(e.right),
                                 percent(e.precision()), percent(e.recall()), number(e.f1()), ms(e.mean_onset_s()),
                                 ms(e.largest_onset_s)})
                          .children())
      if (cell.previous_sibling()) cell.append_attribute("class") = "n";
  };
  EventScore all;
  for (const auto& [name, score] : s.events) {
    add(name, score);
    all += score;
  }
  if (s.events.size() > 1) add("all", all);
}

void add_list(pugi::xml_node cell, const std::vector<std::string>& lines, const char* css_class) {
  if (lines.empty()) return;
  auto list = Page::add(cell, "ul", "", "reasons");
  for (const auto& line : lines) Page::add(list, "li", line, css_class);
}

// Both lines over time, what is no number left out; a line where the first difference is.
void add_picture(pugi::xml_node cell, const DifferencePicture& picture) {
  constexpr double kWidth = 640, kHeight = 130;
  double left = picture.first_s, right = picture.first_s;
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const auto* line : {&picture.expected_s, &picture.came_s})
    for (const double time : *line) {
      left = std::min(left, time);
      right = std::max(right, time);
    }
  for (const auto* line : {&picture.expected, &picture.came})
    for (const double value : *line) {
      if (!std::isfinite(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  if (!(low <= high)) return;
  const auto x = [&](double time) { return right > left ? kWidth * ((time - left) / (right - left)) : kWidth / 2; };
  const auto y = [&](double value) {
    return high > low ? 5 + (kHeight - 10) * (high / 2 - value / 2) / (high / 2 - low / 2) : kHeight / 2;
  };
  auto figure = Page::add(cell, "figure");
  auto svg = figure.append_child("svg");
  svg.append_attribute("viewBox") = fmt::format("0 0 {} {}", kWidth, kHeight).c_str();
  svg.append_attribute("role") = "img";
  const auto add_line = [&](const std::vector<double>& times, const std::vector<double>& values,
                            const char* css_class) {
    std::string points;
    std::size_t count = 0;  // of points; a line of one draws nothing
    double last_x = 0, last_y = 0;
    const auto end = [&] {
      if (count == 1) {
        auto dot = svg.append_child("circle");
        dot.append_attribute("class") = css_class;
        dot.append_attribute("cx") = fmt::format("{:.1f}", last_x).c_str();
        dot.append_attribute("cy") = fmt::format("{:.1f}", last_y).c_str();
        dot.append_attribute("r") = "2.5";
      }
      if (std::exchange(count, 0) <= 1) return points.clear();
      auto line = svg.append_child("polyline");
      line.append_attribute("class") = css_class;
      line.append_attribute("points") = points.c_str();
      points.clear();
    };
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (!std::isfinite(values[i])) {
        end();
        continue;
      }
      last_x = x(times[i]);
      last_y = y(values[i]);
      points += fmt::format("{:.1f},{:.1f} ", last_x, last_y);
      ++count;
    }
    end();
  };
  auto first = svg.append_child("line");
  first.append_attribute("class") = "first";
  for (const char* name : {"x1", "x2"})
    first.append_attribute(name) = fmt::format("{:.1f}", x(picture.first_s)).c_str();
  first.append_attribute("y1") = "0";
  first.append_attribute("y2") = fmt::format("{}", kHeight).c_str();
  add_line(picture.expected_s, picture.expected, "expected");
  add_line(picture.came_s, picture.came, "came");
  auto caption = Page::add(figure, "figcaption", picture.title + ": ");
  Page::add(caption, "span", "expected", "expected");
  caption.append_child(pugi::node_pcdata).set_value(" and ");
  Page::add(caption, "span", "came", "came");
  caption.append_child(pugi::node_pcdata)
      .set_value(
          fmt::format(", {} s to {} s, values {:.6g} to {:.6g}", seconds_text(left), seconds_text(right), low, high)
              .c_str());
}

void add_tests(pugi::xml_node body, const std::vector<TestResult>& results) {
  Page::add(body, "h2", "Tests");
  double longest = 0;
  for (const auto& r : results) longest = std::max(longest, r.p50_us);
  auto table = Page::add(Page::add(body, "div", "", "scroll"), "table", "", "wide");
  Page::row(table, "th", {"test", "", "algorithm", "decisions", "p50", "p99", "memory"});
  for (const auto& r : results) {
    auto tr = table.append_child("tr");
    auto name = Page::add(tr, "td", r.name);
    add_list(name, r.reasons, nullptr);
    add_list(name, r.notes, "note");
    for (const auto& picture : r.pictures) add_picture(name, picture);
    const char* status = name_of(r.status);
    Page::add(tr, "td", status, status);
    Page::add(Page::add(tr, "td"), "code", r.algorithm);
    Page::add(tr, "td",
              r.decisions.empty()       ? ""
              : r.decisions.size() == 1 ? r.decisions[0].predicted
                                        : fmt::format("{} of {}", r.right_count(), r.decision_count()));
    auto p50 = Page::add(tr, "td", r.executions > 0 ? microseconds(r.p50_us) + " " : "", "n");
    if (longest > 0 && r.executions > 0) {
      auto bar = Page::add(p50, "span", " ", "bar");
      bar.append_attribute("style") = fmt::format("width: {:.1f}rem", 4 * r.p50_us / longest).c_str();
    }
    Page::add(tr, "td", r.executions > 0 ? microseconds(r.p99_us) : "", "n");
    Page::add(tr, "td", r.memory_mib > 0 ? fmt::format("{:.1f} MiB", r.memory_mib) : "", "n");
  }
}

std::string suite_names(const std::vector<TestResult>& results) {
  std::vector<std::string> names;
  for (const auto& r : results)
    if (std::find(names.begin(), names.end(), r.suite) == names.end()) names.push_back(r.suite);
  return names.empty() ? "no tests" : fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

std::string junit_xml(const std::vector<TestResult>& results) {
  pugi::xml_document document;
  auto declaration = document.append_child(pugi::node_declaration);
  declaration.append_attribute("version") = "1.0";
  declaration.append_attribute("encoding") = "UTF-8";
  const SuiteSummary s = summarize(results);
  const auto count = [&](pugi::xml_node node) {
    node.append_attribute("tests") = static_cast<unsigned long long>(results.size());
    node.append_attribute("failures") = static_cast<unsigned long long>(s.failed);
    node.append_attribute("errors") = static_cast<unsigned long long>(s.errors);
    node.append_attribute("time") = fmt::format("{:.6f}", s.wall_seconds).c_str();
  };
  auto root = document.append_child("testsuites");
  count(root);
  auto suite = root.append_child("testsuite");
  suite.append_attribute("name") = printable(suite_names(results)).c_str();
  count(suite);
  for (const auto& r : results) {
    auto test = suite.append_child("testcase");
    test.append_attribute("name") = printable(r.name).c_str();
    test.append_attribute("classname") = printable(r.suite + "." + r.case_name).c_str();
    test.append_attribute("time") = fmt::format("{:.6f}", r.wall_seconds).c_str();
    if (r.status != TestResult::Status::passed) {
      auto problem = test.append_child(r.status == TestResult::Status::failed ? "failure" : "error");
      problem.append_attribute("message") = printable(r.reasons.empty() ? "" : r.reasons.front()).c_str();
      problem.append_child(pugi::node_pcdata)
          .set_value(printable(fmt::format("{}", fmt::join(r.reasons, "\n"))).c_str());
    }
    if (!r.notes.empty())
      test.append_child("system-out")
          .append_child(pugi::node_pcdata)
          .set_value(printable(fmt::format("{}", fmt::join(r.notes, "\n"))).c_str());
  }
  return text_of(document, pugi::format_default);
}

std::string html_report(const std::vector<TestResult>& results) {
  const SuiteSummary summary = summarize(results);
  Page page;
  auto head = page.html().append_child("head");
  head.append_child("meta").append_attribute("charset") = "utf-8";
  auto viewport = head.append_child("meta");
  viewport.append_attribute("name") = "viewport";
  viewport.append_attribute("content") = "width=device-width, initial-scale=1";
  Page::add(head, "title", "sds test: " + suite_names(results));
  Page::add(head, "style", kStyle);
  auto body = page.html().append_child("body");
  Page::add(body, "h1", suite_names(results));
  Page::add(body, "p",
            fmt::format("{} tests, {:.1f} s of recordings, run in {:.2f} s of replay", results.size(),
                        summary.recorded_seconds, summary.wall_seconds),
            "sub");
  add_tiles(body, summary);
  add_matrix(body, summary);
  add_classes(body, summary);
  add_events(body, summary);
  add_tests(body, results);
  return page.text();
}

}  // namespace sds
