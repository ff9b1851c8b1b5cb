#include "expectation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include "damage_text.hpp"
#include "difference_picture.hpp"
#include "sds/format/file.hpp"
#include "sds/format/partial_file.hpp"
#include "wants_to_end.hpp"

namespace sds {

namespace {

// The two kinds of tolerances by channel.
struct ToleranceKind {
  const char* key;  // in suites
  std::map<std::string, double> CompareOptions::*by_channel;
  double CompareOptions::*of_all;
  std::set<std::string> CompareOptions::*may_be_idle;  // those of the defaults
  std::set<std::string> RecordingComparison::*idle;

  [[nodiscard]] std::string setting(const std::string& channel) const {
    const std::string of = channel == CompareOptions::all_channels ? "" : fmt::format(" of '{}'", channel);
    return fmt::format("'{}:'{} of the defaults", key, of);
  }
};
constexpr ToleranceKind kToleranceKinds[] = {
    {"tolerance", &CompareOptions::absolute, &CompareOptions::absolute_all, &CompareOptions::absolute_may_be_idle,
     &RecordingComparison::idle_absolute},
    {"relative-tolerance", &CompareOptions::relative, &CompareOptions::relative_all,
     &CompareOptions::relative_may_be_idle, &RecordingComparison::idle_relative}};

std::vector<std::string> differences(const RecordingComparison& comparison) {
  std::vector<std::string> texts;
  for (const auto& id : comparison.only_a)
    texts.push_back(fmt::format("stream {} is expected and does not come out", id));
  for (const auto& id : comparison.only_b) texts.push_back(fmt::format("stream {} comes out and is not expected", id));
  for (const auto& s : comparison.streams) {
    for (const auto& name : s.channels_only_a)
      texts.push_back(fmt::format("{}: channel {} is expected and does not come out", s.a, name));
    for (const auto& name : s.channels_only_b)
      texts.push_back(fmt::format("{}: channel {} comes out and is not expected", s.a, name));
    if (s.only_a > 0)
      texts.push_back(
          fmt::format("{}: {} expected blocks are missing, first at tick {}", s.a, s.only_a, *s.first_only_a));
    if (s.only_b > 0)
      texts.push_back(fmt::format("{}: {} blocks are not expected, first at tick {}", s.a, s.only_b, *s.first_only_b));
    if (s.size_mismatches > 0)
      texts.push_back(fmt::format("{}: {} blocks have other sizes, first at tick {}", s.a, s.size_mismatches,
                                  *s.first_size_mismatch));
    if (s.losses_only_a > 0)
      texts.push_back(fmt::format("{}: {} expected losses are missing, the first {}", s.a, s.losses_only_a,
                                  s.first_loss_only_a->text()));
    if (s.losses_only_b > 0)
      texts.push_back(fmt::format("{}: {} losses are not expected, the first {}", s.a, s.losses_only_b,
                                  s.first_loss_only_b->text()));
    for (const auto& c : s.channels) {
      if (!c.first) continue;
      texts.push_back(
          fmt::format("{}.{}: {} of {} values differ by up to {:.6g} (mean {:.3g}), first at tick {}: {} "
                      "expected, {} came",
                      s.a, c.name, c.different, c.values, c.max_beyond, c.mean_beyond, c.first->tick, c.first->text_a(),
                      c.first->text_b()));
      for (const auto& stretch : c.told()) texts.push_back(fmt::format("{}.{}: {}", s.a, c.name, stretch.text()));
      if (!c.told().empty() && c.stretch_count > c.told().size())
        texts.push_back(fmt::format("{}.{}: {} such stretches in all", s.a, c.name, c.stretch_count));
    }
  }
  return texts;
}

// The first line that is not the same in both.
std::string first_other_line(const std::string& a, const std::string& b) {
  std::istringstream in_a(a);
  std::istringstream in_b(b);
  for (;;) {
    std::string line_a;
    std::string line_b;
    const bool more_a = static_cast<bool>(std::getline(in_a, line_a));
    const bool more_b = static_cast<bool>(std::getline(in_b, line_b));
    if (line_a == line_b && more_a && more_b) continue;
    const auto told = [](const std::string& line, bool is_there) {
      return is_there ? fmt::format("'{}'", line.substr(std::min(line.find_first_not_of(' '), line.size())))
                      : "nothing";
    };
    return fmt::format("{} is expected, {} came", told(line_a, more_a), told(line_b, more_b));
  }
}

std::vector<std::string> metadata_differences(const Recording& a, const Recording& b) {
  std::vector<std::string> texts;
  for (const auto& stream : b.streams()) {
    const auto other = a.find_stream(stream.id);
    if (!other) continue;
    const auto& expected = a.streams()[*other].description.metadata_text;
    const auto& came = stream.description.metadata_text;
    if (expected != came)
      texts.push_back(fmt::format("{}: its metadata change: {}", stream.id, first_other_line(expected, came)));
  }
  return texts;
}

class Expectation {
 public:
  Expectation(const TestSpec& test, const std::filesystem::path& outputs, TestResult& result)
      : test_(test), outputs_(outputs), result_(result) {}

  void judge() {
    for (auto& text : compare()) fails(std::move(text));
  }

  void update() {
    const bool exists = is_there();
    const auto reasons = exists ? compare() : std::vector<std::string>();
    if (exists && reasons.empty()) return;
    if (const auto why = why_not_comparable()) {
      for (const auto& reason : reasons) fails(reason);
      return leave("the next run could not be compared with what came: " + *why);
    }
    if (exists) show_changes(reasons);
    if (auto done = write_copy(outputs_, test_.expected, IfExists::overwrite); !done)
      return fails(done.error().to_string());
    result_.notes.push_back((exists ? "replaced " : "recorded ") + test_.expected.string());
  }

  /// Nothing is recorded, which is a failure.
  void leave(const std::string& why) {
    fails(fmt::format("{} {}: {}", test_.expected.string(), is_there() ? "stays as it is" : "is not recorded", why));
  }

  /// Whether what is expected, or what is to be, was compared with what came.
  [[nodiscard]] bool is_compared() const { return is_compared_; }

  [[nodiscard]] bool is_there() const {
    std::error_code error;
    return std::filesystem::exists(test_.expected, error);
  }

 private:
  void fails(std::string reason) { result_.reasons.push_back(std::move(reason)); }

  // Why what came out is not what is expected; empty: it is.
  std::vector<std::string> compare() {
    auto a = open_until_end(test_.expected);
    if (!a) return {a.error().to_string()};
    auto b = open_until_end(outputs_);
    if (!b) return {b.error().to_string()};
    auto comparison = compare_recordings(*a, *b, test_.tolerances, {});
    if (!comparison) return {comparison.error().to_string()};
    note_tolerances(*comparison);
    if (const auto open = why_not_closed(*a))
      result_.notes.push_back(fmt::format("{} is {}", test_.expected.string(), *open));
    std::vector<std::string> reasons;
    for (const auto& damage : a->damages())
      (damage.harmless ? result_.notes : reasons)
          .push_back(fmt::format("{} is damaged: {}", test_.expected.string(), damage_text(damage)));
    for (const auto& stream : comparison->streams) {
      for (const auto& note : stream.notes) result_.notes.push_back(fmt::format("{}: {}", stream.a, note));
      if (stream.blocks + stream.only_a + stream.only_b == 0)
        result_.notes.push_back(fmt::format("{}: no block came, and none is expected", stream.a));
    }
    for (auto& text : differences(*comparison)) reasons.push_back(std::move(text));
    result_.pictures = difference_pictures(*a, *b, *comparison);
    return reasons;
  }

  // Which of the defaults' tolerances are for a channel that is compared here.
  void note_tolerances(const RecordingComparison& comparison) {
    if (comparison.streams.empty()) return;
    is_compared_ = true;
    for (const auto& kind : kToleranceKinds)
      for (const auto& channel : test_.tolerances.*kind.may_be_idle)
        ((comparison.*kind.idle).contains(channel) ? result_.idle : result_.useful).insert(kind.setting(channel));
  }

  // All that is replaced, also what is not compared else, or within a tolerance.
  void show_changes(const std::vector<std::string>& reasons) {
    std::vector<std::string> changes;
    const auto a = open_until_end(test_.expected);
    const auto b = open_until_end(outputs_);
    if (a && b) {
      if (const auto all = compare_recordings(*a, *b, {}, {}))
        for (auto& text : differences(*all)) changes.push_back(std::move(text));
      for (const auto& damage : a->damages())
        changes.push_back(fmt::format("{} is damaged: {}", test_.expected.string(), damage_text(damage)));
      for (auto& text : metadata_differences(*a, *b)) changes.push_back(std::move(text));
    }
    if (changes.empty()) changes = reasons;
    for (auto& text : changes) result_.notes.push_back(std::move(text));
  }

  // What is recorded must be equal to itself, by what the test names.
  std::optional<std::string> why_not_comparable() {
    const auto came = open_until_end(outputs_);
    if (!came) return came.error().message;
    const auto comparison = compare_recordings(*came, *came, test_.tolerances, {});
    if (!comparison) return comparison.error().message;
    note_tolerances(*comparison);
    if (!comparison->equal()) return differences(*comparison).front();
    return std::nullopt;
  }

  const TestSpec& test_;
  const std::filesystem::path& outputs_;
  TestResult& result_;
  bool is_compared_ = false;
};

bool has_default_tolerances(const TestSpec& test) {
  return std::any_of(std::begin(kToleranceKinds), std::end(kToleranceKinds),
                     [&](const auto& kind) { return !(test.tolerances.*kind.may_be_idle).empty(); });
}

void judge_or_update(Expectation& expectation, const TestSpec& test, bool update, TestResult& result) {
  const std::size_t reasons = result.reasons.size();
  if (update && reasons == 0) return expectation.update();
  if (expectation.is_there()) {
    expectation.judge();
    if (result.reasons.size() == reasons) return;
  } else if (!update) {
    result.reasons.push_back(fmt::format("there is no {} yet: 'sds test --update' records it", test.expected.string()));
  }
  if (update) expectation.leave("the test itself fails");
}

}  // namespace

Expected<void> write_copy(const std::filesystem::path& from, const std::filesystem::path& to, IfExists if_exists) {
  auto source = InputFile::open(from);
  if (!source) return fail(source);
  if (auto made = make_directories(directory_of(to)); !made) return made;
  auto file = PartialFile::create(to, if_exists);
  if (!file) return fail(file);
  Bytes piece(std::size_t{1} << 20);
  for (std::uint64_t at = 0;;) {
    auto got = (*source)->read(at, piece);
    if (!got) return fail(got);
    if (*got == 0) return file->keep();
    if (auto done = file->sink().append(ByteView(piece).first(*got)); !done) return done;
    at += *got;
  }
}

void judge_expected(const TestSpec& test, const std::filesystem::path& outputs, bool update, TestResult& result) {
  Expectation expectation(test, outputs, result);
  judge_or_update(expectation, test, update, result);
  // Which tolerances of the defaults have an effect shows where outputs are compared.
  if (!expectation.is_compared() && has_default_tolerances(test)) result.is_judged = false;
}

void drop_idle_tolerances(CompareOptions& tolerances, const TestResult& result) {
  for (const auto& kind : kToleranceKinds)
    for (const auto& channel : tolerances.*kind.may_be_idle) {
      if (!result.idle.contains(kind.setting(channel))) continue;
      if (channel == CompareOptions::all_channels) {
        tolerances.*kind.of_all = 0;
      } else {
        (tolerances.*kind.by_channel).erase(channel);
      }
    }
}

}  // namespace sds
