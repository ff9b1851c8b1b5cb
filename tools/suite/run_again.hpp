// The commands that show by hand what a test shows.
#pragma once

#include "suite.hpp"

namespace sds {

/// `sds replay ...`, and, where outputs are expected, `sds compare ...`: what came goes to
/// `again-<case>-<recording>.sdsz`. `idle` is what of the job had no effect. Nothing where an option cannot say it: a
/// worker with spaces in its words, a configuration that begins with @.
std::vector<std::string> commands_to_run_again(const TestSpec& test, const std::set<JobPart>& idle,
                                               bool metadata_are_idle);

}  // namespace sds
