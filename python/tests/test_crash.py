# SPDX-License-Identifier: MIT
"""Programs that end in unusual ways, each in a process of its own."""
import os
import subprocess
import sys
import textwrap
import unittest

SECONDS_MAX = 120
ASAN = "asan" in os.environ.get("LD_PRELOAD", "")
HEAD = """
import faulthandler, gc, os, sys, threading, greenlet
from greenlet import getcurrent, GreenletExit
faulthandler.enable()
def wait(*args):
    return getcurrent().parent.switch(*args)
def may_have(more):
    import resource
    with open("/proc/self/statm") as f:
        now = int(f.read().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (now + more, hard))
"""


class Crash(unittest.TestCase):
    def script(self, text, status=0, *options):
        """What a program writes to stdout and to stderr."""
        r = subprocess.run(
            [sys.executable, *options, "-c", HEAD + textwrap.dedent(text)],
            capture_output=True, text=True, timeout=SECONDS_MAX)
        self.assertIn(r.returncode,
                      status if isinstance(status, tuple) else (status,),
                      r.stdout + r.stderr)
        return r.stdout, r.stderr

    def test_end_with_suspended_ones(self):
        self.script("""
            kept = [greenlet.greenlet(wait) for _ in range(200)]
            for g in kept: g.switch()
            me = greenlet.greenlet(wait); me.switch(); me.me = me
        """)

    def test_none_goes_on_when_the_interpreter_ends(self):
        """Whoever holds it: what a finally would need may be gone."""
        out, err = self.script("""
            def run(name, write=os.write):
                try: wait()
                finally: write(1, name.encode())
            class Keeper: pass
            def keep(keeper, name):
                keeper.g = greenlet.greenlet(run); keeper.g.switch(name)
                return keeper
            sys.kept = keep(Keeper(), "sys")
            import builtins; builtins.kept = keep(Keeper(), "builtins")
            of_main = keep(Keeper(), "main")
            cycle = keep(Keeper(), "cycle"); cycle.g.keeper = cycle; del cycle
            main = keep(getcurrent(), "main greenlet")
            threading.main_thread().kept = keep(Keeper(), "threading")
            gc.disable()
        """)
        self.assertEqual((out, err), ("", ""))

    def test_exit_inside(self):
        out, err = self.script("""
            def run():
                print("in"); sys.exit(7)
            greenlet.greenlet(run).switch()
        """, 7)
        self.assertEqual((out, err), ("in\n", ""))

    def test_hard_exit_inside(self):
        self.script("greenlet.greenlet(os._exit).switch(5)", 5)

    def test_uncaught_inside(self):
        _, err = self.script("""
            def run(): raise LookupError("from inside")
            greenlet.greenlet(run).switch()
        """, 1)
        self.assertIn("LookupError: from inside", err)

    def test_end_of_main_inside(self):
        """The interpreter ends while a greenlet that is not main runs."""
        self.script("""
            import atexit
            def run():
                getcurrent().parent.switch()
            g = greenlet.greenlet(run); g.switch()
            atexit.register(g.switch)
            atexit.register(lambda: greenlet.greenlet(wait).switch())
        """)

    def test_objects_that_die_last_use_greenlets(self):
        self.script("""
            class Late:
                def __del__(self, greenlet=greenlet.greenlet,
                            getcurrent=getcurrent):
                    try:
                        greenlet(lambda: 0).switch()
                    except BaseException:
                        pass
            sys.late = Late()
            import builtins; builtins.late = Late()
            g = greenlet.greenlet(wait); g.switch(); g.late = Late()
            g.g = g
        """)

    def test_exceptions_at_exit(self):
        self.script("""
            def run():
                try: wait()
                finally: raise KeyError
            kept = greenlet.greenlet(run); kept.switch()
            import atexit
            def bad(): raise LookupError
            atexit.register(bad)
        """)

    def test_exception_of_a_dropped_one_is_reported(self):
        _, err = self.script("""
            def run():
                try: wait()
                finally: raise KeyError("while it ended")
            g = greenlet.greenlet(run); g.switch()
            del g
            print("on")
        """)
        self.assertIn("KeyError: 'while it ended'", err)

    def test_daemon_threads_at_exit(self):
        self.script("""
            import time
            ready = threading.Event()
            def body():
                gs = [greenlet.greenlet(wait) for _ in range(100)]
                for g in gs: g.switch()
                ready.set()
                while True:
                    for g in gs:
                        greenlet.greenlet(wait).switch()
            for _ in range(3):
                threading.Thread(target=body, daemon=True).start()
            ready.wait()
        """)

    def test_threads_at_exit(self):
        out, _ = self.script("""
            go = threading.Event()
            def run():
                try: wait()
                finally: os.write(1, b"finally" + bytes([10]))
            def body():
                g = greenlet.greenlet(run); g.switch()
                left = greenlet.greenlet(run); left.switch()
                left.x = left
                go.wait()
            for _ in range(3): threading.Thread(target=body).start()
            go.set()
        """)
        self.assertEqual(out, "finally\n" * 3)

    def test_callback_as_a_thread_of_C_ends(self):
        """What ends with the thread state calls C, which calls back."""
        out, _ = self.script("""
            import ctypes
            libc = ctypes.CDLL(None)
            inner = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda n: n)
            class Tracer:
                def __call__(self, *args): pass
                def __del__(self): ended.append(inner(3))
            @ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
            def outer(arg):
                greenlet.settrace(Tracer())
            ended = []
            for _ in range(20):
                thread = ctypes.c_ulong()
                libc.pthread_create(ctypes.byref(thread), None, outer, None)
                libc.pthread_join(thread, None)
            print(ended == [3] * 20)
        """)
        self.assertEqual(out, "True\n")

    def test_fork_inside(self):
        out, _ = self.script("""
            def run():
                pid = os.fork()
                wait(pid)
                return pid
            g = greenlet.greenlet(run)
            pid = g.switch()
            others = [greenlet.greenlet(wait) for _ in range(100)]
            for o in others: o.switch()
            assert g.switch() == pid
            if pid == 0:
                print("child", flush=True)
            else:
                assert os.waitpid(pid, 0)[1] == 0
                print("parent", flush=True)
        """)
        self.assertEqual(out, "child\nparent\n")

    def test_fork_with_threads(self):
        self.script("""
            stop, ready = threading.Event(), threading.Semaphore(0)
            kept = []
            def body():
                gs = [greenlet.greenlet(wait) for _ in range(100)]
                for g in gs: g.switch()
                kept.extend(gs)
                ready.release()
                stop.wait()
            ts = [threading.Thread(target=body) for _ in range(3)]
            for t in ts: t.start()
            for t in ts: ready.acquire()
            pid = os.fork()
            if pid == 0:
                assert all(g.dead for g in kept)
                kept.clear(); gc.collect()
                greenlet.greenlet(lambda: 0).switch()
                sys.exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            stop.set()
        """)

    def test_recursion_errors(self):
        out, _ = self.script("""
            def depth():
                n = 0
                def down():
                    nonlocal n
                    n += 1
                    down()
                try: down()
                except RecursionError: return n
            print(depth())
            print(greenlet.greenlet(depth).switch())
        """)
        here, inside = map(int, out.split())
        self.assertAlmostEqual(here, inside, delta=5)

    def test_recursion_through_C(self):
        """The interpreter's own limit comes before the end of the stack."""
        self.script("""
            class Deep:
                def __repr__(self): return repr(self)
                def __getattr__(self, name): return getattr(self, name + "x")
            def run():
                for what in repr, lambda d: d.missing:
                    try: what(Deep())
                    except RecursionError: continue
                    raise SystemExit(1)
                return "fine"
            for _ in range(3):
                assert greenlet.greenlet(run).switch() == "fine"
            x = []
            for _ in range(50_000): x = [x]
            def nested():
                try: repr(x)
                except RecursionError: return "fine"
            assert greenlet.greenlet(nested).switch() == "fine"
        """)

    def test_overflow_in_C_is_named(self):
        """Recursion without a limit ends the process, with a message.

        And with what faulthandler has to say.
        """
        _, err = self.script("""
            sys.setrecursionlimit(10 ** 8)
            def deep(n=0): return sorted([n], key=lambda n: deep(n + 1))
            greenlet.greenlet(deep).switch()
        """, (-11, 1))
        # From 3.12 on recursion in C has a limit, with luck a lower one.
        self.assertRegex(err, "stack overflow in context|RecursionError")
        self.assertIn("in deep", err)

    def test_deep_freeing(self):
        """What is freed in many steps is, also with switches in between."""
        self.script("""
            class Node:
                def __init__(self, next): self.next = next
                def __del__(self): greenlet.greenlet(lambda: 0).switch()
            def run():
                node = None
                for _ in range(5_000): node = Node((node,))
            greenlet.greenlet(run).switch()
            gc.collect()
        """)

    def test_other_interpreters_are_refused(self):
        out, _ = self.script("""
            if sys.version_info >= (3, 13):
                import _interpreters as many
                run = many.exec
                all = map(many.create, ("legacy", "isolated"))
            else:
                import _xxsubinterpreters as many
                run = many.run_string
                all = ([many.create(isolated=b) for b in (False, True)]
                       if sys.version_info >= (3, 10) else [many.create()])
            code = '''if True:
                try: import greenlet
                except ImportError as e: print(e, flush=True)
                else: print("it was imported")
            '''
            for one in all:
                bad = run(one, code)
                assert bad is None, bad
            print(greenlet.greenlet(lambda: "of the main one").switch())
        """)
        *said, last = out.splitlines()
        self.assertTrue(said)
        for line in said:
            self.assertRegex(line, "for the main interpreter only|"
                             "_greenlet does not support loading in "
                             "subinterpreters")
        self.assertEqual(last, "of the main one")

    def test_switch_in_a_handler_in_C_is_named(self):
        """Nothing of Python's may be called there; here it is seen."""
        _, err = self.script("""
            import ctypes, signal
            class Stack(ctypes.Structure):
                _fields_ = [("at", ctypes.c_void_p), ("flags", ctypes.c_int),
                            ("size", ctypes.c_size_t)]
            class Action(ctypes.Structure):
                _fields_ = [("handler", ctypes.c_void_p),
                            ("mask", ctypes.c_ulong * 16),
                            ("flags", ctypes.c_int), ("rest", ctypes.c_void_p)]
            libc = ctypes.CDLL(None)
            room = ctypes.create_string_buffer(1 << 18)
            stack = Stack(ctypes.addressof(room), 0, len(room))
            assert libc.sigaltstack(ctypes.byref(stack), None) == 0
            @ctypes.CFUNCTYPE(None, ctypes.c_int)
            def handler(n):
                other.switch()
            SA_ONSTACK = 0x08000000
            action = Action(ctypes.cast(handler, ctypes.c_void_p),
                            flags=SA_ONSTACK)
            other = greenlet.greenlet(wait); other.switch()
            libc.sigaction(signal.SIGUSR1, ctypes.byref(action), None)
            libc["raise"](signal.SIGUSR1)
        """, -6)
        self.assertIn("tuck: a switch on a stack that is not", err)

    def test_faulthandler_shows_the_running_one(self):
        _, err = self.script("""
            def marked_function():
                faulthandler.dump_traceback(all_threads=True)
            greenlet.greenlet(marked_function).switch()
        """)
        self.assertIn("marked_function", err)

    def test_faulthandler_at_a_fault(self):
        """Of a greenlet with C calls in between, while others wait."""
        _, err = self.script("""
            def marked_caller():
                sorted([1], key=lambda _: faulthandler._sigsegv())
            kept = [greenlet.greenlet(wait) for _ in range(100)]
            for g in kept: g.switch()
            greenlet.greenlet(marked_caller).switch()
        """, (-11, 1))
        self.assertRegex(err, "Fatal Python error: Segmentation fault(.*\n)+"
                         ".*in <lambda>\n.*in marked_caller\n")
        self.assertNotIn("in wait", err)

    def test_faulthandler_from_another_thread(self):
        """Its watchdog looks at whoever runs, which is in a greenlet."""
        _, err = self.script("""
            def marked_function():
                faulthandler.dump_traceback_later(0.1, exit=True)
                while True: sorted([1], key=lambda _: 0)
            greenlet.greenlet(marked_function).switch()
        """, 1)
        self.assertIn("in marked_function", err)

    def test_forgotten_in_random_order(self):
        """Survivors of their threads, whose frames and generators others have.

        Best seen where freed memory is overwritten.
        """
        self.script("""
            import random
            frames, generators, kept = [], [], []
            def leaf(rnd):
                try:
                    wait(sys._getframe() if rnd.random() < .3 else None)
                except GreenletExit:
                    if rnd.random() < .5: raise
            def many(rnd, n):
                for _ in range(n): yield leaf(rnd)
            def down(rnd, n):
                if n == 0: return sum(1 for _ in many(rnd, 3))
                if rnd.random() < .3:
                    return sorted([1], key=lambda _: down(rnd, n - 1))
                return down(rnd, n - 1)
            async def coroutine(rnd, n):
                return await coroutine(rnd, n - 1) if n else down(rnd, 2)
            def run(rnd):
                while rnd.random() < .95:
                    pick = rnd.randrange(4)
                    try:
                        if pick == 0: down(rnd, rnd.randrange(20))
                        elif pick == 1: coroutine(rnd, 3).send(None)
                        elif pick == 2: leaf(rnd)
                        else:
                            generators.append(many(rnd, 4))
                            for _ in generators[-1]: pass
                    except StopIteration: pass
                    except GreenletExit:
                        if rnd.random() < .5: raise
            def body(seed):
                rnd, mine = random.Random(seed), []
                for _ in range(60):
                    mine.append(greenlet.greenlet(run))
                    frames.append(mine[-1].switch(rnd))
                    if rnd.random() < .3: mine.pop(rnd.randrange(len(mine)))
                    for g in rnd.sample(mine, min(5, len(mine))):
                        if g: frames.append(g.switch())
                if rnd.random() < .5: kept.extend(mine)
            def walk(frame):
                while frame:
                    repr(frame.f_locals.keys())
                    frame = frame.f_back
            def shrink(rnd, all):
                rnd.shuffle(all)
                del all[:len(all) // 2]
            for seed in range(8):
                threads = [threading.Thread(target=body, args=[3 * seed + n])
                           for n in range(3)]
                for t in threads: t.start()
                for t in threads: t.join()
                frames[:] = [f for f in frames if hasattr(f, "f_back")]
                for f in frames: walk(f)
                for g in generators: walk(g.gi_frame)
                for all in frames, generators, kept:
                    shrink(random.Random(seed), all)
                gc.collect()
            print(len(frames))
        """)

    def test_kill_while_it_is_collected(self):
        self.script("""
            gc.set_threshold(1)
            class Loud:
                def __del__(self):
                    for _ in range(3):
                        greenlet.greenlet(wait).switch()
            def run():
                me, loud = getcurrent(), Loud()
                me.loud, loud.me = loud, me
                me.parent.switch()
            for _ in range(300):
                g = greenlet.greenlet(run); g.switch()
                g.gr_frame
            del g
            gc.collect()
        """)

    @unittest.skipIf(ASAN, "its shadow takes more addresses")
    def test_few_addresses(self):
        """The stacks of one thread would take more."""
        out, _ = self.script("""
            may_have(500 << 20)
            all_wait = threading.Barrier(4, timeout=60)
            def body():
                gs = [greenlet.greenlet(wait) for _ in range(100)]
                for g in gs: g.switch()
                all_wait.wait()
                sums.append(sum(g.switch(n) for n, g in enumerate(gs)))
            sums = []
            threads = [threading.Thread(target=body) for _ in range(3)]
            for t in threads: t.start()
            body()
            for t in threads: t.join()
            print(sums)
        """)
        self.assertEqual(out, f"{[4950] * 4}\n")

    @unittest.skipIf(ASAN, "its shadow takes more addresses")
    def test_no_addresses(self):
        out, _ = self.script("""
            g = greenlet.greenlet(wait)
            may_have(1 << 20)
            try: g.switch()
            except MemoryError as e: print(e)
            may_have(1 << 30)
            g.switch()
            print(g.switch(5))
        """)
        self.assertEqual(out, "no memory for the stack of a greenlet\n5\n")

    def test_no_memory_for_whom_it_ends_in(self):
        """Whichever request for memory fails, somebody gets MemoryError."""
        out, _ = self.script("""
            try: from _testcapi import set_nomemory, remove_mem_hooks
            except ImportError: sys.exit(0)
            def run(arg): return arg
            def try_it(n):
                up = greenlet.greenlet(run)
                g = greenlet.greenlet(run, up)
                try:
                    set_nomemory(n, n + 1)
                    return g.switch(n)
                except MemoryError: return "none"
                finally: remove_mem_hooks()
            found = [try_it(n) for n in range(20)]
            print(set(found) - {"none", *range(20)}, found[-1])
        """)
        self.assertIn(out, ("", "set() 19\n"))

    def test_dev_mode(self):
        _, err = self.script("""
            gs = [greenlet.greenlet(wait) for _ in range(100)]
            for g in gs: g.switch()
            del gs, g
        """, 0, "-X", "dev", "-W", "error")
        self.assertEqual(err, "")

    def test_refused_versions(self):
        """The module says so instead of a crash later."""
        _, err = self.script("""
            for name in list(sys.modules):
                if name.startswith("tuck"): del sys.modules[name]
            class Version(tuple):
                pass
            sys.version_info = (3, 14, 0)
            import tuck
        """, 1)
        self.assertIn("ImportError: tuck knows the insides", err)

    def test_an_untested_version(self):
        """The build takes it from who asks for it, and says how."""
        ask = os.path.join(os.path.dirname(__file__), os.pardir, "ask.py")
        for argv, refused in ([], True), (["untested"], False):
            _, err = self.script(f"""
                import runpy
                sys.version_info = (3, 14, 0)
                sys.argv[1:] = {argv}
                runpy.run_path({os.path.abspath(ask)!r})
            """, (0, 1))
            self.assertEqual("-Dpython_untested=true" in err, refused, err)


if __name__ == "__main__":
    unittest.main()
