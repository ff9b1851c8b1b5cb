"""No program or library of sdskit has the loader look into the current directory or a relative one: RUNPATH and RPATH
hold absolute paths and $ORIGIN only, in the build folder and as installed. Usage: test_run_paths.py BUILD CMAKE"""
import os
import re
import subprocess
import sys
import tempfile


def elf_files(folder):
    for root, _, names in os.walk(folder):
        for name in sorted(names):
            path = os.path.join(root, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            with open(path, "rb") as f:
                head = f.read(18)
            if head[:4] == b"\x7fELF" and head[16] in (2, 3):  # programs and shared libraries
                yield path


def bad_elements(path):
    done = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C"})
    return [element for paths in re.findall(r"\((?:RPATH|RUNPATH)\).*\[(.*)\]", done.stdout)
            for element in paths.split(":") if not element.startswith(("/", "$ORIGIN"))]


def check(folder, at_least):
    files = list(elf_files(folder))
    bad = [(path, element) for path in files for element in bad_elements(path)]
    for path, element in bad:
        print(f"{path}: '{element}' in its run path is not absolute")
    if len(files) < at_least:
        print(f"{folder}: {len(files)} programs and libraries, expected {at_least} or more")
    return not bad and len(files) >= at_least


def main():
    build, cmake = sys.argv[1:3]
    good = all([check(os.path.join(build, "bin"), 3), check(os.path.join(build, "lib"), 2)])
    with tempfile.TemporaryDirectory(prefix="sdskit-install-") as prefix:
        subprocess.run([cmake, "--install", build, "--prefix", prefix], check=True, stdout=subprocess.DEVNULL)
        good = check(prefix, 3) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
