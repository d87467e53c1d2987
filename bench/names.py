#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares tuck_resolve() with c-ares: 1,000 names of /etc/hosts, or of a name
server on the loopback (dnsmasq). Both know of them through a namespace of
their own, in which /etc/hosts and /etc/resolv.conf are others.

Usage: bench/names.py BUILD [ROUNDS]     (5 rounds; needs unshare and dnsmasq)

Prints medians; the programs take turns.
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time

NAMES = 1000
WORKS = {
    "all": "all at once, ms",
    "all-cpu": "all at once, ms of CPU",
    "window": "64 at a time, ms",
    "window-cpu": "64 at a time, ms of CPU",
    "one": "one at a time, us each",
}


def hosts():
    return "".join(f"10.1.{i // 250}.{i % 250 + 1} h{i}.test\n"
                   for i in range(NAMES))


def mount(folder, name, text, over):
    path = os.path.join(folder, name)
    with open(path, "w") as f:
        f.write(text)
    subprocess.run(["mount", "--bind", path, over], check=True)


def measure(build, rounds, where):
    figures = {}
    for _ in range(rounds):
        for work in WORKS:
            for who in "tuck", "cares":
                out = subprocess.run(
                    [f"{build}/bench/bench_names_{who}", work, str(NAMES)],
                    check=True, stdout=subprocess.PIPE, text=True).stdout
                figures.setdefault((work, who), []).append(float(out))
    for work, title in WORKS.items():
        tuck, cares = (statistics.median(figures[work, who])
                       for who in ("tuck", "cares"))
        print(f"| {where}, {title} | {tuck:,.0f} | {cares:,.0f} "
              f"| {tuck / cares:.2f} |", flush=True)


def name_server(folder):
    path = os.path.join(folder, "served")
    with open(path, "w") as f:
        f.write(hosts())
    server = subprocess.Popen(
        ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv",
         "--no-hosts", f"--addn-hosts={path}", "--listen-address=127.0.0.1",
         "--bind-interfaces", "--user=root", "--pid-file="],
        stderr=subprocess.DEVNULL)
    for _ in range(100):
        if subprocess.run(["getent", "hosts", "h0.test"],
                          stdout=subprocess.DEVNULL).returncode == 0:
            return server
        time.sleep(0.1)
    sys.exit("dnsmasq does not answer")


def inside(build, rounds):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    print("| 1,000 names | tuck | c-ares | ratio |\n|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        mount(folder, "resolv.conf", "nameserver 127.0.0.1\n",
              "/etc/resolv.conf")
        mount(folder, "hosts", hosts(), "/etc/hosts")
        measure(build, rounds, "/etc/hosts")
        mount(folder, "no-hosts", "127.0.0.1 localhost\n", "/etc/hosts")
        server = name_server(folder)
        measure(build, rounds, "DNS")
        server.kill()
        server.wait()
        for path in "/etc/hosts", "/etc/hosts", "/etc/resolv.conf":
            subprocess.run(["umount", path], check=True)


def main():
    if sys.argv[1:2] == ["--inside"]:
        inside(sys.argv[2], int(sys.argv[3]))
        return 0
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__.split("\n\n")[1])
    rounds = sys.argv[2] if len(sys.argv) == 3 else "5"
    return subprocess.run(
        ["unshare", "-rmn", sys.executable, os.path.abspath(__file__),
         "--inside", os.path.abspath(sys.argv[1]), rounds]).returncode


if __name__ == "__main__":
    sys.exit(main())
