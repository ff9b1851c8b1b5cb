"""What shells complete, and what manual pages tell, is what the help has: asked of the shells themselves."""
import os
import re
import shutil
import subprocess
import unittest

from harness import SDS, Case, main, run, sample_of


def sections(text):
    """The parts of a help by their titles; what stands before the first is "". """
    found, title = {"": []}, ""
    for line in text.splitlines():
        if re.fullmatch(r"[A-Z][^:]*(\([^)]*\))?:", line):
            title = line[:-1]
        elif line and not line.startswith(" "):
            title = ""
        found.setdefault(title, []).append(line)
    return found


class Help:
    """A command as `--help` tells of it."""

    def __init__(self, words):
        self.words = words
        self.text = run(*words, "--help")[0]
        parts = sections(self.text)
        self.commands = [line.split()[0] for line in parts.get("Subcommands", []) if re.match(r"  \S", line)]
        self.options = set()
        for lines in parts.values():
            for line in lines:
                if match := re.match(r"  ((?:-\w,)?--?[\w-]+(?:,--?[\w-]+)*)", line):
                    self.options.update(match[1].split(","))

    def own(self):
        return [Help(self.words + [name]) for name in self.commands]


def all_commands(command=None):
    command = command or Help([])
    return [command] + [one for own in command.own() for one in all_commands(own)]


def needs(program):
    return unittest.skipUnless(shutil.which(program), f"{program} is not installed")


class Completion(Case):
    @classmethod
    def setUpClass(cls):
        cls.all = all_commands()

    def script(self, shell):
        return self.write(f"sds.{shell}", run("completion", shell)[0])

    def ask(self, *command, **kwargs):
        path = os.path.dirname(SDS) + os.pathsep + os.environ["PATH"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=self.folder.name,
                              env={**os.environ, "PATH": path, "HOME": self.folder.name, "TERM": "dumb"}, **kwargs)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def bash(self, *lines):
        """What each line, up to its end, is completed to."""
        asks = "".join(f"COMP_WORDS=({' '.join(repr(w) for w in words)}); COMP_CWORD={len(words) - 1}; _sds; echo \"${{COMPREPLY[*]}}\"\n"
                       for words in lines)
        return [set(line.split()) for line in self.ask("bash", "-c", f"source {self.script('bash')}\n{asks}").splitlines()]

    def fish(self, *lines):
        asks = "".join(f"complete -C {' '.join(words)!r}\necho ---\n" for words in lines)
        answers = self.ask("fish", "--no-config", "-c", f"source {self.script('fish')}\n{asks}").split("---\n")[:-1]
        return [{line.split("\t")[0] for line in answer.splitlines()} for answer in answers]

    def check_words(self, complete):
        lines = [["sds", *command.words, "-"] for command in self.all] + [["sds", *command.words, "--"] for command in self.all]
        answers = complete(*lines, *[["sds", *command.words, ""] for command in self.all])
        for k, command in enumerate(self.all):
            with self.subTest(command=command.words):
                self.assertEqual((answers[k] | answers[k + len(self.all)]) - {"-"}, command.options)
                if command.commands:
                    self.assertEqual(answers[2 * len(self.all) + k] & set(command.commands), set(command.commands))

    def check_values(self, complete):
        for name in ("a b.sdsz", "b.sdsz", "c.csv"):
            self.write(name, "")
        asked = (["sds", "serve", "socket", "--format", "s"], {"sds", "sdsz"}), (["sds", "serve", "socket", "--durability", ""], {"none", "process", "power"}), \
            (["sds", "import", "csv", "--date-order", "d"], {"dmy"}), (["sds", "export", "h"], {"hdf5"}), \
            (["sds", "pack", "b"], {"b.sdsz"}), (["sds", "pack", "-o", "c"], {"c.csv"}), (["sds", "export", "csv", "b.sdsz", "-o", "c"], {"c.csv"}), \
            (["sds", "help", "reco"], {"recover"}), (["sds", "replay", "--threads", "b"], set())
        for (words, expected), answer in zip(asked, complete(*[words for words, _ in asked])):
            self.assertEqual(answer, expected, words)

    def test_bash_completes_what_the_help_has(self):
        self.check_words(self.bash)
        self.check_values(self.bash)

    @needs("fish")
    def test_fish_completes_what_the_help_has(self):
        self.check_words(self.fish)
        self.check_values(self.fish)

    def test_all_values_and_bash_equals(self):
        self.assertEqual(self.bash(["sds", "serve", "socket", "--format", "=", "sdsz"]), [{"sdsz"}])

    @needs("zsh")
    def test_zsh_completes_what_the_help_has(self):
        self.script("zsh")
        for name in ("b.sdsz", "c.csv"):
            self.write(name, "")
        # A terminal of its own: what is offered is told by the hook of the function that adds matches.
        driver = self.write("drive.zsh", r"""
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z 'PROMPT=; unset zle_bracketed_paste; autoload -Uz compinit; compinit -u -d $PWD/dump; source $PWD/sds.zsh'
zpty -w z 'compadd () { if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return $?; fi
typeset -a __h; builtin compadd -A __h "$@"; [[ -n $__h ]] && print -rl -- "<${^__h}>"; builtin compadd "$@" }'
zpty -w z 'done-now () { BUFFER= ; print "<<end>>"; }; zle -N done-now; bindkey "^X" done-now; print "<<ready>>"'
zpty -r -m z REPLY '*<<ready>>*<<ready>>*' 2> /dev/null
for line in "$@"; do
  zpty -n -w z "$line"$'\t\t'$'\x18'
  zpty -r -m z REPLY '*<<end>>*'
  print -r -- "$REPLY" | tr -d '\r' | grep -aoE '<[^<>]+>' | grep -v end | sort -u | tr '\n' ' '
  print
done
zpty -d z
""")
        asked = {"sds export csv --": Help(["export", "csv"]).options, "sds serve socket --format ": {"sds", "sdsz"}, "sds pack b": {"b.sdsz"}}
        lines = self.ask("zsh", "-f", driver, *asked).splitlines()
        for (words, expected), line in zip(asked.items(), lines):
            offered = set(re.sub("[<>]", " ", line).split())
            self.assertLessEqual({e for e in expected if len(e) > 2}, offered, words)  # -o behind -- is none

    @needs("zsh")
    def test_the_script_for_zsh_can_be_read(self):
        self.assertEqual(self.ask("zsh", "-n", self.script("zsh")), "")

    def test_pages_tell_what_the_help_tells(self):
        run("man", "-d", self.path("man"))
        self.assertEqual(sorted(os.listdir(self.path("man"))), sorted("-".join(["sds", *command.words]) + ".1" for command in self.all))
        for command in self.all:
            name = "-".join(["sds", *command.words])
            page = self.read("man", name + ".1").decode()
            self.assertEqual(page, run("man", *command.words)[0])
            plain = page.replace("\\-", "-")
            self.assertRegex(plain, rf"(?m)^\.TH {re.escape(name.upper())} 1 ")
            for option in command.options:
                self.assertIn(f"\\fB{option}\\fR", plain)
            for own in command.commands:
                self.assertIn(f".BR {name}-{own} (1)", plain)

    @needs("groff")
    def test_pages_are_well_formed(self):
        run("man", "-d", self.path("man"))
        for name in sample_of(sorted(os.listdir(self.path("man")))):
            out = self.ask("groff", "-man", "-ww", "-Tascii", "-P-cbou", self.path("man", name))
            self.assertIn("SYNOPSIS", out)

    def test_mistakes(self):
        self.assertIn("bash", run("completion", "csh", expect=2)[1])
        self.assertIn("there is no command 'sds pck'", run("man", "pck", expect=2)[1])
        run("man", "-d", self.path("man"))
        self.assertIn("exists", run("man", "-d", self.path("man"), expect=4)[1])
        run("man", "-d", self.path("man"), "--force")


if __name__ == "__main__":
    main()
