# SPDX-License-Identifier: MIT
"""examples/primes. Usage: test_primes.py PRIMES"""
import sys

from kit import SCALE, client, load, main, test, text

PRIMES = sys.argv[1]


def sieve(n):
    """The first n primes, found in another way."""
    found = []
    candidate = 2
    while len(found) < n:
        if all(candidate % p for p in found):
            found.append(candidate)
        candidate += 1
    return found


def primes(n, **env):
    out = text(PRIMES, n, **env)
    assert out == "".join(f"{p}\n" for p in KNOWN[:n]), out


KNOWN = sieve(1000)
assert KNOWN[999] == 7919


@test
def prints_known_primes():
    for n in (1, 2, 25, load(1000)):
        primes(n)


@test
def prints_them_from_one_stack():
    primes(load(1000), TUCK_STACK_SLOTS="1")


@test
def prints_them_in_any_order_of_tasklets():
    for seed in range(1, 4):
        primes(200 // SCALE, TUCK_SEED=str(seed), TUCK_STACK_SLOTS="7")


@test
def wants_a_number():
    client(PRIMES, "0", code=2)
    client(PRIMES, "x", code=2)


main()
