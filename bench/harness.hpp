// One way to measure and one results table for every benchmark here.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace sds::bench {

/// One thing that is measured: `run` handles `bytes` bytes each time it is called.
struct Task {
  std::string name;
  double bytes = 0;
  std::function<void()> run;
};

/// Median seconds of each task over `rounds` rounds. Within a round every task runs once, in turn, so that a slow
/// moment of a shared machine hits them alike; one round before that does not count.
std::vector<double> median_seconds(const std::vector<Task>& tasks, int rounds);

/// A table that prints as Markdown and as JSON.
class Table {
 public:
  Table(std::string title, std::vector<std::string> columns) : title_(std::move(title)), columns_(std::move(columns)) {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] std::string markdown() const;
  [[nodiscard]] std::string json() const;

 private:
  std::string title_;
  std::vector<std::string> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// Prevents the compiler from dropping work whose result nobody reads.
void keep(const void* p);

/// Exits with a message: a benchmark that fails must not print figures.
[[noreturn]] void give_up(const std::string& message);

template <class T>
decltype(auto) must(T&& result) {
  if (!result) give_up(result.error().to_string());
  return *std::forward<T>(result);
}

Table run_datasets(const std::string& folder, int rounds);
Table run_end_to_end(const std::string& folder, int rounds);
std::vector<Table> run_codecs(const std::string& folder, const std::vector<std::string>& files, int rounds);
std::vector<Table> run_replay_bench(const std::string& folder, int rounds);
Table run_serve(int rounds);

}  // namespace sds::bench
