# SPDX-License-Identifier: MIT
"""examples/kv. Usage: test_kv.py KV"""
import os
import re
import socket
import sys
import time

from kit import (load, main, need, receive, receive_all, reset, server, test,
                 text, until)

KV = sys.argv[1]
ANY = "127.0.0.1:0"
BYTES_MAX = 30000


def cli(k, *args, **more):
    need("redis-cli")
    return text("redis-cli", "-p", k.port, "--no-raw", *args,
                **more).rstrip("\n")


def request(*args):
    args = [a if isinstance(a, bytes) else str(a).encode() for a in args]
    return b"*%d\r\n" % len(args) + b"".join(
        b"$%d\r\n%b\r\n" % (len(a), a) for a in args)


def talk(k, data):
    """All that comes for some bytes."""
    with k.connect() as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        return receive_all(s)


def benchmark(k, connections, n, tests, *args):
    """Check that all went well, and say how fast."""
    need("redis-benchmark")
    out = text("redis-benchmark", "-p", k.port, "-q", "-c", connections,
               "-n", n, "-t", tests, *args)
    lines = [line.strip() for line in re.split("[\r\n]", out)]
    lines = [line for line in lines if line and "overall" not in line]
    for line in lines:
        assert re.match(r"\w+: [\d.]+ requests per second", line), line
        print("# -c", connections, *args, line, file=sys.stderr)
    assert len(lines) == len(tests.split(",")) + ("ping" in tests), out


@test
def answers_redis_cli():
    with server(KV, ANY) as k:
        for words, want in [
                ("ping", "PONG"), ("PING hello", '"hello"'),
                ("echo x", '"x"'), ("get a", "(nil)"), ("set a 41", "OK"),
                ("incr a", "(integer) 42"), ("get a", '"42"'),
                ("incr new", "(integer) 1"), ("SeT b text", "OK"),
                ("mget a none b",
                 '1) "42"\n2) (nil)\n3) "text"'),
                ("set b other", "OK"), ("get b", '"other"'),
                ("del a none b", "(integer) 2"), ("del a", "(integer) 0"),
                ("get a", "(nil)"), ("command", "(empty array)"),
                ("config get save", '1) ""\n2) ""')]:
            got = cli(k, *words.split())
            assert got == want, (words, got)


@test
def says_what_is_wrong_as_redis_does():
    number = "(error) ERR value is not an integer or out of range"
    with server(KV, ANY) as k:
        cli(k, "set", "text", "x")
        cli(k, "set", "max", 2**63 - 1)
        cli(k, "set", "spaced", " 1")
        for words, want in [
                ("get", "(error) ERR wrong number of arguments for 'get' "
                 "command"),
                ("set a", "(error) ERR wrong number of arguments for 'set' "
                 "command"),
                ("incr text", number), ("incr max", number),
                ("incr spaced", number), ("expire text soon", number),
                ("expire text 1e3", number)]:
            assert cli(k, *words.split()) == want, words
        assert cli(k, "what", "x").startswith(
            "(error) ERR unknown command 'what'")
        assert cli(k, "wh\r\nat").startswith("(error) ERR unknown command")
        assert cli(k, "ping") == "PONG"


@test
def expires_keys():
    with server(KV, ANY) as k:
        for key in "abcd":
            cli(k, "set", key, "1")
        assert cli(k, "ttl", "a") == "(integer) -1"
        assert cli(k, "ttl", "none") == "(integer) -2"
        assert cli(k, "expire", "none", "1") == "(integer) 0"
        assert cli(k, "expire", "a", "1") == "(integer) 1"
        assert cli(k, "expire", "b", "1000") == "(integer) 1"
        assert cli(k, "expire", "c", "-1") == "(integer) 1"
        assert cli(k, "expire", "d", "1") == "(integer) 1"
        assert cli(k, "set", "d", "2") == "OK"      # which lasts
        assert cli(k, "get", "c") == "(nil)"
        assert re.fullmatch(r"\(integer\) (1000|9\d\d)", cli(k, "ttl", "b"))
        cli(k, "incr", "b")
        assert re.fullmatch(r"\(integer\) (1000|9\d\d)", cli(k, "ttl", "b"))
        until(lambda: cli(k, "get", "a") == "(nil)")
        assert cli(k, "mget", "a", "b", "c", "d") == \
            '1) (nil)\n2) "2"\n3) (nil)\n4) "2"'
        assert cli(k, "del", "a") == "(integer) 0"


@test
def answers_many_requests_with_one_write():
    n = 1000
    with server(KV, ANY) as k, k.connect() as s:
        s.sendall(request("ping"))
        assert s.recv(100) == b"+PONG\r\n"
        s.sendall(request("ping") * n)              # one segment of loopback
        assert len(s.recv(1 << 16)) == 7 * n
        s.sendall(b"PING\r\n" * n + request("incr", "x"))
        want = b"+PONG\r\n" * n + b":1\r\n"
        assert receive(s, len(want)) == want


@test
def takes_in_many_keys_from_redis_cli():
    need("redis-cli")
    n = load(20000)
    data = b"".join(request("SET", f"key:{i}", i * i) for i in range(n))
    with server(KV, ANY) as k:
        out = text("redis-cli", "-p", k.port, "--pipe", stdin=data)
        assert f"errors: 0, replies: {n}" in out, out
        for i in (0, 1, n // 2, n - 1):
            assert cli(k, "get", f"key:{i}") == f'"{i * i}"'


@test
def keeps_any_bytes():
    value = bytes(range(256)) * 100
    with server(KV, ANY) as k:
        got = talk(k, request("SET", b"a\0b\r\n", value) +
                   request("SET", b"a\0c", b"") +
                   request("MGET", b"a\0b\r\n", b"a", b"a\0c") +
                   request("ECHO", os.urandom(0)))
        assert got == b"+OK\r\n+OK\r\n*3\r\n$%d\r\n%b\r\n$-1\r\n$0\r\n\r\n" \
            b"$0\r\n\r\n" % (len(value), value)
        big = os.urandom(BYTES_MAX)
        got = talk(k, (request("SET", "k", big) + request("GET", "k")) * 50)
        assert got == b"+OK\r\n$%d\r\n%b\r\n" % (BYTES_MAX, big) * 50


@test
def reads_requests_byte_by_byte():
    data = request("SET", "key", "some\r\nvalue") + b"get  key\n\r\n*0\r\n" + \
        b"*-1\r\n" + request("GET", "key")
    with server(KV, ANY, TUCK_STACK_SLOTS="1") as k, k.connect() as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(data)):
            s.sendall(data[i:i + 1])
            time.sleep(0.001)
        s.shutdown(socket.SHUT_WR)
        assert receive_all(s) == b"+OK\r\n" + b"$11\r\nsome\r\nvalue\r\n" * 2


@test
def ends_with_an_error_on_what_is_no_request():
    bad = [(b"*1000000\r\n", b"invalid multibulk length"),
           (b"*x\r\n", b"invalid multibulk length"),
           (b"*1\r\n!3\r\n", b"expected '$'"),
           (b"*1\r\n\r\n", b"expected '$'"),
           (b"*1\r\n$-5\r\n", b"invalid bulk length"),
           (b"*1\r\n$\r\n", b"invalid bulk length"),
           (b"*1\r\n$%d\r\n" % (BYTES_MAX + 1), b"invalid bulk length"),
           (request("DEL", *[b"x" * BYTES_MAX] * 3), b"too big request"),
           (request("DEL", *"x" * 64), b"invalid multibulk length"),
           (b"x" * 70000, b"too big inline request"),
           (b"x " * 100 + b"\n", b"too big inline request")]
    with server(KV, ANY) as k:
        for data, why in bad:
            with k.connect() as s:      # which the server ends
                s.sendall(request("PING") + data)
                got = receive(s, 7)
                assert got == b"+PONG\r\n", got
                got = b""
                try:
                    while part := s.recv(1000):
                        got += part
                except ConnectionResetError:
                    pass                # there was more to read
                assert got == b"-ERR Protocol error: %b\r\n" % why, (data, got)
        for part in (b"", b"PIN", b"*1\r\n$4\r\nPI", b"*2\r\n$4\r\nPING\r\n"):
            assert talk(k, part) == b""
        assert talk(k, b"PING\n") == b"+PONG\r\n"


@test
def lasts_when_clients_vanish():
    with server(KV, ANY) as k:
        before = k.fds()
        talk(k, request("SET", "k", b"x" * BYTES_MAX))
        for i in range(load(50)):
            s = k.connect()
            s.sendall(request("GET", "k") * 200)
            receive(s, 1000 * (i % 3))
            reset(s)
        until(lambda: k.fds() <= before)
        assert talk(k, b"PING\n") == b"+PONG\r\n"


@test
def serves_a_thousand_connections():
    n = load(400) * 400
    with server(KV, ANY) as k:
        benchmark(k, load(1000), n, "ping,set,get,incr", "-P", "16")
        got = cli(k, "get", "counter:__rand_int__")
        assert got == f'"{n}"', got     # not one was lost or done twice


@test
def serves_them_from_a_few_stacks():
    n = load(100) * 400
    with server(KV, ANY, TUCK_STACK_SLOTS="16", TUCK_SEED="3") as k:
        benchmark(k, load(200), n, "set,get,incr", "-P", "8", "-d", "1000",
                  "-r", "10000")
        benchmark(k, load(1000), n, "incr", "-P", "1")
        assert cli(k, "get", "counter:__rand_int__") == f'"{n}"'


main()
