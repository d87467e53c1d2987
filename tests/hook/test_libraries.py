# SPDX-License-Identifier: MIT
"""Libraries that know of no tasklets, in 500 tasklets of one thread each.

Usage: test_libraries.py HOOK PROGRAM...

HOOK is preloaded; a PROGRAM is with_curl or another one of this folder, or
httpd; linked_with_hiredis has the library, and what hooks it, linked in. A
server answers nobody until it holds the requests of all.
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
from kit import CROWD, Skip, client, main, need, server, test, text, until

HOOK = os.path.abspath(sys.argv[1])
PROGRAMS = {os.path.basename(path): path for path in sys.argv[2:]}
MANY = 500


def program(name):
    if name not in PROGRAMS:
        raise Skip(f"built without {name}")
    return PROGRAMS[name]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def crowd(name, where, held, let_go, preload=HOOK):
    """All n ask at once, in one thread.

    held() says how many requests the server has and has not answered;
    let_go() has it answer them.
    """
    most = 0

    def holds_all():
        nonlocal most
        most = max(most, held())
        assert p.poll() is None, f"{p.returncode}, {most} were held at once"
        return most == MANY

    with subprocess.Popen([program(name), str(where), str(MANY)],
                          stdout=subprocess.PIPE, text=True,
                          env=dict(os.environ, LD_PRELOAD=preload)) as p:
        try:
            until(holds_all)
            let_go()
            said = p.stdout.read()
            p.wait()
        finally:
            print(f"# {name}: {most} held at once", file=sys.stderr)
            p.kill()
    assert p.returncode == 0, p.returncode
    assert said == f"{MANY} requests, 1 threads\n", said


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
    requests = []
    with socket.create_server(("127.0.0.1", 0), backlog=MANY) as s, \
            contextlib.ExitStack() as connections:
        s.setblocking(False)

        def held():
            with contextlib.suppress(BlockingIOError):
                while True:
                    c = connections.enter_context(s.accept()[0])
                    c.setblocking(True)
                    assert c.recv(1).startswith(b"G")
                    requests.append(c)
            return len(requests)

        def answer():
            for c in requests:
                c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n"
                          b"Connection: close\r\n\r\nHello, world!\n")

        crowd("with_curl", "http://127.0.0.1:%d/" % s.getsockname()[1],
              held, answer)


@test
def curl_of_httpd():
    """None is answered before all have asked, or they do not wait at once."""
    ms = min(3000 * CROWD, 10000)
    program("with_curl")
    with tempfile.TemporaryDirectory() as root, \
            server(program("httpd"), root, "127.0.0.1:0") as h:
        before = h.fds()
        crowd("with_curl", f"http://{h.at}/slow/{ms}",
              lambda: h.fds() - before, lambda: None)


def of_redis(name, **more):
    program(name)
    need("redis-server", "redis-cli")
    port = free_port()

    cli = ["redis-cli", "-p", str(port)]

    def answers():
        return subprocess.run([*cli, "ping"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0

    def held():
        said = text(*cli, "info", "clients")
        return int(re.search(r"blocked_clients:(\d+)", said)[1])

    def push():
        text(*cli, "eval", "for i = 0, ARGV[1] - 1 do "
             "redis.call('rpush', 'list' .. i, 'x') end", 0, MANY)

    with tempfile.TemporaryDirectory() as top, \
            daemon("redis-server", "--port", port, "--bind", "127.0.0.1",
                   "--save", "", "--dir", top, ready=answers, stop=15):
        crowd(name, port, held, push, **more)


@test
def hiredis():
    of_redis("with_hiredis")


@test
def hiredis_linked():
    of_redis("linked_with_hiredis", preload="")


def as_user(name):
    """The start of a command that runs as a user that is not root."""
    if os.geteuid() != 0:
        return []
    need("setpriv")
    return ["setpriv", f"--reuid={name}", f"--regid={name}", "--clear-groups"]


def psql(where):
    return ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", where]


def waiting(where):
    """How many wait for a lock."""
    return int(text(*psql(where), "-c", "select count(*) from pg_locks "
                    "where locktype = 'advisory' and not granted"))


@contextlib.contextmanager
def locked(where):
    """A session has the lock, until unlock() ends it."""
    with subprocess.Popen(psql(where), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as p:
        p.stdin.write("select 'locked' from pg_advisory_lock(1);\n")
        p.stdin.flush()
        said = p.stdout.readline()
        assert said == "locked\n", said
        yield p.stdin.close


@test
def libpq():
    program("with_libpq")
    need("psql")
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
                    "-c", "deadlock_timeout=1h",
                    ready=answers, stop=2):
            where = f"host={top} user=tuck dbname=postgres"
            with locked(where) as unlock:
                crowd("with_libpq", where, lambda: waiting(where), unlock)


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
