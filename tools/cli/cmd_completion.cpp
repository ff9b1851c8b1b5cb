#include <memory>

#include "command.hpp"
#include "description.hpp"

namespace sds::cli {

void add_completion(Command& app, Run& run) {
  auto* command = app.add_subcommand("completion", "Print a script that makes a shell complete commands and options");
  auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "The shell")->required()->check(one_of({"bash", "zsh", "fish"}));
  command->footer(
      "A package installs these scripts. Without one:\n"
      "  bash  echo 'source <(sds completion bash)' >> ~/.bashrc\n"
      "  zsh   sds completion zsh > ~/.zfunc/_sds, where ~/.zfunc is in $fpath\n"
      "  fish  sds completion fish > ~/.config/fish/completions/sds.fish");
  command->callback([shell, &app, &run] {
    run = [shell, &app] {
      std::fputs(completion_script(app.description(), *shell).c_str(), stdout);
      return 0;
    };
  });
}

}  // namespace sds::cli
