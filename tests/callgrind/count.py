#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts the instructions of a switch and its kin; fails when one grows.

Usage: count.py PROGRAM             TAP
       count.py --update PROGRAM    writes what it counts to limits.txt

callgrind counts the instructions of N and of 2 N rounds, so that what the
program's beginning and end take falls out. That is the same in each run, but
not from one compiler to another; so limits.txt holds for one, and for the
default options.
"""
import os
import re
import shutil
import subprocess
import sys

LIMITS = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                      "limits.txt")
ROUNDS = 127 * 128 * 2      # every 127th switch looks around


def slack(limit):
    """Half an instruction of a switch; parts of memcpy() elsewhere."""
    return 0.6 if limit < 100 else limit / 100


def collected(program, work, rounds):
    """Instructions of the whole program."""
    # No speculation about the environment: its size moves the stack.
    err = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
         program, work, str(rounds)], env={"PATH": os.environ["PATH"]},
        stderr=subprocess.PIPE, text=True, check=True).stderr
    return int(re.search(r"Collected : (\d+)", err)[1])


def count(program, work):
    """Instructions of one round."""
    more, few = (collected(program, work, n) for n in (2 * ROUNDS, ROUNDS))
    return (more - few) / ROUNDS


def read_limits():
    with open(LIMITS) as f:
        lines = f.read().splitlines()
    head = [line for line in lines if line.startswith("#")]
    return head, {work: int(n) for work, n in
                  (line.split() for line in lines if line not in head)}


def update(program):
    head, limits = read_limits()
    counted = [f"{work} {round(count(program, work))}" for work in limits]
    with open(LIMITS, "w") as f:
        f.write("\n".join(head + counted) + "\n")


def test(program):
    limits = read_limits()[1]
    failed = False
    print(f"1..{len(limits)}")
    for number, (work, limit) in enumerate(limits.items(), 1):
        n = count(program, work)
        bad = n > limit + slack(limit)
        failed |= bad
        print(f"{'not ' * bad}ok {number} - {work}: {n:.1f} instructions, "
              f"limit {limit}", flush=True)
        if bad or n < limit - slack(limit):
            print(f"# {work}: {n:.1f} instructions, not {limit}. If that is "
                  "meant to be: tests/callgrind/count.py --update "
                  + os.path.relpath(program), file=sys.stderr)
    return failed


def main(args):
    if args[:1] == ["--update"]:
        return update(args[1])
    if not shutil.which("valgrind"):
        print("1..0 # SKIP no valgrind")
        return 0
    return test(args[0])


sys.exit(main(sys.argv[1:]))
