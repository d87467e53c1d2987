# SPDX-License-Identifier: MIT
"""examples/policy. Usage: test_policy.py POLICY"""
import random
import sys

from kit import client, main, test, text

POLICY = sys.argv[1]


def line(name, lengths):
    """What is printed of jobs that run in this order."""
    done = [sum(lengths[:i + 1]) for i in range(len(lengths))]
    words = " ".join(map(str, lengths))
    return f"{name}: {words}, done after {sum(done) / len(done):.1f} " \
        "on average\n"


def run(lengths):
    out = text(POLICY, *lengths, TUCK_POLICY="fifo")
    want = line("first in, first out", lengths) + \
        line("the shortest first", sorted(lengths))
    assert out == want, (out, want)


@test
def shortest_runs_first():
    run([30, 10, 20])
    run([5])
    run([1000000, 1])


@test
def many_jobs_of_any_length():
    dice = random.Random(1)
    run([dice.randint(1, 99) for _ in range(300)])


@test
def wants_lengths():
    client(POLICY, code=2)
    client(POLICY, "0", code=2)
    client(POLICY, "1000001", code=2)
    client(POLICY, "3", "x", code=2)


main()
