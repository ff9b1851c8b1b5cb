"""A command starts with the libraries that it needs: those that bring dozens of others along are modules, loaded from
where sdskit is installed when a command needs them, and from nowhere else."""
import os
import re
import shutil
import subprocess
import struct

import peers

peers.use()

import h5py
import numpy as np
import soundfile

from harness import ADDRESS_SANITIZER, BUILD, Case, SDS, THREAD_SANITIZER, main, plain, run

# What the program itself is linked with, what these need, the system's, and the run-time libraries of sanitizers.
OF_EVERY_COMMAND = {"spdlog", "fmt", "yaml-cpp", "pugixml", "csv", "zstd", "lz4", "deflate", "xxhash", "samplerate", "png16",
                    "kissfft-float", "z", "stdc++", "gcc_s", "m", "c", "ld-linux-x86-64", "ld-linux-aarch64", "linux-vdso"}
OF_SANITIZERS = {"asan", "tsan", "ubsan", "dl", "rt", "pthread", "resolv"}
MODULES = {"hdf5": "hdf5_serial", "archive": "archive", "sound": "sndfile"}


def cached(name):
    """What the build folder was configured with."""
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as cache:
        return re.search(rf"^{name}:[A-Z]+=(.*)$", cache.read(), re.M).group(1)


class Start(Case):
    def setUp(self):
        super().setUp()
        self.write("Imu.sds.yml", "sds:\n  name: Imu\n  frequency: 100\n  content:\n    - {value: x, type: int16_t}\n")
        self.imu = self.write("Imu.0.sds", plain(*[(10 * i, struct.pack("<h", 100 * i)) for i in range(50)]))

    def libraries_of(self, *args, program=SDS):
        """The names of the libraries that a command has when it ends ("c" for libc.so.6), as the loader tells them."""
        told = self.path("loader")
        subprocess.run([program, *args], check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "LD_DEBUG": "files", "LD_DEBUG_OUTPUT": told})
        [file] = [name for name in os.listdir(self.folder.name) if name.startswith("loader.")]
        with open(self.path(file), encoding="utf-8") as f:
            paths = re.findall(r"file=(\S+) \[\d+\];\s+generating link map", f.read())
        os.remove(self.path(file))
        return {re.sub(r"^lib", "", os.path.basename(path).split(".so")[0]) for path in paths}

    def allowed(self):
        return OF_EVERY_COMMAND | (OF_SANITIZERS if ADDRESS_SANITIZER or THREAD_SANITIZER else set())

    def test_that_commands_load_no_library_that_they_do_not_need(self):
        for command in (["--version"], ["--help"], ["info", self.imu], ["check", self.imu],
                        ["export", "csv", self.imu, "-o", self.path("imu.csv")]):
            with self.subTest(command=command[0]):
                libraries = self.libraries_of(*command)
                self.assertIn("yaml-cpp", libraries)  # the loader has told
                self.assertEqual(libraries - self.allowed(), set())

    def test_that_an_export_loads_its_own_library_only(self):
        for format, output, module in (("hdf5", "imu.h5", "hdf5"), ("npz", "imu.npz", "archive"), ("wav", "imu.wav", "sound")):
            libraries = self.libraries_of("export", format, self.imu, "-o", self.path(output))
            self.assertEqual(libraries & (set(MODULES) | set(MODULES.values())), {module, MODULES[module]}, format)

    def program_elsewhere(self):
        """The program by itself, and where its modules would be."""
        os.makedirs(self.path("apart", "bin"))
        program = shutil.copy(SDS, self.path("apart", "bin", "sds"))
        modules = self.path("apart", "lib", "sdskit")
        os.makedirs(modules)
        return program, modules

    def refused(self, program, format, output, **kwargs):
        done = subprocess.run([program, "export", format, self.imu, "-o", self.path(output)], capture_output=True, text=True,
                              check=False, **kwargs)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertFalse(os.path.exists(self.path(output)))
        return done.stderr

    def test_that_a_module_that_is_missing_is_told(self):
        program, modules = self.program_elsewhere()
        for format, output, module in (("hdf5", "imu.h5", "hdf5"), ("npz", "imu.npz", "archive"), ("wav", "imu.wav", "sound")):
            told = self.refused(program, format, output)
            self.assertEqual(told, f"sds: error: {modules}/{module}.so: a part of sdskit cannot be loaded: cannot open shared "
                                   "object file: No such file or directory\n")
        done = subprocess.run([program, "info", self.imu], capture_output=True, check=False)
        self.assertEqual(done.returncode, 0)

    def test_that_windows_are_refused_before_anything_is_made(self):
        program, _ = self.program_elsewhere()
        for format in ("npz", "hdf5"):
            done = subprocess.run([program, "export", format, self.imu, "--window", "0.1", "-o", self.path("made")],
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 4, done.stderr)
            self.assertIn("cannot be loaded", done.stderr)
            self.assertFalse(os.path.exists(self.path("made")))

    def test_that_modules_of_the_current_folder_or_of_the_environment_are_not_taken(self):
        program, modules = self.program_elsewhere()
        stranger = self.path("stranger")
        shutil.copytree(os.path.join(BUILD, "lib", "sdskit"), os.path.join(stranger, "lib", "sdskit"))
        for folder in (stranger, os.path.join(stranger, "lib", "sdskit")):
            env = {**os.environ, "LD_LIBRARY_PATH": folder, "PATH": folder}
            self.assertIn(f"{modules}/hdf5.so", self.refused(program, "hdf5", "imu.h5", cwd=folder, env=env))

    def test_that_a_file_that_is_no_module_is_told(self):
        program, modules = self.program_elsewhere()
        module = os.path.join(modules, "hdf5.so")
        with open(module, "w", encoding="utf-8") as f:
            f.write("not a library at all, but long enough to be looked at by the loader" * 10)
        self.assertIn(f"{module}: a part of sdskit cannot be loaded: ", self.refused(program, "hdf5", "imu.h5"))
        shutil.copy(os.path.join(BUILD, "lib", "motion.so"), module)
        self.assertIn(f"{module}: is no module of sdskit", self.refused(program, "hdf5", "imu.h5"))

    def test_that_a_module_of_another_build_is_told(self):
        program, modules = self.program_elsewhere()
        module = os.path.join(modules, "hdf5.so")
        shutil.copy(os.path.join(BUILD, "lib", "sdskit", "sound.so"), module)  # another table
        self.assertIn(f"{module}: is of another build of sdskit", self.refused(program, "hdf5", "imu.h5"))
        with open(os.path.join(BUILD, "lib", "sdskit", "hdf5.so"), "rb") as f:
            content = f.read()
        version = run("--version")[0].split()[-1].encode() + b"\0"
        self.assertIn(version, content)
        os.remove(module)  # what is loaded is never written to
        with open(module, "wb") as f:
            f.write(content.replace(version, b"9" + version[1:]))
        self.assertIn(f"{module}: is of another build of sdskit", self.refused(program, "hdf5", "imu.h5"))

    def test_that_an_installed_tree_works_wherever_it_is(self):
        subprocess.run([cached("CMAKE_COMMAND"), "--install", BUILD, "--prefix", "/usr"], check=True,
                       stdout=subprocess.DEVNULL, env={**os.environ, "DESTDIR": self.path("staged")})
        os.rename(self.path("staged", "usr"), self.path("moved"))
        program = self.path("link")
        os.symlink(self.path("moved", "bin", "sds"), program)

        def works(*args):
            done = subprocess.run([program, *args], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)

        works("export", "hdf5", self.imu, "-o", self.path("imu.h5"))
        works("export", "npz", self.imu, "-o", self.path("imu.npz"))
        works("export", "wav", self.imu, "-o", self.path("imu.wav"))
        works("import", "audio", self.path("imu.wav"), "-o", self.path("back.sdsz"))
        values = [100 * i for i in range(50)]
        with h5py.File(self.path("imu.h5")) as file:
            [[x]] = [[one[()] for name, one in group.items() if name == "x"]
                     for recording in file.values() for group in recording.values()]
            self.assertEqual(x.tolist(), values)
        self.assertEqual(np.load(self.path("imu.npz"))["Imu"]["x"].tolist(), values)
        self.assertEqual(soundfile.read(self.path("imu.wav"), dtype="int16")[0].tolist(), values)


if __name__ == "__main__":
    main()
