"""Imports: files made by the formats' own libraries, our exports on their way back, and files that are wrong."""
import csv
import datetime
import io
import json
import math
import os
import re
import struct
import subprocess
import unittest
from fractions import Fraction

import peers

peers.use()

import cbor2
import numpy as np
import pyxdf
import soundfile
import yaml
from mcap.writer import CompressionType, Writer

from harness import Case, SDS, SHARED, main, plain, run, sample_of


class Imports(Case):
    def csv_of(self, recording, *options):
        return run("export", "csv", recording, *options)[0]

    def imported(self, form, name, content, *options, expect=0):
        path = self.write(name, content)
        out = self.path("in.sdsz")
        _, err = run("import", form, path, "-o", out, "-f", *options, expect=expect)
        return out if expect == 0 else err

    # CSV

    def test_a_csv_export_comes_back_the_same(self):
        self.write("Imu.sds.yml", "sds:\n  name: Imu\n  sample-frequency: 1600\n  content:\n"
                                  "    - {value: ax, type: int16_t, scale: 0.000244140625}\n    - {value: t, type: float}\n"
                                  "    - {value: n, type: uint8_t}\n")
        self.write("Imu.0.sds", plain(*[(100 * i + (1 if i > 5 else 0), b"".join(
            struct.pack("<hfB", (k * 37 + i) % 3000 - 1500, k / 10, k % 256) for k in range(160))) for i in range(20)]))
        first = self.csv_of(self.path("Imu.0.sds"))
        back = self.imported("csv", "imu.csv", first, "-s", "Imu")
        self.assertEqual(self.csv_of(back), first)
        run("check", back)

    def test_times_since_1970_keep_their_microseconds(self):
        for base in (0, 1800000000):
            rows = [(base + 0.005971 + 0.010001 * i, i) for i in range(50)]
            back = self.imported("csv", "t.csv", "t_s,v\n" + "".join("%.6f,%d\n" % row for row in rows))
            stream = json.loads(run("info", back, "--json")[0])["recordings"][0]["streams"][0]
            self.assertEqual(stream["tick_frequency_hz"], 1000000)
            self.assertEqual(stream["first_tick"] % 1000000, 5971)
            back = self.imported("csv", "t.csv", "t_s,v\n" + "".join("%.3f,%d\n" % row for row in rows))
            self.assertEqual(json.loads(run("info", back, "--json")[0])["recordings"][0]["streams"][0]["tick_frequency_hz"], 1000)

    def test_irregular_times_units_and_columns_by_flags_and_by_map(self):
        text = "t_ms\tAccel X\tskip\tTemp\n5\t1.5\ta\t20\n7\t-2\tb\tnan\n400\t3.25\tc\t\n"
        back = self.imported("csv", "a.csv", text, "--column", "Accel X=ax:G", "--column", "Temp=t:degC")
        self.assertEqual(self.csv_of(back), "timeslot,ax,t\n0.005,1.5,20\n0.007,-2,nan\n0.4,3.25,nan\n")
        self.write("map.yml", "import:\n  stream: Board\n  time: {column: t_ms, unit: ms}\n  columns:\n"
                              "    - {column: Accel X, name: ax, unit: G}\n    - {column: Temp, name: t, unit: degC}\n")
        mapped = self.imported("csv", "a.csv", text, "--map", self.path("map.yml"))
        self.assertEqual(self.csv_of(mapped), self.csv_of(back))
        self.assertIn("stream Board", run("info", mapped)[0])
        self.write("map.yml", "import:\n  time: {column: t_ms, unti: ms}\n")
        err = self.imported("csv", "a.csv", text, "--map", self.path("map.yml"), expect=3)
        self.assertIn("map.yml: line 2: ", err)

    def report_of(self, text, *options):
        """What an import says, and what came of it: (report, table, labels, units)."""
        path = self.write("t.csv", text)
        out = self.path("t.sdsz")
        report = json.loads(run("import", "csv", path, "-o", out, "-f", "--json", *options)[0])
        labels = json.loads(run("label", "list", out, "--json")[0])["labels"]
        stream = json.loads(run("info", out, "--json")[0])["recordings"][0]["streams"][0]
        return report, self.csv_of(out), [(e["class"], e["from"], e["to"]) for e in labels], \
            {c["name"]: c["unit"] for c in stream["channels"]}

    def test_tables_as_people_have_them(self):
        text = ("# Logger 3\n% of a bicycle\nZeit (ms);Gyroscope X (deg/s);v[0];Temp [degC];activity;device\r\n"
                "0;1,5;1;n/a;walk;phone\r\n10;-2,25;2;;walk;phone\r\n\r\n# a pause\n20;3;3;NaN;run;phone\r\n30;4e-1;4;21,5;;phone\r\n")
        report, table, labels, units = self.report_of(text, "--time", "Zeit (ms)")
        self.assertEqual(table, "timeslot,Gyroscope X,v[0],Temp\n0,1.5,1,nan\n0.01,-2.25,2,nan\n0.02,3,3,nan\n0.03,0.4,4,21.5\n")
        self.assertEqual(labels, [("walk", 0, 0.02), ("run", 0.02, 0.03)])
        self.assertEqual(units, {"Gyroscope X": "deg/s", "v[0]": "", "Temp": "degC"})
        self.assertEqual(report["found"], ["fields are separated by ';'", "numbers have decimal commas",
                                           "lines that begin with # or % are comments (the first: line 1)",
                                           "column Zeit (ms) has the times, in ms",
                                           "the texts of column activity become labels (--no-labels: they do not)"])
        self.assertEqual(report["notes"], ["column device is text ('phone' in line 4), and is left out; "
                                           "--label-column makes labels of one"])
        _, err = run("import", "csv", self.path("t.csv"), "-o", self.path("t.sdsz"), "-f", "--time", "Zeit")
        self.assertIn("note: numbers have decimal commas", err)
        self.assertEqual(self.report_of(text, "--time", "Zeit", "--label-column", "device")[2], [("phone", 0, 0.04)])
        report, _, labels, _ = self.report_of(text, "--time", "Zeit", "--no-labels")
        self.assertEqual(labels, [])
        self.assertIn("column activity is text ('walk' in line 4), and is left out", " ".join(report["notes"]))
        err = self.imported("csv", "t.csv", text, "--time", "Zeit", "--column", "device", expect=3)
        self.assertIn("t.csv: line 3: column device is text ('phone' in line 4)", err)
        # A mixture is never guessed: the line says so.
        err = self.imported("csv", "m.csv", "time;x\n0;1.5\n1;2,5\n", expect=3)
        self.assertIn("m.csv: line 3: column x: '2,5' is no number: it has a decimal comma, and others have decimal points", err)
        err = self.imported("csv", "m.csv", "time;x\n\n0;2,5\n1;1.5\n", expect=3)
        self.assertIn("m.csv: line 4: column x: '1.5' is no number: it has a decimal point", err)
        self.assertIn("--decimal comma", self.imported("csv", "m.csv", 'time,x\n0,"1,5"\n', expect=3))
        self.assertEqual(self.report_of('time,x\n0,"1,5"\n', "--decimal", "comma")[1], "timeslot,x\n0,1.5\n")
        self.assertIn("line 2: column x: '1,234.5' is no number", self.imported("csv", "m.csv", "time;x\n0;1,234.5\n1;5\n", expect=3))

    def test_where_a_table_begins(self):
        rows = "0,1,2\n0.5,2,3\n"
        expected = "timeslot,a,b\n0,1,2\n0.5,2,3\n"
        for text, options in (("time,a,b\n" + rows, []), ("# time, a, b\n" + rows, []), ("sep=,\ntime,a,b\n" + rows, []),
                              ("sep=|\r\ntime|a|b\n" + rows.replace(",", "|"), []), ("time\ta\tb\n" + rows.replace(",", "\t"), []),
                              ("Device: 7\nat, \"home\ntime,a,b\n" + rows, ["--skip-lines", 2]),
                              ("\n\ntime,a,b,\n0,1,2,\n0.5,2,3,\n".replace("b,\n", "b\n"), []),
                              (rows, ["--no-header", "--time", "column_1", "--column", "column_2=a", "--column", "column_3=b"])):
            with self.subTest(text):
                self.assertEqual(self.report_of(text, *options)[1], expected)
        self.assertIn("line 1: numbers only: a header", self.imported("csv", "n.csv", rows, expect=3))

    def test_times_as_people_write_them(self):
        utc = 1714566896  # 2024-05-01T12:34:56Z
        for times, options, start in (
                (["2024-05-01T12:34:56.250Z", "2024-05-01T12:34:56.750Z"], [], utc),
                (["2024-05-01T14:34:56.250+02:00", "2024-05-01T14:34:56.750+0200"], [], utc),
                (["2024-05-01 12:34:56.250", "2024-05-01 12:34:56.750"], [], utc),
                (["2024-05-01 07:04:56.250", "2024-05-01 07:04:56.750"], ["--utc-offset", "-05:30"], utc),
                (["01.05.2024 12:34:56.250", "01.05.2024 12:34:56.750"], [], utc),
                (["1714566896250", "1714566896750"], [], utc), (["1714566896250000", "1714566896750000"], [], utc),
                (["1714566896250000000", "1714566896750000000"], [], utc),
                (["1714566896.25", "1714566896.75"], [], utc)):
            with self.subTest(times):
                report, table, _, _ = self.report_of("timestamp,x\n" + "".join(f"{t},{i}\n" for i, t in enumerate(times)), *options)
                self.assertEqual(table, "timeslot,x\n0.25,0\n0.75,1\n")
                self.assertIn(f"the recording begins at {start} s", report["notes"][0])
        self.assertEqual(self.report_of("time,x\n23:59:58.5,1\n23:59:59,2\n")[1], "timeslot,x\n86398.5,1\n86399,2\n")
        for first, second in (("2024-05-01T12:00:00", "2024-05-01T12:00:01Z"), ("2024-05-01T12:00:00", "12:00:01"),
                              ("2024-05-01T12:00:00", "2024-13-01T12:00:01"), ("2024-05-01T12:00:00", "5")):
            self.assertIn("line 3: column time: ", self.imported("csv", "t.csv", f"time,x\n{first},1\n{second},2\n", expect=3))
        for text, option in (("time,x\n0,1\n", ["--utc-offset", "+02:00"]), ("time,x\n2024-05-01T12:00:00Z,1\n", ["--utc-offset", "+02:00"]),
                             ("time,x\n2024-05-01T12:00:00Z,1\n", ["--time-unit", "ms"]), ("a,x\n0,1\n", ["--rate", 5, "--time-unit", "ms"])):
            self.imported("csv", "t.csv", text, *option, expect=2)  # an option without effect
        self.imported("csv", "t.csv", "time,x\n0,1\n", "--utc-offset", "2", expect=2)

    def test_the_unit_of_times_is_a_word_of_their_name(self):
        units = {"s": 1, "ms": Fraction(1, 10**3), "us": Fraction(1, 10**6), "ns": Fraction(1, 10**9), "min": 60, "h": 3600}
        for unit, headers in {
                "us": ["Time (\u00b5s)", "timestamp (\u03bcs)", "time_usec", "t_us", "TimeUS", "time [microseconds]"],
                "ms": ["time ms", "Time in ms", "Time (msec)", "timestamp_millis", "time (milliseconds)", "Time [ms since boot]",
                       "Timestamp (ms UTC)", "Time_MS", "t_ms_boot", "Time (ms) ", "time(ms)", "time / ms", "timestampMs"],
                "ns": ["timestamp_nanos", "time [ns]", "Timestamp (nsec)"],
                "min": ["Time (min)", "time minutes"], "h": ["Time [hours]", "time_h"],
                "s": ["Time (sec)", "time_s", "T [s]", "seconds_elapsed", "Time (seconds)"]}.items():
            for header in sample_of(headers):
                with self.subTest(header):
                    report, table, _, _ = self.report_of(f"{header},ax\n" + "".join(f"{i * 10**4},{i}\n" for i in range(5)))
                    times = [Fraction(row.split(",")[0]) for row in table.splitlines()[1:]]
                    self.assertEqual(len(times), 5)
                    for i, time in enumerate(times):
                        self.assertLessEqual(abs(time - i * 10**4 * units[unit]), Fraction(1, 10**6))
                    self.assertIn(f"column {header.strip()} has the times, in {'seconds' if unit == 's' else unit}", report["found"])
                    # The option says the same.
                    self.assertEqual(self.report_of(f"when,ax\n" + "".join(f"{i * 10**4},{i}\n" for i in range(5)),
                                                    "--time", "when", "--time-unit", unit)[1], table)
        self.assertEqual(self.report_of("time,ax\n0,1\n")[0]["found"],
                         ["column time has the times, in seconds, as its header has no unit (--time-unit)"])
        for header, what in (("time [ticks]", "ticks"), ("Time (m/s)", "m/s"), ("time_ms (us)", "us"), ("Timestamp (ms/10)", "ms/10")):
            err = self.imported("csv", "u.csv", f"{header},ax\n0,1\n1,2\n", expect=3)
            self.assertIn(f"line 1: column {header} has the times, but '{what}' is no unit of time known here: --time-unit", err)
            self.assertEqual(self.report_of(f"{header},ax\n0,1\n1,2\n", "--time-unit", "s")[1], "timeslot,ax\n0,1\n1,2\n")

    def test_which_column_has_the_times(self):
        rows = "21.1,0,1\n21.3,0.01,2\n21.2,0.02,3\n"
        for other, time in (("t_amb", "time"), ("T [degC]", "Time [s]"), ("T", "time"), ("T_x", "t"), ("T_min", "t_s"), ("t", "timestamp"),
                            ("time_offset_ms", "time"), ("time_step", "t"), ("T (g)", "T (s)"), ("Time [ticks]", "t [s]"), ("T", "t")):
            with self.subTest(other):
                report, table, _, _ = self.report_of(f"{other},{time},ax\n{rows}")
                self.assertEqual([row.split(",")[0] for row in table.splitlines()], ["timeslot", "0", "0.01", "0.02"])
                self.assertIn(f"column {time} has the times", report["found"][0])
        for header in ("T [degC]", "t_amb", "T_x", "time_step", "t (V)", "T (%)", "T_min", "t_in"):
            self.assertIn("line 1: no column is called time", self.imported("csv", "n.csv", f"{header},ax\n0,1\n", expect=3))
            # Beside a sample rate they are channels like others.
            self.assertEqual(self.report_of(f"{header},ax\n0.5,1\n7,2\n", "--rate", 10)[1].split("\n", 1)[1], "0,0.5,1\n0.1,7,2\n")
        self.assertEqual(self.report_of("T,ax\n0.5,1\n7,2\n", "--rate", 10)[1], "timeslot,T,ax\n0,0.5,1\n0.1,7,2\n")
        self.assertIn("column T has the times", self.report_of("T,ax\n0,1\n1,2\n")[0]["found"][0])

    def test_what_would_have_no_effect_is_an_error(self):
        text = "time,ax (g),ax (mg),b,b,label\n0,1,2,5,6,walk\n1,3,4,7,8,run\n"
        for options, what in ((["--column", "time", "--column", "ax (g)"], "column 'time' has the times, and is none of the values"),
                              (["--column", "label", "--column", "ax (g)"], "column 'label' has the labels, and is none of the values"),
                              (["--column", "ax (g)=x", "--column", "ax (g)=y"], "--column ax (g): given twice"),
                              (["--column", "ax"], "2 columns are called 'ax': 'ax (g)', 'ax (mg)'"),
                              (["--column", "b"], "2 columns are called 'b'"), (["--time", "ax"], "2 columns are called 'ax'"),
                              (["--label-column", "b"], "2 columns are called 'b'"),
                              (["--column", "ax (g)=x", "--column", "ax (mg)=x"], "2 columns are to be called 'x'"),
                              (["--delimiter", ";;"], "';;': expected one character, or tab"),
                              (["--delimiter", "space"], "'space': expected one character, or tab"), (["--delimiter", ""], "expected one character")):
            with self.subTest(options):
                self.assertIn(what, self.imported("csv", "t.csv", text, *options, expect=2))
        self.assertIn("column 'c (g)' is to be taken twice",
                      self.imported("csv", "t.csv", "time,c (g)\n0,1\n", "--column", "c=x", "--column", "c (g)=y", expect=2))
        for table in ("time,ax\n0,1\n", "time,ax,label\n0,1,7\n", "time,ax,device\n0,1,phone\n"):
            self.assertIn("no column of texts would become labels", self.imported("csv", "t.csv", table, "--no-labels", expect=2))
        self.assertEqual(self.report_of(text, "--no-labels", "--column", "ax (g)")[1], "timeslot,ax\n0,1\n1,3\n")
        self.write("map.yml", "import:\n  columns:\n    - {column: ax, name: x}\n    - {column: ax, name: y}\n")
        self.assertIn("map.yml: line 4: ", self.imported("csv", "t.csv", "time,ax\n0,1\n", "--map", self.path("map.yml"), expect=3))
        # What the command line says counts before what the file says.
        self.write("map.yml", "import:\n  stream: Board\n  time: {column: a, unit: ms}\n  labels: device\n  skip-lines: 1\n")
        text = "x\ny\na,b_s,n,device,who\n0,0,1,d,me\n5,1,2,d,me\n"
        _, table, labels, _ = self.report_of(text, "--map", self.path("map.yml"), "--skip-lines", 2, "--time", "b_s",
                                             "--label-column", "who", "-s", "Other")
        self.assertEqual((table, labels), ("timeslot,a,n\n0,0,1\n1,5,2\n", [("me", 0, 2)]))
        self.assertIn("stream Other", run("info", self.path("t.sdsz"))[0])
        self.write("map.yml", "import:\n  labels: label\n")
        self.assertEqual(self.report_of("time,ax,label\n0,1,a\n", "--map", self.path("map.yml"), "--no-labels")[2], [])

    def test_numbers_that_look_like_dates_are_not_taken_for_seconds(self):
        for times, what in ((["20240501", "20240502"], "dates without separators (20240501)"),
                            (["20240501123456", "20240501123457"], "dates without separators (20240501123456)"),
                            (["202405011259", "202405011300"], "dates without separators (202405011259)"),
                            (["45413.5", "45413.500011574", "45413.500023148"], "a spreadsheet's days since 1900 (45413.5)")):
            text = "time,ax\n" + "".join(f"{t},{i}\n" for i, t in enumerate(times))
            err = self.imported("csv", "d.csv", text, expect=3)
            self.assertIn(f"d.csv: line 1: the times of column time look like {what}", err)
            self.assertIn("--time-unit", err)
            self.imported("csv", "d.csv", text, "--time-unit", "us")
            self.imported("csv", "d.csv", text.replace("time,", "time_us,"))
        for times in (["20240500", "20240599"], ["20241301", "20241302"], ["45413.5", "45413.6"], ["45413.1234567", "45414.7654321"],
                      ["1714566896250", "1714566896750"]):
            self.imported("csv", "d.csv", "time,ax\n" + "".join(f"{t},{i}\n" for i, t in enumerate(times)))
        taken = "which is taken for hours and minutes (not minutes and seconds)"
        report, table, _, _ = self.report_of("time,ax\n00:12,1\n00:13,2\n")
        self.assertEqual(report["found"], [f"column time has the times: dates or times of day, such as 00:12, {taken}"])
        self.assertEqual(table, "timeslot,ax\n720,1\n780,2\n")
        for header in ("Time (mm:ss)", "time [MM:SS]"):
            self.assertIn(f"line 1: column {header} says minutes and seconds, and 00:12 would be taken for hours and minutes",
                          self.imported("csv", "d.csv", f"{header},ax\n00:12,1\n00:13,2\n", expect=3))
        self.assertIn(taken, self.report_of("time (hh:mm),ax\n00:12,1\n00:13,2\n")[0]["found"][0])
        self.report_of("time (hh:mm:ss),ax\n00:00:12,1\n00:00:13,2\n")
        self.assertNotIn(taken, self.report_of("time,ax\n00:00:12,1\n00:00:13,2\n")[0]["found"][0])

    def test_days_and_times_of_day_as_people_write_them(self):
        def clock(year, month, day, hour, minute, second):
            return int(datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.timezone.utc).timestamp())

        noon = clock(2024, 5, 1, 12, 34, 56)
        evening = clock(2024, 5, 1, 20, 34, 56)
        for times, options, start in (
                (["2024-05-01 08:34:56.250 PM", "2024-05-01 08:34:56.750 PM"], [], evening),
                (["2024-05-01 8:34:56.25pm", "2024-05-01 8:34:56.75pm"], [], evening),
                (["2024-05-01 08:34:56.250 p.m.", "2024-05-01 08:34:56.750 p.m."], [], evening),
                (["2024-05-01 12:34:56.250 PM", "2024-05-01 12:34:56.750 PM"], [], noon),
                (["2024-05-01 12:34:56.250 AM", "2024-05-01 12:34:56.750 AM"], [], clock(2024, 5, 1, 0, 34, 56)),
                (["2024-05-01 02:34:56.250 PM +02:00", "2024-05-01 02:34:56.750 PM +02:00"], [], noon),
                (['"5/1/2024, 12:34:56.250 PM"', '"5/1/2024, 12:34:56.750 PM"'], ["--date-order", "mdy"], noon),
                (["01/05/2024 12:34:56.250", "01/05/2024 12:34:56.750"], ["--date-order", "dmy"], noon),
                (["01-05-2024 12:34:56.250", "01-05-2024 12:34:56.750"], ["--date-order", "dmy"], noon),
                (["1/5/24 12:34:56.250", "1/5/24 12:34:56.750"], ["--date-order", "dmy"], noon),
                (["24/5/1 12:34:56.250", "24/5/1 12:34:56.750"], ["--date-order", "ymd"], noon),
                (["05.01.2024 12:34:56.250", "05.01.2024 12:34:56.750"], ["--date-order", "mdy"], noon),
                (["01.05.24 12:34:56.250", "01.05.24 12:34:56.750"], [], noon),
                (["2024.05.01 12:34:56.250", "2024.05.01 12:34:56.750"], [], noon)):
            with self.subTest(times):
                report, table, _, _ = self.report_of(f"time,x\n{times[0]},0\n{times[1]},1\n", *options)
                self.assertEqual(table, "timeslot,x\n0.25,0\n0.75,1\n")
                self.assertIn(f"the recording begins at {start} s", report["notes"][0])
        self.assertEqual(self.report_of("time,x\n11:59:59 AM,1\n12:00:00 PM,2\n12:00:01 pm,3\n")[1], "timeslot,x\n43199,1\n43200,2\n43201,3\n")
        for bad in ("13:00:00 PM", "0:00:00 AM", "1:00:00 XM"):
            self.assertIn("line 3: column time: ", self.imported("csv", "t.csv", f"time,x\n1:00:00 AM,1\n{bad},2\n", expect=3))
        self.assertIn("written in another way", self.imported("csv", "t.csv", "time,x\n1:00:00 AM,1\n13:00:00,2\n", expect=3))

        # Of dates that may be two days, others in the file tell which, or nobody does.
        err = self.imported("csv", "t.csv", "time,x\n01/05/2024 10:00,1\n02/05/2024 10:00,2\n", expect=3)
        self.assertIn("line 1: column time: dates like 01/05/2024 10:00 may be day, month, year or month, day, year: --date-order dmy or mdy says which", err)
        self.assertIn("--date-order dmy or mdy or ymd says", self.imported("csv", "t.csv", "time,x\n01/05/11 10:00,1\n", expect=3))
        for dates, order, apart in (("01/05/2024 31/05/2024", "day, month, year", 30), ("01/05/2024 01/31/2024", "month, day, year", 26),
                                    ("01/05/24 01/31/24", "month, day, year", 26)):
            first, second = dates.split()
            report, table, _, _ = self.report_of(f"time,x\n{first} 10:00,1\n{second} 10:00,2\n")
            self.assertIn(f"dates are {order}, as no other order fits all of them (--date-order)", report["found"])
            times = [float(row.split(",")[0]) for row in table.splitlines()[1:]]
            self.assertEqual(times[1] - times[0], apart * 86400)
        self.assertIn("line 3: column time: '01/31/2024 10:00' is no date",
                      self.imported("csv", "t.csv", "time,x\n31/01/2024 10:00,1\n01/31/2024 10:00,2\n", "--date-order", "dmy", expect=3))
        for times in (["2024-05-01 10:00", "2024-05-01 10:01"], ["10:00", "10:01"], ["0", "1"]):
            self.assertIn("an order of dates was given, but", self.imported("csv", "t.csv", f"time,x\n{times[0]},1\n{times[1]},2\n",
                                                                           "--date-order", "dmy", expect=2))
        self.write("map.yml", "import:\n  date-order: mdy\n")
        self.assertIn(f"begins at {noon - 56} s", self.report_of("time,x\n05/01/2024 12:34,1\n", "--map", self.path("map.yml"))[0]["notes"][0])
        self.write("map.yml", "import:\n  date-order: day first\n")
        self.assertIn("map.yml: line 2: 'date-order:' must be", self.imported("csv", "t.csv", "time,x\n0,1\n", "--map", self.path("map.yml"), expect=3))

    def test_a_column_of_days_beside_one_of_times_of_day(self):
        midnight = int(datetime.datetime(2024, 5, 2, tzinfo=datetime.timezone.utc).timestamp())
        days = {"2024-05-01 2024-05-02": [], "01/05/2024 02/05/2024": ["--date-order", "dmy"], "01.05.2024 02.05.2024": [], "20240501 20240502": []}
        for header, times in (("Date,Time", ("23:59:59.5", "00:00:00.25")), ("Date,Time", ("11:59:59.5 PM", "12:00:00.25 AM")),
                              ("date (UTC),time", ("23:59:59.5Z", "00:00:00.25Z")), ("date,timestamp", ("23:59:59.5", "00:00:00.25"))):
            for day, options in days.items():
                first, second = day.split()
                with self.subTest((header, day, times)):
                    report, table, _, _ = self.report_of(f"{header},x\n{first},{times[0]},1\n{second},{times[1]},2\n", *options)
                    self.assertEqual(table, "timeslot,x\n0.5,1\n1.25,2\n")
                    self.assertIn(f"the recording begins at {midnight - 1} s", report["notes"][0])
                    names = header.split(",")
                    self.assertIn(f"columns {names[0]} and {names[1]} have the times, such as {first} {times[0]} (--date, --no-date)", report["found"])
                    self.assertEqual(len(report["notes"]), 1)
        text = "Day,Date,Time,x\n2024-05-01,2020-01-01,10:00:00,1\n2024-05-01,2020-01-01,10:00:01,2\n"
        self.assertEqual(self.report_of(text, "--no-date")[1], "timeslot,x\n36000,1\n36001,2\n")
        ten = midnight - 14 * 3600
        self.assertIn(f"begins at {ten} s", self.report_of(text, "--date", "Day")[0]["notes"][0])
        self.assertIn(f"begins at {ten - 7200} s", self.report_of(text, "--date", "Day", "--utc-offset", "+02:00")[0]["notes"][0])
        self.write("map.yml", "import:\n  time: {column: Time, date: Day}\n")
        self.assertIn(f"begins at {ten} s", self.report_of(text, "--map", self.path("map.yml"))[0]["notes"][0])
        self.assertEqual(self.report_of(text, "--map", self.path("map.yml"), "--no-date")[1], "timeslot,x\n36000,1\n36001,2\n")
        self.assertIn("line 3: column Time: '2024-05-32 10:00:01' is no date",
                      self.imported("csv", "t.csv", text.replace("\n2024-05-01,2020-01-01,10:00:01", "\n2024-05-32,2020-01-01,10:00:01"), "--date", "Day", expect=3))
        for options, what in ((["--date", "Time"], "column 'Time' has the times, and is named twice"), (["--date", "Day", "--column", "Day"], "'Day' has the times"),
                              (["--date", "Day", "--time", "x"], "no column has times of day"), (["--date", "Day", "--no-date"], "--date excludes --no-date"),
                              (["--no-date", "--time", "x"], "no dates were asked for, but no column has those of the times")):
            with self.subTest(options):
                self.assertIn(what, self.imported("csv", "t.csv", text, *options, expect=2))
        self.imported("csv", "t.csv", text, "--date", "Tag", expect=3)
        # Where nothing else has the times, dates with times of day in a column called so do.
        self.assertIn("column Date has the times", self.report_of("Date,x\n2024-05-01 10:00:00,1\n2024-05-01 10:00:01,2\n")[0]["found"][0])
        self.assertIn("no column is called time", self.imported("csv", "t.csv", "Date,x\n2024-05-01,1\n", expect=3))
        self.assertIn("line 2: column time: '10:00:00Z' is no date", self.imported("csv", "t.csv", "time,x\n10:00:00Z,1\n", expect=3))
        self.assertEqual(self.report_of("Date,time,x\n2024-05-01,0,1\n2024-05-01,1,2\n")[1], "timeslot,x\n0,1\n1,2\n")

    def test_a_row_of_units_below_the_header(self):
        text = "time,ax,temp (degC),n,label\nms,[m/s^2],(degC),-,\n0,1,20,5,walk\n10,2,21,6,walk\n"
        report, table, labels, units = self.report_of(text)
        self.assertEqual(table, "timeslot,ax,temp,n\n0,1,20,5\n0.01,2,21,6\n")
        self.assertEqual(units, {"ax": "m/s^2", "temp": "degC", "n": ""})
        self.assertEqual(labels, [("walk", 0, 0.02)])
        self.assertEqual(report["found"][:2], ["line 2 has the units (ms,m/s^2,degC,,) (--second-row)", "column time has the times, in ms"])
        self.assertEqual(self.report_of(text, "--second-row", "units")[3], units)
        self.assertEqual(self.report_of(text, "--second-row", "skipped", "--time-unit", "ms")[3], {"ax": "", "temp": "degC", "n": ""})
        self.assertIn("line 2: column time: 'ms' is no number", self.imported("csv", "u.csv", text, "--second-row", "values", expect=3))
        self.assertEqual(self.report_of(text, "--column", "ax=x", "--column", "n=m:1")[3], {"x": "m/s^2", "m": "1"})
        self.assertEqual(self.report_of("T,t,ax\ndegC,s,1\n20,0,1\n21,1,2\n", "--second-row", "units")[1], "timeslot,T,ax\n0,20,1\n1,21,2\n")
        # Two units of one column: which is it?
        self.assertIn("line 2: the unit of column 'x (g)' is 'g' by the header, and 'mg' here",
                      self.imported("csv", "u.csv", "time,x (g)\ns,mg\n0,1\n", expect=3))
        self.assertIn("line 2: the unit of column 'time (s)' is 's' by the header, and 'ms' here",
                      self.imported("csv", "u.csv", "time (s),x\nms,mg\n0,1\n", expect=3))
        self.assertEqual(self.report_of("time (s),x (g)\ns,g\n0,1\n")[3], {"x": "g"})
        self.assertEqual(self.report_of("time,x (g)\ns,mg\n0,1\n", "--column", "x (g)=x:mg")[3], {"x": "mg"})
        report, table, _, units = self.report_of("Time;x\n[hh:mm:ss];[g]\n10:00:00;1,5\n10:00:01;2,5\n")
        self.assertEqual((table, units), ("timeslot,x\n36000,1.5\n36001,2.5\n", {"x": "g"}))
        self.assertIn("'ticks' is no unit of time known here", self.imported("csv", "u.csv", "time,x\nticks,g\n0,1\n", expect=3))
        self.assertIn("line 2: 3 columns, but the header has 2", self.imported("csv", "u.csv", "time,x\ns,[m/s,s]\n0,1\n", expect=3))
        self.assertIn("line 2: 1 columns, but the header has 2", self.imported("csv", "u.csv", "time,x\ns\n0,1\n", "--second-row", "units", expect=3))
        self.report_of("time,x\nmade by me\n0,1\n", "--second-row", "skipped")
        # A row with a value in it has values.
        self.assertIn("line 2: column x: 'g' is no number", self.imported("csv", "u.csv", "time,x\n0,g\n1,2\n", expect=3))
        self.assertEqual(self.report_of("time,x,y\n0,n/a,1\n1,2,3\n")[1], "timeslot,x,y\n0,nan,1\n1,2,3\n")
        for first, options in (("0,1\n", ["--no-header", "--time", "column_1"]), ("# time,x\n0,1\n", [])):
            self.assertIn("no row is the header", self.imported("csv", "u.csv", first, *options, "--second-row", "units", expect=2))
        self.write("map.yml", "import:\n  second-row: skipped\n")
        self.assertEqual(self.report_of(text, "--map", self.path("map.yml"))[1].splitlines()[2], "10,2,21,6")

    def test_several_columns_of_labels(self):
        text = "time,ax,label,activity,ann\n" + "".join(f"{i},{i},{a},{b},{c}\n" for i, (a, b, c) in enumerate(
            zip(["walk", "walk", "run", ""], ["up", "down", "down", "down"], ["x", "x", "x", "y"])))
        for options, columns in (([], {"label", "activity"}), (["--label-column", "ann"], {"ann"}),
                                 (["--label-column", "ann", "--label-column", "label"], {"ann", "label"}), (["--no-labels"], set())):
            with self.subTest(options):
                report = self.report_of(text, *options)[0]
                _, errors = run("label", "list", self.path("t.sdsz"))
                listed = json.loads(run("label", "list", self.path("t.sdsz"), "--json")[0])["labels"]
                true = {"label": [("walk", 0, 2), ("run", 2, 3)], "activity": [("up", 0, 1), ("down", 1, 4)], "ann": [("x", 0, 3), ("y", 3, 4)]}
                authors = {c: c if len(columns) > 1 else "sdskit import csv" for c in columns}
                self.assertEqual(sorted((l["class"], l["from"], l["to"], l["author"]) for l in listed),
                                 sorted((*label, authors[c]) for c in columns for label in true[c]))
                if len(columns) > 1:
                    for c in columns:
                        self.assertIn(f"the texts of column {c} become labels of the author {c} (--no-labels: they do not)", report["found"])
                    run("label", "check", self.path("t.sdsz"))
        self.assertIn("'label' is to become labels twice", self.imported("csv", "t.csv", text, "--label-column", "label", "--label-column", "label", expect=2))
        self.write("map.yml", "import:\n  labels: [label, ann]\n")
        self.assertEqual(len(self.report_of(text, "--map", self.path("map.yml"))[2]), 4)
        self.assertEqual(len(self.report_of(text, "--map", self.path("map.yml"), "--label-column", "ann")[2]), 2)

    def test_times_near_whole_seconds_are_kept(self):
        for times in (("0.0000005", "1.0000005", "2.0000005"), ("0", "1.0000008", "2.0000004"), ("5.0000006", "7.0000006", "9")):
            back = self.imported("csv", "t.csv", "time,x\n" + "".join(f"{t},{i}\n" for i, t in enumerate(times)), "--tick-frequency", "1e7")
            rows = [Fraction(row.split(",")[0]) for row in self.csv_of(back).splitlines()[1:]]
            self.assertEqual(rows, [Fraction(t) for t in times])
            back = self.imported("csv", "t.csv", "time,x\n" + "".join(f"{t},{i}\n" for i, t in enumerate(times)))
            for row, t in zip(self.csv_of(back).splitlines()[1:], times):
                self.assertLessEqual(abs(Fraction(row.split(",")[0]) - Fraction(t)), Fraction(1, 1_000_000))

    def test_rows_of_one_time_follow_each_other_and_keep_their_labels(self):
        rng = np.random.default_rng(11)
        rates = [(rate, Fraction(1)) for rate in (4, 10, 25, 50, 100)] + [(rate, Fraction(1, 10)) for rate in (50, 100, 333, 1000)]
        cases = [([i // int(rate * unit) * unit if rate * unit % 1 == 0 else Fraction(int(i / rate / unit)) * unit
                   for i in range(20 * rate)], unit, rate, []) for rate, unit in rates]
        cases += [([unit * (t + t // gaps) for t, n in enumerate(rng.integers(low, high + 1, 100)) for _ in range(n)], unit, None, options)
                  for gaps, low, high, unit, options in ((1000, 24, 26, Fraction(1), []), (1000, 95, 105, Fraction(1, 10), []), (1000, 2, 6, Fraction(1), []),
                                                   (1000, 10, 40, Fraction(1), []), (1000, 1, 4, Fraction(1, 1000), []),
                                                   (20, 18, 21, Fraction(1, 1000), []), (20, 27, 29, Fraction(1, 1000), []),
                                                   (1000, 23, 27, Fraction(1), ["--rate", 25]), (1000, 20, 30, Fraction(1), ["--rate", 40]))]
        for times, unit, rate, options in sample_of(cases):
            with self.subTest(rate=rate, unit=unit, rows=len(times), options=options):
                classes = np.repeat(rng.choice(["walk", "run", "", "sit"], len(times)), rng.integers(1, 60, len(times)))[:len(times)]
                path = self.write("t.csv", "time,n,label\n" + "".join(f"{float(t):.3f},{i},{c}\n" for i, (t, c) in enumerate(zip(times, classes))))
                _, err = run("import", "csv", path, "-o", self.path("t.sdsz"), "-f", *options)
                self.assertNotIn("told apart", err)
                rows = [Fraction(row.split(",")[0]) for row in self.csv_of(self.path("t.sdsz")).splitlines()[1:]]
                self.assertEqual(rows, sorted(set(rows)))
                self.assertLessEqual(max(abs(a - t) for a, t in zip(rows, times)), unit + Fraction(1, 1000))
                if rate is not None and rate * unit % 1 == 0:
                    self.assertEqual(json.loads(run("info", self.path("t.sdsz"), "--json")[0])["recordings"][0]["streams"][0]["sample_frequency_hz"], rate)
                    self.assertLessEqual(max(abs(a - Fraction(i, rate)) for i, a in enumerate(rows)), Fraction(1, 2000))
                for name in sorted(set(classes) - {""}):
                    kept = [int(row.split(",")[1]) for row in self.csv_of(self.path("t.sdsz"), "--label", name).splitlines()[1:]]
                    self.assertEqual(kept, [i for i, c in enumerate(classes) if c == name])
                run("label", "check", self.path("t.sdsz"))
        # Ticks of which a time has one only leave no room, and that is said.
        _, err = run("import", "csv", self.write("t.csv", "time,n,label\n0,0,a\n0,1,b\n0.001,2,b\n0.007,3,b\n0.007,4,c\n"),
                     "-o", self.path("t.sdsz"), "-f", "--tick-frequency", 1000)
        self.assertIn("t: 2 changes of the label are between rows of one time, which cannot be told apart", err)
        # Without labels what has no rate is kept as it is.
        self.assertEqual(self.report_of("time,n\n0,0\n0,1\n1,2\n7,3\n7,4\n")[1], "timeslot,n\n0,0\n0,1\n1,2\n7,3\n7,4\n")

    def test_a_rate_beside_times_is_the_nominal_one(self):
        # 10 Hz by the times, whatever is said.
        text = "timeslot,x\n" + "".join(f"{i / 10},{i}\n" for i in range(600))
        for rate in ("100", "10.5", "9"):
            _, err = run("import", "csv", self.write("t.csv", text), "-o", self.path("r.sdsz"), "-f", "--rate", rate)
            self.assertIn(f"t: the times say 10 Hz, and {rate} Hz was given", err)
            rows = self.csv_of(self.path("r.sdsz")).splitlines()
            self.assertEqual([float(row.split(",")[0]) for row in rows[1:]], [i / 10 for i in range(600)])
        self.assertNotIn("Hz", run("import", "csv", self.path("t.csv"), "-o", self.path("r.sdsz"), "-f", "--rate", "10")[1])

    def test_every_sample_has_the_class_of_its_row(self):
        rng = np.random.default_rng(5)
        for rate, digits in ((100, 3), (59.94, 3), (44100, 6), (26, 3), (1000 / 3, 9)):
            classes = np.repeat(rng.choice(["walk", "run", "", "sit"], 300), rng.integers(1, 9, 300))
            times = np.arange(len(classes)) / rate + 100 * (np.arange(len(classes)) > 700)
            text = "time,x,label\n" + "".join(f"{t:.{digits}f},{i},{c}\n" for i, (t, c) in enumerate(zip(times, classes)))
            back = self.imported("csv", "t.csv", text)
            labels = json.loads(run("label", "list", back, "--json")[0])["labels"]
            begins = np.array([e["from"] for e in labels])
            ends = np.array([e["to"] for e in labels])
            rows = [row.split(",") for row in self.csv_of(back).splitlines()[1:]]
            self.assertEqual(len(rows), len(classes))
            for (t, x), expected in zip(rows, classes):
                within = np.flatnonzero((begins <= float(t)) & (float(t) < ends))
                self.assertEqual([labels[k]["class"] for k in within], [expected] if expected else [], (rate, t))
            # The last one ends where the recording does.
            if classes[-1]:
                end = json.loads(run("info", back, "--json")[0])["recordings"][0]["streams"][0]["end"]
                self.assertAlmostEqual(labels[-1]["to"], end, delta=2e-3 if rate < 44100 else 2e-6)
        # Times that go back end a label after a sample.
        back = self.imported("csv", "t.csv", "time,x,class\n5,1,a\n5.1,2,a\n5.2,3,a\n5.3,3,a\n1,4,a\n1.1,5,a\n1.2,5,b\n")
        labels = json.loads(run("label", "list", back, "--json")[0])["labels"]
        self.assertEqual([(e["class"], e["from"], e["to"]) for e in labels], [("a", 1, 1.2), ("b", 1.2, 1.3), ("a", 5, 5.4)])

    def test_labels_of_times_that_go_back_are_told(self):
        rows = [(k, "a" if k < 20 else "b") for k in (*range(30), *range(10, 40))]
        text = "time,x,label\n" + "".join(f"{k / 100},{k},{label}\n" for k, label in rows)
        path = self.write("t.csv", text)
        _, err = run("import", "csv", path, "-o", self.path("t.sdsz"))
        self.assertIn("times go back 1 time; they are kept as they are, and labels have all samples of their time, whichever rows they are of", err)
        _, err = run("import", "csv", path, "--no-labels", "-o", self.path("t.sdsz"), "-f")
        self.assertIn("times go back 1 time; they are kept as they are\n", err)

    def test_whole_numbers_of_64_bits_keep_every_digit(self):
        signed = [2**53 + 1, -2**63, 2**63 - 1, 0, -1]
        unsigned = [2**64 - 1, 2**53 + 1, 0, 1, 2**63]
        even = [2**60, 10**20, 1, 2, 3]  # beyond 64 bits, and a double holds it
        text = "time,s,u,e\n" + "".join(f"{i},{s},{u},{e}\n" for i, (s, u, e) in enumerate(zip(signed, unsigned, even)))
        back = self.imported("csv", "w.csv", text)
        rows = [row.split(",")[1:] for row in self.csv_of(back).splitlines()[1:]]
        self.assertEqual([[int(float(v)) if "e" in v else int(v) for v in row] for row in rows], [list(r) for r in zip(signed, unsigned, even)])
        info = json.loads(run("info", back, "--json")[0])["recordings"][0]["streams"][0]["channels"]
        self.assertEqual([c["type"] for c in info], ["int64_t", "uint64_t", "double"])
        again = self.imported("csv", "w.csv", self.csv_of(back))
        self.assertEqual(self.csv_of(again), self.csv_of(back))
        run("export", "npz", back, "-o", self.path("w.npz"))
        with np.load(self.path("w.npz")) as z:
            self.assertEqual(z["w"]["s"].tolist(), signed)
            self.assertEqual(z["w"]["u"].tolist(), unsigned)
        # XDF, MCAP, Edge Impulse and Qeexo.
        out = io.BytesIO()
        w = Writer(out)
        w.start()
        channel = w.register_channel("/p", "json", w.register_schema("p", "jsonschema", b"{}"))
        for i, (s, u) in enumerate(zip(signed, unsigned)):
            w.add_message(channel, i * 10**9, json.dumps({"s": s, "u": u}).encode(), 0)
        w.finish()
        document = {"payload": {"interval_ms": 1000, "sensors": [{"name": "s"}, {"name": "u"}], "values": list(zip(signed, unsigned))}}
        qeexo = "timeslot,s,u\n" + "".join(f'{1000 * i},"[{s}]","[{u}]"\n' for i, (s, u) in enumerate(zip(signed, unsigned)))
        expected = [f"{i},{s},{u}" for i, (s, u) in enumerate(zip(signed, unsigned))]
        for form, content in (("mcap", out.getvalue()), ("edge-impulse", json.dumps(document)), ("edge-impulse", cbor2.dumps(document))):
            self.assertEqual(self.csv_of(self.imported(form, "w.x", content)).splitlines()[1:], expected, form)
        back = self.imported("qeexo", "w.x", qeexo)
        for stream, values in (("s", signed), ("u", unsigned)):
            self.assertEqual([row.split(",")[1] for row in self.csv_of(back, "-s", stream).splitlines()[1:]], [str(v) for v in values])

    def test_numbers_that_no_type_holds_are_errors_with_their_place(self):
        for number in ("1e400", "-1e400", "1e-400", "18446744073709551617", "-9223372036854775809", "1" * 400):
            err = self.imported("csv", "b.csv", f"time,x\n0,1\n1,{number}\n", expect=3)
            self.assertIn(f"b.csv: line 3: column x: no 64-bit type holds the number '{number[:60]}", err)
            out = io.BytesIO()
            w = Writer(out)
            w.start()
            channel = w.register_channel("/p", "json", w.register_schema("p", "jsonschema", b"{}"))
            w.add_message(channel, 0, b'{"x": [1, %s]}' % number.encode(), 0)
            w.finish()
            self.assertIn("a message of topic /p", self.imported("mcap", "b.mcap", out.getvalue(), expect=3))
            self.assertIn("e.json: ", self.imported("edge-impulse", "e.json", '{"payload": {"interval_ms": 1, "values": [%s]}}' % number, expect=3))
            self.assertIn("line 2: column a", self.imported("qeexo", "q.csv", f"timeslot,a\n0,[{number}]\n", expect=3))
        # Whole numbers beyond 2^53 beside NaN or fractions: no type has room for both.
        for other in ("", "0.5", "-1"):
            big = 2**53 + 1 if other != "-1" else 2**64 - 1
            err = self.imported("csv", "b.csv", f"time,id\n0,1\n1,{big}\n2,{other}\n", expect=3)
            self.assertIn(f"b.csv: line 3: column id: a double does not hold {big}", err)
            path = self.write("b.csv", f"time,id\n0,1\n1,{big}\n2,{other}\n")
            _, err = run("import", "csv", path, "-o", self.path("r.sdsz"), "-f", "--type", "double")
            self.assertIn("column id: not every value is a double; they are rounded", err)
        _, err = run("import", "csv", self.write("b.csv", "time,x\n0,0.123456789012\n"), "-o", self.path("r.sdsz"), "-f", "--type", "float")
        self.assertIn("column x: not every value is a float", err)
        self.imported("csv", "b.csv", "time,x\n0,1e300\n", "--type", "float", expect=2)
        self.imported("csv", "b.csv", "time,x\n0,-1\n", "--type", "uint64", expect=2)

    def test_rates_are_those_of_the_times_and_no_time_is_moved_by_more_than_a_tick(self):
        utc = 1_780_000_000
        cases = [("333.33333333333331", 1e-3, [f"{3 * i / 1000!r}" for i in range(20_000)]),    # 1000/3 Hz
                 ("100", 1e-3, [f"{10 * i / 1000!r}" for i in range(20_000)]),
                 ("60", 1e-3, [f"{i / 60:.3f}" for i in range(20_000)]),                          # rounded to ms
                 ("44100", 1e-6, [repr(utc + i / 44100) for i in range(50_000)]),                 # coarse: 0.24 us
                 ("142857.14285714287", 1e-6, [f"{7 * i / 1e6!r}" for i in range(20_000)]),       # 7 us
                 ("8000", 1e-6, [repr(utc + 0.5 + i / 8000) for i in range(20_000)]),
                 ("48000", 1e-6, [f"{i / 48000:.6f}" for i in range(20_000)]),
                 ("48000", 1e-6, [f"{utc + i / 48000:.6f}" for i in range(20_000)]),
                 ("44100", 1e-6, [f"{i / 44100:.6f}" for i in range(20_000)]),
                 ("900", 1e-3, [f"{i / 900:.3f}" for i in range(3000)]),
                 ("416", 1e-3, [f"{i / 416:.3f}" for i in range(20_000)]),
                 ("240", 1e-3, [f"{i / 240:.3f}" for i in range(3000)]),
                 ("208", 1e-3, [f"{i / 208:.3f}" for i in range(20_000)]),
                 ("119.88", 1e-6, [f"{i / 119.88:.6f}" for i in range(20_000)]),
                 ("99.99", 1e-6, [repr(i / 99.99) for i in range(20_000)]),
                 ("29.97002997002997", 1e-6, [repr(i * 1001 / 30000) for i in range(20_000)]),   # 30000/1001 Hz
                 ("60", 1e-2, [f"{i / 60:.2f}" for i in range(3000)]),                            # 10 ms: 20, 10, 20
                 ("100", 1e-3, [f"{11 * (i // 11) / 100 + i % 11 * 0.0099:.4f}" for i in range(5500)]),  # on average
                 ("100", 1e-3, [f"{(i + (i > 500) + (i > 720) + 3 * (i > 3000)) / 100:.2f}" for i in range(5000)]),
                 ("0.00027777777777777778", 1e-3, [f"{3600 * i}" for i in range(1000)])]           # a sample an hour
        for n, (rate, tick, times) in sample_of(enumerate(cases)):
            with self.subTest(rate=rate, case=n):
                text = "time,x\n" + "".join(f"{t},{i % 1000}\n" for i, t in enumerate(times))
                recording = self.path("r.sdsz")
                run("import", "csv", self.write("r.csv", text), "-o", recording, "-f")
                run("unpack", recording, "-d", self.path("plain"), "-f")
                with open(next(self.path("plain", n) for n in os.listdir(self.path("plain")) if n.endswith(".sds.yml"))) as f:
                    metadata = yaml.safe_load(f)["sds"]
                self.assertEqual(metadata["sample-frequency"], float(rate))
                origin = utc if times[0].startswith(str(utc)) else 0
                table = run("export", "csv", recording)[0].splitlines()[1:]
                self.assertEqual(len(table), len(times))
                worst = max(abs(float(Fraction(row.split(",")[0]) - Fraction(t) + origin)) for row, t in zip(table, times))
                self.assertLessEqual(worst, tick * 1.001)

    def test_times_of_eight_and_nine_digits_tell_the_rate_behind_them(self):
        for rate in (26, 60, 104, 208, 416, 833, 952, 1660, 3332, 6667, 11025, 22050, 44100, 48000):
            for digits in (8, 9):
                rows = "".join("%.*f,%d\n" % (digits, i / rate, i % 100) for i in range(3000))
                back = self.imported("csv", "t.csv", "time,x\n" + rows)
                stream = json.loads(run("info", back, "--json")[0])["recordings"][0]["streams"][0]
                self.assertEqual(stream["sample_frequency_hz"], rate, digits)
        back = self.imported("csv", "t.csv", "time,x\n0,1\n.033333,2\n.066667,3\n.1,4\n")
        self.assertEqual(json.loads(run("info", back, "--json")[0])["recordings"][0]["streams"][0]["sample_frequency_hz"], 30)

    def test_rows_before_the_first_one_keep_their_times(self):
        for origin, times in ((-3, (5, 5.1, 5.2, -3, -2.9, 6)), (1700000005, [1700000010 + i / 100 for i in range(50)] +
                                                                  [1700000005 + i / 100 for i in range(50)]),
                              (4990, [5000 - i / 10 + 1e-6 for i in range(100)])):
            back = self.imported("csv", "t.csv", "time,x\n" + "".join(f"{t:.6f},{i}\n" for i, t in enumerate(times)))
            rows = self.csv_of(back).splitlines()[1:]
            for i, (t, row) in enumerate(zip(times, rows)):
                self.assertAlmostEqual(float(row.split(",")[0]) + origin, t, delta=2e-6)
                self.assertEqual(float(row.split(",")[1]), i)
            self.assertEqual(len(rows), len(times))

    def test_a_csv_export_tells_the_rate_whatever_the_ticks_and_blocks(self):
        for rate, ticks, block in (("26", 1000, 6), ("23.4375", 1000, 5), ("99.99", 1000, 24), ("833.33", 1000, 208),
                                   ("44100", 1000, 4000), ("976.5625", 1000, 244), ("1666.6666666666667", 1000, 416)):
            with self.subTest(rate=rate):
                self.write("Imu.sds.yml", f"sds:\n  name: Imu\n  tick-frequency: {ticks}\n  sample-frequency: {rate}\n"
                                          "  content:\n    - {value: x, type: int32_t}\n")
                self.write("Imu.0.sds", plain(*[(round(ticks * k * block / float(rate)), np.arange(block, dtype="<i4").tobytes())
                                                for k in range(3000 // block + 3)]))
                first = self.csv_of(self.path("Imu.0.sds"))
                back = self.imported("csv", "imu.csv", first, "-s", "Imu")
                stream = json.loads(run("info", back, "--json")[0])["recordings"][0]["streams"][0]
                self.assertEqual(stream["sample_frequency_hz"], float(rate))
                times = [[float(row.split(",")[0]) for row in text.splitlines()[1:]] for text in (first, self.csv_of(back))]
                np.testing.assert_allclose(*times, rtol=0, atol=1.001 / ticks)

    def test_edge_impulse_keeps_rates_whose_interval_has_no_end(self):
        for rate in ("333.33333333333331", "60", "104", "44100", "99.99", "0.00027777777777777778"):
            self.write("Imu.sds.yml", f"sds:\n  name: Imu\n  tick-frequency: 1000\n  sample-frequency: {rate}\n"
                                      "  content:\n    - {value: x, type: int32_t}\n")
            self.write("Imu.0.sds", plain((0, np.arange(100, dtype="<i4").tobytes())))
            for options in ([], ["--cbor"]):
                with self.subTest(rate=rate, options=options):
                    name = self.path("e.cbor" if options else "e.json")
                    run("export", "edge-impulse", self.path("Imu.0.sds"), "-o", name, "-f", *options)
                    run("import", "edge-impulse", name, "-o", self.path("e.sdsz"), "-f")
                    stream = json.loads(run("info", self.path("e.sdsz"), "--json")[0])["recordings"][0]["streams"][0]
                    self.assertEqual(stream["sample_frequency_hz"], float(rate))

    def test_a_sensor_off_its_nominal_rate_gets_the_mean_one(self):
        # 1 % fast, each time up to 2 ms early or late: 5000 samples in 49.5 s.
        rng = np.random.default_rng(1)
        times = np.arange(5000) / 101 + rng.uniform(0, 0.0004, 5000) + 0.002 * (np.arange(5000) % 500 == 250)
        back = self.imported("csv", "t.csv", "time,x\n" + "".join(f"{t:.6f},{i}\n" for i, t in enumerate(times)))
        rate = json.loads(run("info", back, "--json")[0])["recordings"][0]["streams"][0]["sample_frequency_hz"]
        self.assertAlmostEqual(rate, 101, delta=0.001)

    def test_gaps_in_what_is_imported_are_seen(self):
        # 100 Hz, 500 samples, a second missing before samples 100, 200 and 350: 300 samples.
        at = [i + 100 * ((i >= 100) + (i >= 200) + (i >= 350)) for i in range(500)]
        back = self.imported("csv", "g.csv", "time,x\n" + "".join(f"{t / 100:.2f},{i}\n" for i, t in enumerate(at)))
        report = json.loads(run("check", "--quality", back, "--json")[0])["recordings"][0]
        self.assertEqual(report["streams"][0]["gaps"], {"count": 3, "block": 10, "ticks": 1100})
        quality = report["quality"]["streams"][0]
        self.assertEqual((quality["missing_samples"], quality["late_blocks"]), (300, 3))
        self.assertAlmostEqual(quality["true_hz"], 100, places=9)
        self.assertAlmostEqual(quality["interval_s"], 0.1, places=9)
        _, err = run("export", "wav", back, "-o", self.path("g.wav"))
        self.assertIn("3 gaps in time are closed", err)
        run("cut", back, "--from", "2.3", "--to", "2.6", "-o", self.path("c.sdsz"))
        self.assertEqual(len(self.csv_of(self.path("c.sdsz")).splitlines()) - 1, 30)

    def test_a_recording_ends_where_its_last_sample_does_whoever_says_it(self):
        # 48,000 samples at 8 kHz are 6 s, 500 at 100 Hz from 0.5 s on end at 5.5 s.
        soundfile.write(self.path("a.wav"), np.arange(48000, dtype="int16"), 8000)
        run("import", "audio", self.path("a.wav"), "-o", self.path("a.sdsz"))
        self.write("t.csv", "time,x\n" + "".join(f"{(i + 50) / 100:.2f},{i}\n" for i in range(500)))
        run("import", "csv", self.path("t.csv"), "-o", self.path("t.sdsz"))
        run("unpack", self.path("t.sdsz"), "-d", self.path("plain"))
        for path, begin, end in ((self.path("a.sdsz"), 0, 6), (self.path("t.sdsz"), 0.5, 5.5),
                                 (self.path("plain", "t.0.sds"), 0.5, 5.5)):
            with self.subTest(path):
                for command in ("info", "check"):
                    stream = json.loads(run(command, path, "--json")[0])["recordings"][0]["streams"][0]
                    self.assertEqual((stream["begin"], stream["end"], stream["duration"]), (begin, end, end - begin))
                quality = json.loads(run("check", "--quality", path, "--json")[0])["recordings"][0]["quality"]
                self.assertEqual(quality["duration_s"], end - begin)
                self.assertIn(f"{end - begin:.3f} s ({begin} to {end} s", run("info", path)[0])
                self.assertIn(f"Recording time     : {end - begin:.3f} s", run("check", path)[0])

    def test_an_import_without_gaps_has_none(self):
        for base, rate in ((0, 26), (1780000000.25, 26), (1780000000.25, 59.94), (0, 48000)):
            n = int(min(600 * rate, 60000))
            back = self.imported("csv", "g.csv", "time,x\n" + "".join(f"{base + i / rate:.6f},{i % 1000}\n" for i in range(n)))
            with self.subTest(base=base, rate=rate):
                quality = json.loads(run("check", "--quality", back, "--json")[0])["recordings"][0]["quality"]["streams"][0]
                self.assertEqual((quality["missing_samples"], quality["late_blocks"]), (0, 0))
                self.assertAlmostEqual(quality["true_hz"] / rate, 1, delta=1e-5)

    def test_without_times_a_rate_is_needed_and_enough(self):
        text = "x,y\n" + "".join(f"{i},{i / 4}\n" for i in range(100))
        err = self.imported("csv", "x.csv", text, expect=3)
        self.assertIn("line 1: no column is called time", err)
        back = self.imported("csv", "x.csv", text, "--rate", "50")
        rows = [line.split(",") for line in self.csv_of(back).splitlines()[1:]]
        self.assertEqual([(float(a), float(b), float(c)) for a, b, c in rows], [(i / 50, i, i / 4) for i in range(100)])

    def test_values_keep_their_numbers_in_the_smallest_type(self):
        values = {"small": [1, -2, 3], "large": [70000, -1, 0], "huge": [2**40, 1, -1], "tenth": [0.1, 0.2, -0.3],
                  "exact": [0.5, 0.25, 1e30], "double": [math.pi, 0.1, 1e-300], "odd": ["nan", "-inf", 2]}
        text = ",".join(["time", *values]) + "\n" + "".join(
            f"{k}," + ",".join(str(v[k]) for v in values.values()) + "\n" for k in range(3))
        back = self.imported("csv", "v.csv", text)
        _, *rows = [line.split(",") for line in self.csv_of(back).splitlines()]
        for k, row in enumerate(rows):
            for got, column in zip(row[1:], values.values()):
                a, b = float(got), float(column[k])
                self.assertTrue(a == b or (math.isnan(a) and math.isnan(b)), (got, column[k]))
        yaml = "".join(run("info", back)[0])
        for kind in ("int16_t", "int32_t", "float", "double"):
            self.assertIn(kind, yaml)
        err = self.imported("csv", "v.csv", text, "--type", "int16", expect=2)
        self.assertIn("column large does not fit int16_t: it goes from -1 to 70000", err)

    def test_bad_tables_are_errors_with_their_line(self):
        for text, expected in (
                ("", "the file is empty"),
                ("time,x\n", "there are no samples"),
                ("1,2\n3,4\n", "line 1: numbers only: a header"),
                ("time,x\n0,1\n1,2,3\n", "line 3: 3 columns, but the header has 2"),
                ("time,x\n0,1\n1\n", "line 3: 1 columns, but the header has 2"),
                ("time,x\n0,1\n1,abc\n", "line 3: column x: 'abc' is no number"),
                ("time,x\nnan,1\n", "line 2: the time is no number"),
                ("time,x\n1e300,1\n", "line 2: 1e+300 s is no time"),
                ('time,x\n0,"1\n', "a stray or unclosed quote"),
                ('time,x\n0,"1"2\n', "line 2: a stray or unclosed quote"),
                ("time\n0\n", "line 1: there is no column of values"),
                (b"time,\xff\n0,1\n", "line 1: a column's name is not valid UTF-8"),
                ("time," + "x," * 10_000_000 + "\n", "line 1: more than 16384 columns"),
                ("time,x\n0," + "1" * 20_000_000 + "\n", "line 2: a row of more than 8 MiB")):
            err = self.imported("csv", "bad.csv", text, expect=3)
            self.assertIn(expected, err)
            self.assertIn("bad.csv", err)
            self.assertFalse(os.path.exists(self.path("in.sdsz")))

    def test_utc_times_become_a_clock_pair(self):
        text = "time,x\n" + "".join(f"{1.7e9 + i * 0.01:.2f},{i}\n" for i in range(500))
        path = self.write("utc.csv", text)
        _, err = run("import", "csv", path, "-o", self.path("u.sdsz"))
        self.assertIn("times are UTC", err)
        rows = self.csv_of(self.path("u.sdsz")).splitlines()
        self.assertEqual(rows[1], "0,0")
        run("check", self.path("u.sdsz"))

    # Audio

    def test_audio_of_every_subtype_comes_in_and_goes_out_the_same(self):
        rng = np.random.default_rng(1)
        for extension, subtype, kind in (("wav", "PCM_U8", "int16"), ("wav", "PCM_16", "int16"), ("flac", "PCM_16", "int16"),
                                         ("wav", "PCM_24", "int32"), ("flac", "PCM_24", "int32"), ("wav", "PCM_32", "int32"),
                                         ("wav", "FLOAT", "float32"), ("wav", "DOUBLE", "float64"), ("aiff", "PCM_16", "int16")):
            samples = rng.standard_normal((10_000, 2)) * 0.3
            if kind.startswith("int"):
                bits = {"PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}[subtype]
                top = 32 if kind == "int32" else 16
                samples = (np.round(samples * 2**(bits - 2)).astype(np.int64) << (top - bits)).astype(kind)
            path = self.path("a." + extension)
            soundfile.write(path, samples, 44100, subtype=subtype)
            run("import", "audio", path, "-o", self.path("a.sdsz"), "-f")
            run("check", self.path("a.sdsz"))
            out = self.path("back.wav")
            run("export", "wav", self.path("a.sdsz"), "-o", out, "-f")
            a, rate = soundfile.read(path, dtype=kind if kind != "float64" else "float64")
            b, rate_back = soundfile.read(out, dtype=kind if kind != "float64" else "float64")
            self.assertEqual((rate, rate_back), (44100, 44100))
            np.testing.assert_array_equal(a, b, f"{extension} {subtype}")

    def test_audio_of_eight_bits_and_of_alac_comes_in_as_the_integers_that_it_holds(self):
        for extension, subtype, bits in (("flac", "PCM_S8", 8), ("au", "PCM_S8", 8), ("caf", "PCM_S8", 8), ("aiff", "PCM_S8", 8),
                                         ("caf", "ALAC_16", 16), ("caf", "ALAC_24", 24), ("caf", "ALAC_32", 32)):
            if subtype not in soundfile.available_subtypes(extension.upper()):
                continue
            values = np.random.default_rng(bits).integers(-2**(bits - 1), 2**(bits - 1), 3000)
            values[:2] = -2**(bits - 1), 2**(bits - 1) - 1
            path = self.path("a." + extension)
            soundfile.write(path, (values << (32 - bits)).astype(np.int32), 8000, subtype=subtype)
            run("import", "audio", path, "-o", self.path("a.sdsz"), "-f")
            rows = self.csv_of(self.path("a.sdsz")).splitlines()[1:]
            # libsndfile does not read its own ALAC of 32 bits as it was; what it reads is what is in the file.
            if subtype == "ALAC_32":
                values = soundfile.read(path, dtype="int32")[0]
            self.assertEqual([int(row.split(",")[1]) for row in rows], values.tolist(), f"{extension} {subtype}")

    def test_bad_audio_is_an_error(self):
        for content in (b"", b"RIFF", b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0", os.urandom(5000)):
            err = self.imported("audio", "bad.wav", content, expect=3)
            self.assertIn("bad.wav: cannot be read as audio", err)
        _, err = run("import", "audio", self.path("none.wav"), "-o", self.path("x.sdsz"), expect=4)
        whole = io.BytesIO()
        soundfile.write(whole, np.arange(20000, dtype=np.int16), 8000, format="WAV")
        cut = self.write("cut.wav", whole.getvalue()[:10000])
        run("import", "audio", cut, "-o", self.path("cut.sdsz"), expect=3)
        self.assertEqual(len(self.csv_of(self.path("cut.sdsz")).splitlines()), 1 + (10000 - 44) // 2)

    # Qeexo

    def test_qeexo_tells_of_values_that_are_no_numbers_and_reads_them(self):
        self.write("F.sds.yml", "sds:\n  name: F\n  sample-frequency: 100\n  content:\n    - {value: x, type: float}\n    - {value: y, type: float}\n")
        values = [(1.5, math.nan), (math.inf, -math.inf), (-2, 3.25), (0, 1e-40), (math.nan, math.nan)]
        self.write("F.0.sds", plain(*[(50 * i, b"".join(struct.pack("<ff", *v) for v in values)) for i in range(10)]))
        _, err = run("export", "qeexo", self.path("F.0.sds"), "-o", self.path("q.csv"))
        self.assertIn("F: 50 values are no finite numbers, written as nan or inf", err)
        run("import", "qeexo", self.path("q.csv"), "-o", self.path("q.sdsz"))
        back = [[float(x) for x in line.split(",")[1:]] for line in self.csv_of(self.path("q.sdsz")).splitlines()[1:]]
        np.testing.assert_array_equal(back, values * 10)
        self.write("q.csv", self.read("q.csv").replace(b"nan", b"nun"))
        self.assertIn("a sample is no list of numbers", run("import", "qeexo", self.path("q.csv"), "-o", self.path("q.sdsz"), "-f", expect=3)[1])

    def test_qeexo_goes_out_and_comes_back_with_its_labels(self):
        self.write("Accelerometer.sds.yml", "sds:\n  name: Accelerometer\n  sample-frequency: 100\n  content:\n" +
                   "".join(f"    - {{value: {c}, type: int16_t}}\n" for c in "xyz"))
        self.write("Accelerometer.0.sds", plain(*[(50 * i, struct.pack("<hhh", i, 2 * i, -i) * 5) for i in range(40)]))
        run("label", "add", self.path("Accelerometer.0.sds"), "-c", "walk", "--from", 0, "--to", 1)
        run("export", "qeexo", self.path("Accelerometer.0.sds"), "-o", self.path("q.csv"))
        out, _ = run("import", "qeexo", self.path("q.csv"), "-o", self.path("q.sdsz"))
        self.assertIn(", 1 label\n", out)
        a = [line.split(",")[1:] for line in self.csv_of(self.path("Accelerometer.0.sds")).splitlines()[1:]]
        b = [line.split(",")[1:] for line in self.csv_of(self.path("q.sdsz")).splitlines()[1:]]
        self.assertEqual(a, b)

    def test_qeexo_of_blocks_that_are_no_rows_keeps_rates_and_labels(self):
        # A row is 50 ms: every other one has 160 samples of Imu, rows of Mic have 640 or 960, of T one or none.
        def stream(name, rate, block, step, kind="int32_t", count=None):
            frequency = f"sample-frequency: {rate}" if rate else "block-frequency: 10"
            self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  {frequency}\n  content:\n    - {{value: x, type: {kind}}}\n")
            return self.write(f"{name}.0.sds", plain(*[
                (step * k, np.arange(block * k, block * (k + 1), dtype="<i4").tobytes()) for k in range(count or 20_000 // step)]))
        imu, mic, slow = stream("Imu", 1600, 160, 100), stream("Mic", 16000, 320, 20), stream("T", None, 1, 100)
        odd, fast = stream("Odd", 104, 13, 125), stream("Fast", 44100, 441, 10)
        for k in range(8):
            run("label", "add", imu, "-c", ("rest", "walk", "run", "jump")[k % 4], "--from", 2.5 * k, "--to", 2.5 * k + 2)
        for files, rates in sample_of((([imu], {"Imu": 1600}), ([mic], {"Mic": 16000}), ([odd], {"Odd": 104}), ([fast], {"Fast": 44100}),
                             ([imu, mic, slow, odd, fast], {"Imu": 1600, "Mic": 16000, "T": 10, "Odd": 104, "Fast": 44100})), share=8):
            with self.subTest(files=files):
                run("export", "qeexo", *files, "-o", self.path("q.csv"), "-f")
                run("import", "qeexo", self.path("q.csv"), "-o", self.path("q.sdsz"), "-f")
                streams = json.loads(run("info", self.path("q.sdsz"), "--json")[0])["recordings"][0]["streams"]
                rates = {name.lower(): rate for name, rate in rates.items()}  # Qeexo's names are
                self.assertEqual({s["id"]: s["sample_frequency_hz"] for s in streams}, rates)
                for name, rate in rates.items():
                    rows = [row.split(",") for row in run("export", "csv", self.path("q.sdsz"), "-s", name, "--normalize")[0].splitlines()[1:]]
                    count = len(rows)
                    np.testing.assert_array_equal([int(row[1]) for row in rows], np.arange(count))
                    np.testing.assert_allclose([float(row[0]) for row in rows], np.arange(count) / rate, rtol=0, atol=1.001e-3)
                if imu in files:
                    labels = json.loads(run("label", "list", self.path("q.sdsz"), "--json")[0])["labels"]
                    self.assertEqual([l["class"] for l in labels], ["rest", "walk", "run", "jump"] * 2)
                    for k, label in enumerate(labels):  # in rows, whose time is their end
                        self.assertLessEqual(abs(label["from"] - 2.5 * k), 0.1001)
                        self.assertLessEqual(abs(label["to"] - 2.5 * k - 2), 0.1001)
        # 7 Hz, a block a sample: rows are 100 or 150 ms apart.
        self.write("Slow.sds.yml", "sds:\n  name: Slow\n  block-frequency: 7\n  content:\n    - {value: x, type: int16_t}\n")
        self.write("Slow.0.sds", plain(*[(round(1000 * k / 7), struct.pack("<h", k)) for k in range(140)]))
        run("label", "add", self.path("Slow.0.sds"), "-c", "walk", "--from", 2, "--to", 12)
        run("label", "add", self.path("Slow.0.sds"), "-c", "walk", "--from", 13, "--to", 20)
        run("export", "qeexo", self.path("Slow.0.sds"), "-o", self.path("q.csv"), "-f")
        run("import", "qeexo", self.path("q.csv"), "-o", self.path("q.sdsz"), "-f")
        streams = json.loads(run("info", self.path("q.sdsz"), "--json")[0])["recordings"][0]["streams"]
        self.assertEqual(streams[0]["sample_frequency_hz"], 7)
        labels = json.loads(run("label", "list", self.path("q.sdsz"), "--json")[0])["labels"]
        self.assertEqual([l["class"] for l in labels], ["walk", "walk"])
        # A gap stays where it is: 5 to 8 s are missing.
        data = self.read("Imu.0.sds")
        self.write("Imu.0.sds", data[:50 * 648] + data[80 * 648:])
        run("export", "qeexo", imu, "-o", self.path("q.csv"), "-f")
        run("import", "qeexo", self.path("q.csv"), "-o", self.path("q.sdsz"), "-f")
        rows = [row.split(",") for row in run("export", "csv", self.path("q.sdsz"), "--normalize")[0].splitlines()[1:]]
        times = np.concatenate([np.arange(0, 8000), np.arange(12800, 32000)]) / 1600
        np.testing.assert_allclose([float(row[0]) for row in rows], times, rtol=0, atol=1.001e-3)
        # What is said counts.
        run("import", "qeexo", self.path("q.csv"), "--interval", 0.05, "-o", self.path("q.sdsz"), "-f")
        streams = json.loads(run("info", self.path("q.sdsz"), "--json")[0])["recordings"][0]["streams"]
        self.assertEqual(streams[0]["sample_frequency_hz"], 3200)

    def test_qeexo_tells_which_rates_fit_where_these_lie_apart(self):
        # Blocks of 160 samples of a sensor of 1600.1 Hz, whose ticks are milliseconds: rows are 100 ms apart.
        self.write("Imu.sds.yml", "sds:\n  name: Imu\n  sample-frequency: 1600\n  content:\n    - {value: x, type: int16_t}\n")
        for blocks in (20, 200, 3000):
            begins = [int(1000.2 + 160 * 1000 * k / 1600.1) for k in range(blocks)]
            self.write("Imu.0.sds", plain(*[(begin, bytes(2 * 160)) for begin in begins]))
            run("export", "qeexo", self.path("Imu.0.sds"), "-o", self.path("q.csv"), "-f")
            out, err = run("import", "qeexo", self.path("q.csv"), "-o", self.path("q.sdsz"), "-f")
            # A rate fits if the first samples of all rows, one after the other, lie in their rows.
            rows, samples = 0.05 * np.array([begin // 50 for begin in begins]), 160 * np.arange(blocks)
            rates = np.arange(1400, 1800, 0.1)
            fit = rates[[np.ptp(samples / rate - rows) <= 0.1001 for rate in rates]]
            told = re.search(r"imu: ([\d.]+) Hz; ([\d.]+) to ([\d.]+) Hz fit the rows", out + err)
            with self.subTest(blocks=blocks):
                self.assertEqual(told is not None, np.ptp(fit) > 1.6)
                if told:
                    rate, slowest, fastest = map(float, told.groups())
                    self.assertLessEqual(max(abs(slowest - fit[0]), abs(fastest - fit[-1])), 1)
                    self.assertTrue(slowest <= rate <= fastest and slowest <= 1600.1 <= fastest)

    def test_qeexo_of_few_rows_has_a_rate_that_fits_them(self):
        # The mean rate from the first to the last row is up to a row off, which is much of few rows.
        self.write("Imu.sds.yml", "sds:\n  name: Imu\n  sample-frequency: 1000\n  content:\n    - {value: x, type: int16_t}\n")
        for blocks, block in ((40, 60), (40, 70), (9, 130), (5, 75), (2, 60)):
            begins = [12300 + block * k for k in range(blocks)]
            self.write("Imu.0.sds", plain(*[(begin, bytes(2 * block)) for begin in begins]))
            run("export", "qeexo", self.path("Imu.0.sds"), "-o", self.path("q.csv"), "-f")
            _, err = run("import", "qeexo", self.path("q.csv"), "-o", self.path("q.sdsz"), "-f")
            told = re.search(r"imu: ([\d.]+) Hz; ([\d.]+)(?: to ([\d.]+) Hz| Hz and more) fit the rows", err)
            with self.subTest(blocks=blocks, block=block):
                rate, slowest, fastest = (float(hz) if hz else math.inf for hz in told.groups())
                self.assertEqual(json.loads(run("info", self.path("q.sdsz"), "--json")[0])["recordings"][0]["streams"][0]["sample_frequency_hz"], rate)
                self.assertTrue(slowest <= rate <= fastest and slowest <= 1000 <= fastest, told[0])
                # Rows k and m may begin (m - k) rows apart, give or take one.
                rows = [begin // 50 * 50 for begin in begins]
                usual = sorted(np.diff(rows))[(blocks - 1) // 2]
                pairs = [(block * (j - i), rows[j] - rows[i]) for i in range(blocks) for j in range(i + 1, blocks)]
                self.assertAlmostEqual(slowest / max(1000 * n / (t + usual) for n, t in pairs), 1, delta=1e-3)
                if fastest < math.inf:
                    self.assertAlmostEqual(fastest / min(1000 * n / (t - usual) for n, t in pairs if t > usual), 1, delta=1e-3)
        # Rows that no rate fits, and a single one, are told.
        for counts, begin, step in (((10, 500, 10, 10, 10), 0, 50), ((10,), 0, 50), ((10, 500, 10, 10, 10), 4294960100, 100)):
            rows = "".join(f'{begin + step * i},"[{", ".join(["1"] * n)}]"\n' for i, n in enumerate(counts))
            self.write("q.csv", "timeslot,imu\n" + rows)
            _, err = run("import", "qeexo", self.path("q.csv"), "-o", self.path("q.sdsz"), "-f")
            self.assertIn(f"imu: no rate is told by its rows: the samples of each are spread over {step / 1000} s\n", err)

    def test_labels_of_qeexo_have_the_samples_of_their_rows(self):
        # Blocks are longer than rows, or no part of one; each sample has its own number.
        def stream(name, rate, block, blocks):
            self.write(f"{name}.sds.yml", f"sds:\n  name: {name}\n  sample-frequency: {rate}\n  content:\n    - {{value: x, type: int32_t}}\n")
            return self.write(f"{name}.0.sds", plain(*[
                (12300 + 1000 * block * k // rate, np.arange(block * k, block * (k + 1), dtype="<i4").tobytes()) for k in range(blocks)]))
        for sensors in ([("imu", 1000, 75, 40)], [("imu", 1000, 7, 400)], [("imu", 1600, 160, 30), ("mic", 16000, 320, 150)]):
            with self.subTest(sensors=sensors):
                run("export", "qeexo", *[stream(*sensor) for sensor in sensors], "-o", self.path("q.csv"), "-f")
                with open(self.path("q.csv"), newline="") as f:
                    header, *rows = csv.reader(f)
                classes = ["walk", "run", "", "sit", "sit", "", "", "walk"]
                for i, row in enumerate(rows):
                    row[-1] = classes[i // 3 % len(classes)]
                with open(self.path("q.csv"), "w", newline="") as f:
                    csv.writer(f).writerows([header, *rows])
                run("import", "qeexo", self.path("q.csv"), "-o", self.path("q.sdsz"), "-f")
                self.assertIn("good", run("label", "check", self.path("q.sdsz"))[0])
                for column, (name, *_) in enumerate(sensors, 1):
                    for label in ("walk", "run", "sit"):
                        said = [x for row in rows if row[-1] == label for x in json.loads(row[column])]
                        out = self.csv_of(self.path("q.sdsz"), "-s", name, "--label", label)
                        self.assertEqual([int(line.split(",")[1]) for line in out.splitlines()[1:]], said)
                labels = json.loads(run("label", "list", self.path("q.sdsz"), "--json")[0])["labels"]
                # One time does for all sensors, or none is about all.
                self.assertEqual({label["stream"] for label in labels}, {""} if len(sensors) == 1 else {"imu", "mic"})

    def test_bad_qeexo_is_an_error_with_its_line(self):
        for text, expected in (("a,b\n1,2\n", "line 1: no column 'timeslot'"),
                               ("timeslot,accel\n50,[1\n", "line 2: column accel: a list of samples was expected"),
                               ('timeslot,accel\n50,"[[1,2],[3]]"\n', "line 2: column accel: 1 values, 2 before"),
                               ('timeslot,accel\nx,[1]\n', "line 2: timeslot: 'x' is no number"),
                               ("timeslot,accel\n50\n", "line 2: 1 columns")):
            self.assertIn(expected, self.imported("qeexo", "q.csv", text, expect=3))

    # Edge Impulse

    def test_edge_impulse_json_and_cbor(self):
        document = {"protected": {"ver": "v1", "alg": "HS256", "iat": 1}, "signature": "ab", "payload": {
            "device_name": "x", "device_type": "y", "interval_ms": 10,
            "sensors": [{"name": "accX", "units": "m/s2"}, {"name": "accY", "units": "m/s2"}],
            "values": [[-9.81, 0.03], [-9.83, 0.04], [1, 2]]}}
        expected = "timeslot,accX,accY\n0,-9.81,0.03\n0.01,-9.83,0.04\n0.02,1,2\n"
        self.assertEqual(self.csv_of(self.imported("edge-impulse", "e.json", json.dumps(document))), expected)
        self.assertEqual(self.csv_of(self.imported("edge-impulse", "e.cbor", cbor2.dumps(document))), expected)
        document["payload"]["values"] = [1, 2, 3]
        document["payload"]["sensors"] = [{"name": "audio", "units": "wav"}]
        self.assertEqual(self.csv_of(self.imported("edge-impulse", "e.json", json.dumps(document))),
                         "timeslot,audio\n0,1\n0.01,2\n0.02,3\n")

    def test_edge_impulse_goes_out_and_comes_back(self):
        for cbor in ([], ["--cbor"]):
            self.write("Imu.sds.yml", "sds:\n  name: Imu\n  sample-frequency: 62.5\n  content:\n    - {value: x, type: int16_t, scale: 0.25, unit: G}\n")
            self.write("Imu.0.sds", plain(*[(16 * i, struct.pack("<h", i)) for i in range(300)]))
            name = self.path("e.cbor" if cbor else "e.json")
            run("export", "edge-impulse", self.path("Imu.0.sds"), "-o", name, "-f", *cbor)
            run("import", "edge-impulse", name, "-o", self.path("e.sdsz"), "-f")
            self.assertEqual(self.csv_of(self.path("Imu.0.sds")), self.csv_of(self.path("e.sdsz")))

    def test_bad_edge_impulse_is_an_error(self):
        good = '{"payload": {"interval_ms": 10, "sensors": [], "values": %s}}'
        for text, expected in (("", "e.json"), ("{", "not what the format wants"), ("[1]", "no 'values' in a 'payload'"),
                               (good % '[[1,2],[3]]', "sample 2: 1 values, 2 before"), (good % '[["a"]]', "a value is text"),
                               ('{"payload": {"values": [[1]]}}', "no 'interval_ms' before the values"),
                               (good % ("[" * 100), "nested too deep"), ("[" * 100000, "nested too deep")):
            self.assertIn(expected, self.imported("edge-impulse", "e.json", text, expect=3))
        for interval in (1e-310, 5e-324, 1e300):  # no rate has such a period
            back = self.imported("edge-impulse", "e.json", '{"payload": {"interval_ms": %r, "values": [[1]]}}' % interval)
            self.assertNotIn("sample_frequency_hz", json.loads(run("info", back, "--json")[0])["recordings"][0]["streams"][0])
        endless = cbor2.dumps({"payload": {"interval_ms": math.inf, "values": [[1], [2]]}})
        self.assertIn("is no time of a sample", self.imported("edge-impulse", "e.cbor", endless, expect=3))

    # MCAP

    def mcap_file(self, compression=CompressionType.ZSTD, count=1000, **writer):
        out = io.BytesIO()
        w = Writer(out, compression=compression, chunk_size=4096, **writer)
        w.start()
        schema = w.register_schema("pose", "jsonschema", b"{}")
        pose = w.register_channel("/robot/pose", "json", schema)
        other = w.register_channel("/raw", "ros1", schema)
        for i in range(count):
            w.add_message(pose, i * 20_000_000, json.dumps({"header": "x", "position": {"x": i, "y": i / 8}, "ok": i % 2 == 0,
                                                            "v": [1, 2.5]}).encode(), i * 20_000_000)
            w.add_message(other, i * 20_000_000, b"\0", i * 20_000_000)
        w.finish()
        return out.getvalue()

    def test_mcap_json_channels_in_every_compression(self):
        expected = [f"{i / 50:.10g},{i % 2 == 0:d},{i},{i / 8:.10g},1,2.5" for i in range(1000)]
        for compression in (CompressionType.ZSTD, CompressionType.LZ4, CompressionType.NONE):
            path = self.write("r.mcap", self.mcap_file(compression))
            _, err = run("import", "mcap", path, "-o", self.path("r.sdsz"), "-f")
            self.assertIn("topic /raw is left out", err)
            self.assertIn("text in its messages is not kept", err)
            head, *rows = self.csv_of(self.path("r.sdsz")).splitlines()
            self.assertEqual(head, "timeslot,ok,position.x,position.y,v[0],v[1]")
            self.assertEqual(rows, expected)
        path = self.write("r.mcap", self.mcap_file(use_chunking=False))
        run("import", "mcap", path, "-o", self.path("r.sdsz"), "-f")
        self.assertEqual(self.csv_of(self.path("r.sdsz")).splitlines()[1:], expected)

    def test_mcap_messages_in_front_of_the_first_number_are_told(self):
        out = io.BytesIO()
        w = Writer(out)
        w.start()
        schema = w.register_schema("s", "jsonschema", b"{}")
        late = w.register_channel("/late", "json", schema)
        always = w.register_channel("/always", "json", schema)
        for i in range(50):
            w.add_message(late, i * 10_000_000, b"{}" if i < 20 else json.dumps({"a": i}).encode(), i * 10_000_000)
            w.add_message(always, i * 10_000_000, json.dumps({"a": i}).encode(), i * 10_000_000)
        w.finish()
        _, err = run("import", "mcap", self.write("late.mcap", out.getvalue()), "-o", self.path("r.sdsz"))
        self.assertEqual(err.count("topic /late: messages in front of the first one with a number are not kept (20 of them)"), 1)
        self.assertNotIn("/always", err)
        self.assertEqual(len(run("export", "csv", self.path("r.sdsz"), "-s", "late", "-o", "-")[0].splitlines()), 31)

    def test_our_mcap_comes_back_the_same(self):
        self.write("Imu.sds.yml", "sds:\n  name: Imu\n  description: six\n  sample-frequency: 200\n  content:\n"
                                  "    - {value: z, type: int16_t, scale: 0.5, unit: G}\n    - {value: a, type: float}\n")
        self.write("Imu.0.sds", plain(*[(50 * i, b"".join(struct.pack("<hf", k, k / 3) for k in range(10))) for i in range(100)]))
        run("export", "mcap", self.path("Imu.0.sds"), "-o", self.path("i.mcap"))
        run("import", "mcap", self.path("i.mcap"), "-o", self.path("i.sdsz"))
        self.assertEqual(self.csv_of(self.path("i.sdsz")), self.csv_of(self.path("Imu.0.sds")))

    def test_our_mcap_brings_its_labels(self):
        yaml = "sds:\n  name: %s\n  sample-frequency: 100\n  content:\n    - {value: v, type: int16_t}\n"
        for name, first in (("A", 1000), ("B", 3000)):
            self.write(f"{name}.sds.yml", yaml % name)
            self.write(f"{name}.0.sds", plain(*[(first + 100 * i, struct.pack("<10h", *range(10))) for i in range(100)]))
        run("pack", self.path("A.0.sds"), self.path("B.0.sds"), "-o", self.path("ab.sdsz"))
        self.write("ab.labels.yml", "labels:\n  tick-frequency: 1000000\n  classes: [walk, rest, run]\n  intervals:\n"
                                    "    - {class: walk, begin: 1500001, end: 2000000, author: ann, note: \"left: hand\", confidence: 0.5}\n"
                                    "    - {class: rest, begin: 4000000, end: 5000000, stream: B}\n")
        listed = lambda name: json.loads(run("label", "list", self.path(name), "--json")[0])["labels"]
        before = listed("ab.sdsz")
        run("export", "mcap", self.path("ab.sdsz"), "-o", self.path("ab.mcap"))
        out, _ = run("import", "mcap", self.path("ab.mcap"), "-o", self.path("back.sdsz"))
        self.assertIn(", 2 labels\n", out)
        self.assertEqual(listed("back.sdsz"), before)
        self.assertIn("classes: [walk, rest, run]", self.read("back.labels.yml").decode())
        # Times that count from a stream's first block: A's is at 1 s, and B's at 3 s.
        run("export", "mcap", self.path("ab.sdsz"), "-o", self.path("n.mcap"), "--normalize")
        run("import", "mcap", self.path("n.mcap"), "-o", self.path("n.sdsz"))
        self.assertEqual([(e["class"], e["begin"], e["end"]) for e in listed("n.sdsz")],
                         [("walk", 500_001, 1_000_000), ("rest", 1_000_000, 2_000_000)])
        # Labels of a stream that is not exported are not, either; what others wrote of such is left behind.
        run("export", "mcap", self.path("ab.sdsz"), "-s", "B", "-o", self.path("b.mcap"))
        self.assertEqual(run("import", "mcap", self.path("b.mcap"), "-o", self.path("b.sdsz"))[1], "")
        self.assertEqual([e["class"] for e in listed("b.sdsz")], ["walk", "rest"])
        self.write("c.mcap", self.read("b.mcap").replace(b"stream: B}", b"stream: A}"))
        _, err = run("import", "mcap", self.path("c.mcap"), "-o", self.path("c.sdsz"))
        self.assertIn("1 label is left behind, of streams that are not in it", err)
        self.assertEqual([e["class"] for e in listed("c.sdsz")], ["walk"])
        run("export", "mcap", self.path("ab.sdsz"), "-s", "A", "-o", self.path("a.mcap"))
        self.assertEqual(run("import", "mcap", self.path("a.mcap"), "-o", self.path("a.sdsz"))[1], "")
        self.assertEqual([e["class"] for e in listed("a.sdsz")], ["walk"])

    def test_labels_of_mcap_keep_their_samples(self):
        # Times of messages are nanoseconds, and the ticks that they get here are not.
        for rate, ticks in ((52, 32768), ("333.3", 1000)):
            self.write("B.sds.yml", f"sds:\n  name: B\n  tick-frequency: {ticks}\n  sample-frequency: {rate}\n"
                                    "  content:\n    - {value: x, type: uint32_t}\n")
            period = 1 / Fraction(rate)
            begins = [int(ticks * (4 + 20 * k * period)) for k in range(8)]
            self.write("B.0.sds", plain(*[(t, np.arange(20 * k, 20 * k + 20, dtype="<u4").tobytes()) for k, t in enumerate(begins)]))
            run("pack", self.path("B.0.sds"), "-o", self.path("b.sdsz"), "-f")
            times = [Fraction(t, ticks) + k * period for t in begins for k in range(20)]
            spans = [(first, first + 7) for first in range(30, 140, 9)]
            self.write("b.labels.yml", "labels:\n  version: 1\n")
            for n, (first, last) in enumerate(spans):
                run("label", "add", self.path("b.sdsz"), "-c", f"c{n}", "--from", repr(float(times[first])), "--to", repr(float(times[last])))
            run("export", "mcap", self.path("b.sdsz"), "-o", self.path("b.mcap"), "-f")
            run("import", "mcap", self.path("b.mcap"), "-o", self.path("m.sdsz"), "-f")
            for n, (first, last) in enumerate(spans):
                rows = self.csv_of(self.path("m.sdsz"), "--label", f"c{n}").splitlines()[1:]
                self.assertEqual([int(row.split(",")[1]) for row in rows], list(range(first, last)), (rate, n))

    def test_of_a_label_that_began_before_the_recording_the_rest_is_imported(self):
        # A begins at 1 s, and --normalize makes that 0: of a label from 0.5 to 2 s, 0 to 1 s is left.
        self.write("A.sds.yml", "sds:\n  name: A\n  sample-frequency: 100\n  content:\n    - {value: v, type: int16_t}\n")
        a = self.write("A.0.sds", plain(*[(1000 + 100 * i, struct.pack("<10h", *range(10))) for i in range(100)]))
        self.write("A.0.labels.yml", "labels:\n  intervals:\n    - {class: walk, from: 0.5, to: 2}\n    - {class: far, from: 0.1, to: 0.6}\n")
        run("export", "mcap", a, "-o", self.path("a.mcap"), "--normalize")
        _, err = run("import", "mcap", self.path("a.mcap"), "-o", self.path("back.sdsz"))
        labels = json.loads(run("label", "list", self.path("back.sdsz"), "--json")[0])["labels"]
        self.assertEqual([(e["class"], e["from"], e["to"]) for e in labels], [("walk", 0, 1)])
        self.assertIn("label far at -0.9 s is left out", err)

    def test_our_mcap_brings_its_labels_in_utc(self):
        self.write("u.csv", "time,v\n" + "".join(f"{1_700_000_000 + i / 100:.2f},{i}\n" for i in range(1000)))
        run("import", "csv", self.path("u.csv"), "-o", self.path("u.sdsz"))
        run("label", "add", self.path("u.sdsz"), "-c", "walk", "--from", 1.234, "--to", 2.5)
        run("export", "mcap", self.path("u.sdsz"), "-o", self.path("u.mcap"))
        run("import", "mcap", self.path("u.mcap"), "-o", self.path("v.sdsz"))
        self.assertEqual(self.read("v.labels.yml"), self.read("u.labels.yml"))
        self.assertEqual(self.csv_of(self.path("v.sdsz")), self.csv_of(self.path("u.sdsz")))
        # What others wrote of such labels, or an earlier sdskit: not known when in UTC, and said so.
        out = io.BytesIO()
        w = Writer(out)
        w.start()
        channel = w.register_channel("/v", "json", w.register_schema("v", "jsonschema", b"{}"))
        for i in range(10):
            w.add_message(channel, 1_700_000_000_000_000_000 + i, b'{"v": 1}', 0)
        w.add_metadata("sds", {"utc": "yes"})
        w.add_metadata("sds-labels", {"yaml": self.read("u.labels.yml").decode()})
        w.finish()
        self.write("w.mcap", out.getvalue())
        _, err = run("import", "mcap", self.path("w.mcap"), "-o", self.path("w.sdsz"))
        self.assertIn("1 label is left behind: when they are is not told in the times of the messages", err)
        broken = out.getvalue().replace(b"version: 1", b"version: 7")
        self.write("x.mcap", broken)
        _, err = run("import", "mcap", self.path("x.mcap"), "-o", self.path("x.sdsz"))
        self.assertIn("the labels in it cannot be read, and are left behind", err)
        self.assertFalse(os.path.exists(self.path("x.labels.yml")))

    def test_deeply_nested_values_are_errors(self):
        for depth, expected in ((20, None), (1000, "nested too deep"), (300_000, "nested too deep")):
            for opening, closing in (("[", "]"), ('{"a":', "}")):
                out = io.BytesIO()
                w = Writer(out)
                w.start()
                channel = w.register_channel("/p", "json", w.register_schema("p", "jsonschema", b"{}"))
                w.add_message(channel, 0, (opening * depth + "1" + closing * depth).encode(), 0)
                w.finish()
                err = self.imported("mcap", "n.mcap", out.getvalue(), expect=3 if expected else 0)
                if expected:
                    self.assertIn("n.mcap: ", err)
                    self.assertIn("a message of topic /p is nested too deep", err)
        deep = "[" * 100_000
        self.assertIn("line 2: column accel", self.imported("qeexo", "q.csv", f'timeslot,accel\n0,"{deep}"\n', expect=3))
        self.assertIn("line 2: column accel", self.imported("qeexo", "q.csv", f'timeslot,accel\n0,"{deep}{"]" * 100_000}"\n', expect=3))

    def test_endless_pieces_of_cbor_text_are_errors(self):
        for start, piece in ((b"\xa1", b"\x7f"), (b"\xa1", b"\x7f\x61a"), (b"\xa1\x61a", b"\x5f"), (b"\xa1\x61a", b"\x5f\x41a"),
                             (b"\xa1\x61a", b"\x9f"), (b"\xa1\x61a", b"\xbf\x61a"), (b"\xa1\x61a", b"\xc1")):
            err = self.imported("edge-impulse", "e.cbor", start + piece * 3_000_000, expect=3)
            self.assertIn("e.cbor", err)
        # What is in pieces, and well-formed: 7F ("pay" "load") FF.
        document = cbor2.dumps({"payload": {"interval_ms": 10, "values": [[1], [2]]}}).replace(b"\x67payload", b"\x7f\x63pay\x64load\xff")
        self.assertEqual(self.csv_of(self.imported("edge-impulse", "e.cbor", document)), "timeslot,column_1\n0,1\n0.01,2\n")

    def test_damaged_mcap_files_never_crash(self):
        good = self.mcap_file(count=100)
        err = self.imported("mcap", "x.mcap", b"nonsense", expect=3)
        self.assertIn("does not begin as an MCAP file does", err)
        cut = self.write("cut.mcap", good[:len(good) // 2])
        _, err = run("import", "mcap", cut, "-o", self.path("cut.sdsz"), expect=3)
        self.assertIn("cut off", run("check", self.path("cut.sdsz"), expect=1)[0])
        self.assertIn("it was cut off", err)
        rng = np.random.default_rng(3)
        for _ in range(60):
            broken = bytearray(good)
            for _ in range(4):
                broken[rng.integers(8, len(broken))] = rng.integers(256)
            path = self.write("b.mcap", bytes(broken))
            done = subprocess.run([SDS, "import", "mcap", path, "-o", self.path("b.sdsz"), "-f"], capture_output=True, timeout=60)
            self.assertIn(done.returncode, (0, 3), done.stderr)

    # XDF

    def test_a_flipped_digit_in_an_mcap_chunk_is_no_other_number(self):
        good = self.mcap_file(CompressionType.NONE, count=100)
        digits = [m.start(1) for m in re.finditer(rb'"[xy]": (\d)', good)]
        self.assertEqual(len(digits), 200)
        for at in digits[::len(digits) // 20]:
            flipped = good[:at] + bytes([good[at] ^ 1]) + good[at + 1:]
            err = self.imported("mcap", "f.mcap", flipped, expect=3)
            self.assertIn("checksum", err, at)

    def test_an_endless_xdf_chunk_ends(self):
        endless = b"XDF:" + b"\x08" + struct.pack("<Q", 2 ** 64 - 9) + b"\x07\x00" + b"more than the file has"
        self.imported("xdf", "endless.xdf", endless, expect=3)

    def test_a_wav_file_that_ends_early_has_a_loss(self):
        whole = io.BytesIO()
        soundfile.write(whole, np.zeros(10000, np.int16), 16000, subtype="PCM_16", format="WAV")
        path = self.write("early.wav", whole.getvalue()[:-18000])
        out, err = run("import", "audio", path, "-o", self.path("early.sdsz"), "--json", expect=3)
        self.assertEqual(json.loads(out)["samples"], 1000)
        self.assertEqual(json.loads(out)["losses"], ["the file announces 20000 bytes of data and has 2000"])
        self.assertIn("recorded loss", run("check", self.path("early.sdsz"), expect=1)[0])

    def xdf_file(self, offsets=(), markers=(((101.5, [b"start"]), (103.25, [b"stop"])))):
        def length(n):
            return struct.pack("<BI", 4, n)

        def chunk(tag, content):
            return length(len(content) + 2) + struct.pack("<H", tag) + content

        def header(number, name, count, rate, form):
            labels = "".join(f"<channel><label>c{c}</label><unit>uV</unit></channel>" for c in range(count))
            return chunk(2, struct.pack("<I", number) + (
                f"<?xml version=\"1.0\"?><info><name>{name}</name><type>EEG</type><channel_count>{count}</channel_count>"
                f"<nominal_srate>{rate}</nominal_srate><channel_format>{form}</channel_format>"
                f"<desc><channels>{labels}</channels></desc></info>").encode())

        out = b"XDF:" + chunk(1, b"<?xml version=\"1.0\"?><info><version>1.0</version></info>")
        out += header(1, "EEG", 2, 250, "float32") + header(2, "Markers", len(markers[0][1]), 0, "string") + header(3, "Slow", 1, 0, "int16")
        for t, value in offsets:
            out += chunk(4, struct.pack("<Idd", 1, t, value))
        for block in range(4):
            samples = b""
            for k in range(250):
                i = 250 * block + k
                stamp = struct.pack("<Bd", 8, 100 + i / 250) if k == 0 else b"\0"
                samples += stamp + struct.pack("<ff", i, i / 16)
            out += chunk(3, struct.pack("<I", 1) + length(250) + samples)
        out += chunk(3, struct.pack("<I", 2) + length(len(markers)) + b"".join(
            struct.pack("<Bd", 8, t) + b"".join(length(len(text)) + text for text in texts) for t, texts in markers))
        out += chunk(3, struct.pack("<I", 3) + length(3) + b"".join(struct.pack("<Bdh", 8, t, v) for t, v in ((100.5, 7), (101.125, -8), (103, 9))))
        return out + chunk(6, struct.pack("<I", 1) + b"<?xml version=\"1.0\"?><info></info>")

    def test_xdf_streams_are_what_pyxdf_reads(self):
        path = self.write("s.xdf", self.xdf_file())
        run("import", "xdf", path, "-o", self.path("s.sdsz"))
        streams, _ = pyxdf.load_xdf(path, synchronize_clocks=False, dejitter_timestamps=False)
        for stream in streams:
            name = stream["info"]["name"][0]
            if name == "Markers":
                continue
            rows = np.array([[float(v) for v in line.split(",")]
                             for line in self.csv_of(self.path("s.sdsz"), "-s", name).splitlines()[1:]])
            np.testing.assert_allclose(rows[:, 0], stream["time_stamps"], atol=1e-6)
            np.testing.assert_array_equal(rows[:, 1:], stream["time_series"])
        labels = json.loads(run("label", "list", self.path("s.sdsz"), "--json")[0])["labels"]
        self.assertEqual([(label["class"], label["from"]) for label in labels], [("start", 101.5), ("stop", 103.25)])

    def test_every_channel_of_an_xdf_stream_of_texts_becomes_labels(self):
        markers = ((101.5, [b"start", b"left", b"\xff"]), (103.25, ["\u00e4".encode() * 150, b"", b"end"]))
        path = self.write("s.xdf", self.xdf_file(markers=markers))
        report = json.loads(run("import", "xdf", path, "-o", self.path("s.sdsz"), "--json")[0])
        labels = json.loads(run("label", "list", self.path("s.sdsz"), "--json")[0])["labels"]
        self.assertEqual([(label["class"], label["from"], label["note"]) for label in labels],
                         [("left", 101.5, "Markers.c1"), ("start", 101.5, "Markers.c0"), ("end", 103.25, "Markers.c2"),
                          ("\u00e4" * 100, 103.25, "Markers.c0")])
        self.assertIn("Markers: 1 text is no UTF-8, left out", report["notes"])
        self.assertIn("Markers: 1 text is cut after 200 bytes", report["notes"])
        found = next(s for s in pyxdf.load_xdf(self.write("m.xdf", self.xdf_file(markers=((101.5, [b"start", b"left"]),))))[0]
                     if s["info"]["name"][0] == "Markers")
        run("import", "xdf", self.path("m.xdf"), "-o", self.path("m.sdsz"))
        labels = json.loads(run("label", "list", self.path("m.sdsz"), "--json")[0])["labels"]
        self.assertEqual(sorted(label["class"] for label in labels), sorted(found["time_series"][0]))

    def test_xdf_clock_offsets_are_applied(self):
        path = self.write("s.xdf", self.xdf_file([(100, 2.0), (104, 2.0)]))
        run("import", "xdf", path, "-o", self.path("s.sdsz"))
        rows = self.csv_of(self.path("s.sdsz"), "-s", "EEG").splitlines()
        self.assertEqual(rows[1].split(",")[0], "102")

    @staticmethod
    def xdf_of(streams):
        """An XDF file of (name, format, rate, times of samples, [(time, offset), ...]): offsets among the samples, by turns."""
        def chunk(tag, content):
            return struct.pack("<BIH", 4, len(content) + 2, tag) + content

        out = b"XDF:" + chunk(1, b"<?xml version=\"1.0\"?><info><version>1.0</version></info>")
        for number, (name, form, rate, times, offsets) in enumerate(streams, 1):
            out += chunk(2, struct.pack("<I", number) + (
                f"<?xml version=\"1.0\"?><info><name>{name}</name><type>EEG</type><channel_count>1</channel_count>"
                f"<nominal_srate>{rate}</nominal_srate><channel_format>{form}</channel_format></info>").encode())
            parts = np.array_split(np.arange(len(times)), max(1, len(offsets)))
            for k, part in enumerate(parts):
                values = [struct.pack("<f", i) if form == "float32" else struct.pack("<BB", 1, len(str(i))) + str(i).encode()
                          for i in part]
                if len(part) > 0:
                    out += chunk(3, struct.pack("<IBI", number, 4, len(part)) + b"".join(
                        struct.pack("<Bd", 8, times[i]) + value for i, value in zip(part, values)))
                if offsets:
                    out += chunk(4, struct.pack("<Idd", number, *offsets[k]))
        return out

    def compare_with_pyxdf(self, streams, parts, message=""):
        """Times of samples and markers are pyxdf's; `parts`: how many there are between resets, by the name."""
        path = self.write("s.xdf", self.xdf_of(streams))
        out, _ = run("import", "xdf", path, "-o", self.path("s.sdsz"), "-f", "--json")
        notes = json.loads(out)["notes"]
        true, _ = pyxdf.load_xdf(path, synchronize_clocks=True, dejitter_timestamps=False)
        session = json.loads(run("info", self.path("s.sdsz"), "--json")[0])["recordings"][0]["session"]
        origin = float(session.get("time-origin-s", 0))
        labels = json.loads(run("label", "list", self.path("s.sdsz"), "--json")[0])["labels"] if len(streams) > 1 else []
        for stream in true:
            name = stream["info"]["name"][0]
            segments = stream["info"]["clock_segments"]
            self.assertEqual(len(segments), parts[name], message)
            said = [note for note in notes if note.startswith(f"{name}: its clock was reset")]
            self.assertEqual([note.split(",")[0].split("reset ")[1] for note in said],
                             [] if parts[name] == 1 else ["once"] if parts[name] == 2 else [f"{parts[name] - 1} times"], message)
            if stream["info"]["channel_format"][0] == "string":
                found = {int(label["class"]): label["from"] for label in labels}
                self.assertEqual(sorted(found), list(range(len(stream["time_stamps"]))), message)
                times = [found[i] for i in range(len(found))]
            else:
                rows = self.csv_of(self.path("s.sdsz"), "-s", name).splitlines()[1:]
                self.assertEqual([float(row.split(",")[1]) for row in rows], list(range(len(stream["time_stamps"]))), message)
                times = [float(row.split(",")[0]) for row in rows]
            np.testing.assert_allclose(np.array(times) + origin, stream["time_stamps"], rtol=0, atol=1.001e-6, err_msg=f"{message} {name}")

    @staticmethod
    def device_part(rng, begin, end, device_begin, drift, outliers=0.0, late_s=0.02, rate=100, jitter=0.0005):
        """What a device whose clock is at `device_begin` at second `begin` stamps and measures up to `end`."""
        def device(t):
            return device_begin + (t - begin) * (1 + drift)
        at = np.arange(begin, end, 1 / rate)
        times = np.sort(device(at) + rng.normal(0, jitter, len(at)))
        measured = np.arange(begin + 2, end, 5.0)
        late = np.where(rng.random(len(measured)) < outliers, rng.uniform(-1, 1, len(measured)) * late_s, 0)
        offsets = measured - device(measured) + rng.normal(0, 3e-5, len(measured)) + late
        return list(times), list(zip(device(measured), offsets))

    def test_xdf_times_are_pyxdfs_through_drift_jitter_and_outliers(self):
        rng = np.random.default_rng(11)
        for n in range(12):
            drift = rng.uniform(-2e-4, 2e-4)
            outliers, late = ((0, 0), (0.2, 0.02), (0.3, 0.5), (0.3, 20))[n % 4]  # the last: too far for a thousand steps
            at = (1000.0, 50000.0, 3.5e6)[n % 3]
            times, offsets = self.device_part(rng, at + 100, at + 300, at + rng.uniform(0, 90), drift, outliers, late)
            # Where offsets are millions of seconds, pyxdf's own rounding comes to more than half a microsecond.
            times2, offsets2 = self.device_part(rng, at + 101, at + 300, at - min(at / 2, 25000), -drift, outliers, late, rate=0.25)
            self.compare_with_pyxdf([("EEG", "float32", 100, times, offsets), ("Markers", "string", 0, times2, offsets2)],
                                    {"EEG": 1, "Markers": 1}, f"file {n}")

    def test_xdf_clocks_that_are_reset_have_a_line_for_each_part(self):
        rng = np.random.default_rng(12)
        for n, (second, third) in enumerate(((5.0, None), (90000.0, None), (5.0, 4000.0), (90000.0, 30.0), (90000.0, 95000.0))):
            parts = [self.device_part(rng, 1000, 1150, 700.0, 1e-5, 0.1)]
            parts.append(self.device_part(rng, 1170.3, 1300, second, -3e-5, 0.1))
            if third is not None:
                parts.append(self.device_part(rng, 1340.7, 1480, third, 8e-5, 0.1))
            eeg = [sum((part[k] for part in parts), []) for k in range(2)]
            steady = self.device_part(rng, 1000.5, 1480, 40.0, 2e-5, rate=0.5)
            self.compare_with_pyxdf([("EEG", "float32", 100, *eeg), ("Steady", "string", 0, *steady)],
                                    {"EEG": len(parts), "Steady": 1}, f"resets {n}")
            self.compare_with_pyxdf([("EEG", "float32", 100, *steady), ("Reset", "string", 0, eeg[0][::150], eeg[1])],
                                    {"EEG": 1, "Reset": len(parts)}, f"markers {n}")

    def test_xdf_clock_offsets_that_are_no_times_are_left_out_and_told(self):
        times = [100 + i / 10 for i in range(1000)]
        steady = [(100 + 5 * i, 3) for i in range(20)]
        garbage = [(1e308, 3), (-1e308, 3), (130, 1e308), (130, -1e308), (math.nan, 3), (130, math.inf), (2e11, 0)]
        for bad in (garbage, garbage[:1], garbage * 40):
            path = self.write("g.xdf", self.xdf_of([("EEG", "float32", 10, times, steady[:5] + bad + steady[5:])]))
            out, err = run("import", "xdf", path, "-o", self.path("g.sdsz"), "-f", "--json")
            what = "is no time" if len(bad) == 1 else "are no times"
            self.assertEqual(json.loads(out)["notes"], [f"EEG: {len(bad)} of its clock offsets {what}, left out"])
            rows = self.csv_of(self.path("g.sdsz")).splitlines()[1:]
            np.testing.assert_allclose([float(row.split(",")[0]) for row in rows], np.array(times) + 3, rtol=0, atol=1e-6)

    def test_xdf_resets_need_a_late_measurement_and_a_jump_or_a_clock_that_goes_back(self):
        times = [100 + i / 10 for i in range(1000)]
        steady = [(100 + 5 * i, 3 + 1e-5 * (i % 3)) for i in range(20)]
        late = steady[:10] + [(t + 30, v) for t, v in steady[10:]]
        jump = steady[:10] + [(t, v + 7) for t, v in steady[10:]]
        both = steady[:10] + [(t + 30, v + 7) for t, v in steady[10:]]
        little = steady[:10] + [(t + 30, v + 0.9) for t, v in steady[10:]]
        soon = steady[:10] + [(t + 4.9, v + 7) for t, v in steady[10:]]
        back = steady[:10] + [(t - 100, v) for t, v in steady[10:]]
        single = steady + [(250.0, -50.0)]  # and no sample of that part
        for name, offsets, parts in (("steady", steady, 1), ("late", late, 1), ("jump", jump, 1), ("both", both, 2), ("little", little, 1),
                                     ("soon", soon, 1), ("single", single, 1)):
            self.compare_with_pyxdf([("EEG", "float32", 10, times, offsets)], {"EEG": parts}, name)
        self.compare_with_pyxdf([("EEG", "float32", 10, times + [249.0, 249.1], single)], {"EEG": 2}, "single with samples")
        behind = times[:480] + [t - 100 for t in times[480:]]
        self.compare_with_pyxdf([("EEG", "float32", 10, behind, back)], {"EEG": 2}, "back")
        self.compare_with_pyxdf([("EEG", "float32", 10, times, steady[:1])], {"EEG": 1}, "one")

    def test_damaged_xdf_files_never_crash(self):
        good = self.xdf_file()
        self.assertIn("does not begin as an XDF file does", self.imported("xdf", "x.xdf", b"PK..", expect=3))
        _, err = run("import", "xdf", self.write("cut.xdf", good[:len(good) - 2000]), "-o", self.path("c.sdsz"), expect=3)
        self.assertIn("cut off", run("check", self.path("c.sdsz"), expect=1)[0])
        self.assertIn("cut off", err)
        rng = np.random.default_rng(4)
        for _ in range(60):
            broken = bytearray(good)
            for _ in range(4):
                broken[rng.integers(4, len(broken))] = rng.integers(256)
            path = self.write("b.xdf", bytes(broken))
            done = subprocess.run([SDS, "import", "xdf", path, "-o", self.path("b.sdsz"), "-f"], capture_output=True, timeout=60)
            self.assertIn(done.returncode, (0, 3), done.stderr)

    @unittest.skipUnless(os.path.isdir(SHARED), "needs ../shared")
    def test_real_speech_comes_in(self):
        path = os.path.join(SHARED, "audio", "yes_1000ms.wav")
        run("import", "audio", path, "-o", self.path("yes.sdsz"), "-s", "Microphone")
        run("export", "wav", self.path("yes.sdsz"), "-o", self.path("yes.wav"))
        a, rate = soundfile.read(path, dtype="int16")
        b, _ = soundfile.read(self.path("yes.wav"), dtype="int16")
        np.testing.assert_array_equal(a, b)

    def test_what_spreadsheets_write(self):
        out = self.path("o.sdsz")
        rows = lambda: run("export", "csv", out)[0].splitlines()
        # Rows of only separators at the end; one in the middle is a row without a time.
        text = "time;a;b\n0;1;2\n1;2;3\n"
        _, err = run("import", "csv", self.write("t.csv", text + ";;\n ; ;\n"), "-o", out)
        self.assertIn("2 rows at the end, from line 4 on, are left out: only separators are in them", err)
        self.assertEqual(rows(), ["timeslot,a,b", "0,1,2", "1,2,3"])
        _, err = run("import", "csv", self.write("t.csv", text + ";;\n2;3;4\n"), "-o", out, "-f", expect=3)
        self.assertIn("line 4: a row without a time, and others follow", err)
        # Texts of another encoding.
        for table, where in ((b"time,Temp\xe9rature\n0,1\n1,2\n", "line 1: a column's name"), (b"time,a,label\n0,1,Caf\xe9\n1,2,x\n", "line 2: the label")):
            _, err = run("import", "csv", self.write("t.csv", table), "-o", out, "-f", expect=3)
            self.assertIn(where + " is not valid UTF-8: of a file that a Windows program wrote, `iconv -f cp1252 -t utf-8` makes it", err)
        self.assertIn("is UTF-16", run("import", "csv", self.write("t.csv", "time,a\n0,1\n".encode("utf-16")), "-o", out, "-f", expect=3)[1])
        for book in (b"PK\x03\x04" + bytes(100), b"\xd0\xcf\x11\xe0" + bytes(100)):
            self.assertIn("save the table as CSV", run("import", "csv", self.write("t.xlsx", book), "-o", out, "-f", expect=3)[1])
        _, err = run("import", "csv", self.write("t.csv", "zeit,wert\n0,1\n"), "-o", out, "-f", expect=3)
        self.assertIn("name it (--time), or say the sample rate (--rate); there are zeit, wert", err)
        _, err = run("import", "csv", self.write("t.csv", "time,a,on,hum\n0,1,TRUE,50%\n1,2,FALSE,51%\n"), "-o", out, "-f")
        self.assertIn("column on is text ('TRUE' in line 2)", err)
        self.assertIn("column hum is text ('50%' in line 2)", err)


if __name__ == "__main__":
    main()
