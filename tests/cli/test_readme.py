"""README: its main job by hand runs as it stands there, twice, and the pages that it names are there."""
import os
import re
import socket
import subprocess
import unittest

from harness import BUILD, SOURCE, Case, engine, main


def readme():
    with open(os.path.join(SOURCE, "README.md")) as f:
        return f.read()


class Readme(Case):
    @engine("tflm")
    def test_the_main_job_by_hand_can_be_run_twice(self):
        job = re.search(r"^## The main job by hand\n+```sh\n(.*?)^```$", readme(), re.M | re.S)[1]
        for name in ("data", "cmake"):
            os.symlink(os.path.join(SOURCE, name), self.path(name))
        os.makedirs(self.path("build"))
        os.symlink(BUILD, self.path("build", "release"))
        # A port of its own: another server may be running here.
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.assertEqual((job.count("serve socket"), job.count("sds-sim-device")), (1, 1))
        job = job.replace("serve socket", f"serve socket --port {port}").replace("sds-sim-device", f"sds-sim-device --port {port}")
        for _ in range(2):
            done = subprocess.run(["bash", "-e", "-c", job], cwd=self.folder.name, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, timeout=300)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertIn("the replay is deterministic", done.stdout)
            self.assertIn("recording.0.sdsz", done.stdout)
        self.assertEqual(sorted(os.listdir(self.folder.name)), ["build", "cmake", "data", "session"])

    def test_its_pages_are_there_and_each_page_is_named(self):
        named = set(re.findall(r"\]\((docs/[\w-]+\.md)\)", readme()))
        there = {f"docs/{name}" for name in os.listdir(os.path.join(SOURCE, "docs"))}
        self.assertEqual(named, there)

    def test_links_between_pages_lead_somewhere(self):
        pages = [os.path.join(SOURCE, "README.md"), os.path.join(SOURCE, "sds_format", "FORMAT.md")]
        pages += [os.path.join(SOURCE, "docs", name) for name in os.listdir(os.path.join(SOURCE, "docs"))]
        headings = {}

        def anchors(page):
            if page not in headings:
                with open(page) as f:
                    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", f.read(), flags=re.M | re.S), re.M)
                headings[page] = {re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles}
            return headings[page]

        for page in pages:
            with open(page) as f:
                text = f.read()
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                if target.startswith("http"):
                    continue
                name, _, anchor = target.partition("#")
                file = os.path.normpath(os.path.join(os.path.dirname(page), name)) if name else page
                self.assertTrue(os.path.exists(file), f"{page}: {target}")
                if anchor:
                    self.assertIn(anchor, anchors(file), f"{page}: {target}")


main()
