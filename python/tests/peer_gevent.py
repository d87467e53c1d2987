# SPDX-License-Identifier: MIT
"""Programs of gevent, compiled as Debian ships it, on Tuck."""
import http.client
import importlib.util
import re
import resource
import shutil
import subprocess
import sys
import textwrap
import unittest

SECONDS_MAX = 300
CONNECTIONS = 1_000
ROUNDS_MAX = 30         # of wrk, for a machine that is busy

SERVER = """
from gevent import monkey; monkey.patch_all()
import tuck._greenlet, greenlet
assert greenlet.greenlet is tuck._greenlet.greenlet
from gevent.pywsgi import WSGIServer
import gevent, signal
now = peak = 0
class Counting(WSGIServer):
    def handle(self, *args):
        global now, peak
        now += 1
        peak = max(peak, now)
        try: super().handle(*args)
        finally: now -= 1
def app(environ, start_response):
    gevent.sleep(0)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d at once" % peak]
server = Counting(("127.0.0.1", 0), app, log=None, backlog=2048)
gevent.signal_handler(signal.SIGTERM, server.stop)
server.init_socket()
print(server.socket.getsockname()[1], flush=True)
server.serve_forever()
print("stopped", flush=True)
"""


def need(*modules):
    for module in modules:
        if not importlib.util.find_spec(module):
            raise unittest.SkipTest(f"no {module}")


def script(text):
    r = subprocess.run([sys.executable, "-X", "faulthandler", "-c",
                        textwrap.dedent(text)],
                       capture_output=True, text=True, timeout=SECONDS_MAX)
    if r.returncode:
        raise AssertionError(f"{r.stdout}{r.stderr}status {r.returncode}")
    return r.stdout


class Gevent(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need("gevent")

    def test_is_on_tuck(self):
        script("""
            import gevent, gevent._gevent_cgreenlet as compiled, tuck._greenlet
            assert compiled.__file__.endswith(".so")
            assert issubclass(gevent.Greenlet, tuck._greenlet.greenlet)
        """)

    def test_wsgi_under_wrk(self):
        if not shutil.which("wrk"):
            self.skipTest("no wrk")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < 4 * CONNECTIONS:
            self.skipTest("too few descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (4 * CONNECTIONS, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE,
                        (soft, hard))
        server = subprocess.Popen([sys.executable, "-c", SERVER],
                                  stdout=subprocess.PIPE, text=True)
        try:
            requests, peak, rounds = 0, 0, 0
            port = server.stdout.readline().strip()
            while (min(requests, peak) < CONNECTIONS
                   and rounds < ROUNDS_MAX):
                said = self.wrk(port)
                requests += int(re.search(r"(\d+) requests in", said)[1])
                client = http.client.HTTPConnection("127.0.0.1", int(port),
                                                    timeout=SECONDS_MAX)
                client.request("GET", "/")
                peak = int(client.getresponse().read().split()[0])
                client.close()
                rounds += 1
            server.terminate()
            self.assertEqual(server.stdout.read().strip(), "stopped")
            self.assertEqual(server.wait(SECONDS_MAX), 0)
        finally:
            server.kill()
            server.stdout.close()
        self.assertGreaterEqual(requests, CONNECTIONS)
        self.assertGreaterEqual(peak, CONNECTIONS)

    def wrk(self, port):
        """What it says of some seconds, in which nothing went wrong."""
        wrk = subprocess.run(
            ["wrk", "-t2", f"-c{CONNECTIONS}", "-d3s", "--timeout=60s",
             f"http://127.0.0.1:{port}/"],
            capture_output=True, text=True, timeout=SECONDS_MAX)
        self.assertNotIn("Non-2xx", wrk.stdout)
        self.assertNotRegex(wrk.stdout, r"connect [1-9]|read [1-9]|write [1-9]")
        return wrk.stdout

    def test_pool_and_queue(self):
        script("""
            import gevent, gevent.pool, gevent.queue
            q, out = gevent.queue.Queue(5), []
            def produce(n):
                for i in range(100): q.put(n * 100 + i)
            def consume():
                for item in q:
                    out.append(item)
                    if len(out) == 5_000: return
            pool = gevent.pool.Pool(20)
            consumer = gevent.spawn(consume)
            for n in range(50): pool.spawn(produce, n)
            gevent.joinall([consumer], timeout=250)
            assert sorted(out) == list(range(5_000)), len(out)
            assert pool.map(lambda x: x * x, range(100)) == [
                x * x for x in range(100)]
        """)

    def test_sockets(self):
        script("""
            import gevent
            from gevent import socket
            from gevent.server import StreamServer
            def echo(s, address):
                while True:
                    data = s.recv(4096)
                    if not data: return
                    s.sendall(data)
            server = StreamServer(("127.0.0.1", 0), echo)
            server.start()
            def client(n):
                with socket.create_connection(
                        ("127.0.0.1", server.server_port)) as s:
                    for i in range(20):
                        message = b"%d-%d" % (n, i)
                        s.sendall(message)
                        got = b""
                        while len(got) < len(message): got += s.recv(100)
                        assert got == message
                return n
            jobs = [gevent.spawn(client, n) for n in range(200)]
            gevent.joinall(jobs, timeout=120)
            assert [j.value for j in jobs] == list(range(200))
        """)

    def test_subprocess(self):
        script("""
            from gevent import subprocess
            import gevent
            def one(n):
                return subprocess.check_output(["echo", str(n)], text=True)
            jobs = [gevent.spawn(one, n) for n in range(10)]
            gevent.joinall(jobs, timeout=250)
            assert [int(j.value) for j in jobs] == list(range(10))
        """)

    def test_threadpool(self):
        script("""
            import gevent, threading, time
            from gevent.threadpool import ThreadPool
            pool = ThreadPool(4)
            ticks = []
            ticker = gevent.spawn(lambda: [
                (ticks.append(1), gevent.sleep(0)) for _ in range(100)])
            idents = pool.map(lambda n: threading.get_ident(), range(100))
            assert threading.get_ident() not in idents
            ticker.join(250)
            assert len(ticks) == 100
            import gevent.hub
            assert gevent.get_hub().threadpool.apply(lambda: 5) == 5
            # Else CPython 3.11 may end while one of their threads begins,
            # whose state is freed by then.
            pool.kill()
            gevent.get_hub().threadpool.kill()
        """)

    def test_timeout_kill_and_events(self):
        script("""
            import gevent
            from gevent.event import AsyncResult, Event
            seen = []
            def sleeper():
                try: gevent.sleep(1000)
                finally: seen.append("finally")
            g = gevent.spawn(sleeper)
            try:
                with gevent.Timeout(0.01):
                    g.join()
            except gevent.Timeout: seen.append("timeout")
            g.kill()
            assert seen == ["timeout", "finally"]
            assert isinstance(g.value, gevent.GreenletExit)
            r = AsyncResult()
            gevent.spawn(r.set, 5)
            assert r.get(timeout=250) == 5
            def fails(): raise LookupError
            h = gevent.spawn(fails)
            import sys; sys.stderr = open("/dev/null", "w")
            h.join()
            assert isinstance(h.exception, LookupError)
        """)

    def test_run_info_and_tracer(self):
        out = script("""
            import gevent, sys
            from gevent.util import print_run_info, GreenletTree
            def marked_function(): gevent.sleep(100)
            g = gevent.spawn(marked_function); gevent.sleep(0)
            print_run_info(file=sys.stdout)
            print(GreenletTree.current_tree().format(details=True))
            from gevent._tracer import GreenletTracer
            tracer = GreenletTracer()
            gevent.sleep(0)
            assert tracer.greenlet_switch_counter > 0
            tracer.kill()
        """)
        self.assertIn("marked_function", out)

    def test_patched_standard_library(self):
        script("""
            from gevent import monkey; monkey.patch_all()
            import threading, queue, time, concurrent.futures, select, ssl
            q = queue.Queue()
            ts = [threading.Thread(target=q.put, args=[n]) for n in range(50)]
            for t in ts: t.start()
            for t in ts: t.join()
            assert sorted(q.get() for _ in ts) == list(range(50))
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                assert list(pool.map(str, range(20))) == [
                    str(n) for n in range(20)]
        """)


if __name__ == "__main__":
    unittest.main()
