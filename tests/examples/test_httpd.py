# SPDX-License-Identifier: MIT
"""examples/httpd. Usage: test_httpd.py HTTPD"""
import contextlib
import os
import re
import resource
import socket
import sys
import tempfile
import time

from kit import (SCALE, client, load, main, need, receive, receive_all, reset,
                 server, test, until, wrk)

if len(sys.argv) < 2:
    print("1..0 # SKIP built without llhttp (package node-llhttp)")
    sys.exit()
HTTPD = sys.argv[1]
ANY = "127.0.0.1:0"
FILES = {
    "a.html": b"<p>a</p>\n",
    "b.txt": b"b\n",
    "c.css": b"c {}\n",
    "d.js": b"d();\n",
    "e.png": b"\x89PNG\r\n\x1a\n\0",
    "f g.bin": bytes(range(256)),
    "empty": b"",
    "index.html": b"<p>index</p>\n",
    "sub/x.txt": b"x\n",
    "large": os.urandom(load(8 << 20)),
}
TYPES = {"a.html": "text/html", "b.txt": "text/plain", "c.css": "text/css",
         "d.js": "text/javascript", "e.png": "image/png",
         "f g.bin": "application/octet-stream", "": "text/html"}
SECRET = b"nobody must read this\n"
HELLO = b"Hello, world!\n"


@contextlib.contextmanager
def httpd(*args, **env):
    """The server, with FILES below its root and SECRET beside it."""
    with tempfile.TemporaryDirectory() as top:
        root = os.path.join(top, "root")
        os.makedirs(os.path.join(root, "sub"))
        for name, data in FILES.items():
            with open(os.path.join(root, name), "wb") as f:
                f.write(data)
        with open(os.path.join(top, "secret"), "wb") as f:
            f.write(SECRET)
        os.mkfifo(os.path.join(root, "pipe"))
        with server(HTTPD, root, ANY, *args, **env) as h:
            h.url = f"http://{h.at}/"
            h.secret = os.path.join(top, "secret")
            yield h


def curl(*args):
    need("curl")
    return client("curl", "-sS", *args)


def status(*args):
    return curl("-o", "/dev/null", "-w", "%{http_code}", *args).decode()


def answers(data):
    """The (status, head, body) of a stream of answers."""
    at = 0
    while at < len(data):
        end = data.index(b"\r\n\r\n", at) + 4
        head = data[at:end].decode()
        at = end + int(re.search(r"Content-Length: (\d+)", head)[1])
        yield int(head.split()[1]), head, data[end:at]


def talk(h, data):
    """All that comes for some bytes."""
    with h.connect() as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        return list(answers(receive_all(s)))


@test
def answers_hello():
    with httpd() as h:
        out = curl("-i", h.url + "hello").decode()
        assert out.startswith("HTTP/1.1 200 OK\r\n"), out
        assert "Content-Type: text/plain\r\n" in out, out
        assert out.endswith("\r\n\r\n" + HELLO.decode()), out


@test
def a_slow_answer_holds_up_nobody():
    with httpd() as h, h.connect() as s:
        s.sendall(b"GET /slow/10000 HTTP/1.1\r\nHost: h\r\n\r\n")
        for path in ("hello", "slow/1", "slow/0", "slow/x"):
            assert curl(h.url + path) == HELLO, path
        s.setblocking(False)
        try:
            raise AssertionError(s.recv(1))
        except BlockingIOError:
            pass


@test
def sends_files_with_their_types():
    for env in ({}, {"TUCK_STACK_SLOTS": "1"}):
        with httpd(**env) as h:
            for name, data in FILES.items():
                url = h.url + name.replace(" ", "%20")
                assert curl(url) == data, name
            for name, kind in TYPES.items():
                url = h.url + name.replace(" ", "%20")
                got = curl("-o", "/dev/null", "-w", "%{content_type}", url)
                assert got.decode() == kind, (name, got)


@test
def answers_head_with_a_head():
    with httpd() as h:
        for name in ("hello", "large", "empty"):
            head = curl("-I", h.url + name).decode()
            body = curl(h.url + name)
            assert f"Content-Length: {len(body)}\r\n" in head, head
        got = list(answers_to_heads(h))
        assert got == [200, 404], got


def answers_to_heads(h):
    with h.connect() as s:
        s.sendall(b"HEAD /large HTTP/1.1\r\nHost: h\r\n\r\n"
                  b"HEAD /none HTTP/1.1\r\nHost: h\r\nConnection: close"
                  b"\r\n\r\n")
        for head in receive_all(s).split(b"\r\n\r\n")[:-1]:
            yield int(head.split()[1])


@test
def keeps_connections():
    with httpd() as h:
        out = curl("-o", "/dev/null", "-o", "/dev/null", "-o", "/dev/null",
                   "-w", "%{num_connects} ", h.url + "hello",
                   h.url + "b.txt", h.url + "none").decode()
        assert out == "1 0 0 ", out
        out = curl("--http1.0", "-i", h.url + "hello").decode()
        assert "Connection: close\r\n" in out, out
        out = curl("-i", "-H", "Connection: close", h.url + "hello").decode()
        assert "Connection: close\r\n" in out, out
        out = curl("-i", "--http2", h.url + "hello")     # asks to upgrade
        assert out.endswith(HELLO), out


@test
def refuses_what_is_not_there_or_not_allowed():
    with httpd() as h:
        assert status(h.url + "none") == "404"
        assert status(h.url + "sub") == "404"
        assert status(h.url + "pipe") == "404"
        assert status(h.url + "b.txt/") == "404"
        assert status(h.url + "x" * 2000) == "414"
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            out = curl("-i", "-X", method, h.url + "hello").decode()
            assert out.startswith("HTTP/1.1 405 "), out
            assert "Allow: GET, HEAD\r\n" in out, out
        assert status("-d", "@" + h.secret, h.url + "hello") == "405"
        assert status("-X", "GET", "-d", "x", h.url + "hello") == "413"
        assert status("-X", "GET", "-H", "Transfer-Encoding: chunked",
                      "-d", "x", h.url + "hello") == "413"
        assert status("-H", "X: " + "x" * 20000, h.url + "hello") == "431"
        assert status("-x", h.url, "http://elsewhere/hello") == "200"


@test
def stays_below_its_root():
    with httpd() as h:
        assert curl("file://" + h.secret) == SECRET
        for path in ("../secret", "%2e%2e/secret", "..%2fsecret",
                     "%2e%2e%2fsecret", "sub/../../secret", "./../secret",
                     "/../secret", "sub/%2e./%2E%2e/secret"):
            got = status("--path-as-is", h.url + path)
            assert got == "400", (path, got)
        for path in (h.secret, "/" + h.secret, "%2f" + h.secret):
            got = status("--path-as-is", h.url + path)
            assert got == "404", (path, got)
        for path in ("%00", "b.txt%00", "%", "%4", "%zz", "%+1", "?/../x"):
            got = status("--path-as-is", h.url + path)
            want = "200" if path[0] == "?" else "400"
            assert got == want, (path, got)


@test
def refuses_what_is_not_http():
    bad = [b"BOGUS\r\n\r\n", b"\0\1\2\3", b"GET\r\n\r\n",
           b"GET /hello HTTP/9x\r\n\r\n",
           b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
           b"GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"]
    with httpd() as h:
        for data in bad:
            (code, head, _), = talk(h, data)
            assert code == 400, (data, head)
            assert "Connection: close" in head, head
        assert talk(h, b"") == []
        assert talk(h, b"GET /hello HT") == []
        assert talk(h, b"\r\nGET /hello HTTP/1.1\r\n\r\n")[0][2] == HELLO


@test
def answers_pipelined_requests_in_order():
    names = ["hello", "b.txt", "none", "c.css"] * 300 + ["large"]
    ask = b"".join(b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n" % n.encode()
                   for n in names)
    with httpd() as h, h.connect() as s:
        s.sendall(ask)
        s.shutdown(socket.SHUT_WR)
        got = list(answers(receive_all(s)))
        assert len(got) == len(names), len(got)
        for name, (code, _, body) in zip(names, got):
            want = {"hello": HELLO, "none": b"404 Not Found"}.get(name)
            assert body == (want or FILES[name]), name
            assert code == (404 if name == "none" else 200), name


@test
def reads_a_request_byte_by_byte():
    ask = b"GET /f%20g.bin?q HTTP/1.1\r\nHost: h\r\n\r\n" * 2
    with httpd() as h, h.connect() as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(ask)):
            s.sendall(ask[i:i + 1])
            time.sleep(0.001)
        s.shutdown(socket.SHUT_WR)
        got = list(answers(receive_all(s)))
        assert [g[2] for g in got] == [FILES["f g.bin"]] * 2, got


def trickle(s):
    """Send a request so slowly that it never ends; what comes for it."""
    s.settimeout(0.1)
    s.sendall(b"GET / HTTP/1.1\r\nX: ")
    got = b""
    with contextlib.suppress(ConnectionError):  # a byte that came too late
        while True:
            try:
                part = s.recv(1 << 16)
                if not part:
                    break
                got += part
            except TimeoutError:
                s.sendall(b"x")
    return got


@test
def gives_up_on_idle_and_slow_clients():
    with httpd("1") as h:
        with h.connect() as idle, h.connect() as slow, h.connect() as late:
            began = time.monotonic()
            late.sendall(b"GET /hello HTTP/1.1\r\n\r\nGET /")
            assert [a[0] for a in answers(trickle(slow))] == [408]
            assert receive_all(idle) == b""
            assert [a[0] for a in answers(receive_all(late))] == [200, 408]
            assert time.monotonic() - began > 0.9


@test
def forgets_clients_that_vanish():
    with httpd("2") as h:
        before = h.fds()
        for i in range(load(50)):
            s = h.connect()
            s.sendall(b"GET /large HTTP/1.1\r\n\r\n")
            receive(s, 1000 * (i % 3))
            reset(s)
        until(lambda: h.fds() <= before)


@test
def says_when_descriptors_run_out():
    with httpd() as h, h.connect() as s:
        s.sendall(b"GET /hello HTTP/1.1\r\n\r\n")
        until(lambda: HELLO in s.recv(1000))
        resource.prlimit(h.pid, resource.RLIMIT_NOFILE, (h.fds(), h.fds()))
        s.sendall(b"GET /b.txt HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert b"HTTP/1.1 503 " in receive_all(s)


@test
def carries_the_load_of_wrk():
    for env in ({}, {"TUCK_STACK_SLOTS": "16"}):
        with httpd(**env) as h:
            wrk(load(1000), 2 if not env else 1, h.url + "hello")
            wrk(load(200), 1, h.url + "f%20g.bin")


@test
def wants_a_root():
    client(HTTPD, code=2)
    client(HTTPD, "nowhere/at/all", ANY, code=1)
    client(HTTPD, ".", "nonsense", code=1)
    client(HTTPD, ".", ANY, "0", code=2)


main()
