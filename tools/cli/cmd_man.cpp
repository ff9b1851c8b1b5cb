#include <fmt/ranges.h>

#include <memory>

#include "command.hpp"
#include "description.hpp"
#include "outputs.hpp"
#include "sds/format/file_system.hpp"
#include "sds/format/partial_file.hpp"

namespace sds::cli {

namespace {

struct ManArguments {
  std::vector<std::string> words;
  std::filesystem::path folder;
  bool force = false;
};

const CommandDescription* find(const CommandDescription& command, const std::string& name) {
  if (command.name == name) return &command;
  for (const auto& own : command.commands)
    if (const auto* found = find(own, name)) return found;
  return nullptr;
}

Expected<void> write_pages(const CommandDescription& app, const CommandDescription& command, const ManArguments& o) {
  const auto page = o.folder / (page_name(command) + ".1");
  if (auto done = write_text_file(page, manual_page(app, command), if_exists(o.force)); !done) return done;
  for (const auto& own : command.commands)
    if (auto done = write_pages(app, own, o); !done) return done;
  return {};
}

int run_man(const CommandDescription& app, const ManArguments& o) {
  if (!o.folder.empty()) {
    if (auto made = make_directories(o.folder); !made) return fail_with(made.error());
    const auto done = write_pages(app, app, o);
    return done ? 0 : fail_with(done.error());
  }
  const std::string name = o.words.empty() ? app.name : fmt::format("{} {}", app.name, fmt::join(o.words, " "));
  const auto* command = find(app, name);
  if (command == nullptr) return fail_with({ErrorCode::usage, "there is no command '" + name + "'", {}, {}});
  std::fputs(manual_page(app, *command).c_str(), stdout);
  return 0;
}

}  // namespace

void add_man(Command& app, Run& run) {
  auto* command = app.add_subcommand("man", "Print the manual page of a command, or write those of all");
  auto o = std::make_shared<ManArguments>();
  auto* words = command->add_option("command", o->words, "The command, such as: export csv (default: sds itself)")
                    ->type_name("WORD");
  auto* folder =
      command->add_option("-d,--directory", o->folder, "Write all pages into this folder, as sds-export-csv.1")
          ->type_name("DIR")
          ->check(names_new_folder())
          ->excludes(words);
  command->add_flag("-f,--force", o->force, "Replace existing pages")->needs(folder);
  command->footer("A package installs these pages: man sds, man sds-pack.\n\nExample: sds man export csv | man -l -");
  command->callback([o, &app, &run] { run = [o, &app] { return run_man(app.description(), *o); }; });
}

}  // namespace sds::cli
