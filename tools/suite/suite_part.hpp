// Parts of a suite: what a sharded run says of itself, so that only parts of one and the same whole are joined.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "suite.hpp"

namespace sds {

/// What results are a part of. Parts fit together if all but their numbers is the same.
struct SuitePart {
  std::string suite;
  std::string suite_digest;    ///< Suite::digest
  std::string filter;          ///< what the names of all tests of the whole contain
  std::size_t test_count = 0;  ///< of the whole
  std::size_t number = 1;      ///< from 1
  std::size_t of = 1;
};

/// Says in `results`, what results_to_json wrote, that they are a part, with a digest of that and of the tests.
void make_part(nlohmann::json& results, const SuitePart& part);

/// Joins the results of parts. What does not fit is an error that names it.
class PartsOfSuite {
 public:
  /// `json` is what make_part() wrote.
  Expected<void> add(const nlohmann::json& json, const std::filesystem::path& path);
  /// All tests of the whole, each once.
  [[nodiscard]] Expected<std::vector<TestResult>> whole() const;

 private:
  Expected<void> check(const SuitePart& part, const std::filesystem::path& path) const;

  std::map<std::size_t, SuitePart> parts_;  // by number
  std::set<std::size_t> tests_;             // by index
  std::set<std::string> names_;             // of the tests
  std::vector<TestResult> results_;
  std::optional<std::filesystem::path> changed_;  // a part that is not as it was written
};

}  // namespace sds
