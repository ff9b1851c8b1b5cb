// The commands that show by hand what a test shows.
#pragma once

#include "suite.hpp"

namespace sds {

/// Notes: "again: sds replay ...", and, where the expected outputs are there, "again: sds compare ...". What came goes
/// to a file for temporary ones that has a name of its own for each replay, and one that no pattern of a suite finds.
/// `idle` is what of the job had no effect. Where an option cannot say something, the only note says what.
std::vector<std::string> how_to_run_again(const TestSpec& test, const std::set<JobPart>& idle, bool metadata_are_idle);

}  // namespace sds
