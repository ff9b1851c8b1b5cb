// Whether what came out is right by the label of a recording: one decision, or many.
#pragma once

#include "suite.hpp"

namespace sds {

/// Adds the decisions to `result`, and why it fails to its reasons. All are judged and counted; of very many the first
/// ones are listed.
void judge_label(const TestSpec& test, const std::string& label, const std::filesystem::path& outputs,
                 TestResult& result);

}  // namespace sds
