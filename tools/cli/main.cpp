#include <fcntl.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "command.hpp"
#include "opened.hpp"
#include "progress_line.hpp"
#include "report.hpp"
#include "report_output.hpp"
#include "usage.hpp"
#include "wants_to_end.hpp"

namespace {

// Whatever could not be written to standard output was no answer.
int with_output_written(int exit_code) {
  const bool failed = std::ferror(stdout) != 0;
  errno = sds::cli::error_of_reports();
  if (std::fflush(stdout) == 0 && !failed) return exit_code;
  if (exit_code == 130) return exit_code;
  return sds::cli::fail_with(sds::fail_errno(errno != 0 ? errno : EIO, "cannot write", "standard output").value());
}

// Whether the command that was chosen reports as JSON.
bool wants_json(const CLI::App& app) {
  const auto* option = app.get_option_no_throw("--json");
  if (option != nullptr && option->count() > 0) return true;
  const auto chosen = app.get_subcommands();
  return std::any_of(chosen.begin(), chosen.end(), [](const CLI::App* command) { return wants_json(*command); });
}

// The number of a stream that is closed would be that of the next file to be opened, and messages would go into a
// recording. In its place stands what can be neither read nor written.
void keep_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(stream, F_GETFD) < 0) (void)::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

struct Commands {
  std::vector<std::string> names;
  void (*add)(sds::cli::Command&, sds::cli::Run&);
  bool tells_of_all = false;
};

// In the order of the help. Where the first word names a command, the others are described only if it tells of them,
// and none is for the version: describing all of them takes longer than most of them run.
void add_commands(sds::cli::Command& app, sds::cli::Run& run, const std::vector<std::string>& words) {
  if (words == std::vector<std::string>{"--version"}) return;
  const std::vector<Commands> all{
      {{"serve"}, sds::cli::add_serve},          {{"info"}, sds::cli::add_info},
      {{"check"}, sds::cli::add_check},          {{"pack"}, sds::cli::add_pack},
      {{"unpack"}, sds::cli::add_unpack},        {{"recover"}, sds::cli::add_recover},
      {{"replay"}, sds::cli::add_replay},        {{"test"}, sds::cli::add_test},
      {{"model"}, sds::cli::add_model},          {{"compare"}, sds::cli::add_compare},
      {{"label"}, sds::cli::add_label},          {{"plot"}, sds::cli::add_plot},
      {{"query", "stats"}, sds::cli::add_query}, {{"cut", "merge", "resample"}, sds::cli::add_edit},
      {{"export"}, sds::cli::add_export},        {{"import"}, sds::cli::add_import},
      {{"bench"}, sds::cli::add_bench},          {{"completion"}, sds::cli::add_completion, true},
      {{"man"}, sds::cli::add_man, true}};
  const auto is_named = [&](const Commands& commands) {
    return !words.empty() &&
           std::find(commands.names.begin(), commands.names.end(), words.front()) != commands.names.end() &&
           !commands.tells_of_all;
  };
  const bool any_is_named = std::any_of(all.begin(), all.end(), is_named);
  for (const auto& commands : all)
    if (!any_is_named || is_named(commands)) commands.add(app, run);
}

int run_command(int argc, char** argv) {
  keep_standard_streams();
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow (ulimit -f) fails the write: EFBIG
  // Results go to stdout, everything else to stderr.
  auto logger = spdlog::stderr_color_mt("sds");
  logger->set_pattern("%^%H:%M:%S.%e%$ %v");
  spdlog::set_default_logger(logger);

  CLI::App app{
      "sds records, replays, checks, compares and exports Synchronous Data Streams: timestamped sensor and audio data\n"
      "from embedded devices, as plain .sds files or in compressed .sdsz recordings."};
  app.name("sds");
  app.set_version_flag("--version", "sds (sdskit) " SDSKIT_VERSION);
  app.require_subcommand(1);
  app.fallthrough(false);
  app.footer(
      "Exit codes: 0 done; 1 the answer is no (a check failed, outputs differ); 2 wrong usage; 3 bad input, or done\n"
      "with what a damaged recording has left; 4 I/O or system error; 130 interrupted.  `sds help COMMAND` and\n"
      "`sds COMMAND --help` explain a command.");
  sds::cli::set_help(app);
  sds::cli::Command commands(app);
  sds::cli::Run run;
  const auto words = sds::cli::words_of(argc, argv);
  add_commands(commands, run, words);
  sds::cli::take_values(app);
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::ParseError& error) {
    const auto unknown = app.remaining(true);
    const bool is_asked = error.get_exit_code() == 0;  // help and the version
    if (is_asked && unknown.empty()) {
      app.exit(error);
      return with_output_written(0);
    }
    const auto wrong = is_asked ? sds::cli::what_is_wrong(app, CLI::ExtrasError(unknown), words)
                                : sds::cli::what_is_wrong(app, error, words);
    sds::cli::fail_with({sds::ErrorCode::usage, wrong, {}, {}});
    sds::cli::tell("`{} --help` lists what it takes\n", sds::cli::command_reached(app));
    // What was not understood may stand in front of the option.
    if (std::find(words.begin(), words.end(), "--json") != words.end()) sds::cli::print_json_errors();
    return std::max(2, with_output_written(2));
  }
  sds::cli::catch_interrupts();
  sds::set_tell_wait(sds::cli::note);
  const bool json = wants_json(app);  // now, for there may be no memory in the end
  const auto ended = [json](int exit_code) {
    const sds::cli::ReportOutput output;
    if (json) sds::cli::print_json_errors();
    return with_output_written(exit_code);
  };
  try {
    return ended(sds::cli::tell_damages(run()));
  } catch (const std::bad_alloc&) {
    return ended(sds::cli::fail_with(sds::no_memory()));
  } catch (const std::exception& error) {
    if (std::ferror(stdout) != 0) return with_output_written(4);
    return ended(sds::cli::fail_with({sds::ErrorCode::io, std::string("unexpected: ") + error.what(), {}, {}}));
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run_command(argc, argv);
  } catch (const std::bad_alloc&) {  // not even enough to say so in the usual way
    std::fputs("sds: error: out of memory\n", stderr);
    return 4;
  }
}
