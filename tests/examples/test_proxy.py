# SPDX-License-Identifier: MIT
"""examples/proxy. Usage: test_proxy.py PROXY ECHO [HTTPD]"""
import contextlib
import os
import socket
import sys
import tempfile
import threading
import time

from kit import (Skip, client, load, main, need, receive, receive_all, reset,
                 server, test, until, wrk)

PROXY, ECHO = sys.argv[1:3]
HTTPD = sys.argv[3:]
ANY = "127.0.0.1:0"
REFUSED = r"(127\.0\.0\.1:\d+: Connection refused\n)+"


@contextlib.contextmanager
def proxied_files(files, **env):
    """httpd with files, and a proxy in front of it."""
    if not HTTPD:
        raise Skip("no httpd")
    with tempfile.TemporaryDirectory() as root:
        for name, data in files.items():
            with open(os.path.join(root, name), "wb") as f:
                f.write(data)
        with server(*HTTPD, root, ANY, **env) as h, \
                server(PROXY, ANY, h.at, **env) as p:
            yield p


@contextlib.contextmanager
def listener():
    """Stands in for an upstream server that the test plays itself."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        yield s, "127.0.0.1:%d" % s.getsockname()[1]


@test
def passes_files_to_curl():
    need("curl")
    files = {f"f{n}": os.urandom(n)
             for n in (0, 1, 16384, 16385, load(20 << 20))}
    for env in ({}, {"TUCK_STACK_SLOTS": "3"}, {"TUCK_SEED": "5"}):
        with proxied_files(files, **env) as p:
            for name, data in files.items():
                got = client("curl", "-sSf", f"http://{p.at}/{name}")
                assert got == data, (name, len(got))


@test
def passes_many_files_at_once():
    need("curl", "cmp")
    with tempfile.TemporaryDirectory() as out, \
            proxied_files({"big": os.urandom(load(2 << 20))},
                          TUCK_STACK_SLOTS="5") as p:
        args = []
        for i in range(20):
            args += ["-o", f"{out}/{i}", f"http://{p.at}/big"]
        client("curl", "-sSf", "-Z", "--parallel-immediate", *args)
        for i in range(1, 20):
            client("cmp", f"{out}/0", f"{out}/{i}")
        client("curl", "-sSf", "-o", f"{out}/again", f"http://{p.at}/big")
        client("cmp", f"{out}/0", f"{out}/again")


@test
def carries_the_load_of_wrk():
    with proxied_files({}) as p:
        wrk(load(200), 1, f"http://{p.at}/hello")


@test
def passes_both_directions_at_once_and_half_closes():
    data = os.urandom(load(16 << 20))
    with server(ECHO, ANY) as e, server(PROXY, ANY, e.at) as p, \
            p.connect() as s:
        def send():
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        got = receive_all(s)
        sender.join()
        assert got == data, len(got)


@test
def passes_on_after_the_server_has_ended_its_half():
    with listener() as (up, at), server(PROXY, ANY, at) as p:
        before = p.fds()
        with p.connect() as s:
            u = up.accept()[0]
            u.sendall(b"all that I have")
            u.shutdown(socket.SHUT_WR)
            assert receive_all(s) == b"all that I have"
            for i in range(100):
                s.sendall(b"%03d" % i)
                assert receive(u, 3) == b"%03d" % i
            s.close()
            assert receive_all(u) == b""
            u.close()
            until(lambda: p.fds() <= before)


@test
def ends_the_client_when_the_server_refuses():
    with listener() as (up, at):
        up.close()
        with server(PROXY, ANY, at, says=REFUSED) as p:
            before = p.fds()
            for _ in range(10):
                with p.connect() as s:
                    assert receive_all(s) == b""
            if HTTPD:
                need("curl")
                client("curl", "-sS", f"http://{p.at}/", code=(52, 56))
            until(lambda: p.fds() <= before)


@test
def passes_resets_and_forgets_both_sides():
    with listener() as (up, at), server(PROXY, ANY, at) as p:
        before = p.fds()
        for client_first in (True, False) * load(20):
            s = p.connect()
            u = up.accept()[0]
            s.sendall(b"x" * 1000)
            assert len(receive(u, 1000)) == 1000
            first, other = (s, u) if client_first else (u, s)
            reset(first)
            with contextlib.suppress(ConnectionResetError):
                assert receive_all(other) == b""
            other.close()
        until(lambda: p.fds() <= before)


@test
def waits_for_a_slow_reader_without_hoarding():
    size = load(64 << 20)
    with listener() as (up, at), server(PROXY, ANY, at) as p, \
            p.connect() as s:
        u = up.accept()[0]
        sent = []

        def send():
            u.sendall(bytes(size))
            sent.append(True)
            u.close()
        sender = threading.Thread(target=send)
        sender.start()
        time.sleep(0.3)
        assert p.rss() < 32 << 20 or size < 32 << 20, p.rss()
        assert receive_all(s) == bytes(size)
        sender.join()
        assert sent


@test
def wants_addresses():
    client(PROXY, ANY, "nonsense", code=2)
    client(PROXY, "nonsense", code=1)


main()
