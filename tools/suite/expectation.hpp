// Recorded outputs that a test expects: compared with what came out, or replaced by it.
#pragma once

#include "sds/format/partial_file.hpp"
#include "suite.hpp"

namespace sds {

/// Adds what differs to the reasons of `result`. With `update`, what came out takes the place of what is expected,
/// unless the result has reasons already, or the next run would fail: what changed is in the notes.
void judge_expected(const TestSpec& test, const std::filesystem::path& outputs, bool update, TestResult& result);

/// Leaves out what `result` says to be idle of the tolerances that a test has from the defaults.
void drop_idle_tolerances(CompareOptions& tolerances, const TestResult& result);

/// Copies a file whole, durably, and makes the folder for it.
Expected<void> write_copy(const std::filesystem::path& from, const std::filesystem::path& to, IfExists if_exists);

}  // namespace sds
