# SPDX-License-Identifier: MIT
"""gdb's view of tasklets, in particular at each instruction of a switch.

Run by gdb itself on program.c, see run.sh. TAP on descriptor 3.
"""
import os

import gdb

ENTRY = "tuck__arch_entry"
FIRST = ["inner", "outer", "first", ENTRY]
SECOND = ["inner", "second", ENTRY]
CONTEXT = ["in_context", ENTRY]
MAIN = ["main"]
PROGRAM = {"??", "stop_here"}.union(FIRST, SECOND, CONTEXT, MAIN)
count = 0
failed = False


def tap(line):
    os.write(3, (line + "\n").encode())


def check(good, what):
    global count, failed
    count += 1
    failed |= not good
    tap(f"{'ok' if good else 'not ok'} {count} - {what}")


def note(text):
    gdb.write(f"# {text}\n", gdb.STDERR)


def name_of(frame):
    # clang's assembler names no language, and gdb takes this for Ada.
    return (frame.name() or "??").replace("tuck.arch", "tuck__arch")


def stack():
    """The names of the frames, without those of the library in between."""
    names, frame = [], gdb.newest_frame()
    while frame:
        name = name_of(frame)
        if name.startswith("tuck__arch") or name in PROGRAM:
            names.append(name)
        frame, last = frame.older(), frame
    if names[-1:] != MAIN:
        reason = last.unwind_stop_reason()
        if reason not in (gdb.FRAME_UNWIND_OUTERMOST,
                          gdb.FRAME_UNWIND_NO_REASON):
            names.append(gdb.frame_stop_reason_string(reason))
    return names


def clean():
    text = gdb.execute("bt", to_string=True)
    bad = [w for w in ("stopped", "corrupt", "??") if w in text]
    if bad:
        note(text)
    return not bad


def start(slots):
    gdb.execute("delete")
    gdb.execute(f"set environment TUCK_STACK_SLOTS {slots}")
    gdb.execute("start", to_string=True)


def go_to(where):
    gdb.execute(f"tbreak {where}", to_string=True)
    gdb.execute("continue", to_string=True)


def inside(function):
    return name_of(gdb.newest_frame()) == function


def step_through(function):
    """All stacks on the way through it, without repetitions."""
    seen, good = [], clean()
    while inside(function):
        if seen[-1:] != [stack()[1:]]:
            seen.append(stack()[1:])
        # What a slow switch calls moves bytes: until the instruction after
        # the call, neither stack may be whole.
        if "call" in gdb.execute("x/i $pc", to_string=True):
            gdb.execute("nexti", to_string=True)
        gdb.execute("nexti", to_string=True)
        good &= clean()
    if seen[-1] != stack():
        seen.append(stack())
    return seen, good


def check_switch(function, expected, what):
    go_to("*" + function)
    seen, good = step_through(function)
    if seen != expected:
        note(f"{what}: {seen}, not {expected}")
    check(seen == expected, what)
    check(good, what + ": bt ends cleanly")


def test_stops(slots, what):
    start(slots)
    for expected in (FIRST, SECOND, FIRST):
        go_to("stop_here")
        names = stack()
        if names != ["stop_here"] + expected:
            note(names)
        check(names == ["stop_here"] + expected, what)
        check(clean(), what + ": bt ends cleanly")


def test_resident():
    start(16)
    go_to("stop_here")
    go_to("stop_here")
    go_to("stop_here")
    check_switch("tuck__arch_switch", [FIRST, SECOND],
                 "stepping through a switch")
    go_to("tuck__task_after")
    check_switch("tuck__arch_switch", [[ENTRY], SECOND],
                 "stepping through the last switch of a tasklet")


def test_first():
    start(16)
    go_to("tuck_join")
    check_switch("tuck__arch_switch_via", [MAIN, [ENTRY]],
                 "stepping through the first switch to a tasklet")


def test_copied():
    start(1)
    go_to("stop_here")
    go_to("stop_here")
    check_switch("tuck__arch_switch_via", [SECOND, FIRST],
                 "stepping through a switch that copies")


def test_contexts():
    start(1)
    go_to("contexts")
    for stack_of in ("a slot", "the native stack", "a stack of their own",
                     "a borrowed stack"):
        for when in ("at its start", "beside another", "after copying"):
            go_to("stop_here")
            names = stack()
            what = f"frames of a context on {stack_of}, {when}"
            if names != ["stop_here"] + CONTEXT:
                note(names)
            check(names == ["stop_here"] + CONTEXT, what)
            check(clean(), what + ": bt ends cleanly")
        check_switch("tuck__arch_switch_via", [CONTEXT, MAIN],
                     f"stepping from {stack_of} to main()")


def main():
    for setting in ("confirm off", "debuginfod enabled off",
                    "startup-with-shell off"):
        gdb.execute("set " + setting)
    try:
        start(16)
    except gdb.error as e:
        tap(f"1..0 # SKIP gdb starts no program here: {e}")
        return
    test_stops(16, "frames of a resident tasklet")
    test_stops(1, "frames of a copied tasklet")
    test_resident()
    test_first()
    test_copied()
    test_contexts()
    gdb.execute("kill")
    tap(f"1..{count}")
    gdb.execute(f"quit {int(failed)}")


main()
