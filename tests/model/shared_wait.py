#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""All interleavings of the end of a wait at two shared channels (TAP).

A model of src/chan/shared_wait.c: the owner of a wait looks at it, stops
looking and parks, until it is woken, or gives up, as its deadline, a cancel or
a kill makes it do; one partner on each of its two channels comes to send, and
frees the channel if it has. Each step is one access to what they share. In
every order the element of just that partner arrives which believes to have
sent, nobody touches the wait's block after it was given back, nor a channel
after it was freed, and nobody is stuck, also if the owner never gives up.
Models with one step left out must fail, so that the search is known to find.
"""
import sys
from collections import namedtuple

WATCHED, WAITS, TAKEN, OVER = "watched", "waits", "taken", "over"
OWNER, PARTNERS = 0, (1, 2)

# at: what each does next. locks: who has each channel's. queued: which
# which channels still have the wait's place. sent: by whom. watched: the wait
# when it was taken. woken: there is a post to the owner. gone: which channels
# are.
State = namedtuple(
    "State",
    "at state cell went locks queued freed got sent watched woken gone")
START = State(("look", "lock", "lock"), WATCHED, None, None, (0, 0),
              (True, True), False, None, (), False, False, (False, False))


class Broken(Exception):
    """A property does not hold."""


def put(items, i, value):
    return items[:i] + (value,) + items[i + 1:]


def touch(s):
    if s.freed:
        raise Broken("the block is touched after it was given back")
    return s


def touch_chan(s, chan):
    if s.gone[chan]:
        raise Broken("a channel is touched after it was freed")
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
        if s.state not in (WATCHED, WAITS) and "compare" not in without:
            return go(s, who, "unlock")
        return go(s._replace(state=TAKEN, watched=s.state == WATCHED), who,
                  "copy")
    if step == "copy":
        return go(touch(s)._replace(cell=who), who, "note")
    if step == "note":
        return go(touch(s)._replace(went=chan), who, "complete")
    if step == "complete":
        return go(touch(s)._replace(state=OVER, sent=s.sent + (who,)), who,
                  "unlock" if s.watched else "unlock and wake")
    if step == "wake":
        return go(s._replace(woken=True), who, "free")
    if step == "free":
        return go(s._replace(gone=put(s.gone, chan, True)), who, "end")
    following = "wake" if step == "unlock and wake" else \
        "free" if who in s.sent else "end"
    return go(s._replace(locks=put(s.locks, chan, 0)), who, following)


def look(s, without):
    """It is over, or the owner looks no more, which it may do at any time."""
    if s.state == OVER:
        return [go(s, OWNER, "unpack")]
    if "unwatch" in without:
        return [go(s, OWNER, "parked")]
    if s.state == WATCHED:
        return [go(s._replace(state=WAITS), OWNER, "parked")]
    if "unwatch's answer" in without:
        return [go(s, OWNER, "parked")]
    return [go(s, OWNER, "wait")]


def parked(s, patient):
    """Woken or, unless it waits for ever, for another reason."""
    return [go(s, OWNER, "give up")] if s.woken or not patient else []


def owner(s, without):
    step = s.at[OWNER]
    if step == "give up":
        if s.state in (WATCHED, WAITS):
            return go(s._replace(state=OVER), OWNER, ("lock", 0, None))
        return go(s, OWNER, "wait")
    if step == "wait":
        if s.state != OVER and "patience" not in without:
            return None
        return go(s, OWNER, "unpack")
    if step == "unpack":
        if "the element's size" in without:
            touch_chan(s, s.went)
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
        if touch_chan(s, chan).locks[chan]:
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


def owner_steps(s, without, patient):
    if s.at[OWNER] == "look":
        return look(s, without)
    if s.at[OWNER] == "parked":
        return parked(s, patient)
    return [owner(s, without)]


def explore(without, patient):
    """How many states there are, all of them sound."""
    seen, todo = {START}, [START]
    while todo:
        s = todo.pop()
        following = [partner(s, who, without) for who in PARTNERS
                     if s.at[who] != "end"]
        if s.at[OWNER] != "end":
            following += owner_steps(s, without, patient)
        following = [f for f in following if f]
        if not following:
            check_end(s)
        for f in following:
            if f not in seen:
                seen.add(f)
                todo.append(f)
    return len(seen)


def main():
    cases = ["", "compare", "patience", "lock", "unwatch",
             "unwatch's answer", "the element's size"]
    print(f"1..{len(cases)}")
    failed = False
    for number, left_out in enumerate(cases, 1):
        try:
            found = sum(explore([left_out], patient)
                        for patient in (False, True))
            found = f"{found} states are sound"
            ok = not left_out
        except Broken as broken:
            found, ok = str(broken), bool(left_out)
        failed |= not ok
        print("not ok" if not ok else "ok", number, "-",
              f"without {left_out}:" if left_out else "in all orders:", found)
    return failed


sys.exit(main())
