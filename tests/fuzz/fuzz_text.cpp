// What people write: label files, label tracks, conditions. What was read is written, and must read the same.
#include <cstdlib>

#include "condition.hpp"
#include "label_tools.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 4) {
    case 0: {
      if (sds::find_invalid_utf8(text)) break;
      auto labels = sds::LabelFile::parse(text, "fuzz");
      if (!labels) break;
      auto again = sds::LabelFile::parse(labels->to_yaml(), "fuzz");
      if (!again || again->labels != labels->labels || again->classes != labels->classes) std::abort();
      break;
    }
    case 1:
      (void)sds::read_audacity(text, {}, "fuzz");
      break;
    case 2:
      (void)sds::read_label_csv(text, {}, "", "fuzz");
      break;
    default: {
      auto condition = sds::Condition::parse(text);
      if (!condition) break;
      // What the ranges rule out must not be found among the values.
      const std::size_t channels = condition->channels().size();
      const std::vector<double> values{0, 1, -2.5, 3};
      std::vector<const double*> columns(channels, values.data());
      std::vector<std::uint8_t> hits;
      condition->evaluate(condition->root(), columns, std::vector<const sds::ExactNumber*>(channels), values.size(),
                          hits);
      const auto verdict =
          condition->verdict(condition->root(), std::vector<sds::ValueRange>(channels, {-2.5, 3, false}));
      for (const std::uint8_t hit : hits)
        if ((hit != 0 && verdict == sds::Verdict::never) || (hit == 0 && verdict == sds::Verdict::always)) std::abort();
      break;
    }
  }
  return 0;
}
