# SPDX-License-Identifier: MIT
"""Cycles through suspended greenlets."""
import contextvars
import gc
import sys
import threading
import unittest
import weakref

import greenlet
from greenlet import GreenletExit, getcurrent


class Thing:
    """Dies where one can see it."""


def wait(*_):
    getcurrent().parent.switch()


class Cycles(unittest.TestCase):
    def check_collected(self, make):
        gc.collect()
        refs = [weakref.ref(x) for x in make()]
        self.assertTrue(refs)
        gc.collect()
        self.assertEqual([ref() for ref in refs], [None] * len(refs))

    def check_kept(self, make):
        gc.collect()
        refs = [weakref.ref(x) for x in make()]
        gc.collect()
        self.assertTrue(all(ref() for ref in refs))

    def test_through_a_local(self):
        def make():
            def run():
                me, thing = getcurrent(), Thing()
                me.thing = thing
                me.parent.switch()
            g = greenlet.greenlet(run)
            g.switch()
            return g, g.thing

        self.check_collected(make)

    def test_through_an_argument(self):
        for form in (lambda g: g.switch(g), lambda g: g.switch(g, 1),
                     lambda g: g.switch(g=g), lambda g: g.switch(g, g=g)):
            def make():
                def run(*args, **kwargs):
                    getcurrent().parent.switch()
                g = greenlet.greenlet(run)
                form(g)
                return g,

            self.check_collected(make)

    def test_through_what_it_runs(self):
        def make():
            thing = Thing()
            thing.run = lambda: thing.pause()
            thing.pause = lambda: getcurrent().parent.switch()
            thing.g = greenlet.greenlet(thing.run)
            thing.g.switch()
            return thing, thing.g

        self.check_collected(make)

    def test_through_a_subclass(self):
        class Sub(greenlet.greenlet):
            def run(self):
                self.parent.switch()

        def make():
            g = Sub()
            g.switch()
            return g,

        self.check_collected(make)

    @unittest.skipIf(sys.version_info < (3, 11), "frames are objects there")
    def test_through_a_running_generator(self):
        def gen(me):
            thing = me.thing = Thing()
            thing.me = me
            yield me.parent.switch()

        async def coroutine(me):
            thing = me.thing = Thing()
            thing.me = me
            me.parent.switch()

        def from_outside(me, made=[]):
            made.append(gen(me))
            next(made[-1])

        for run in (lambda me: next(gen(me)), lambda me: list(gen(me)),
                    lambda me: [x for x in gen(me)],
                    lambda me: coroutine(me).send(None), from_outside):
            def make():
                g = greenlet.greenlet(run)
                g.switch(g)
                return g, g.thing

            self.check_collected(make)

    def test_through_a_context(self):
        def make():
            def run():
                thing = Thing()
                thing.me = getcurrent()
                var.set(thing)
                thing.me.parent.switch(weakref.ref(thing))
            g = greenlet.greenlet(run)
            return g, g.switch()()

        var = contextvars.ContextVar("var")
        self.check_collected(make)

    @unittest.skipIf(sys.version_info < (3, 11), "a traceback is kept there")
    def test_through_a_handled_exception(self):
        """One that has no traceback, which would hold frames."""
        def make():
            def run():
                try:
                    raise KeyError
                except KeyError as e:
                    e.me = getcurrent()
                    e.__traceback__ = None
                    del e
                    getcurrent().parent.switch()
            g = greenlet.greenlet(run)
            g.switch()
            return g,

        self.check_collected(make)

    def test_through_a_parent(self):
        def make():
            up = greenlet.greenlet(wait)
            up.child = greenlet.greenlet(wait, up)
            return up, up.child

        self.check_collected(make)

    def test_two_that_hold_each_other(self):
        def make():
            def run(other):
                getcurrent().parent.switch()
            a, b = greenlet.greenlet(run), greenlet.greenlet(run)
            a.switch(b)
            b.switch(a)
            return a, b

        self.check_collected(make)

    def test_finally_runs_once(self):
        seen = []

        def make():
            def run():
                me = getcurrent()
                try:
                    me.parent.switch()
                except GreenletExit:
                    seen.append(me.dead)
                    raise
            g = greenlet.greenlet(run)
            g.switch()
            return g,

        self.check_collected(make)
        self.assertEqual(seen, [False])

    def test_who_is_in_use_stays(self):
        def run(thing):
            me = getcurrent()
            me.thing = thing
            me.parent.switch()
            return thing.value

        def make():
            thing = Thing()
            thing.value = 3
            self.g = greenlet.greenlet(run)
            self.g.switch(thing)
            return thing,

        self.check_kept(make)
        self.assertEqual(self.g.switch(), 3)
        del self.g

    def test_frame_held_elsewhere_is_no_garbage(self):
        died = []

        class Loud(Thing):
            def __del__(self):
                died.append(self)

        def run():
            me, thing = getcurrent(), Loud()
            me.thing = thing
            me.parent.switch(sys._getframe())

        g = greenlet.greenlet(run)
        frame = g.switch()
        del g
        gc.collect()
        self.assertFalse(died)
        self.assertIsInstance(frame.f_locals["thing"], Loud)
        me = frame.f_locals["me"]
        self.assertFalse(me.dead)
        me.switch()
        me.__dict__.clear()
        del me, frame
        gc.collect()
        self.assertEqual(len(died), 1)

    def test_survivor_is_left_alone(self):
        def run():
            me, kept = getcurrent(), []
            kept.append(kept)
            try:
                me.parent.switch()
            except GreenletExit:
                me.parent.switch()
            found.append(kept[0] is kept)

        found = []

        def make():
            g = greenlet.greenlet(run)
            g.switch()
            return g,

        gc.collect()
        make()
        gc.collect()
        alive = [g for g in gc.get_objects()
                 if type(g) is greenlet.greenlet and g and g.parent]
        gc.collect()
        self.assertEqual(len(alive), 1)
        alive.pop().switch()
        self.assertEqual(found, [True])

    def test_collected_in_a_greenlet(self):
        """Some of the garbage lies where the collector itself runs."""
        def collect():
            gc.collect()
            return len(ended), getcurrent().parent.switch()

        def run(thing):
            try:
                thing.me.parent.switch()
            finally:
                ended.append(thing)

        ended = []
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        for _ in range(200):
            thing = Thing()
            thing.me = greenlet.greenlet(run)
            thing.me.switch(thing)
        ref = weakref.ref(thing)
        del thing
        g = greenlet.greenlet(collect)
        g.switch()
        getcurrent()
        self.assertEqual(len(ended), 200)
        ended.clear()
        gc.collect()
        self.assertIsNone(ref())
        self.assertEqual(g.switch(1), (0, 1))

    def collect_where_others_are(self, n):
        """What a __del__ meets that switches, with n greenlets."""
        class Switches(Thing):
            def __del__(self):
                try:
                    others[-1].switch()
                    seen.append("switched")
                except greenlet.error as e:
                    seen.append(str(e))

        def other():
            while True:
                getcurrent().parent.switch()

        def collect():
            gc.collect()
            return getcurrent().parent.switch(len(seen))

        seen = []
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        others = [greenlet.greenlet(other) for _ in range(n)]
        for g in others:
            g.switch()
        collector = greenlet.greenlet(collect)
        others[-1].parent = collector
        thing = Switches()
        thing.me = thing
        del thing
        self.assertEqual(collector.switch(), 1)
        others[-1].parent = getcurrent()
        self.assertEqual(collector.switch(5), 5)
        return seen

    def test_switch_of_what_the_collector_calls(self):
        """Its lists lie on the stack that would be left, and overwritten."""
        self.assertEqual(self.collect_where_others_are(2), ["switched"])
        self.assertEqual(self.collect_where_others_are(300), [
            "cannot switch in what the garbage collector calls, on a stack "
            "that greenlets share"])

    def test_switch_while_another_thread_collects(self):
        class Waits(Thing):
            def __del__(self):
                collects.set()
                go_on.wait(60)

        def body():
            thing = Waits()
            thing.me = thing
            del thing
            gc.collect()

        def run():
            while not collects.is_set():
                getcurrent().parent.switch()
            for _ in range(10):
                getcurrent().parent.switch()

        collects, go_on = threading.Event(), threading.Event()
        gs = [greenlet.greenlet(run) for _ in range(200)]
        for g in gs:
            g.switch()
        thread = threading.Thread(target=body)
        thread.start()
        collects.wait(60)
        while gs:
            gs = [g for g in gs if not g.switch() and not g.dead]
        go_on.set()
        thread.join()

    def test_from_another_thread(self):
        """Who is garbage in one thread is ended by its own."""
        seen = []
        go, done = threading.Event(), threading.Event()

        def run():
            me = getcurrent()
            try:
                me.parent.switch()
            finally:
                seen.append(threading.get_ident())

        def body():
            greenlet.greenlet(run).switch()
            go.set()
            done.wait(60)
            getcurrent()

        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        thread = threading.Thread(target=body)
        thread.start()
        ident = thread.ident
        go.wait(60)
        gc.collect()
        self.assertEqual(seen, [])
        done.set()
        thread.join()
        self.assertEqual(seen, [ident])

    def test_referents_are_told(self):
        def run():
            thing = Thing()
            getcurrent().parent.switch(thing)

        g = greenlet.greenlet(run)
        thing = g.switch()
        self.assertTrue(any(x is thing for x in gc.get_referents(g)))
        g.switch()
        self.assertFalse(any(x is thing for x in gc.get_referents(g)))

    def test_generators_frame_is_the_generators(self):
        def gen():
            me = getcurrent()
            yield me.parent.switch()

        for _ in range(3):
            g = greenlet.greenlet(lambda: next(gen()))
            g.switch()
            gc.collect()
            self.assertEqual(g.switch(2), 2)


if __name__ == "__main__":
    unittest.main()
