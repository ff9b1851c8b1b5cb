#include "report_output.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace sds::cli {

namespace {

int g_reports = -1;  // where standard output led
int g_error_of_reports = 0;

}  // namespace

void keep_stdout_for_reports() {
  std::fflush(stdout);
  g_reports = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
  if (g_reports >= 0) ::dup2(STDERR_FILENO, STDOUT_FILENO);
}

int error_of_reports() { return g_error_of_reports; }

ReportOutput::ReportOutput() {
  if (g_reports < 0) return;
  ::flockfile(stdout);
  std::fflush(stdout);
  ::dup2(g_reports, STDOUT_FILENO);
}

ReportOutput::~ReportOutput() {
  if (g_reports < 0) return;
  if (std::fflush(stdout) != 0) g_error_of_reports = errno;
  ::dup2(STDERR_FILENO, STDOUT_FILENO);
  ::funlockfile(stdout);
}

}  // namespace sds::cli
