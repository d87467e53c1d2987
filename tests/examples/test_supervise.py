# SPDX-License-Identifier: MIT
"""examples/supervise. Usage: test_supervise.py SUPERVISE"""
import contextlib
import os
import re
import signal
import subprocess
import sys

from kit import client, main, test, until

SUPERVISE = sys.argv[1]


class Supervisor:
    def __init__(self, process):
        self.process = process

    def line(self, pattern):
        """The next line that matches; what comes before it is passed over."""
        while True:
            line = self.process.stdout.readline()
            assert line, f"no line like {pattern}"
            found = re.fullmatch(pattern + "\n", line)
            if found:
                return found

    def end(self, signum):
        self.process.send_signal(signum)
        self.line(f"signal {int(signum)}: the end")
        rest = self.process.stdout.read()
        assert self.process.wait() == 0, self.process.returncode
        return rest


@contextlib.contextmanager
def supervisor(*commands):
    p = subprocess.Popen([SUPERVISE, *commands], stdout=subprocess.PIPE,
                         text=True)
    try:
        yield Supervisor(p)
    finally:
        p.kill()
        p.wait()
        p.stdout.close()


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@test
def starts_again_what_ends():
    with supervisor("exit 3", "kill -9 $$") as s:
        for _ in range(2):
            s.line(r"ended \d+: status 3")
        with_kill = s.line(r"started (\d+): (exit 3|kill -9 \$\$)")
        assert with_kill
        s.end(signal.SIGTERM)


@test
def ends_all_in_order():
    for signum in (signal.SIGTERM, signal.SIGINT):
        with supervisor("exec sleep 1000", "exec sleep 1001") as s:
            s.line("supervising")
            pids = [int(s.line(r"started (\d+): .*")[1]) for _ in range(2)]
            rest = s.end(signum)
            for pid in pids:
                assert f"ended {pid}: signal 15\n" in rest, rest
                assert not alive(pid)


@test
def ends_the_children_of_its_children():
    with supervisor("sleep 1000 & echo $!; wait") as s:
        pid = int(s.line(r"(\d+)")[1])
        assert alive(pid)
        s.end(signal.SIGTERM)
        until(lambda: not alive(pid))


@test
def starts_all_anew():
    with supervisor("exec sleep 1000") as s:
        s.line("supervising")
        first = s.line(r"started (\d+): .*")[1]
        s.process.send_signal(signal.SIGHUP)
        s.line(f"ended {first}: signal 15")
        assert s.line(r"started (\d+): .*")[1] != first
        s.end(signal.SIGTERM)


@test
def leaves_no_zombie():
    with supervisor("true", "true", "true") as s:
        for _ in range(9):
            s.line(r"ended \d+: status 0")
        out = subprocess.run(["ps", "--ppid", str(s.process.pid), "-o",
                              "stat="], stdout=subprocess.PIPE, text=True,
                             check=False).stdout
        # One that just ended may be seen before it is waited for.
        assert out.count("Z") <= 3, out
        s.end(signal.SIGTERM)


@test
def wants_a_command():
    client(SUPERVISE, code=2)


main()
