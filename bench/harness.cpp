#include "harness.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "median.hpp"

namespace sds::bench {

std::vector<double> median_seconds(const std::vector<Task>& tasks, int rounds) {
  std::vector<std::vector<double>> times(tasks.size());
  for (int round = -1; round < rounds; ++round) {
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      const auto start = std::chrono::steady_clock::now();
      tasks[i].run();
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      if (round >= 0) times[i].push_back(seconds);
    }
  }
  std::vector<double> medians;
  medians.reserve(times.size());
  for (auto& list : times) medians.push_back(median(std::move(list)));
  return medians;
}

std::string Table::markdown() const {
  std::string text = "### " + title_ + "\n\n|";
  for (const auto& column : columns_) text += " " + column + " |";
  text += "\n|";
  for (std::size_t i = 0; i < columns_.size(); ++i) text += i == 0 ? " --- |" : " ---: |";
  text += "\n";
  for (const auto& row : rows_) {
    text += "|";
    for (const auto& cell : row) text += " " + cell + " |";
    text += "\n";
  }
  return text;
}

std::string Table::json() const {
  nlohmann::json rows = nlohmann::json::array();
  for (const auto& row : rows_) {
    nlohmann::json item;
    for (std::size_t i = 0; i < row.size(); ++i) item[columns_[i]] = row[i];
    rows.push_back(item);
  }
  return nlohmann::json{{"title", title_}, {"rows", rows}}.dump(2);
}

void keep(const void* p) { asm volatile("" : : "g"(p) : "memory"); }

void give_up(const std::string& message) {
  std::fprintf(stderr, "sds-bench: %s\n", message.c_str());
  std::exit(1);
}

}  // namespace sds::bench
