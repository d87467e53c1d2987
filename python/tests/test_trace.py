# SPDX-License-Identifier: MIT
"""Functions that trace, and those that see switches."""
import os
import signal
import sys
import threading
import unittest

import greenlet
from greenlet import getcurrent
from tuck import inspect


def wait():
    return getcurrent().parent.switch()


class InsideTraceFunctions(unittest.TestCase):
    def check_refused(self, install):
        other = greenlet.greenlet(wait)
        other.switch()
        errors = []

        def observer(*_):
            install(None)
            try:
                other.switch()
            except greenlet.error as e:
                errors.append(str(e))

        install(observer)
        len([])
        wait.__name__
        (lambda: 0)()
        install(None)
        self.assertEqual(errors, ["cannot switch inside a trace or profile "
                                  "function"])
        self.assertFalse(other.dead)
        other.switch()
        self.assertTrue(other.dead)

    def test_settrace(self):
        self.check_refused(sys.settrace)

    def test_setprofile(self):
        self.check_refused(sys.setprofile)

    def test_greenlets_own_settrace(self):
        other = greenlet.greenlet(wait)
        third = greenlet.greenlet(wait)
        third.switch()
        errors = []

        def observer(*_):
            try:
                third.switch()
            except greenlet.error as e:
                errors.append(e)

        greenlet.settrace(observer)
        other.switch()
        greenlet.settrace(None)
        self.assertEqual(len(errors), 2)
        self.assertFalse(third.dead)

    def test_dropping_one_inside_still_ends_it(self):
        ended = []

        def run():
            try:
                wait()
            finally:
                ended.append(sys.gettrace())

        box = [greenlet.greenlet(run)]
        box[0].switch()

        def observer(*_):
            sys.settrace(None)
            box.clear()

        sys.settrace(observer)
        (lambda: 0)()
        sys.settrace(None)
        self.assertEqual(ended, [None])

    def test_all_greenlets_are_traced(self):
        seen = []

        def leaf():
            wait()

        def observer(frame, event, _):
            if frame.f_code is leaf.__code__:
                seen.append(event)
            return observer

        g = greenlet.greenlet(leaf)
        sys.settrace(observer)
        g.switch()
        g.switch()
        sys.settrace(None)
        self.assertEqual([e for e in seen if e != "line"], ["call", "return"])


    def test_who_waits_when_tracing_begins_or_ends(self):
        """It begins and ends for all greenlets of the thread."""
        def leaf():
            pass

        def run():
            while True:
                leaf()
                sorted([1], key=lambda _: wait() or 0)
                leaf()

        def observer(frame, event, _):
            if frame.f_code is leaf.__code__:
                seen.append(event)

        def switch(times):
            seen.clear()
            for _ in range(times):
                for g in all:
                    g.switch()
            return len(seen)

        seen = []
        all = [greenlet.greenlet(run) for _ in range(100)]
        for install in sys.settrace, sys.setprofile:
            switch(1)
            install(observer)
            traced = switch(2)
            install(None)
            self.assertEqual(traced, (400 if install is sys.settrace
                                      else 800))
            self.assertEqual(switch(2), 0)
        # Who begins it is not the one who ends it.
        greenlet.greenlet(sys.settrace).switch(observer)
        self.assertEqual(switch(1), 200)
        greenlet.greenlet(sys.settrace).switch(None)
        self.assertEqual(switch(1), 0)


class SignalHandlers(unittest.TestCase):
    def test_are_ordinary_calls(self):
        """Between two steps of the interpreter a switch is sound."""
        hub = []
        other = greenlet.greenlet(lambda: hub.append(wait()))
        other.switch()

        def handler(*_):
            other.switch("from the handler")

        before = signal.signal(signal.SIGUSR1, handler)
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
            while not hub:
                pass
        finally:
            signal.signal(signal.SIGUSR1, before)
        self.assertEqual(hub, ["from the handler"])


class Hook(unittest.TestCase):
    def test_sees_all_threads(self):
        seen = []
        before = inspect.set_switch_hook(
            lambda event, pair: seen.append((event, threading.get_ident())))
        self.assertIsNone(before)
        try:
            greenlet.greenlet(lambda: 0).switch()
            thread = threading.Thread(
                target=lambda: greenlet.greenlet(lambda: 0).switch())
            thread.start()
            thread.join()
            with self.assertRaises(KeyError):
                greenlet.greenlet(wait).throw(KeyError)
        finally:
            self.assertIsNotNone(inspect.set_switch_hook(None))
        me = threading.get_ident()
        other = (set(ident for _, ident in seen) - {me}).pop()
        self.assertEqual(seen, [("switch", me)] * 2 + [("switch", other)] * 2
                         + [("throw", me)] * 2)

    def test_sees_who_left_and_who_came(self):
        pairs = []
        main = getcurrent()
        g = greenlet.greenlet(wait)
        for install in inspect.set_switch_hook, greenlet.settrace:
            pairs.clear()
            install(lambda event, pair: pairs.append((*pair, getcurrent())))
            g.switch()
            install(None)
            self.assertEqual(pairs, [(main, g, g), (g, main, main)])

    def test_may_not_switch(self):
        def hook(*_):
            try:
                other.switch()
            except greenlet.error as e:
                errors.append(str(e))

        errors = []
        other = greenlet.greenlet(wait)
        other.switch()
        inspect.set_switch_hook(hook)
        greenlet.greenlet(lambda: 0).switch()
        inspect.set_switch_hook(None)
        self.assertEqual(errors, ["cannot switch inside a trace or profile "
                                  "function"] * 2)
        self.assertFalse(other.dead)

    def test_is_gone_when_it_raises(self):
        def bad(*_):
            raise LookupError

        inspect.set_switch_hook(bad)
        with self.assertRaises(LookupError):
            greenlet.greenlet(lambda: 0).switch()
        self.assertIsNone(inspect.set_switch_hook(None))
        greenlet.settrace(bad)
        with self.assertRaises(LookupError):
            greenlet.greenlet(lambda: 0).switch()
        self.assertIsNone(greenlet.gettrace())

    def test_beside_settrace(self):
        order = []
        inspect.set_switch_hook(lambda *_: order.append("all"))
        greenlet.settrace(lambda *_: order.append("thread"))
        greenlet.greenlet(lambda: 0).switch()
        greenlet.settrace(None)
        inspect.set_switch_hook(None)
        self.assertEqual(order, ["all", "thread"] * 2)


if __name__ == "__main__":
    unittest.main()
