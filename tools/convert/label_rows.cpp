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

}  // namespace sds
