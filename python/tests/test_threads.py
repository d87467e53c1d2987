# SPDX-License-Identifier: MIT
"""Threads: whose greenlet it is, and what becomes of it when they end."""
import gc
import io
import os
import random
import signal
import sys
import threading
import unittest
import weakref
from itertools import islice

import greenlet
from greenlet import GreenletExit, getcurrent
from tuck import _greenlet, inspect

try:
    import _testcapi
except ImportError:
    _testcapi = None

SECONDS_MAX = 120
LOST = "what only a forgotten C stack refers to stays"


def in_thread(fn):
    """What fn() returns in a thread of its own."""
    result = []
    thread = threading.Thread(target=lambda: result.append(fn()))
    thread.start()
    thread.join(SECONDS_MAX)
    return result[0]


def note_of(error):
    """What comes with the message, which programs compare."""
    return error.__notes__[0]


class Threads(unittest.TestCase):
    def test_errors_name_both(self):
        g = greenlet.greenlet(getcurrent().switch)

        def try_it():
            try:
                g.switch()
            except greenlet.error as e:
                return threading.get_ident(), str(e), note_of(e)

        g.switch()
        ident, text, note = in_thread(try_it)
        self.assertEqual(text, "cannot switch to a different thread")
        self.assertIn(f"belongs to thread {threading.get_ident()}", note)
        self.assertIn(f"made in thread {ident}", note)

    def test_first_use_within_the_first_use(self):
        """The collector may call what uses greenlets while it begins."""
        class Loud:
            def __del__(self):
                mains.append(getcurrent())

        def begin():
            gc.disable()
            loud = Loud()
            loud.me = loud
            del loud
            gc.set_threshold(1)
            rest = [[] for _ in range(9)]
            gc.enable()
            mains.append(getcurrent())
            gc.collect()
            return len(rest), set(mains) == {getcurrent()}

        mains = []
        threshold = gc.get_threshold()
        try:
            self.assertEqual(in_thread(begin), (9, True))
        finally:
            gc.set_threshold(*threshold)
        self.assertEqual(len(mains), 2)

    @unittest.skipUnless(_testcapi, "no allocations can be made to fail")
    def test_no_memory_to_begin_with(self):
        """The first use fails, leaves nothing behind, and can be made again."""
        def begin(n):
            _testcapi.set_nomemory(n, n + 1)
            try:
                main = getcurrent()
            except MemoryError:
                return None, getcurrent()
            finally:
                _testcapi.remove_mem_hooks()
            return main, getcurrent()

        failed = 0
        before = _greenlet.get_total_main_greenlets()
        for n in range(12):
            main, again = in_thread(lambda: begin(n))
            self.assertIs(main or again, again)
            self.assertTrue(again.dead)
            failed += main is None
            del main, again
            self.assertEqual(_greenlet.get_total_main_greenlets(), before, n)
        self.assertGreater(failed, 2)

    def test_error_when_the_thread_has_ended(self):
        def make():
            g = greenlet.greenlet(getcurrent().switch)
            g.switch()
            return g, threading.get_ident()

        g, ident = in_thread(make)
        self.assertTrue(g.dead)
        self.assertFalse(g)
        self.assertRegex(repr(g), r"\(thread exited\) dead>$")
        with self.assertRaises(greenlet.error) as caught:
            greenlet.greenlet(lambda: 0, parent=None)
            g.parent.switch()
        self.assertIn(f"thread {ident} (exited)", note_of(caught.exception))

    def test_other_errors_name_both(self):
        """Of parents and of contexts."""
        def inner():
            ready.set()
            stop.wait(SECONDS_MAX)

        def body():
            box.append(greenlet.greenlet(inner))
            box[0].switch()

        box = []
        ready, stop = threading.Event(), threading.Event()
        thread = threading.Thread(target=body)
        thread.start()
        ready.wait(SECONDS_MAX)
        started = greenlet.greenlet(getcurrent().switch)
        started.switch()
        up = greenlet.greenlet(lambda: 0)
        below = greenlet.greenlet(getcurrent().switch, up)
        below.switch()
        notes = []
        for fn in (lambda: setattr(started, "parent", box[0]),
                   lambda: setattr(up, "parent", box[0]),
                   lambda: box[0].gr_context,
                   lambda: setattr(box[0], "gr_context", None)):
            with self.assertRaises(ValueError) as caught:
                fn()
            notes.append(note_of(caught.exception))
        stop.set()
        thread.join(SECONDS_MAX)
        here, there = threading.get_ident(), thread.ident
        for note, how in zip(notes, ["the child to thread"] * 2
                             + ["the call was made in thread"] * 2):
            self.assertRegex(note, f"belongs to thread {there}, {how} {here}$")

    def test_those_that_a_thread_leaves_are_dead(self):
        """Nothing of theirs runs, but what they hold is given back."""
        seen = []

        class Thing:
            pass

        def run(thing):
            me = getcurrent()
            try:
                me.parent.switch()
            finally:
                seen.append(me)

        def body():
            things = [Thing() for _ in range(100)]
            for thing in things:
                kept.append(greenlet.greenlet(run))
                kept[-1].switch(thing)
            return list(map(weakref.ref, things))

        kept = []
        refs = in_thread(body)
        self.assertTrue(all(g.dead for g in kept))
        self.assertFalse(set(kept) & set(inspect.greenlets()))
        kept.clear()
        gc.collect()
        self.assertEqual(seen, [])
        self.assertEqual([ref() for ref in refs], [None] * 100)

    test_those_that_a_thread_leaves_are_dead.leaks = LOST

    def test_those_that_a_thread_lets_go_of_are_ended(self):
        seen = []

        def run():
            try:
                getcurrent().parent.switch()
            except GreenletExit:
                seen.append(threading.get_ident())
                raise

        def body():
            made = [greenlet.greenlet(run) for _ in range(100)]
            for g in made:
                g.switch()
            return threading.get_ident()

        ident = in_thread(body)
        self.assertEqual(seen, [ident] * 100)

    def test_hub_lets_its_thread_end(self):
        """One that takes whatever is thrown for somebody else's error."""
        def hub():
            while True:
                try:
                    getcurrent().parent.switch()
                except BaseException as e:
                    caught.append(e)

        def body():
            mine = getcurrent()
            mine.hub = greenlet.greenlet(hub)
            mine.hub.switch()
            mine.hub.main = mine
            return mine.hub

        caught = []
        self.assertTrue(in_thread(body).dead)
        self.assertEqual(caught, [])

    test_hub_lets_its_thread_end.leaks = LOST

    def test_last_reference_dropped_elsewhere(self):
        seen = []
        have, dropped = threading.Event(), threading.Event()
        box = []

        def run():
            try:
                getcurrent().parent.switch()
            finally:
                seen.append(threading.get_ident())

        def body():
            box.append(greenlet.greenlet(run))
            box[0].switch()
            have.set()
            dropped.wait(SECONDS_MAX)
            getcurrent()
            return list(seen), threading.get_ident()

        def drop():
            have.wait(SECONDS_MAX)
            box.clear()
            dropped.set()

        other = threading.Thread(target=drop)
        other.start()
        seen_there, ident = in_thread(body)
        other.join()
        self.assertEqual(seen_there, [ident])

    def test_started_where_it_was_not_made(self):
        def try_it():
            try:
                g.switch()
            except greenlet.error as e:
                return e

        g = greenlet.greenlet(lambda: threading.get_ident())
        self.assertIsInstance(in_thread(try_it), greenlet.error)
        self.assertEqual(g.switch(), threading.get_ident())

    def test_parent_of_another_thread(self):
        other = in_thread(getcurrent)
        g = greenlet.greenlet(getcurrent().switch)
        g.switch()
        with self.assertRaises(ValueError):
            g.parent = other
        g.switch()

    def test_parent_in_another_thread_of_one_that_is_one(self):
        """Nothing that was started may come to end in another thread."""
        def both(other):
            up = greenlet.greenlet(lambda *args: ("up", args))
            g = greenlet.greenlet(lambda: main.switch(1), up)
            self.assertEqual(g.switch(), 1)
            with self.assertRaises(ValueError):
                up.parent = other
            self.assertEqual(g.switch(5), ("up", (5,)))

        def body():
            box.append(getcurrent())
            ready.set()
            stop.wait(SECONDS_MAX)

        main = getcurrent()
        both(in_thread(getcurrent))
        box = []
        ready, stop = threading.Event(), threading.Event()
        thread = threading.Thread(target=body)
        thread.start()
        ready.wait(SECONDS_MAX)
        both(box[0])
        # What was not started may be another thread's.
        free = greenlet.greenlet(lambda: 0)
        free.parent = box.pop()
        stop.set()
        thread.join(SECONDS_MAX)

    def test_those_in_thread_locals_are_ended(self):
        def run(tag):
            try:
                getcurrent().parent.switch()
            finally:
                seen.append((tag, threading.get_ident()))

        def suspended(tag):
            g = greenlet.greenlet(run)
            g.switch(tag)
            return g

        def body(before):
            if before:
                early.used = True
            else:
                getcurrent()
            early.mine = suspended("early")
            late.mine = suspended("late")
            return threading.get_ident()

        early, late, seen = threading.local(), threading.local(), []
        for before in True, False:
            ident = in_thread(lambda: body(before))
            self.assertEqual(
                sorted(seen), [("early", ident), ("late", ident)])
            seen.clear()

    def test_used_while_the_thread_state_is_cleared(self):
        """Before 3.13 the thread's greenlets end last; then, with the others.

        What would be made after that would stay for ever.
        """
        class Late:
            def __del__(self):
                for fn in getcurrent, lambda: greenlet.greenlet(len):
                    try:
                        made.append(fn())
                    except greenlet.error as e:
                        errors.append(str(e))

        def body():
            getcurrent()
            _greenlet.set_thread_local("late", Late())

        made, errors = [], []
        before = len(inspect.greenlets())
        in_thread(body)
        if sys.version_info >= (3, 13):
            self.assertEqual(made, [])
            self.assertEqual(
                errors, ["no greenlets any more: the thread ends"] * 2)
        else:
            self.assertTrue(made[0].dead)
            self.assertIs(made[1].parent, made[0])
            self.assertEqual(errors, [])
        made.clear()
        self.assertEqual(len(inspect.greenlets()), before)

    def test_fork(self):
        g = greenlet.greenlet(lambda: getcurrent().parent.switch(1) + 1)
        g.switch()
        stop = threading.Event()
        ready = threading.Event()

        def other():
            mine = greenlet.greenlet(getcurrent().switch)
            mine.switch()
            box.append(mine)
            ready.set()
            stop.wait(SECONDS_MAX)

        box = []
        thread = threading.Thread(target=other)
        thread.start()
        ready.wait(SECONDS_MAX)
        pid = os.fork()
        if pid == 0:
            ok = g.switch(5) == 6 and box[0].dead and len(
                inspect.greenlets()) >= 1
            box.clear()
            os._exit(0 if ok else 1)
        stop.set()
        thread.join(SECONDS_MAX)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)

    def test_frames_of_a_forgotten_one_stay(self):
        """Though others take all the memory that has been given back."""
        def run(text):
            while text:
                try:
                    getcurrent().parent.switch(sys._getframe())
                except GreenletExit:
                    pass

        def another(text):
            getcurrent().parent.switch()

        def body():
            g = greenlet.greenlet(run)
            return g, g.switch("of the forgotten one")

        g, frame = in_thread(body)
        self.assertTrue(g.dead)
        del g
        gc.collect()
        others = [greenlet.greenlet(another) for _ in range(100)]
        for g in others:
            g.switch("of another one")
        self.assertEqual(frame.f_locals["text"], "of the forgotten one")
        self.assertIsNone(frame.f_back)

    test_frames_of_a_forgotten_one_stay.leaks = LOST

    def test_generator_of_a_forgotten_one(self):
        """It outlives the frames that it was called from."""
        def gen():
            while True:
                try:
                    yield getcurrent().parent.switch()
                except GreenletExit:
                    pass

        def run():
            for _ in made:
                pass

        def body():
            g = greenlet.greenlet(run)
            g.switch()
            return g

        made = gen()
        g = in_thread(body)
        self.assertTrue(g.dead)
        del g
        gc.collect()
        self.assertTrue(made.gi_running)
        frame, found = made.gi_frame, []
        while frame:
            found.append(frame.f_code.co_name)
            frame = frame.f_back
        self.assertEqual(found[0], "gen")

    test_generator_of_a_forgotten_one.leaks = LOST

    def test_forgotten_one_gives_back(self):
        """What it ran, and its local variables."""
        class Thing:
            pass

        def body():
            def run():
                thing = Thing()
                while thing:
                    try:
                        getcurrent().parent.switch(weakref.ref(thing))
                    except GreenletExit:
                        pass
            g = greenlet.greenlet(run)
            return g, [g.switch(), weakref.ref(run)]

        g, refs = in_thread(body)
        gc.collect()
        self.assertNotIn(None, [ref() for ref in refs])
        del g
        gc.collect()
        self.assertEqual([ref() for ref in refs], [None, None])

    test_forgotten_one_gives_back.leaks = LOST

    def test_100_000_in_random_order(self):
        """Made, switched to and dropped, in four threads."""
        each = 5_000 if "asan" in os.environ.get("LD_PRELOAD", "") else 25_000
        errors = []

        def run(n):
            total = n
            try:
                while total >= 0:
                    total += getcurrent().parent.switch(total)
            except GreenletExit:
                ended[0] += 1
            return total

        def body(seed):
            rnd = random.Random(seed)
            alive = {}
            serial = 0
            try:
                while serial < each or alive:
                    pick = rnd.random()
                    if serial < each and (pick < 0.4 or not alive):
                        g = greenlet.greenlet(run)
                        alive[serial] = [g, serial]
                        assert g.switch(serial) == serial
                        serial += 1
                    elif pick < 0.8:
                        entry = alive[rnd.choice(list(islice(alive, 50)))]
                        entry[1] += 7
                        assert entry[0].switch(7) == entry[1]
                    else:
                        entry = alive.pop(rnd.choice(list(islice(alive, 50))))
                        if pick < 0.85:
                            assert entry[0].switch(-10 ** 9) < 0
                            assert entry[0].dead
            except Exception as e:
                errors.append(e)

        ended = [0]
        threads = [threading.Thread(target=body, args=[n]) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
        self.assertEqual(errors, [])
        self.assertGreater(ended[0], 2 * each)

    test_100_000_in_random_order.leaks = "would take minutes"


class Registry(unittest.TestCase):
    def test_all_are_listed(self):
        new = greenlet.greenlet(lambda: 0)
        waits = greenlet.greenlet(getcurrent().switch)
        waits.switch()
        found = inspect.greenlets()
        for g in new, waits, getcurrent():
            self.assertIn(g, found)
        waits.switch()
        self.assertNotIn(waits, inspect.greenlets())
        del found
        where = id(new)
        del new
        self.assertNotIn(where, map(id, inspect.greenlets()))

    def test_other_threads_are_listed(self):
        ready, stop = threading.Event(), threading.Event()

        def body():
            g = greenlet.greenlet(getcurrent().switch)
            g.switch()
            mine.append((g, getcurrent()))
            ready.set()
            stop.wait(SECONDS_MAX)

        mine = []
        thread = threading.Thread(target=body, name="worker-of-test")
        thread.start()
        ready.wait(SECONDS_MAX)
        frames = inspect.current_frames()
        for g in mine[0]:
            self.assertIn(g, frames)
            self.assertEqual(inspect.whereabouts(g)[0], thread.ident)
        self.assertEqual(inspect.whereabouts(mine[0][1])[1], True)
        self.assertEqual(inspect.whereabouts(mine[0][0])[1], False)
        names = []
        frame = frames[mine[0][1]]
        while frame:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        self.assertIn("body", names)
        out = io.StringIO()
        inspect.dump(out, c=True)
        mine_in_dump, = [part for part in out.getvalue().split("\n\n")
                         if part.startswith(repr(mine[0][1]))]
        self.assertIn(f"in thread worker-of-test ({thread.ident})",
                      mine_in_dump)
        self.assertIn("in body", mine_in_dump)
        self.assertIn("of another thread, not shown", mine_in_dump)
        with self.assertRaises(greenlet.error) as caught:
            inspect.c_stack(mine[0][0])
        self.assertIn(str(thread.ident), note_of(caught.exception))
        stop.set()
        thread.join(SECONDS_MAX)

    def test_dump(self):
        def marked_function_of_this_test():
            getcurrent().parent.switch()

        g = greenlet.greenlet(marked_function_of_this_test)
        g.switch()
        out = io.StringIO()
        inspect.dump(out, c=True)
        text = out.getvalue()
        self.assertIn("marked_function_of_this_test", text)
        self.assertIn("test_dump", text)
        self.assertIn("MainThread", text)
        self.assertRegex(text, r"  C: .*_greenlet")
        self.assertRegex(text, r"  C: .*Py")

    def test_c_stack_is_its_own(self):
        def nested(n):
            return pause() if n == 0 else sorted([n], key=lambda _: nested(
                n - 1))

        def pause():
            return getcurrent().parent.switch() or 0

        flat, deep = greenlet.greenlet(nested), greenlet.greenlet(nested)
        flat.switch(0)
        deep.switch(10)
        self.assertGreater(len(inspect.c_stack(flat)), 2)
        self.assertGreaterEqual(len(inspect.c_stack(deep)),
                                len(inspect.c_stack(flat)) + 10)
        # It is the same from where another one runs.
        g = greenlet.greenlet(inspect.c_stack)
        self.assertEqual(g.switch(deep), inspect.c_stack(deep))
        self.assertEqual(inspect.c_stack(greenlet.greenlet(nested)), [])
        flat.switch()
        self.assertEqual(inspect.c_stack(flat), [])
        deep.switch()

    def test_dump_on_a_signal(self):
        out = io.StringIO()
        before = inspect.dump_on(signal.SIGUSR1, out)
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
            while not out.getvalue():
                pass
        finally:
            signal.signal(signal.SIGUSR1, before)
        self.assertIn("test_dump_on_a_signal", out.getvalue())

    def test_what_is_no_greenlet(self):
        for fn in inspect.whereabouts, inspect.c_stack:
            with self.assertRaises(TypeError):
                fn(5)
        with self.assertRaises(TypeError):
            inspect.set_switch_hook(5)


if __name__ == "__main__":
    unittest.main()
