#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tuck's greenlets beside greenlet's, in one run on one interpreter.

Usage: greenlets.py BUILT [GREENLET]

BUILT is the folder python/ of a build; GREENLET one with a package greenlet,
by default where this interpreter finds it. Each figure is the least of ROUNDS
processes that take turns; memory is that of one process.
"""
import importlib.util
import json
import os
import subprocess
import sys
import time

ROUNDS = 5
IDLE = 100_000


def seconds(fn, n):
    start = time.perf_counter()
    fn(n)
    return (time.perf_counter() - start) / n


def switches(depth):
    from greenlet import getcurrent, greenlet

    def loop():
        main_switch = getcurrent().parent.switch
        while True:
            main_switch()

    def down(n):
        return loop() if n == 0 else down(n - 1)

    g = greenlet(down)
    g.switch(depth)

    def many(n, switch=g.switch):
        for _ in range(n):
            switch()

    many(1_000)
    return 1e9 / 2 * seconds(many, 100_000)


def spawns():
    from greenlet import greenlet

    def nothing():
        pass

    def many(n):
        for _ in range(n):
            greenlet(nothing).switch()

    many(1_000)
    return 1e9 * seconds(many, 20_000)


def resident():
    with open("/proc/self/smaps_rollup") as f:
        return 1024 * sum(int(line.split()[1]) for line in f
                          if line.startswith("Rss"))


def idle():
    from greenlet import getcurrent, greenlet
    main = getcurrent()

    def wait():
        main.switch()

    kept = [None] * IDLE
    before = resident()
    for n in range(IDLE):
        kept[n] = greenlet(wait)
        kept[n].switch()
    bytes_each = (resident() - before) / IDLE
    print(json.dumps({"idle bytes": bytes_each}), flush=True)
    os._exit(0)


def measure():
    print(json.dumps({
        "switch ns": switches(0),
        "switch ns, 100 deep": switches(100),
        "spawn + finish ns": spawns()}))


def run(what, path):
    out = subprocess.run([sys.executable, __file__, what], check=True,
                         stdout=subprocess.PIPE, text=True,
                         env=dict(os.environ, PYTHONPATH=path)).stdout
    return json.loads(out)


def least(path, results):
    for name, value in run("--measure", path).items():
        results[name] = min(value, results.get(name, value))


def main():
    built = os.path.abspath(sys.argv[1])
    paths = {"tuck": os.pathsep.join([built, os.path.join(built, "dropin")])}
    spec = importlib.util.find_spec("greenlet")
    if len(sys.argv) > 2:
        paths["greenlet"] = os.path.abspath(sys.argv[2])
    elif spec:
        paths["greenlet"] = ""
    results = {name: {} for name in paths}
    for _ in range(ROUNDS):
        for name, path in paths.items():
            least(path, results[name])
    for name, path in paths.items():
        results[name].update(run("--idle", path))
    print(f"Python {sys.version.split()[0]}")
    print(f"{'':24}" + "".join(f"{name:>12}" for name in paths), "   ratio")
    for what in results["tuck"]:
        values = [results[name][what] for name in paths]
        ratio = f"{values[0] / values[1]:8.3f}" if len(values) > 1 else ""
        print(f"{what:24}" + "".join(f"{v:12.0f}" for v in values), ratio)
    deep = {name: r["switch ns, 100 deep"] / r["switch ns"]
            for name, r in results.items()}
    print(f"{'100 deep / 0 deep':24}"
          + "".join(f"{v:12.2f}" for v in deep.values()))


if sys.argv[1:] == ["--measure"]:
    measure()
elif sys.argv[1:] == ["--idle"]:
    idle()
else:
    main()
