#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""All interleavings of wake-ups between procs (TAP).

Six models. *inbox*, of src/task/inbox.c: two procs push what a third one is
to do, which drains its inbox, announces that it sleeps, looks once more and
sleeps, or closes the inbox. *pool*, of src/proc/pool.c: two procs put jobs into
a queue and prod a proc that has announced that it is idle. *woken*, of the
same: one of two idle procs is posted to, and is busy until the job is taken.
*pair*, again: of two idle procs each is to take one of two jobs, and is busy
until both are taken.
*move*, of src/task/job.c: a tasklet is unblocked and killed at home while
another proc takes it over. *back*, of the same: the word that it has ended
there, and a post to it, come home.

Each step is one access to what they share. A store that is not sequentially
consistent waits in a buffer of its thread, as on x86, until any later time. In
every order what was pushed is run once or refused, nobody sleeps while there
is something to do, and an unblock or a kill arrives once. Models with a step
left out, or in a weaker order, must fail, so that the search is known to find.
"""
import sys


class Broken(Exception):
    """A property does not hold."""


def put(items, i, value):
    return items[:i] + (value,) + items[i + 1:]


class Model:
    """States are dictionaries; "at" says what each thread does next."""

    def __init__(self, without):
        self.without = without

    def flushes(self, s):
        """What a buffer may do at any time."""
        if s.get("buffer"):
            name, value = s["buffer"]
            yield {**s, name: value, "buffer": None}

    def store(self, s, name, value, weak):
        """By the one thread that has a buffer: it keeps one store."""
        if weak:
            return {**s, "buffer": (name, value)}
        return {**s, name: value, "buffer": None}

    def explore(self):
        """How many states there are, all of them sound."""
        seen, todo = set(), [self.start]
        while todo:
            s = todo.pop()
            key = tuple(sorted(s.items(), key=lambda item: item[0]))
            if key in seen:
                continue
            seen.add(key)
            following = list(self.flushes(s))
            for who in range(len(s["at"])):
                following += self.step(s, who)
            if not following:
                self.check_end(s)
            todo += following
        return len(seen)


def go(s, who, to, **changes):
    return {**s, "at": put(s["at"], who, to), **changes}


class Inbox(Model):
    """Thread 0 reads; what 1 and 2 push are their numbers."""

    start = {"at": ("drain", "read", "read"), "inbox": (), "head": (None,) * 3,
             "sleeping": 0, "kicked": 0, "run": (), "refused": (),
             "buffer": None}
    mutants = ["", "order", "second look", "announcing first", "one close",
               "a kick that lasts", "pushing first"]

    def step(self, s, who):
        return self.reader(s) if who == 0 else self.poster(s, who)

    def reader(self, s):
        at, ran = s["at"][0], s["run"] + (s["inbox"] or ())
        early = "announcing first" in self.without
        if at == "drain":
            yield go(s, 0, "look" if early else "announce", inbox=(), run=ran)
            if "one close" in self.without:
                yield go(s, 0, "close", inbox=(), run=ran)
            else:
                yield go(s, 0, "end", inbox=None, run=ran)
        elif at == "close":
            yield go(s, 0, "end", inbox=None)
        elif at == "announce":
            late = early or "second look" in self.without
            yield go(self.store(s, "sleeping", 1, "order" in self.without), 0,
                     "wait" if late else "look")
        elif at == "look":
            yield go(s, 0, "wake" if s["inbox"] else
                     "announce" if early else "wait")
        elif at == "wait" and s["kicked"]:
            yield go(s, 0, "wake", kicked=0)
        elif at == "wake":
            yield go(self.store(s, "sleeping", 0, False), 0, "drain")

    def poster(self, s, who):
        at = s["at"][who]
        if at == "read":
            if "pushing first" in self.without and not s["sleeping"]:
                yield go(s, who, "push only", head=put(s["head"], who,
                                                       s["inbox"]))
                return
            yield go(s, who, "push", head=put(s["head"], who, s["inbox"]))
        elif at in ("push", "push only"):
            head = s["head"][who]
            if head is None:
                yield go(s, who, "end", refused=s["refused"] + (who,))
            elif head != s["inbox"]:
                yield go(s, who, at, head=put(s["head"], who, s["inbox"]))
            else:
                yield go(s, who, "end" if at == "push only" else "look",
                         inbox=head + (who,))
        elif at == "look":
            yield go(s, who, "kick" if s["sleeping"] else "end", sleeping=0)
        elif at == "kick":
            lasts = "a kick that lasts" not in self.without or \
                s["at"][0] == "wait"
            yield go(s, who, "end", kicked=int(lasts or s["kicked"]))

    def check_end(self, s):
        if s["at"][1:] != ("end", "end"):
            raise Broken(f"stuck at {s['at']}")
        if s["inbox"]:
            raise Broken(f"asleep with {s['inbox']} in its inbox")
        if sorted(s["run"] + s["refused"]) != [1, 2]:
            raise Broken(f"ran {s['run']}, refused {s['refused']}")


class Pool(Model):
    """Thread 0 is idle; 1 and 2 push a job each."""

    start = {"at": ("sleeping", "push", "push"), "jobs": 0, "taken": 0,
             "sleeping": 0, "asleep": 0, "sleepers": 0, "kicked": 0,
             "buffer": None}
    mutants = ["", "order", "a look after it is idle", "pushing first",
               "sleeping before idle"]

    def step(self, s, who):
        return self.idler(s) if who == 0 else self.pusher(s, who)

    def idler(self, s):
        at = s["at"][0]
        late = "sleeping before idle" in self.without
        if at == "sleeping":
            yield go({**s, "sleeping": 0 if late else 1}, 0, "count")
        elif at == "count":
            yield go(s, 0, "asleep", sleepers=s["sleepers"] + 1)
        elif at == "asleep":
            weak = "order" in self.without
            to = "late" if "a look after it is idle" in self.without else "look"
            yield go(self.store(s, "asleep", 1, weak), 0, to)
        elif at == "look":
            yield go(s, 0, "awake" if s["jobs"] else "late")
        elif at == "late":
            yield go({**s, "sleeping": 1} if late else s, 0, "wait")
        elif at == "wait" and s["kicked"]:
            yield go(s, 0, "awake", kicked=0)
        elif at == "awake":
            yield go(self.store(s, "sleeping", 0, False), 0, "retract")
        elif at == "retract":
            yield go(s, 0, "take", asleep=0,
                     sleepers=s["sleepers"] - s["asleep"])
        elif at == "take":
            if s["jobs"]:
                yield go(s, 0, "take", jobs=s["jobs"] - 1,
                         taken=s["taken"] + 1)
            else:
                yield go(s, 0, "sleeping")

    def pusher(self, s, who):
        at = s["at"][who]
        to = "claim" if s["sleepers"] else "end"
        if at == "push" and "pushing first" in self.without:
            yield go(s, who, ("push", to))
        elif at == "push":
            yield go(s, who, "look", jobs=s["jobs"] + 1)
        elif at[0] == "push":
            yield go(s, who, at[1], jobs=s["jobs"] + 1)
        elif at == "look":
            yield go(s, who, to)
        elif at == "claim":
            yield go(s, who, "leave" if s["asleep"] else "end", asleep=0)
        elif at == "leave":
            yield go(s, who, "prod", sleepers=s["sleepers"] - 1)
        elif at == "prod":
            yield go(s, who, "kick" if s["sleeping"] else "end", sleeping=0)
        elif at == "kick":
            yield go(s, who, "end", kicked=1)

    def check_end(self, s):
        if s["at"][1:] != ("end", "end") or s["jobs"] or s["taken"] != 2:
            raise Broken(f"stuck at {s['at']}, {s['jobs']} jobs wait")


class Woken(Model):
    """0 and 1 are idle; 2 posts to 0, which has enough to do; 3 pushes."""

    start = {"at": ("take", "take", "post", "push"), "jobs": 0, "taken": 0,
             "inbox": 0, "sleeping": (0, 0), "asleep": (0, 0), "sleepers": 0,
             "kicked": (0, 0)}
    mutants = ["", "passing the wake on", "taking its own away",
               "a look after it is idle"]
    after_a_job, until = "take", 1    # taken, if it is busy

    def step(self, s, who):
        at = s["at"][who]
        if isinstance(at, tuple):
            return self.wake_one(s, who, *at)
        return self.idler(s, who) if who < 2 else self.other(s, who)

    def idler(self, s, who):
        at, took = s["at"][who], s["asleep"][who]
        given_away = put(s["asleep"], who, 0)
        counts_late = "counting first" in self.without
        if at == "take" and s["jobs"]:
            yield go(s, who, self.after_a_job, jobs=s["jobs"] - 1,
                     taken=s["taken"] + 1)
        elif at == "take":
            yield go(s, who, "asleep" if counts_late else "count",
                     sleeping=put(s["sleeping"], who, 1))
        elif at == "count":
            yield go(s, who, "look" if counts_late else "asleep",
                     sleepers=s["sleepers"] + 1)
        elif at == "asleep":
            yield go(s, who, "count" if counts_late else "look",
                     asleep=put(s["asleep"], who, 1))
        elif at == "look":
            blind = "a look after it is idle" in self.without
            found = s["jobs"] and not blind or who == 0 and s["inbox"]
            yield go(s, who, "awake" if found else "wait")
        elif at == "wait" and s["kicked"][who]:
            yield go(s, who, "awake", kicked=put(s["kicked"], who, 0))
        elif at == "awake":
            yield go(s, who, "drain", sleeping=put(s["sleeping"], who, 0))
        elif at == "drain" and who == 0 and s["inbox"]:
            yield go(s, who, "own", inbox=0)
        elif at == "drain":
            yield go(s, who, "leave" if took else "take", asleep=given_away)
        elif at == "leave":
            yield go(s, who, "take", sleepers=s["sleepers"] - 1)
        elif at == "own" and "taking its own away" in self.without:
            yield go(s, who, "busy")
        elif at == "own":
            yield go(s, who, "leave own" if took else "pass on",
                     asleep=given_away)
        elif at == "leave own":
            yield go(s, who, "busy", sleepers=s["sleepers"] - 1)
        elif at == "pass on":
            skips = "passing the wake on" in self.without or not s["jobs"]
            yield go(s, who, "busy" if skips else ("look", 0, "busy"))
        elif at == "busy" and s["taken"] >= self.until:
            yield go(s, who, "take")

    def wake_one(self, s, who, at, whom, then):
        if at == "look":
            yield go(s, who, ("claim", 0, then) if s["sleepers"] else then)
        elif at == "claim" and s["asleep"][whom]:
            yield go(s, who, ("leave", whom, then),
                     asleep=put(s["asleep"], whom, 0))
        elif at == "claim":
            yield go(s, who, then if whom else ("claim", 1, then))
        elif at == "leave":
            yield go(s, who, ("prod", whom, then), sleepers=s["sleepers"] - 1)
        elif at == "prod":
            yield go(s, who, ("kick", whom, then) if s["sleeping"][whom]
                     else then, sleeping=put(s["sleeping"], whom, 0))
        elif at == "kick":
            yield go(s, who, then, kicked=put(s["kicked"], whom, 1))

    def other(self, s, who):
        at = s["at"][who]
        if at == "post":
            yield go(s, who, ("prod", 0, "end"), inbox=1)
        elif at == "push":
            yield go(s, who, ("look", 0, "end"), jobs=s["jobs"] + 1)

    def check_end(self, s):
        if s["at"][2:] != ("end", "end") or s["jobs"] or s["inbox"]:
            raise Broken(f"stuck at {s['at']}, {s['jobs']} jobs wait")


class Pair(Woken):
    """0 and 1 are idle; 2 and 3 push a job each."""

    start = {**Woken.start, "at": ("take", "take", "push", "push")}
    mutants = ["", "counting first", "a look after it is idle"]
    after_a_job, until = "busy", 2


class Move(Model):
    """Thread 0 is at home, thread 1 takes over. bits and posts: how many."""

    start = {"at": ("keep", "pop"), "state": "queued", "kept": 0, "bits": 0,
             "posts": 0, "killed": 0, "runs": 0}
    mutants = ["", "taking the bit back", "a swap", "keeping first"]

    def step(self, s, who):
        return self.thief(s) if who else self.home(s)

    def home(self, s):
        at = s["at"][0]
        if at == "keep":
            if "keeping first" in self.without:
                moved = s["state"] == "moved"
                yield go(s, 0, "post" if moved else "keep late")
            else:
                yield go(s, 0, "look", kept=1)
        elif at == "keep late":
            yield go(s, 0, "kill", kept=1)
        elif at == "look":
            yield go(s, 0, "take" if s["state"] == "moved" else "kill")
        elif at == "take":
            if "taking the bit back" in self.without:
                yield go(s, 0, "post")
            else:
                yield go(s, 0, "post" if s["kept"] else "kill", kept=0)
        elif at == "post":
            yield go(s, 0, "kill", posts=s["posts"] + 1)
        elif at == "kill":
            if s["state"] == "queued":
                yield go(s, 0, "end", state="dead")
            else:
                yield go(s, 0, "end", killed=1)

    def thief(self, s):
        at = s["at"][1]
        if at == "pop":
            yield go(s, 1, "compare")
        elif at == "compare" and "a swap" in self.without:
            yield go(s, 1, "set" if s["state"] == "queued" else "end")
        elif at == "compare" and s["state"] == "queued":
            yield go(s, 1, "bits", state="moved")
        elif at == "compare":
            yield go(s, 1, "end")
        elif at == "set":
            yield go(s, 1, "bits", state="moved")
        elif at == "bits":
            yield go(s, 1, "run", bits=s["kept"], kept=0)
        elif at == "run":
            yield go(s, 1, "end", runs=1)

    def check_end(self, s):
        if s["runs"] != s["killed"]:
            raise Broken(f"runs {s['runs']}, kills that went on {s['killed']}")
        if s["runs"] and s["bits"] + s["posts"] != 1:
            raise Broken(f"{s['bits'] + s['posts']} unblocks arrive")


class Back(Model):
    """Thread 0 is at home, 1 sends the word, 2 posts."""

    start = {"at": ("look", "word", "mark"), "inbox": (), "round": (),
             "marked": 0, "alive": 1}
    mutants = ["", "putting the word behind the post"]

    def step(self, s, who):
        return self.other(s, who) if who else self.home(s)

    def home(self, s):
        at, first, rest = s["at"][0], s["round"][:1], s["round"][1:]
        if at == "look" and s["inbox"]:
            yield go(s, 0, "next", round=s["inbox"], inbox=())
        elif at == "next" and not first:
            yield go(s, 0, "look")
        elif at == "next" and first == ("post",):
            yield go(s, 0, at, round=rest, marked=0)
        elif at == "next" and s["marked"] and not self.without[0]:
            yield go(s, 0, at, round=rest, inbox=s["inbox"] + first)
        elif at == "next":
            yield go(s, 0, "end it", round=rest)
        elif at == "end it" and not s["marked"]:
            yield go(s, 0, "next", alive=0)
        elif at == "end it" and s["inbox"]:
            yield go(s, 0, at, inbox=(), marked=0)

    def other(self, s, who):
        at = s["at"][who]
        if at == "mark":
            yield go(s, who, "post" if s["alive"] else "end",
                     marked=s["alive"])
        elif at != "end":
            yield go(s, who, "end", inbox=s["inbox"] + (at,))

    def check_end(self, s):
        if s["at"] != ("look", "end", "end") or s["alive"] or s["marked"]:
            raise Broken(f"stuck at {s['at']} with {s['round']} at hand")


def main():
    models = Inbox, Pool, Woken, Pair, Move, Back
    cases = [(model, without) for model in models
             for without in model.mutants]
    print(f"1..{len(cases)}")
    failed = False
    for number, (model, left_out) in enumerate(cases, 1):
        try:
            found = f"{model([left_out]).explore()} states are sound"
            ok = not left_out
        except Broken as broken:
            found, ok = str(broken), bool(left_out)
        failed |= not ok
        print("not ok" if not ok else "ok", number, "-",
              model.__name__.lower(),
              f"without {left_out}:" if left_out else "in all orders:", found)
    return failed


sys.exit(main())
