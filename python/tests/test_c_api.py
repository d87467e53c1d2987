# SPDX-License-Identifier: MIT
"""Every slot of the C interface, from an extension.

It is compiled here against Tuck's greenlet.h and, where there is one, against
the greenlet project's.
"""
import importlib.machinery
import importlib.util
import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
import threading
import unittest
import weakref

import greenlet
from greenlet import getcurrent

HERE = os.path.dirname(os.path.abspath(__file__))
OURS = os.path.join(os.path.dirname(HERE), "src")


def find_theirs():
    """The folder of an installed greenlet that is not Tuck's."""
    for folder in sys.path:
        path = os.path.join(folder, "greenlet")
        if os.path.exists(os.path.join(path, "greenlet.h")):
            return path


def load(headers, folder):
    path = os.path.join(folder, "c_api"
                        + sysconfig.get_config_var("EXT_SUFFIX"))
    subprocess.run(shlex.split(os.environ.get("CC", "cc")) + [
        "-shared", "-fPIC", "-O1", "-o", path, "-I" + headers,
        "-I" + sysconfig.get_paths()["include"],
        os.path.join(HERE, "c_api.c")], check=True,
        env=dict(os.environ, LD_PRELOAD=""))
    loader = importlib.machinery.ExtensionFileLoader("c_api", path)
    spec = importlib.util.spec_from_file_location("c_api", path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


class Slots:
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            cls.c = load(cls.headers(), folder)

    def test_type_and_exceptions(self):
        self.assertEqual(self.c.exceptions(),
                         (greenlet.error, greenlet.GreenletExit))
        self.assertTrue(self.c.check(getcurrent()))
        self.assertTrue(self.c.check(type("Sub", (greenlet.greenlet,), {})()))
        self.assertFalse(self.c.check(5))

    def test_layout(self):
        g = greenlet.greenlet()
        self.assertEqual(self.c.layout(g)[:2], (40, 40))
        g.x = 1
        ref = weakref.ref(g)
        self.assertEqual(self.c.layout(g)[2:], ({"x": 1}, ref))

    def test_new(self):
        g = self.c.make()
        self.assertIs(g.parent, getcurrent())
        g = self.c.make(lambda: 4)
        self.assertEqual(g.switch(), 4)
        parent = greenlet.greenlet(lambda x: x + 1)
        g = self.c.make(lambda: 4, parent)
        self.assertIs(g.parent, parent)
        self.assertEqual(g.switch(), 5)
        with self.assertRaises(TypeError):
            self.c.make(len, 5)

    def test_current(self):
        self.assertIs(self.c.current(), getcurrent())
        g = greenlet.greenlet(self.c.current)
        self.assertIs(g.switch(), g)

    def test_switch(self):
        def run(*args, **kwargs):
            return getcurrent().parent.switch((args, kwargs))

        for args, expected in (
                (((1, 2),), ((1, 2), {})),
                (((1,), {"a": 3}), ((1,), {"a": 3})),
                ((None, {"a": 3}), ((), {"a": 3})),
                ((), ((), {}))):
            g = greenlet.greenlet(run)
            self.assertEqual(self.c.switch(g, *args), expected)
            self.assertEqual(self.c.switch(g, (7,)), 7)

    def test_switch_through_C_frames(self):
        """Each has the extension's frames on its stack."""
        main = getcurrent()
        all = [greenlet.greenlet(self.c.switch) for _ in range(200)]
        for n, g in enumerate(all):
            self.assertEqual(g.switch(main, (n,)), n)
        for n, g in enumerate(all):
            self.assertEqual(g.switch(-n), -n)
            self.assertTrue(g.dead)

    def test_throw(self):
        g = greenlet.greenlet(lambda: getcurrent().parent.switch())
        g.switch()
        with self.assertRaises(TypeError):
            self.c.throw(g, 5)
        with self.assertRaises(KeyError) as caught:
            self.c.throw(g, KeyError, 3)
        self.assertEqual(caught.exception.args, (3,))
        self.assertTrue(g.dead)

    def test_throw_with_a_traceback(self):
        def fails():
            raise LookupError

        g = greenlet.greenlet(lambda: getcurrent().parent.switch())
        g.switch()
        try:
            fails()
        except LookupError as e:
            traceback = e.__traceback__
        found = []
        try:
            self.c.throw(g, KeyError, None, traceback)
        except KeyError as e:
            tb = e.__traceback__
            while tb:
                found.append(tb.tb_frame.f_code.co_name)
                tb = tb.tb_next
        self.assertEqual(found[-1:], ["fails"])
        with self.assertRaises(TypeError):
            self.c.throw(g, KeyError, None, "no traceback")

    def test_results_are_new_references(self):
        def run():
            return len([self.c.current() for _ in range(100)])

        g = greenlet.greenlet(run, greenlet.greenlet(lambda n: n))
        before = sys.getrefcount(g), sys.getrefcount(g.parent)
        for _ in range(100):
            self.c.get_parent(g)
            self.c.check(g)
            self.c.states(g)
        self.assertEqual((sys.getrefcount(g), sys.getrefcount(g.parent)),
                         before)
        main = getcurrent()
        before = sys.getrefcount(main)
        made = [self.c.make(len, main) for _ in range(100)]
        self.assertEqual(sys.getrefcount(main), before + 100)
        self.assertEqual(sys.getrefcount(made[0]), 2)
        del made
        self.assertEqual(sys.getrefcount(main), before)
        self.assertEqual(g.switch(), 100)
        self.assertEqual(sys.getrefcount(g), 2)

    def test_parents(self):
        g = greenlet.greenlet()
        other = greenlet.greenlet()
        self.c.set_parent(g, other)
        self.assertIs(g.parent, other)
        self.assertIs(self.c.get_parent(g), other)
        self.assertIsNone(self.c.get_parent(getcurrent()))
        with self.assertRaises(ValueError):
            self.c.set_parent(other, g)

    def test_states(self):
        g = greenlet.greenlet(lambda: getcurrent().parent.switch())
        self.assertEqual(self.c.states(getcurrent()), (1, 1, 1))
        self.assertEqual(self.c.states(g), (0, 0, 0))
        g.switch()
        self.assertEqual(self.c.states(g), (0, 1, 1))
        g.switch()
        self.assertEqual(self.c.states(g), (0, 1, 0))

    def test_states_where_the_thread_has_ended(self):
        def body():
            g = greenlet.greenlet(lambda: getcurrent().parent.switch())
            g.switch()
            left.extend([g, getcurrent()])

        left = []
        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        self.assertEqual(self.c.states(left[0]), (0, 1, 0))
        self.assertEqual(self.c.states(left[1]), (1, 1, 0))

    test_states_where_the_thread_has_ended.leaks = (
        "what only a forgotten C stack refers to stays")

    def test_what_is_no_greenlet(self):
        for fn, args in ((self.c.switch, (5,)), (self.c.throw, (5, KeyError)),
                         (self.c.set_parent, (5, getcurrent())),
                         (self.c.get_parent, (5,)), (self.c.states, (5,))):
            with self.assertRaises(TypeError):
                fn(*args)


class OurHeader(Slots, unittest.TestCase):
    headers = staticmethod(lambda: OURS)


@unittest.skipUnless(find_theirs(), "no other greenlet is installed")
class TheirHeader(Slots, unittest.TestCase):
    headers = staticmethod(find_theirs)


if __name__ == "__main__":
    unittest.main()
