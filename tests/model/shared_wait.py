#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""All interleavings of the end of a wait at two shared channels (TAP).

A model of src/chan/shared_wait.c: the owner of a wait gives up, as its
deadline, a cancel or a kill makes it do, while one partner on each of its two
channels comes to send. Each step is one access to what they share. In every order the
element of just that partner arrives which believes to have sent, nobody
touches the wait's block after it was given back, and nobody is stuck. Models
with one step left out must fail, so that the search is known to find.
"""
import sys
from collections import namedtuple

WAITS, TAKEN, OVER = "waits", "taken", "over"
OWNER, PARTNERS = 0, (1, 2)

# at: what each does next. locks: who has each channel's. queued: which
# channels still have the wait's place. sent: by whom.
State = namedtuple("State", "at state cell went locks queued freed got sent")
START = State(("give up", "lock", "lock"), WAITS, None, None, (0, 0),
              (True, True), False, None, ())


class Broken(Exception):
    """A property does not hold."""


def put(items, i, value):
    return items[:i] + (value,) + items[i + 1:]


def touch(s):
    if s.freed:
        raise Broken("the block is touched after it was given back")
    return s


def go(s, who, to):
    return s._replace(at=put(s.at, who, to))


def partner(s, who, without):
    """The next state; None: it must wait."""
    chan, step = who - 1, s.at[who]
    if step == "lock":
        if s.locks[chan]:
            return None
        return go(s._replace(locks=put(s.locks, chan, who)), who, "look")
    if step == "look":
        if not s.queued[chan]:
            return go(s, who, "unlock")
        return go(s._replace(queued=put(s.queued, chan, False)), who, "take")
    if step == "take":
        touch(s)
        if s.state != WAITS and "compare" not in without:
            return go(s, who, "unlock")
        return go(s._replace(state=TAKEN), who, "copy")
    if step == "copy":
        return go(touch(s)._replace(cell=who), who, "note")
    if step == "note":
        return go(touch(s)._replace(went=chan), who, "complete")
    if step == "complete":
        return go(touch(s)._replace(state=OVER, sent=s.sent + (who,)), who,
                  "unlock")
    return go(s._replace(locks=put(s.locks, chan, 0)), who, "end")


def owner(s, without):
    step = s.at[OWNER]
    if step == "give up":
        if s.state == WAITS:
            return go(s._replace(state=OVER), OWNER, ("lock", 0, None))
        return go(s, OWNER, "wait")
    if step == "wait":
        if s.state != OVER and "patience" not in without:
            return None
        return go(s, OWNER, "unpack")
    if step == "unpack":
        return go(s._replace(got=s.cell), OWNER, ("lock", 0, s.went))
    if step == "free":
        return go(s._replace(freed=True), OWNER, "end")
    what, chan, went = step
    following = ("lock", chan + 1, went) if chan == 0 else "free"
    if what == "lock":
        if chan == went:
            return go(s, OWNER, following)
        if "lock" in without:
            return go(s, OWNER, ("unlink", chan, went))
        if s.locks[chan]:
            return None
        return go(s._replace(locks=put(s.locks, chan, "o")), OWNER,
                  ("unlink", chan, went))
    if what == "unlink":
        return go(s._replace(queued=put(s.queued, chan, False)), OWNER,
                  ("unlock", chan, went))
    return go(s._replace(locks=put(s.locks, chan, 0)), OWNER, following)


def check_end(s):
    if set(s.at) != {"end"}:
        raise Broken(f"stuck at {s.at}")
    if len(s.sent) > 1 or (s.got,) != (s.sent or (None,)):
        raise Broken(f"sent by {s.sent}, got {s.got}")


def explore(without=()):
    """How many states there are, all of them sound."""
    seen, todo = {START}, [START]
    while todo:
        s = todo.pop()
        following = [partner(s, who, without) for who in PARTNERS
                     if s.at[who] != "end"]
        if s.at[OWNER] != "end":
            following.append(owner(s, without))
        following = [f for f in following if f]
        if not following:
            check_end(s)
        for f in following:
            if f not in seen:
                seen.add(f)
                todo.append(f)
    return len(seen)


def main():
    cases = ["", "compare", "patience", "lock"]
    print(f"1..{len(cases)}")
    failed = False
    for number, left_out in enumerate(cases, 1):
        try:
            found = f"{explore([left_out])} states are sound"
            ok = not left_out
        except Broken as broken:
            found, ok = str(broken), bool(left_out)
        failed |= not ok
        print("not ok" if not ok else "ok", number, "-",
              f"without {left_out}:" if left_out else "in all orders:", found)
    return failed


sys.exit(main())
