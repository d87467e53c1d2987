# SPDX-License-Identifier: MIT
"""What the tests of the examples share: TAP, servers, clients.

A test is a function marked @test; it fails by an exception. TEST_TIME_SCALE
(see tools/test) makes limits longer and loads smaller.
"""
import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

SCALE = max(1, int(float(os.environ.get("TEST_TIME_SCALE", "1"))))
CROWD = max(1, int(os.getloadavg()[0] / os.cpu_count()))
LIMIT_S = 120 * SCALE * CROWD     # for what hangs
tests = []


class Skip(Exception):
    pass


def test(fn):
    tests.append(fn)
    return fn


def load(n):
    """n, or less of it where things are slow."""
    return max(1, n // SCALE)


def need(*tools):
    for tool in tools:
        if not shutil.which(tool):
            raise Skip("no " + tool)


def client(*cmd, code=0, stdin=b"", **env):
    """What a command writes; it has to exit with code, or one of them."""
    done = subprocess.run(list(map(str, cmd)), input=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=dict(os.environ, **env), check=False)
    codes = code if isinstance(code, tuple) else (code,)
    assert done.returncode in codes, (cmd, done)
    return done.stdout


def text(*cmd, **more):
    return client(*cmd, **more).decode()


def wrk(connections, seconds, url):
    """Load a server; returns answers a second, all of them good and none late
    just because the machine is busy."""
    need("wrk")
    seconds *= min(CROWD, 5)
    out = text("wrk", "-c", connections, "-t", 2, "-d", f"{seconds}s",
               "--timeout", f"{seconds + 10}s", url)
    for bad in ("Socket errors", "Non-2xx"):
        assert bad not in out, out
    rate = float(re.search(r"Requests/sec: *([\d.]+)", out)[1])
    print(f"# wrk -c {connections} {url}: {rate:.0f}/s", file=sys.stderr)
    assert rate > 0, out
    return rate


class Server:
    def __init__(self, process, port):
        self.pid, self.port = process.pid, port
        self.at = f"127.0.0.1:{port}"

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port))

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def rss(self):
        with open(f"/proc/{self.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * resource.getpagesize()

    def cpu_s(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as f:
            fields = f.read().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def server(*cmd, says="", **env):
    """Run a server, for the time of a with statement.

    It has to last until it gets SIGTERM, and end by that; what it writes to
    stderr has to match says.
    """
    with tempfile.TemporaryFile("w+") as err:
        p = subprocess.Popen(list(map(str, cmd)), stdout=subprocess.PIPE,
                             stderr=err, env=dict(os.environ, **env))
        try:
            first = p.stdout.readline().decode()
            found = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", first)
            assert found, first
            yield Server(p, int(found[1]))
            assert p.poll() is None, f"exited with {p.returncode}"
            p.terminate()
            assert p.wait() == -signal.SIGTERM, p.returncode
        finally:
            p.kill()
            p.wait()
            p.stdout.close()
            err.seek(0)
            said = err.read()
            for line in said.splitlines():
                print("# stderr:", line, file=sys.stderr)
        assert re.fullmatch(says, said), said


def until(condition):
    """Wait for something that comes soon; the test's limit bounds it."""
    while not condition():
        time.sleep(0.01)


def receive(s, n):
    """Just n bytes, or fewer at the end of the stream."""
    parts = []
    while n > 0:
        part = s.recv(min(n, 1 << 16))
        if not part:
            break
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def receive_all(s):
    return receive(s, 1 << 62)


def reset(s):
    """Close with a reset instead of an orderly end."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0" + bytes(4))
    s.close()


def on_alarm(*_):
    raise TimeoutError(f"not done after {LIMIT_S} s")


def run(fn):
    signal.alarm(LIMIT_S)
    try:
        fn()
    finally:
        signal.alarm(0)


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGALRM, on_alarm)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    failed = False
    print(f"1..{len(tests)}")
    for number, fn in enumerate(tests, 1):
        result, note = "ok", ""
        try:
            run(fn)
        except Skip as e:
            note = f" # SKIP {e}"
        except Exception as e:
            for line in traceback.format_exc().splitlines():
                print("#", line[:2000], file=sys.stderr)
            what = traceback.format_exception_only(e)[-1].strip()
            print(f"# {fn.__name__}: {what[:2000]}", file=sys.stderr)
            result, failed = "not ok", True
        print(f"{result} {number} - {fn.__name__}{note}", flush=True)
    sys.exit(failed)
