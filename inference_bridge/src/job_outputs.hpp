// What the outputs of a job are recorded in: which metadata are whose, and where they come from.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "sds/bridge/replay_job.hpp"

namespace sds {

/// Makes the recording of the algorithm's `outputs`, at the times of the stream `input_stream`. What of the job has no
/// use for them goes to `idle`, what may be wrong with them to `notes`.
Expected<OutputRecorder> record_outputs(const Recording& recording, const ReplayJob& job, std::size_t input_stream,
                                        const std::vector<OutputPort>& outputs, std::set<JobPart>& idle,
                                        std::vector<std::string>& notes);

}  // namespace sds
