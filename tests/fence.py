#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""That a proc announces its sleep before it looks into its inbox (TAP).

Usage: tests/fence.py CPU LIBRARY

The store and the load after it are of different words, which every CPU with a
store buffer swaps unless it is told not to; then a wake-up is lost once in a
million times, which no run of a program shows when it is wanted. So the
machine code is looked at: what stands between the two.
"""
import re
import shutil
import subprocess
import sys

NAME = "announce_sleep"
# In the order of the function's instructions, joined by newlines.
ORDERS = {
    "x86_64": r"\b(xchg\s+(?!%ax,%ax)|mfence|lock\s)(.|\n)*\b(mov|cmp)",
    # A release store waits for nothing but a load that acquires, which LDAPR
    # is not.
    "aarch64": r"\bdmb\s+ish\s(.|\n)*\bldr|\bstlr\b(.|\n)*\bldar\b",
}


def instructions(tool, library):
    """Those of the function, without addresses and names; none without it."""
    done = subprocess.run([tool, "-d", "--no-show-raw-insn", library],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True)
    found = re.search(r"^\w+ <%s[.\w]*>:\n((?:.+\n)*)" % NAME, done.stdout,
                      re.MULTILINE)
    lines = found.group(1).splitlines() if found else []
    return "\n".join(line.split(":", 1)[1].split("<")[0].strip()
                     for line in lines if ":" in line)


def check(cpu, library):
    """What to say after "ok" or "not ok"."""
    if cpu not in ORDERS:
        return "ok", " # SKIP of " + cpu + " it is not known"
    tools = [tool for tool in (cpu + "-linux-gnu-objdump", "objdump")
             if shutil.which(tool)]
    if not tools:
        return "ok", " # SKIP no objdump"
    code = instructions(tools[0], library)
    if re.search(ORDERS[cpu], code):
        return "ok", ""
    print("\n".join("# " + line for line in code.splitlines()
                    or ["there is no " + NAME]))
    return "not ok", ""


if __name__ == "__main__":
    print("1..1")
    passed, why = check(*sys.argv[1:3])
    print(passed, "1 - a sleep is announced before the last look" + why)
    sys.exit(passed != "ok")
