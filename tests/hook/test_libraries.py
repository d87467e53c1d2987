# SPDX-License-Identifier: MIT
"""Libraries that know of no tasklets, in 500 tasklets of one thread each.

Usage: test_libraries.py HOOK PROGRAM...

HOOK is preloaded; a PROGRAM is with_curl or another one of this folder, or
httpd. Each request takes 200 ms at its server, and all of them little longer.
"""
import contextlib
import glob
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../examples"))
from kit import Skip, client, main, need, server, test, text, until

HOOK = os.path.abspath(sys.argv[1])
PROGRAMS = {os.path.basename(path): path for path in sys.argv[2:]}
MANY = 500
SAYS = re.compile(r"(\d+) requests, (\d+) begun at the first end, "
                  r"(\d+) threads, total (\d+) ms, slowest (\d+) ms, "
                  r"sum (\d+) ms\n")


def program(name):
    if name not in PROGRAMS:
        raise Skip(f"built without {name}")
    return PROGRAMS[name]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def crowd(name, where):
    """All wait at once, in one thread; none waits for another one's end."""
    said = text(program(name), where, MANY, LD_PRELOAD=HOOK)
    print("#", name, said.strip(), file=sys.stderr)
    n, begun, threads, total, slowest, added = map(
        int, SAYS.fullmatch(said).groups())
    assert (n, begun, threads) == (MANY, MANY, 1), said
    assert slowest >= 200 and total * 10 < added, said


@contextlib.contextmanager
def daemon(*cmd, ready, stop, **more):
    """Run a server while it is asked for; ready() says that it answers."""
    with tempfile.TemporaryFile() as log:
        p = subprocess.Popen(list(map(str, cmd)), stdout=log, stderr=log,
                             **more)
        try:
            def is_up():
                log.seek(0)
                assert p.poll() is None, log.read()
                return ready()
            until(is_up)
            yield p
        finally:
            p.send_signal(stop)
            try:
                p.wait(30)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()


@test
def curl():
    program("with_curl")
    with tempfile.TemporaryDirectory() as root, \
            server(program("httpd"), root, "127.0.0.1:0") as h:
        crowd("with_curl", f"http://{h.at}/slow/200")


@test
def hiredis():
    program("with_hiredis")
    need("redis-server", "redis-cli")
    port = free_port()

    def answers():
        return subprocess.run(["redis-cli", "-p", str(port), "ping"],
                              stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0

    with tempfile.TemporaryDirectory() as top, \
            daemon("redis-server", "--port", port, "--bind", "127.0.0.1",
                   "--save", "", "--dir", top, ready=answers, stop=15):
        crowd("with_hiredis", port)


def as_user(name):
    """The start of a command that runs as a user that is not root."""
    if os.geteuid() != 0:
        return []
    need("setpriv")
    return ["setpriv", f"--reuid={name}", f"--regid={name}", "--clear-groups"]


@test
def libpq():
    program("with_libpq")
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not folders:
        raise Skip("no PostgreSQL server")
    tools = folders[-1]
    if shutil.disk_usage(tempfile.gettempdir()).free < 1 << 29:
        raise Skip("no room for a database")
    with tempfile.TemporaryDirectory() as top:
        user = as_user("postgres")
        if user:
            shutil.chown(top, "postgres")
        client(*user, f"{tools}/initdb", "-D", f"{top}/data", "-A", "trust",
               "-U", "tuck", "--no-sync")

        def answers():
            return subprocess.run([f"{tools}/pg_isready", "-h", top],
                                  stdout=subprocess.DEVNULL).returncode == 0

        with daemon(*user, f"{tools}/postgres", "-D", f"{top}/data", "-k", top,
                    "-c", "listen_addresses=", "-c", "fsync=off",
                    "-c", f"max_connections={MANY + 20}",
                    ready=answers, stop=2):
            crowd("with_libpq", f"host={top} user=tuck dbname=postgres")


@test
def without_tasklets_nothing_changes():
    need("curl")
    with tempfile.TemporaryDirectory() as root, \
            server(program("httpd"), root, "127.0.0.1:0") as h:
        said = client("curl", "-sS", f"http://{h.at}/hello", LD_PRELOAD=HOOK)
        assert said == b"Hello, world!\n", said
    code = "import subprocess, time; time.sleep(0.01); " \
           "print(subprocess.check_output(['echo', 'hi'], text=True))"
    said = text(sys.executable, "-c", code, LD_PRELOAD=HOOK)
    assert said == "hi\n\n", said


main()
