#include "label_judge.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "class_number.hpp"
#include "class_scores.hpp"
#include "judged_output.hpp"
#include "wants_to_end.hpp"

namespace sds {

namespace {

// What is listed of one test, and what is counted.
constexpr std::size_t kMaxDecisions = 100000;
constexpr std::size_t kMaxScores = 1000000;
constexpr std::size_t kMaxClasses = 1000;

class LabelJudge {
 public:
  LabelJudge(const TestLabel& rule, const std::string& label, TestResult& result)
      : rule_(rule), label_(label), result_(result) {}

  Expected<void> judge(const std::filesystem::path& path) {
    auto outputs = open_until_end(path);
    if (!outputs) return fail(outputs);
    const auto index = judged_output(*outputs, rule_.output, "its values have no names");
    if (!index) return fail(index);
    const StreamInfo& stream = outputs->streams()[*index];
    auto cursor = outputs->cursor(*index);
    if (!cursor) return fail(cursor);
    auto done = rule_.decide == TestLabel::Decide::event ? decide_by_events(**cursor, *stream.metadata)
                                                         : decide_by_scores(**cursor, *stream.metadata);
    if (result_.decisions.size() < count_)
      result_.notes.push_back(
          fmt::format("of {} decisions, which are all judged, {} are listed", count_, result_.decisions.size()));
    return done;
  }

 private:
  // Hands on sample by sample.
  template <class Take>
  static Expected<void> for_each_sample(BlockCursor& cursor, const Metadata& metadata, const Take& take) {
    for (;;) {
      auto block = cursor.next();
      if (!block) return fail(block);
      if (!*block) return {};
      ByteView data = (*block)->data;
      for (; data.size() >= metadata.sample_bytes; data = data.subspan(metadata.sample_bytes))
        if (auto taken = take(data.data()); !taken) return taken;
      if (!data.empty())
        return fail(ErrorCode::bad_input,
                    fmt::format("the output {} of tick {} has {} bytes, which are no whole samples of {}",
                                metadata.name, (*block)->tick, (*block)->data.size(), metadata.sample_bytes));
    }
  }

  // Each value is the number of a class; a recording without any is `none`.
  Expected<void> decide_by_events(BlockCursor& cursor, const Metadata& metadata) {
    const auto channel = class_number_channel(metadata, "decide: event");
    if (!channel) return fail(channel);
    auto judged = for_each_sample(cursor, metadata, [&](const std::byte* sample) {
      return add(class_of(**channel, sample, rule_.classes), nullptr);
    });
    if (!judged || count_ > 0) return judged;
    result_.notes.push_back(fmt::format("{}: no block came, which is taken for {}", metadata.name, rule_.none));
    return add(rule_.none, nullptr);
  }

  Expected<void> decide_by_scores(BlockCursor& cursor, const Metadata& metadata) {
    auto scores = ClassScores::of(metadata, rule_.classes);
    if (!scores) return fail(scores);
    if (const auto accepts = rule_.accepts.find(label_); accepts != rule_.accepts.end())
      for (const auto& name : accepts->second)
        if (std::find(scores->names().begin(), scores->names().end(), name) == scores->names().end())
          return fail(ErrorCode::bad_input, fmt::format("there is no class '{}' to accept; there is: {}", name,
                                                        fmt::join(scores->names(), ", ")));
    if (scores->names().size() < 2)
      return fail(ErrorCode::bad_input,
                  fmt::format("{} class scores in the output: there must be at least two", scores->names().size()));
    auto judged = for_each_sample(cursor, metadata, [&](const std::byte* sample) {
      scores->add(sample);
      if (rule_.decide != TestLabel::Decide::each) return Expected<void>();
      auto added = add(scores->leader(), &*scores);
      scores->clear();
      return added;
    });
    if (judged && scores->samples() > 0) return add(scores->leader(), &*scores);
    return judged;
  }

  Expected<void> add(const std::string& predicted, const ClassScores* scores) {
    const auto accepts = rule_.accepts.find(label_);
    const bool right = accepts == rule_.accepts.end() ? predicted == label_
                                                      : std::find(accepts->second.begin(), accepts->second.end(),
                                                                  predicted) != accepts->second.end();
    const auto counted = std::find_if(result_.decision_counts.begin(), result_.decision_counts.end(),
                                      [&](const auto& count) { return count.predicted == predicted; });
    if (counted != result_.decision_counts.end()) {
      ++counted->count;
    } else if (result_.decision_counts.size() < kMaxClasses) {
      result_.decision_counts.push_back({label_, predicted, right, 1});
    } else {
      return fail(ErrorCode::bad_input, fmt::format("more than {} different classes were decided for", kMaxClasses));
    }
    ++count_;
    listed_scores_ += scores ? scores->names().size() : 0;
    if (result_.decisions.size() < kMaxDecisions && listed_scores_ <= kMaxScores)
      result_.decisions.push_back(
          {label_, predicted, right, scores ? scores->means() : std::map<std::string, long double>()});
    return {};
  }

  const TestLabel& rule_;
  const std::string& label_;
  TestResult& result_;
  std::uint64_t count_ = 0;
  std::size_t listed_scores_ = 0;
};

}  // namespace

void judge_label(const TestSpec& test, const std::string& label, const std::filesystem::path& outputs,
                 TestResult& result) {
  const auto fails = [&](std::string reason) { result.reasons.push_back(std::move(reason)); };
  if (auto judged = LabelJudge(test.label, label, result).judge(outputs); !judged)
    return fails(judged.error().to_string());
  const std::uint64_t count = result.decision_count();
  const std::uint64_t right = result.right_count();
  if (count == 0) return fails("nothing came out that could be judged");
  const double accuracy = static_cast<double>(right) / static_cast<double>(count);
  const double least = test.limits.accuracy.value_or(1.0);
  if (accuracy >= least) return;
  if (count == 1) {
    fails(fmt::format("it is {} and was taken for {}", label, result.decision_counts[0].predicted));
  } else {
    fails(fmt::format("{} of {} decisions are right ({:.1f} %), at least {:.1f} % must be", right, count,
                      100 * accuracy, 100 * least));
  }
}

}  // namespace sds
