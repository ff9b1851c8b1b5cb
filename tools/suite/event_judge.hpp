// Whether events that came out are those that the recording's labels tell.
#pragma once

#include "suite.hpp"

namespace sds {

/// Adds how the events of each class did to `result`, and why the test fails to its reasons.
void judge_events(const TestSpec& test, const Recording& recording, const std::filesystem::path& outputs,
                  TestResult& result);

}  // namespace sds
