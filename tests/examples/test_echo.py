# SPDX-License-Identifier: MIT
"""examples/echo. Usage: test_echo.py ECHO"""
import os
import resource
import socket
import sys
import threading
import time

from kit import (SCALE, Skip, client, load, main, receive, receive_all, reset,
                 server, test, until)

ECHO = sys.argv[1]
ANY = "127.0.0.1:0"


def says_and_hears(s, data):
    """Send data while its echo is received, then end one's half."""
    def send():
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    sender = threading.Thread(target=send)
    sender.start()
    heard = receive_all(s)
    sender.join()
    assert heard == data, (len(heard), len(data))


@test
def sends_back_what_it_is_sent():
    with server(ECHO, ANY) as e, e.connect() as s:
        says_and_hears(s, os.urandom(load(8 << 20)))


@test
def echoes_to_a_thousand_at_once():
    n = load(1000)
    for env in ({}, {"TUCK_STACK_SLOTS": "8"}, {"TUCK_SEED": "1"}):
        with server(ECHO, ANY, **env) as e:
            sockets = [e.connect() for _ in range(n)]
            for turn in range(3):
                for i, s in enumerate(sockets):
                    s.sendall(b"%d/%d " % (i, turn) * (i % 50 + 1))
                for i, s in enumerate(sockets):
                    want = b"%d/%d " % (i, turn) * (i % 50 + 1)
                    assert receive(s, len(want)) == want
            for s in sockets:
                s.close()


@test
def keeps_no_buffer_for_who_is_silent():
    if SCALE > 1:
        raise Skip("memory is counted in the plain build")
    with server(ECHO, ANY, TUCK_STACK_SLOTS="8") as e:
        sockets, at = [], {}
        for i in range(1, 1001):
            sockets.append(e.connect())
            sockets[-1].sendall(b"x" * 10000)
            assert len(receive(sockets[-1], 10000)) == 10000
            at[i] = e.rss()
        each = (at[1000] - at[100]) / 900
        print("# bytes an idle connection:", round(each), file=sys.stderr)
        assert each < 2000, each
        for s in sockets:
            s.close()


@test
def lasts_when_descriptors_run_out():
    with server(ECHO, ANY) as e:
        room = 40
        resource.prlimit(e.pid, resource.RLIMIT_NOFILE, (room, room))
        sockets = [e.connect() for _ in range(2 * room)]
        for s in sockets:
            s.sendall(b"x")
        until(lambda: e.fds() == room)
        began, cpu = time.monotonic(), e.cpu_s()
        time.sleep(0.5)
        busy = (e.cpu_s() - cpu) / (time.monotonic() - began)
        assert busy < 0.3, busy
        for s in sockets:           # each that is closed makes room for one
            assert receive(s, 1) == b"x"
            s.close()


@test
def lasts_when_clients_vanish():
    with server(ECHO, ANY) as e:
        before = e.fds()
        for _ in range(load(100)):
            s = e.connect()
            s.sendall(b"x" * 100000)
            reset(s)
        with e.connect() as s:
            says_and_hears(s, b"still here")
        until(lambda: e.fds() <= before)


@test
def says_why_it_cannot_listen():
    client(ECHO, "nonsense", code=1)
    with server(ECHO, ANY) as e:
        client(ECHO, e.at, code=1)


main()
