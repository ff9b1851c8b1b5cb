#include "label_rows.hpp"

#include <algorithm>
#include <limits>

namespace sds {

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

// One time for the rows of all tables: no other sample of any lies in it. Nothing where there is none.
std::optional<TimeSpan> span_of_all(const std::vector<ImportedRows>& rows, const std::vector<RowTimes>& tables) {
  double before = -kNever;
  double begin = kNever;
  double last = -kNever;
  double behind = kNever;
  double end = -kNever;
  for (const auto& [table, first, last_row] : rows) {
    const RowTimes& times = tables[table];
    if (first > 0) before = std::max(before, times.at(first).before);
    if (!times.is_behind_all(last_row)) behind = std::min(behind, times.at(last_row).end_before);
    if (first == last_row) continue;
    begin = std::min(begin, times.at(first).begin);
    last = std::max(last, times.at(last_row).before);
    end = std::max(end, times.at(last_row).end_before);
  }
  if (behind < kNever) end = behind;
  if (!(before < begin && last < end)) return std::nullopt;
  return TimeSpan{begin, end};
}

// The tables that a label is about, of those that have their edges.
template <class Visit>
void for_each_table(const ImportedLabel& label, const std::vector<std::string>& tables, const Visit& visit) {
  for (std::size_t t = 0; t < tables.size(); ++t)
    if (label.table.empty() || label.table == tables[t]) visit(t);
}

}  // namespace

RowTimes::RowTimes(const ImportedLabels* labels, std::size_t table, double interval_s) : interval_s_(interval_s) {
  if (labels == nullptr) return;
  for (const auto& label : labels->labels)
    for (const auto& rows : label.rows) {
      if (rows.table != table) continue;
      rows_.push_back(rows.first);
      rows_.push_back(rows.end);
    }
  std::sort(rows_.begin(), rows_.end());
  rows_.erase(std::unique(rows_.begin(), rows_.end()), rows_.end());
}

void RowTimes::add(double time, bool is_same_time) {
  const double end_before = time < last_ ? last_ + interval_s_ : time;
  if (times_.size() < rows_.size() && rows_[times_.size()] == row_) {
    times_.push_back({last_, time, end_before});
    if (is_same_time) ++undecided_;
  }
  last_ = time;
  ++row_;
}

void RowTimes::end() {
  while (times_.size() < rows_.size()) times_.push_back({last_, last_ + interval_s_, last_ + interval_s_});
}

const RowTimes::Time& RowTimes::at(std::uint64_t row) const {
  return times_[static_cast<std::size_t>(std::lower_bound(rows_.begin(), rows_.end(), row) - rows_.begin())];
}

std::vector<ImportedLabel> labels_of_rows(const std::vector<ImportedLabel>& labels, const std::vector<RowTimes>& tables,
                                          const std::vector<std::string>& streams) {
  const bool by_table = std::any_of(labels.begin(), labels.end(), [&](const ImportedLabel& label) {
    return label.rows.size() > 1 && !span_of_all(label.rows, tables);
  });
  std::vector<ImportedLabel> timed;
  const auto add = [&](ImportedLabel label, const TimeSpan& span) {
    label.begin_s = span.begin;
    label.end_s = span.end;
    timed.push_back(std::move(label));
  };
  for (const auto& label : labels) {
    if (label.rows.empty()) {
      timed.push_back(label);
    } else if (label.rows.size() > 1 && !by_table) {
      add(label, *span_of_all(label.rows, tables));
    } else {
      for (const auto& [table, first, end] : label.rows) {
        if (first == end) continue;
        ImportedLabel of_table = label;
        if (label.rows.size() > 1) of_table.table = streams[table];
        add(std::move(of_table), {tables[table].at(first).begin, tables[table].at(end).end_before});
      }
    }
  }
  return timed;
}

EdgeTimes::EdgeTimes(std::vector<double> edges) : edges_(std::move(edges)), last_(-kNever) {
  std::sort(edges_.begin(), edges_.end());
  edges_.erase(std::unique(edges_.begin(), edges_.end()), edges_.end());
}

void EdgeTimes::add(double source_s, double time_s) {
  while (beside_.size() < edges_.size() && edges_[beside_.size()] <= source_s) beside_.push_back({last_, time_s});
  last_ = time_s;
}

EdgeTimes::Beside EdgeTimes::at(double edge_s) const {
  const auto i = static_cast<std::size_t>(std::lower_bound(edges_.begin(), edges_.end(), edge_s) - edges_.begin());
  return i < beside_.size() ? beside_[i] : Beside{last_, kNever};
}

std::vector<EdgeTimes> edge_times(const ImportedLabels* labels, const std::vector<std::string>& tables) {
  constexpr std::size_t kMostEdges = 4'000'000;
  std::vector<std::vector<double>> edges(tables.size());
  std::size_t count = 0;
  for (std::size_t i = 0; labels != nullptr && i < labels->labels.size() && count <= kMostEdges; ++i) {
    const ImportedLabel& label = labels->labels[i];
    if (!label.rows.empty()) continue;
    for_each_table(label, tables, [&](std::size_t t) {
      edges[t].insert(edges[t].end(), {label.begin_s, label.end_s});
      count += 2;
    });
  }
  std::vector<EdgeTimes> times;
  if (count > kMostEdges) return times;
  for (auto& of_table : edges) times.emplace_back(std::move(of_table));
  return times;
}

void keep_samples(std::vector<ImportedLabel>& labels, const std::vector<std::string>& tables,
                  const std::vector<EdgeTimes>& edges, const std::vector<double>& intervals_s, double origin_s) {
  for (auto& label : labels) {
    if (!label.rows.empty()) continue;
    for (double* edge : {&label.begin_s, &label.end_s}) {
      double before = -kNever;
      double first = kNever;
      double behind = -kNever;  // where the last sample ends
      for_each_table(label, tables, [&](std::size_t t) {
        if (t >= edges.size()) return;
        const auto beside = edges[t].at(*edge);
        before = std::max(before, beside.before);
        first = std::min(first, beside.first);
        if (beside.first == kNever) behind = std::max(behind, beside.before + intervals_s[t]);
      });
      *edge -= origin_s;
      const bool is_kept = before < *edge && *edge <= first;
      if (before < first && !is_kept) *edge = first < kNever ? first : behind;
    }
  }
}

}  // namespace sds
