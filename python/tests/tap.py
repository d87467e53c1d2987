# SPDX-License-Identifier: MIT
"""Runs unittest's tests and prints TAP.

Usage: tap.py [--known FILE] [--] MODULE[.CLASS[.TEST]]...

FILE names tests that cannot pass, one to a line with the cause:
    test_module.Class.test_name: because of this
Each must fail, is counted as skipped, and is gone from the list once it passes.
"""
import argparse
import faulthandler
import re
import sys
import unittest

SECONDS_MAX = 300


class Result(unittest.TestResult):
    def __init__(self, known):
        super().__init__()
        self.known = known
        self.number = 0
        self.bad = 0

    def point(self, ok, test, why=""):
        self.number += 1
        self.bad += not ok
        print("ok" if ok else "not ok", self.number, "-", name_of(test) + why,
              flush=True)

    def startTest(self, test):
        super().startTest(test)
        faulthandler.dump_traceback_later(SECONDS_MAX, exit=True)

    def stopTest(self, test):
        super().stopTest(test)
        faulthandler.cancel_dump_traceback_later()

    def fail(self, test, error):
        text = self._exc_info_to_string(error, test)
        if name_of(test) in self.known:
            self.point(True, test, " # SKIP " + self.known[name_of(test)])
            return
        self.point(False, test)
        last = text.strip().splitlines()[-1]
        print(re.sub("^", "# ", text, flags=re.M), f"{name_of(test)}: {last}",
              sep="\n", file=sys.stderr, flush=True)

    def addSuccess(self, test):
        if name_of(test) in self.known:
            self.point(False, test)
            print(f"{name_of(test)}: passes, and is in the list of those that "
                  "cannot", file=sys.stderr)
        else:
            self.point(True, test)

    def addFailure(self, test, error):
        self.fail(test, error)

    def addError(self, test, error):
        self.fail(test, error)

    def addSubTest(self, test, subtest, error):
        if error:
            self.fail(test, error)

    def addSkip(self, test, reason):
        self.point(True, test, " # SKIP " + reason.replace("\n", " "))

    def addExpectedFailure(self, test, error):
        self.point(True, test)

    def addUnexpectedSuccess(self, test):
        self.point(False, test)


def name_of(test):
    return re.sub(r"^(greenlet\.tests|__main__)\.", "", test.id())


def read_known(path):
    if not path:
        return {}
    with open(path) as f:
        pairs = [line.strip().split(": ", 1) for line in f
                 if line.strip() and not line.startswith("#")]
    return dict(pairs)


def run(names, known=None):
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    result = Result(known or {})
    suite.run(result)
    print(f"1..{result.number}", flush=True)
    return 1 if result.bad or not result.number else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--known")
    parser.add_argument("names", nargs="+")
    options = parser.parse_args()
    faulthandler.enable()
    sys.exit(run(options.names, read_known(options.known)))
