# SPDX-License-Identifier: MIT
"""TLS against others: examples/https and examples/fetch, with curl, OpenSSL's
s_client and s_server, and wrk. Usage: test_https.py HTTPS FETCH"""
import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile

from kit import (load, main, need, receive_all, reset, server, test, text,
                 until, wrk)

HTTPS, FETCH = sys.argv[1:]
ANY = "127.0.0.1:0"
NOISE = r"(https: .*\n)*"


def openssl(*args, **more):
    need("openssl")
    return text("openssl", *args, **more)


class Certs:
    """A root and what it has signed, made once."""
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = self.path("root.pem")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", "/CN=root", "-keyout", self.path("root.key"),
                "-out", self.root)
        self.make("good", "DNS:localhost,IP:127.0.0.1")

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def make(self, name, names):
        key, csr, pem, ext = (self.path(name + e)
                              for e in (".key", ".csr", ".pem", ".ext"))
        with open(ext, "w", encoding="ascii") as f:
            f.write("subjectAltName=" + names)
        openssl("req", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name,
                "-keyout", key, "-out", csr)
        openssl("x509", "-req", "-in", csr, "-CA", self.root, "-CAkey",
                self.path("root.key"), "-days", "2", "-extfile", ext,
                "-out", pem)

    def of(self, name):
        return self.path(name + ".pem"), self.path(name + ".key")


certs = None


def https(**more):
    global certs
    certs = certs or Certs()
    return server(HTTPS, *certs.of("good"), ANY, says=NOISE, **more)


def curl(s, *args, host="localhost", code=0):
    need("curl")
    return text("curl", "-sS", "--cacert", certs.root, "--resolve",
                f"{host}:{s.port}:127.0.0.1", *args,
                f"https://{host}:{s.port}/", code=code)


@test
def curl_is_answered():
    with https() as s:
        for version in ("1.2", "1.3"):
            out = curl(s, "--tls-max", version)
            assert out.startswith(f"TLSv{version} "), out
            assert "for localhost" in out, out
        out = curl(s, "-w", "%{http_code}", "-o", "-", "--http1.1")
        assert out.endswith("200"), out
        curl(s, host="elsewhere.test", code=60)
        curl(s, "--tls-max", "1.1", code=35)


@test
def s_client_is_answered():
    with https() as s:
        for version in ("-tls1_2", "-tls1_3"):
            out = talk_s_client(s, version)
            assert "Verify return code: 0 (ok)" in out, out
            assert "ALPN protocol: http/1.1" in out, out
            assert "200 OK" in out, out


ASK = (b"GET / HTTP/1.1\r\n\r\n", b" for ")


def talk_s_client(s, *args, talk=(ASK,)):
    """What s_client writes: each time it is told something, up to a word."""
    need("openssl")
    p = subprocess.Popen(
        ["openssl", "s_client", "-connect", s.at, "-servername", "localhost",
         "-verify_hostname", "localhost", "-CAfile", certs.root,
         "-verify_return_error", "-alpn", "h2,http/1.1", *args],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    out = b""
    try:
        for say, till in talk:
            p.stdin.write(say)
            p.stdin.flush()
            more = b"x"
            while till not in out and more:
                more = os.read(p.stdout.fileno(), 65536)
                out += more
        p.kill()
        out += p.stdout.read()
    finally:
        p.kill()
        p.wait()
        p.stdin.close()
        p.stdout.close()
    return out.decode(errors="replace")


@test
def s_client_resumes_its_session():
    with https() as s:
        for version in ("-tls1_2", "-tls1_3"):
            kept = certs.path("session")
            talk_s_client(s, version, "-sess_out", kept)
            out = talk_s_client(s, version, "-sess_in", kept)
            assert "Reused, TLSv1" in out, out
            assert ", resumed" in out, out


@test
def s_client_changes_its_keys_and_may_not_renegotiate():
    with https() as s:
        # K: new keys, for both ways. R: begin anew.
        out = talk_s_client(s, "-tls1_3", talk=((b"K\n", b"KEYUPDATE"), ASK))
        assert "200 OK" in out, out
        out = talk_s_client(s, "-tls1_2",
                            talk=((b"R\n", b"no renegotiation"),))
        assert "no renegotiation" in out, out
        assert "for localhost" in curl(s)


@test
def no_shared_protocol_is_told():
    with https() as s:
        need("openssl")
        out = text("sh", "-c",
                   f"openssl s_client -connect {s.at} -alpn h2 2>&1", code=1)
        assert "alert no application protocol" in out, out


@test
def load_is_borne():
    with https() as s:
        rate = wrk(load(500), 2, f"https://{s.at}/")
        assert rate > 0
        assert "for localhost" in curl(s)


@test
def garbage_and_silence_are_borne():
    with https() as s:
        before = s.fds()
        for data in (b"GET / HTTP/1.0\r\n\r\n", os.urandom(5000), b"\x16\3\1"):
            with s.connect() as c:
                c.sendall(data)
                c.shutdown(socket.SHUT_WR)
                receive_all(c)
        for _ in range(load(50)):
            c = s.connect()
            c.sendall(b"\x16\3\1\2\0\1")
            reset(c)
        assert "for localhost" in curl(s)
        until(lambda: s.fds() <= before)


@contextlib.contextmanager
def s_server(*args, cert="good"):
    """OpenSSL's own server, with that certificate; its port."""
    global certs
    need("openssl")
    certs = certs or Certs()
    pem, key = certs.of(cert)
    p = subprocess.Popen(
        ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", pem,
         "-key", key, "-www", *args],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        while True:
            line = p.stdout.readline().decode()
            found = re.match(r"ACCEPT .*:(\d+)$", line.strip())
            if found or not line:
                break
        assert found, line
        yield f"127.0.0.1:{found[1]}"
    finally:
        p.kill()
        p.wait()
        p.stdout.close()


def fetch(at, *args, code=0):
    """The page, and what was said of it."""
    done = subprocess.run([FETCH, at, *args], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    said = done.stderr.decode()
    assert done.returncode == code, (done.returncode, said)
    return done.stdout.decode(errors="replace"), said


@test
def s_server_is_fetched_from():
    for version in ("1_2", "1_3"):
        with s_server("-tls" + version, "-alpn", "http/1.0") as at:
            page, said = fetch(at, "localhost", "/", certs.root, "3")
            assert "HTTP/1.0 200" in page, page
            assert said.count(" http/1.0") == 3, said
            assert said.count("TLSv" + version.replace("_", ".")) == 3, said
            assert said.count("resumed") == 2, said
            fetch(at, "127.0.0.1", "/", certs.root)
            _, said = fetch(at, "elsewhere", "/", certs.root, code=1)
            assert "ostname mismatch" in said, said
            _, said = fetch(at, "localhost", "/", code=1)
            assert "self-signed certificate" in said or "issuer" in said, said


@test
def s_server_is_told_the_name():
    global certs
    certs = certs or Certs()
    certs.make("other", "DNS:other.test")
    pem, key = certs.of("good")
    with s_server("-servername", "localhost", "-cert2", pem, "-key2", key,
                  cert="other") as at:
        page, _ = fetch(at, "localhost", "/", certs.root)
        assert "HTTP/1.0 200" in page, page
        _, said = fetch(at, "127.0.0.1", "/", certs.root, code=1)
        assert "IP address mismatch" in said, said


main()
