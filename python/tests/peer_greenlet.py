# SPDX-License-Identifier: MIT
"""greenlet's own tests, as Debian ships them, on Tuck; TAP.

Usage: peer_greenlet.py PACKAGE BUILT [TEST...]

PACKAGE is the folder of the installed greenlet; BUILT that of the build, with
tuck/ and dropin/. The tests' two extensions are compiled here against Tuck's
greenlet.h, and where Debian's compiled ones fit, those are used once more.
"""
import glob
import importlib.util
import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
HEADERS = os.path.join(os.path.dirname(HERE), "src")
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
EXTENSIONS = {"_test_extension.c": "cc", "_test_extension_cpp.cpp": "c++"}


def link_all(paths, folder):
    os.makedirs(folder, exist_ok=True)
    for path in paths:
        os.symlink(path, os.path.join(folder, os.path.basename(path)))


def compile_extension(source, compiler, folder):
    name = os.path.basename(source).partition(".")[0] + SUFFIX
    command = shlex.split(os.environ.get("CC" if compiler == "cc" else "CXX",
                                         compiler)) + [
        "-shared", "-fPIC", "-O1", "-w", "-o", os.path.join(folder, name),
        "-I" + sysconfig.get_paths()["include"], "-I" + folder, source]
    subprocess.run(command, check=True)


def lay_out(package, built, top, compiled):
    """A package greenlet in top: Tuck's modules and the package's tests."""
    inside = os.path.join(top, "greenlet")
    tests = os.path.join(inside, "tests")
    link_all(glob.glob(os.path.join(built, "dropin/greenlet/*.py")), inside)
    link_all([os.path.join(HEADERS, "greenlet.h"),
              os.path.join(package, "greenlet_compiler_compat.hpp")], inside)
    link_all(glob.glob(os.path.join(package, "tests", "*.py")), tests)
    for source, compiler in EXTENSIONS.items():
        path = os.path.join(package, "tests", source)
        name = source.partition(".")[0] + SUFFIX
        if compiled:
            link_all([os.path.join(package, "tests", name)], tests)
        else:
            # A copy: it asks for the header next to the tests.
            with open(path) as f, \
                    open(os.path.join(tests, source), "w") as copy:
                copy.write(f.read())
            compile_extension(os.path.join(tests, source), compiler, tests)
    link_all([os.path.join(os.path.dirname(package), "objgraph.py")], top)
    if not importlib.util.find_spec("psutil"):
        link_all([os.path.join(HERE, "stand_in", "psutil.py")], top)


def run(package, built, names, compiled):
    with tempfile.TemporaryDirectory() as top:
        lay_out(package, built, top, compiled)
        env = dict(os.environ, PYTHONPATH=os.pathsep.join([top, built]))
        known = os.path.join(HERE, "greenlet-known.txt")
        return subprocess.run(
            [sys.executable, os.path.join(HERE, "tap.py"), "--known", known,
             *("greenlet.tests." + name for name in names)], env=env,
            timeout=1200).returncode


def main():
    package, built, *names = sys.argv[1:]
    fits = os.path.exists(os.path.join(package, "tests",
                                       "_test_extension" + SUFFIX))
    compiled = names[:1] == ["--compiled"]
    if compiled:
        names = ["test_cpp", "test_extension_interface"]
        if not fits:
            print("1..1\nok 1 - compiled # SKIP for another Python")
            return 0
    if not names:
        paths = glob.glob(os.path.join(package, "tests", "test_*.py"))
        names = sorted(os.path.basename(path)[:-3] for path in paths)
    return run(package, os.path.abspath(built), names, compiled)


sys.exit(main())
