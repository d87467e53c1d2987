# SPDX-License-Identifier: MIT
"""Runs unittest's tests and prints TAP.

Usage: tap.py [--known FILE | --leaks] MODULE[.CLASS[.TEST]]...

FILE names tests that cannot pass, one to a line with the cause:
    test_module.Class.test_name: because of this
    test_module.Class.test_other since 3.13: because of that
Each must fail, is counted as skipped, and is gone from the list once it passes.

With --leaks each test is repeated, and fails if the memory blocks that Python
has allocated, the objects that it tracks or the greenlets there are become
more from each time to the next.
"""
import argparse
import array
import faulthandler
import gc
import os
import re
import sys
import unittest

SECONDS_MAX = 300
WARM_UP, REPEATS, TRIES = 3, 5, 5
KINDS = "memory blocks", "objects", "greenlets"


class Result(unittest.TestResult):
    def __init__(self, known, out):
        super().__init__()
        self.known = known
        self.out = out
        self.number = 0
        self.bad = 0

    def point(self, ok, test, why=""):
        self.number += 1
        self.bad += not ok
        print("ok" if ok else "not ok", self.number, "-", name_of(test) + why,
              file=self.out, flush=True)

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
    known = {}
    with open(path) as f:
        for line in filter(None, map(str.strip, f)):
            name, _, why = line.partition(": ")
            name, _, since = name.partition(" since 3.")
            if name[0] != "#" and sys.version_info >= (3, int(since or 0)):
                known[name] = why
    return known


def census():
    from tuck.inspect import greenlets
    for _ in range(3):
        gc.collect()
    return sys.getallocatedblocks(), len(gc.get_objects()), len(greenlets())


class Leaks(unittest.TestCase):
    """A test that repeats another one."""

    def __init__(self, test):
        super().__init__()
        self.test = test

    def id(self):
        return self.test.id()

    def once(self):
        result = unittest.TestResult()
        unittest.TestSuite([self.test]).run(result)
        if result.errors or result.failures:
            self.fail((result.errors + result.failures)[0][1])

    def grown(self):
        """What has become more with each repetition: text, or None."""
        # In arrays, which take no more memory when they are written to.
        counts = [array.array("q", [0] * REPEATS) for _ in KINDS]
        for n in range(-WARM_UP, REPEATS):
            # A suite forgets its tests; this one is wanted again.
            self.test = type(self.test)(self.test._testMethodName)
            self.once()
            for series, count in zip(counts, census()):
                series[n] = count
        for kind, series in zip(KINDS, counts):
            if all(a < b for a, b in zip(series, series[1:])):
                return f"{kind} grow: {list(series)}"
        return None

    def runTest(self):
        # Caches of the interpreter grow, too, but not for long.
        why = getattr(getattr(self.test, self.test._testMethodName),
                      "leaks", None)
        if why:
            self.skipTest(why)
        found = [self.grown()]
        while found[-1] and len(found) < TRIES:
            found.append(self.grown())
        if found[-1]:
            self.fail("; ".join(found))


def flat(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flat(test)
        else:
            yield test


def own_stdout():
    """Where points go; what tests print goes to stderr."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return out


def run(names, known=None, leaks=False):
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    if leaks:
        done = set()
        for test in flat(suite):        # fixtures of classes, once for all
            if type(test) not in done and not getattr(
                    type(test), "__unittest_skip__", False):
                type(test).setUpClass()
                done.add(type(test))
                type(test).setUpClass = classmethod(lambda cls: None)
        suite = unittest.TestSuite(map(Leaks, flat(suite)))
    result = Result(known or {}, own_stdout())
    suite.run(result)
    print(f"1..{result.number}", file=result.out, flush=True)
    return 1 if result.bad or not result.number else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--known")
    parser.add_argument("--leaks", action="store_true")
    parser.add_argument("names", nargs="+")
    options = parser.parse_args()
    faulthandler.enable()
    sys.exit(run(options.names, read_known(options.known), options.leaks))
