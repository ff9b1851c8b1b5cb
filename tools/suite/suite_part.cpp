#include "suite_part.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "sds/player/fingerprint.hpp"

namespace sds {

namespace {

tl::unexpected<Error> misfit(std::string message, const std::filesystem::path& path) {
  return fail(ErrorCode::usage, std::move(message), path);
}

Expected<SuitePart> part_of(const nlohmann::json& json, const std::filesystem::path& path) {
  if (!json.contains("shard")) return misfit("these results are no part of a suite: --shard makes one", path);
  try {
    const auto& shard = json.at("shard");
    SuitePart part{shard.at("suite"),      shard.at("suite_digest"), shard.at("filter"),
                   shard.at("test_count"), shard.at("number"),       shard.at("of")};
    if (part.number >= 1 && part.number <= part.of) return part;
  } catch (const nlohmann::json::exception&) {
  }
  return fail(ErrorCode::bad_input, "it does not say which part of a suite it is", path);
}

// Of what they say, and what they are a part of, however it is written.
std::string digest_of(const nlohmann::json& results) {
  nlohmann::json part = results.at("shard");
  part.erase("digest");
  Fingerprint digest;
  for (const auto* json : std::initializer_list<const nlohmann::json*>{&part, &results.at("tests")})
    digest.add(0, 0, {}, as_bytes(json->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
  return digest.hex();
}

}  // namespace

void make_part(nlohmann::json& results, const SuitePart& part) {
  results["shard"] = {{"suite", part.suite},   {"suite_digest", part.suite_digest},
                      {"filter", part.filter}, {"test_count", part.test_count},
                      {"number", part.number}, {"of", part.of}};
  results["shard"]["digest"] = digest_of(results);
}

Expected<void> PartsOfSuite::add(const nlohmann::json& json, const std::filesystem::path& path) {
  auto results = results_from_json(json);
  if (!results) {
    results.error().path = path;
    return fail(results);
  }
  auto part = part_of(json, path);
  if (!part) return fail(part);
  if (auto fits = check(*part, path); !fits) return fits;
  if (results->empty()) return misfit("it has no tests", path);
  if (json.at("shard").value("digest", nlohmann::json()) != digest_of(json)) changed_ = path;
  for (auto& result : *results) {
    if (result.suite != part->suite)
      return misfit(fmt::format("the test {} is of the suite {}", result.name, result.suite), path);
    if (!tests_.insert(result.index).second || !names_.insert(result.name).second)
      return misfit(fmt::format("the test {} is there twice", result.name), path);
    results_.push_back(std::move(result));
  }
  parts_.emplace(part->number, std::move(*part));
  return {};
}

Expected<void> PartsOfSuite::check(const SuitePart& part, const std::filesystem::path& path) const {
  if (parts_.empty()) return {};
  const SuitePart& first = parts_.begin()->second;
  if (part.suite != first.suite)
    return misfit(fmt::format("it is of the suite {}, and others are of the suite {}", part.suite, first.suite), path);
  if (part.of != first.of)
    return misfit(fmt::format("it is part {} of {}, and others are parts of {}", part.number, part.of, first.of), path);
  if (part.suite_digest != first.suite_digest)
    return misfit(
        fmt::format("the suite {} had other contents, or other recordings, than where others ran", part.suite), path);
  if (part.filter != first.filter || part.test_count != first.test_count)
    return misfit(fmt::format("other tests were chosen: --filter '{}', and '{}' in others ({} and {} tests)",
                              part.filter, first.filter, part.test_count, first.test_count),
                  path);
  if (parts_.contains(part.number))
    return misfit(fmt::format("part {} of {} is there twice", part.number, part.of), path);
  return {};
}

Expected<std::vector<TestResult>> PartsOfSuite::whole() const {
  constexpr std::size_t kNamed = 20;
  const std::size_t of = parts_.empty() ? 0 : parts_.begin()->second.of;
  std::vector<std::size_t> missing;
  for (std::size_t number = 1; number <= of && missing.size() < kNamed; ++number)
    if (!parts_.contains(number)) missing.push_back(number);
  const std::size_t count = of - parts_.size();
  if (count > 0)
    return fail(ErrorCode::usage,
                fmt::format("part{} {}{} of {} {} missing", count == 1 ? "" : "s", fmt::join(missing, ", "),
                            count > kNamed ? ", ..." : "", of, count == 1 ? "is" : "are"));
  if (const std::size_t tests = parts_.begin()->second.test_count; results_.size() != tests)
    return fail(ErrorCode::usage, fmt::format("{} of {} tests are there", results_.size(), tests));
  if (changed_) return misfit("its results are not as they were written", *changed_);
  auto results = results_;
  if (parts_.begin()->second.filter.empty()) fail_idle_settings(results);
  return results;
}

}  // namespace sds
