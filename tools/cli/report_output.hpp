// Keeps standard output for reports where an algorithm runs in this process. It, its threads and its destructors may
// print as long as the process lives, also behind the run.
#pragma once

namespace sds::cli {

/// From here on what is printed comes out on standard error, but in the lifetime of a ReportOutput.
void keep_stdout_for_reports();

/// Why a report could not be written when its ReportOutput ended, as errno; 0 if it was.
int error_of_reports();

/// While it lives, standard output is this thread's: others that print by C's functions wait. What writes to the
/// descriptor itself meanwhile is not kept out.
class ReportOutput {
 public:
  ReportOutput();
  ~ReportOutput();
  ReportOutput(const ReportOutput&) = delete;
  ReportOutput& operator=(const ReportOutput&) = delete;
};

}  // namespace sds::cli
