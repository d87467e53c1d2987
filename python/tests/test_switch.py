# SPDX-License-Identifier: MIT
"""What passes in a switch, how greenlets begin and end."""
import contextvars
import copy
import functools
import unittest
import weakref

import greenlet
from greenlet import GreenletExit, getcurrent
from tuck.inspect import greenlets


class Switch(unittest.TestCase):
    def test_arguments_as_results(self):
        def echo(*args, **kwargs):
            got = args, kwargs
            while True:
                got = main.switch(got)

        main = getcurrent()
        g = greenlet.greenlet(echo)
        self.assertEqual(g.switch(1, b=2), ((1,), {"b": 2}))
        self.assertEqual(g.switch(), ())
        self.assertEqual(g.switch(5), 5)
        self.assertEqual(g.switch(5, 6), (5, 6))
        self.assertEqual(g.switch(a=1), {"a": 1})
        self.assertEqual(g.switch(5, a=1), ((5,), {"a": 1}))

    def test_arguments_by_name(self):
        def run(a, *more, b=0, **others):
            return a, more, b, others

        for args, kwargs in (((1,), {"b": 2}), ((), {"a": 1}),
                             ((1, 2, 3), {"c": 4, "b": 5})):
            self.assertEqual(greenlet.greenlet(run).switch(*args, **kwargs),
                             run(*args, **kwargs))
        for args, kwargs in ((), {"c": 1}), ((1,), {"a": 1}):
            with self.assertRaises(TypeError):
                greenlet.greenlet(run).switch(*args, **kwargs)
        self.assertEqual(greenlet.greenlet(dict).switch(a=1), {"a": 1})

    def test_made_in_all_ways(self):
        def run():
            return 5

        class Sub(greenlet.greenlet):
            pass

        other = greenlet.greenlet()
        for kind in greenlet.greenlet, Sub:
            for args, kwargs in (((run, other), {}), ((run,), {"parent": other}),
                                 ((), {"run": run, "parent": other})):
                g = kind(*args, **kwargs)
                self.assertIs(type(g), kind)
                self.assertIs(g.run, run)
                self.assertIs(g.parent, other)
            for g in kind(run), kind(run, None), kind(run=run):
                self.assertIs(g.parent, getcurrent())
                self.assertEqual(g.switch(), 5)
            g = kind.__new__(kind)
            g.__init__(run)
            self.assertEqual(g.switch(), 5)
            with self.assertRaises(AttributeError):
                kind().switch()
            for args, kwargs in (((run, other, 1), {}), ((run, 1), {}),
                                 ((), {"strange": 1})):
                with self.assertRaises(TypeError):
                    kind(*args, **kwargs)

    def test_to_itself(self):
        self.assertEqual(getcurrent().switch(7), 7)
        with self.assertRaises(KeyError):
            getcurrent().throw(KeyError)

    def test_end_goes_to_the_first_parent_that_lives(self):
        outer = greenlet.greenlet(lambda x=0: x)
        inner = greenlet.greenlet(lambda: getcurrent().parent.parent.switch(3),
                                  outer)
        self.assertEqual(inner.switch(), 3)
        self.assertEqual(outer.switch(1), 1)
        self.assertTrue(outer.dead)
        self.assertEqual(inner.switch(4), 4)
        self.assertTrue(inner.dead)
        self.assertEqual(inner.switch(5), 5)

    def test_exception_goes_to_the_parent(self):
        g = greenlet.greenlet(lambda: 1 // 0)
        try:
            g.switch()
        except ZeroDivisionError as e:
            self.assertIsNotNone(e.__traceback__.tb_next)
        else:
            self.fail("no exception")
        self.assertTrue(g.dead)

    def test_exit_is_a_value(self):
        g = greenlet.greenlet(lambda: getcurrent().parent.switch())
        g.switch()
        self.assertIsInstance(g.throw(), GreenletExit)
        e = GreenletExit(4)
        self.assertIs(g.throw(e), e)        # when dead, too

    def test_throw_starts_nothing(self):
        g = greenlet.greenlet(lambda: self.fail("it ran"))
        with self.assertRaises(OSError):
            g.throw(OSError)
        self.assertTrue(g.dead)

    def test_throw_wants_exceptions(self):
        g = greenlet.greenlet(lambda: getcurrent().parent.switch())
        g.switch()
        for bad in ("text", 5, object):
            with self.assertRaises(TypeError):
                g.throw(bad)
        with self.assertRaises(TypeError):
            g.throw(ValueError, ValueError(), "no traceback")
        with self.assertRaises(TypeError):
            g.throw(ValueError(), 1)
        self.assertFalse(g.dead)

    def test_run_of_a_subclass_and_run_once(self):
        class Sub(greenlet.greenlet):
            def run(self, n):
                return n + 1

        self.assertEqual(Sub().switch(1), 2)
        g = greenlet.greenlet()
        with self.assertRaises(AttributeError):
            g.switch()
        g.run = lambda: 5
        self.assertEqual(g.switch(), 5)
        with self.assertRaises(AttributeError):
            g.run = None

    def test_run_of_main(self):
        """What greenlet says of it."""
        main = getcurrent()
        text = "Main greenlets do not have a run attribute."
        for fn in (lambda: main.run, lambda: setattr(main, "run", len),
                   lambda: delattr(main, "run")):
            with self.assertRaises(AttributeError) as caught:
                fn()
            self.assertEqual(str(caught.exception), text)

    def test_run_can_be_taken_away_until_it_starts(self):
        g = greenlet.greenlet(len)
        for _ in range(2):
            del g.run
            with self.assertRaises(AttributeError):
                g.run
        g.run = lambda: 5
        self.assertEqual(g.switch(), 5)

    def test_names_of_the_package(self):
        """As `from greenlet import *` gives them."""
        self.assertEqual(sorted(greenlet.__all__), [
            "GreenletExit", "_C_API", "__version__", "error", "getcurrent",
            "gettrace", "greenlet", "settrace"])

    def test_parents(self):
        g = greenlet.greenlet()
        self.assertIs(g.parent, getcurrent())
        for bad, error in ((None, TypeError), (3, TypeError)):
            with self.assertRaises(error):
                g.parent = bad
        with self.assertRaises(AttributeError):
            del g.parent
        child = greenlet.greenlet(parent=g)
        with self.assertRaises(ValueError):
            g.parent = child
        with self.assertRaises(AttributeError):
            getcurrent().parent = g

    def test_C_functions_run(self):
        main = getcurrent()
        g = greenlet.greenlet(functools.partial(main.switch, 1))
        self.assertEqual(g.switch(), 1)
        self.assertEqual(g.switch(2), 2)
        self.assertEqual(greenlet.greenlet(len).switch([1]), 1)
        g = greenlet.greenlet(main.switch)
        self.assertEqual(g.switch(3), 3)
        self.assertEqual(g.switch(4), 4)

    def test_handled_exceptions_are_its_own(self):
        import sys

        def other():
            self.assertIsNone(sys.exc_info()[1])
            try:
                raise KeyError
            except KeyError:
                getcurrent().parent.switch()
                self.assertIsInstance(sys.exc_info()[1], KeyError)

        g = greenlet.greenlet(other)
        try:
            raise ValueError
        except ValueError:
            g.switch()
            self.assertIsInstance(sys.exc_info()[1], ValueError)
        self.assertIsNone(sys.exc_info()[1])
        g.switch()

    def test_handled_exceptions_in_generators(self):
        """There each generator has its own while it runs."""
        import sys

        def gen(kind):
            try:
                raise kind
            except kind:
                yield getcurrent().parent.switch()
                getcurrent().parent.switch(sys.exc_info()[0])
            yield sys.exc_info()[0]

        def run(kind):
            try:
                raise OSError
            except OSError:
                found = list(gen(kind))
                return found, sys.exc_info()[0]

        kinds = KeyError, ValueError, TypeError
        all = [greenlet.greenlet(run) for _ in kinds]
        for g, kind in zip(all, kinds):
            g.switch(kind)
        for g, kind in zip(all, kinds):
            self.assertIs(g.switch(kind), kind)
        self.assertIsNone(sys.exc_info()[0])
        for g, kind in zip(all, kinds):
            self.assertEqual(g.switch(), ([kind, OSError], OSError))

    def test_variables_of_contexts_from_one_to_another(self):
        """The interpreter keeps the last value that it has found."""
        var = contextvars.ContextVar("var", default=0)

        def run(n):
            var.set(n)
            while True:
                n = getcurrent().parent.switch(var.get())

        all = [greenlet.greenlet(run) for _ in range(3)]
        contextvars.Context().run(lambda: self.assertEqual(
            [var.get(), [g.switch(n) for n, g in enumerate(all)], var.get(),
             [g.switch() for g in all], var.get()],
            [0, [0, 1, 2], 0, [0, 1, 2], 0]))

    def test_contexts(self):
        var = contextvars.ContextVar("var", default=0)

        def run():
            before = var.get()
            var.set(1)
            getcurrent().parent.switch()
            return before, var.get()

        g = greenlet.greenlet(run)
        g.switch()
        self.assertEqual(var.get(), 0)
        self.assertIsInstance(g.gr_context, contextvars.Context)
        self.assertEqual(g.gr_context[var], 1)
        self.assertEqual(g.switch(), (0, 1))
        context = contextvars.copy_context()
        context.run(var.set, 7)
        g = greenlet.greenlet(run)
        g.gr_context = context
        g.switch()
        self.assertEqual(g.switch(), (7, 1))
        for bad in (3, {}):
            with self.assertRaises(TypeError):
                g.gr_context = bad

    def test_recursion_depth_is_its_own(self):
        import sys

        def depth():
            n = 0
            try:
                def down():
                    nonlocal n
                    n += 1
                    down()
                down()
            except RecursionError:
                return n

        def deep(n):
            return greenlet.greenlet(depth).switch() if n == 0 else deep(n - 1)

        here = depth()
        self.assertGreater(here, sys.getrecursionlimit() // 2)
        self.assertGreaterEqual(deep(300), here)
        self.assertAlmostEqual(depth(), here, delta=2)

    def test_what_it_is(self):
        g = greenlet.greenlet(lambda: getcurrent().parent.switch())
        self.assertFalse(g)
        self.assertRegex(repr(g), r"^<greenlet.greenlet object at 0x\w+ "
                         r"\(otid=0x\w+\) pending>$")
        g.switch()
        self.assertTrue(g)
        self.assertRegex(repr(g), r"\) suspended active started>$")
        self.assertRegex(repr(getcurrent()), r" current active started main>$")
        g.switch()
        self.assertRegex(repr(g), r"\) dead>$")
        with self.assertRaises(TypeError):
            copy.copy(g)
        g.mark = 1
        self.assertEqual(vars(g), {"mark": 1})
        ref = weakref.ref(g)
        del g
        self.assertIsNone(ref())

    def test_attributes_of_the_class(self):
        """Eventlet takes them from there."""
        for name in ("getcurrent", "settrace", "gettrace", "error",
                     "GreenletExit"):
            self.assertIs(getattr(greenlet.greenlet, name),
                          getattr(greenlet, name))

    def test_module_behind_the_package(self):
        """It is there without an import of its own."""
        self.assertIs(greenlet._greenlet.greenlet, greenlet.greenlet)
        self.assertIs(greenlet._greenlet._C_API, greenlet._C_API)

    def test_dropped_runs_finally(self):
        seen = []

        def run():
            try:
                getcurrent().parent.switch()
            finally:
                seen.append(1)

        g = greenlet.greenlet(run)
        g.switch()
        del g
        self.assertEqual(seen, [1])

    def test_dropped_may_live_on_while_it_is_used(self):
        def run():
            try:
                main.switch()
            except GreenletExit:
                kept.append(getcurrent())
                main.switch()
            return 4

        kept = []
        main = getcurrent()
        g = greenlet.greenlet(run)
        g.switch()
        del g
        self.assertIn(kept[0], greenlets())
        self.assertTrue(kept[0])
        self.assertEqual(kept[0].switch(), 4)
        self.assertTrue(kept[0].dead)

    def test_dropped_is_forgotten_if_it_will_not_end(self):
        def run():
            while True:
                try:
                    main.switch()
                except GreenletExit:
                    exits.append(1)

        exits = []
        main = getcurrent()
        g = greenlet.greenlet(run)
        g.switch()
        where = id(g)
        del g
        self.assertEqual(exits, [1, 1])
        self.assertNotIn(where, map(id, greenlets()))

    def test_many_on_few_stacks(self):
        def run(n):
            mine = [n] * 5
            for _ in range(3):
                getcurrent().parent.switch(sum(mine))
            return -n

        main = [greenlet.greenlet(run) for _ in range(500)]
        for n, g in enumerate(main):
            self.assertEqual(g.switch(n), 5 * n)
        for _ in range(2):
            for n, g in enumerate(main):
                self.assertEqual(g.switch(), 5 * n)
        for n, g in enumerate(main):
            self.assertEqual(g.switch(), -n)

    test_dropped_is_forgotten_if_it_will_not_end.leaks = (
        "what C functions on its stack hold is lost")

    def test_generators_across(self):
        def gen():
            for n in range(3):
                getcurrent().parent.switch(("inner", n))
                yield n

        g = greenlet.greenlet(lambda: list(gen()))
        self.assertEqual([g.switch() for _ in range(3)],
                         [("inner", n) for n in range(3)])
        self.assertEqual(g.switch(), [0, 1, 2])

    def test_close_of_a_running_generator(self):
        def gen():
            yield getcurrent().parent.switch()

        it = gen()
        g = greenlet.greenlet(lambda: next(it))
        g.switch()
        with self.assertRaises(ValueError):
            it.close()
        self.assertEqual(g.switch(3), 3)


if __name__ == "__main__":
    unittest.main()
