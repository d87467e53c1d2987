# SPDX-License-Identifier: MIT
"""Frames of suspended greenlets, seen by others and when they go on.

MANY is more than there are stacks, so that they lie elsewhere meanwhile.
"""
import functools
import gc
import sys
import time
import traceback
import unittest

import greenlet
from greenlet import getcurrent

MANY = 200


def names(frame):
    found = []
    while frame:
        found.append(frame.f_code.co_name)
        frame = frame.f_back
    return found


def pause():
    return getcurrent().parent.switch(sys._getframe())


def down(n, leaf):
    return leaf() if n == 0 else down(n - 1, leaf)


def by_C(leaf):
    """A call from C: another evaluation loop."""
    return sorted([1], key=lambda _: leaf() or 0)


def raising():
    pause()
    raise KeyError("from below")


def noise():
    """Write all over a stack, then wait with other calls on it."""
    repr(functools.reduce(lambda x, _: [x], range(200), []))
    by_C(lambda: by_C(lambda: by_C(pause)))


def crowd(run, *args):
    """Suspended ones, and the frame that each has given away."""
    all = [greenlet.greenlet(run) for _ in range(MANY)]
    return all, [g.switch(*args) for g in all]


class Depth(unittest.TestCase):
    def seconds(self, g):
        """What some switches take where nothing else runs in between."""
        def measure():
            begin = time.perf_counter()
            for _ in range(100):
                g.switch()
            return time.perf_counter() - begin

        return min(measure() for _ in range(100))

    def test_switches_take_as_long_at_any_depth(self):
        """A walk over the frames would take a hundred times as long."""
        def forever():
            while True:
                getcurrent().parent.switch()

        def at(here, there):
            g = greenlet.greenlet(down)
            g.switch(there, forever)
            return down(here, lambda: self.seconds(g))

        limit = sys.getrecursionlimit()
        self.addCleanup(sys.setrecursionlimit, limit)
        # Before 3.11 calls need C stack.
        many = 20_000 if sys.version_info >= (3, 11) else 1_000
        sys.setrecursionlimit(many + limit)
        flat = at(0, 0)
        self.assertLess(at(0, many), 10 * flat)
        self.assertLess(at(many, 0), 10 * flat)


class Frames(unittest.TestCase):
    def check_names(self, all, kept, expected):
        noisy, _ = crowd(noise)
        for g, frame in zip(all, kept):
            self.assertEqual(names(frame), expected)
            self.assertEqual(names(g.gr_frame), expected)
        gc.collect()
        for frame in kept:
            self.assertEqual(names(frame), expected)
        for g in noisy:
            g.switch(0)

    def test_f_back_of_a_plain_one(self):
        all, kept = crowd(pause)
        self.check_names(all, kept, ["pause"])
        for g in all:
            self.assertEqual(g.switch(4), 4)
        self.assertEqual([f.f_back for f in kept], [None] * MANY)

    def test_f_back_of_deep_ones(self):
        all, kept = crowd(down, 50, pause)
        self.check_names(all, kept, ["pause"] + 51 * ["down"])
        for g in all:
            self.assertEqual(g.switch(5), 5)
        for frame in kept:
            self.assertEqual(names(frame), ["pause"] + 51 * ["down"])

    def test_f_back_across_loops(self):
        def nested():
            return by_C(lambda: by_C(lambda: down(3, pause)))

        all, kept = crowd(nested)
        expected = (["pause"] + 4 * ["down"] + ["<lambda>"] * 2 + ["by_C"]
                    + ["<lambda>"] * 2 + ["by_C", "nested"])
        self.check_names(all, kept, expected)
        for g in all:
            self.assertEqual(g.switch(0), [1])
        for frame in kept:
            self.assertEqual(names(frame), expected)

    def test_bottom_changes_when_C_runs(self):
        """Two loops after each other, at one place, of other depths."""
        def first():
            down(2, pause)
            return True

        def second():
            pause()
            return False

        parts = iter([first, second, second])
        all = [greenlet.greenlet(lambda: None) for _ in range(MANY)]

        class Parts:
            def __iter__(self):
                return map(lambda f: f(), iter([first, second, second]))

        del parts
        all = []
        for _ in range(MANY):
            g = greenlet.greenlet(list)
            all.append(g)
        kept = [g.switch(map(lambda f: f(), [first, second])) for g in all]
        self.check_names(all, kept, ["pause", "down", "down", "down", "first",
                                     "<lambda>"])
        kept = [g.switch() for g in all]
        self.check_names(all, kept, ["pause", "second", "<lambda>"])
        for g in all:
            self.assertEqual(g.switch(), [True, False])

    def test_exceptions_unwind_loops(self):
        def nested():
            try:
                by_C(lambda: down(3, raising))
            except KeyError as e:
                pause()
                return e

        all, kept = crowd(nested)
        for g in all:
            g.switch()
        for g in all:
            e = g.switch()
            functions = [f.name for f in traceback.extract_tb(e.__traceback__)]
            self.assertEqual(functions, ["nested", "by_C", "<lambda>",
                                         "<lambda>"] + 4 * ["down"]
                             + ["raising"])
            tb = e.__traceback__
            while tb.tb_next:
                tb = tb.tb_next
            self.assertEqual(names(tb.tb_frame)[-1], "nested")

    def test_depth_comes_and_goes(self):
        def run():
            for depth in (0, 60, 3, 90, 0):
                down(depth, pause)
            by_C(pause)
            pause()

        all, kept = crowd(run)
        for depth in (60, 3, 90, 0):
            kept = [g.switch() for g in all]
            self.check_names(all, kept,
                             ["pause"] + (depth + 1) * ["down"] + ["run"])
        kept = [g.switch() for g in all]
        self.check_names(all, kept, ["pause", "<lambda>", "by_C", "run"])
        kept = [g.switch(0) for g in all]
        self.check_names(all, kept, ["pause", "run"])

    def test_generators(self):
        def gen():
            yield 1
            yield pause()

        def run():
            return list(gen()) + [x for x in gen()]

        all, kept = crowd(run)
        self.assertEqual(names(kept[0])[:3], ["pause", "gen", "run"])
        for g in all:
            self.assertEqual(names(g.gr_frame)[-1], "run")
        for g in all:
            g.switch(2)
        for g in all:
            self.assertEqual(g.switch(3), [1, 2, 1, 3])

    def test_coroutines(self):
        async def leaf():
            return pause()

        async def outer():
            return await leaf()

        all = [greenlet.greenlet(outer().send) for _ in range(MANY)]
        kept = [g.switch(None) for g in all]
        self.check_names(all, kept, ["pause", "leaf", "outer"])
        for g in all:
            with self.assertRaises(StopIteration) as caught:
                g.switch(8)
            self.assertEqual(caught.exception.value, 8)

    def test_locals_of_suspended_ones(self):
        def run(n):
            mine = n
            pause()
            return mine

        all = [greenlet.greenlet(run) for _ in range(MANY)]
        for n, g in enumerate(all):
            g.switch(n)
        for n, g in enumerate(all):
            self.assertEqual(g.gr_frame.f_back.f_locals, {"n": n, "mine": n})
        for n, g in enumerate(all):
            self.assertEqual(g.switch(), n)

    def test_running_has_none(self):
        self.assertIsNone(getcurrent().gr_frame)
        g = greenlet.greenlet(lambda: getcurrent().gr_frame)
        self.assertIsNone(g.gr_frame)
        self.assertIsNone(g.switch())
        self.assertIsNone(g.gr_frame)

    def test_main_seen_from_inside(self):
        def run():
            return names(getcurrent().parent.gr_frame)[0]

        self.assertEqual(greenlet.greenlet(run).switch(),
                         "test_main_seen_from_inside")

    def test_large_frames(self):
        """One that its first chunk of the data stack has no room for."""
        body = "def large(pause):\n" + "".join(
            f" v{n} = {n}\n" for n in range(400)) + " return pause(), v399\n"
        scope = {}
        exec(body, scope)
        all, kept = crowd(scope["large"], pause)
        self.check_names(all, kept, ["pause", "large"])
        for g in all:
            self.assertEqual(g.switch(1), (1, 399))


if __name__ == "__main__":
    unittest.main()
