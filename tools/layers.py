#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""No layer knows a higher one: neither by #include nor by symbol.

Usage: tools/layers.py libtuck.a     checks src/ and the archive's objects
       tools/layers.py --self-test   checks that planted errors are seen

A folder of src/ may use itself and those before it in LAYERS; arch is below
all but base. What goes up goes through a struct of function pointers.
"""
import glob
import os
import re
import subprocess
import sys

LAYERS = ["base", "arch", "ctx", "task", "chan", "io", "proc", "debug",
          "preempt", "tls"]
LOCAL_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)
# A path in the archive's member names is flattened: src_base_heap.c.o.
MEMBER = re.compile(r"src_(" + "|".join(LAYERS) + r")_[^:]*\.o")


def above(user, used):
    return LAYERS.index(used) > LAYERS.index(user)


def include_errors(path, text):
    """What is wrong with the includes of src/<path>."""
    layer = path.split("/")[0]
    if layer not in LAYERS:
        return [f"src/{path}: no layer called {layer}"]
    errors = []
    for name in LOCAL_INCLUDE.findall(text):
        used = name.split("/")[0]
        if "/" not in name:
            used = "arch" if name in ("port.h", "frame.inc") else "?"
        if used not in LAYERS:
            errors.append(f'src/{path}: "{name}" does not name its layer')
        elif above(layer, used):
            errors.append(f'src/{path}: "{name}" is of a higher layer')
    return errors


def symbol_errors(lines):
    """What is wrong with the symbols in the output of nm -A -P."""
    defined, wanted = {}, []
    for line in lines:
        where, name, kind = line.replace("]:", ":").split()[:3]
        member = MEMBER.search(where)
        if not member:
            continue
        if kind in "Uvw":
            wanted.append((member[0], member[1], name))
        elif kind.isupper():
            defined[name] = member[1]
    if not defined:
        return ["no symbols: not the archive of Tuck?"]
    return [f"{member}: {name} is of a higher layer, {defined[name]}"
            for member, layer, name in wanted
            if name in defined and above(layer, defined[name])]


def self_test():
    def one(errors, word):
        assert len(errors) == 1 and word in errors[0], errors

    assert not include_errors("ctx/a.c", '#include "base/b.h"\n'
                              '#include "arch/a.h"\n#include <stdio.h>\n')
    one(include_errors("ctx/a.c", '#include "task/t.h"\n'), "higher")
    one(include_errors("arch/x86_64/s.S", '# include "ctx/c.h"\n'), "higher")
    one(include_errors("ctx/a.c", '#include "near.h"\n'), "name its layer")
    one(include_errors("util/a.c", ""), "no layer")
    good = ["l.a[src_base_a.c.o]: low T 0 1", "l.a[src_io_b.c.o]: low U",
            "l.a[src_io_b.c.o]: high T 0 1", "l.a[src_io_b.c.o]: malloc U"]
    assert not symbol_errors(good)
    one(symbol_errors(good + ["l.a[src_base_a.c.o]: high U"]), "higher")
    one(symbol_errors(["l.a[other.o]: x T 0 1"]), "no symbols")


def main(arg):
    if arg == "--self-test":
        return self_test()
    src = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../src/")
    errors = []
    for path in sorted(glob.glob(src + "**/*.[chS]", recursive=True)):
        with open(path) as f:
            errors += include_errors(os.path.relpath(path, src), f.read())
    nm = subprocess.run(["nm", "-A", "-P", arg], stdout=subprocess.PIPE,
                        text=True, check=True).stdout
    errors += symbol_errors(nm.splitlines())
    print(*errors, sep="\n")
    return bool(errors)


if len(sys.argv) != 2:
    sys.exit(__doc__)
sys.exit(main(sys.argv[1]))
