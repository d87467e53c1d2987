# SPDX-License-Identifier: MIT
"""Builds sdist and wheel, installs it into a venv without a network; and what
`make python` makes. TAP.

Usage: wheel.py ROOT

Skipped where python3-build, meson-python, pip or git is missing, of whose
commits Meson makes an sdist.
"""
import glob
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

PROGRAM = """
import tuck.dropin
tuck.dropin.install()
import greenlet, tuck._greenlet
assert greenlet.greenlet is tuck._greenlet.greenlet
assert greenlet.greenlet(lambda: 5).switch() == 5
import tuck.inspect
assert greenlet.getcurrent() in tuck.inspect.greenlets()
"""


def missing():
    for module in "build", "mesonpy", "venv", "ensurepip":
        if not importlib.util.find_spec(module):
            return f"no module {module}"
    return None if shutil.which("git") else "no git"


def copy(root, folder):
    """A repository with what is in root, whoever that belongs to."""
    shutil.copytree(root, folder, symlinks=True,
                    ignore=lambda path, names: {"build", ".git"} & set(names)
                    if path == root else {"__pycache__"})
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-C", folder]
    call(*git, "init", "--quiet")
    call(*git, "add", "--all")
    call(*git, "commit", "--quiet", "--message=all", "--no-verify",
         "--no-gpg-sign")


def call(*command, **more):
    r = subprocess.run(command, stdout=subprocess.PIPE, text=True,
                       stderr=subprocess.STDOUT, **more)
    if r.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{r.stdout}")
    return r.stdout


def build(kind, source, out):
    """With the tools that are installed: nothing is fetched."""
    call(sys.executable, "-m", "build", "--no-isolation",
         "--skip-dependency-check", "--" + kind, "--outdir", out, source)
    return glob.glob(os.path.join(out, "*.whl" if kind == "wheel"
                                  else "*.tar.gz"))[0]


def try_wheel(wheel, folder):
    venv = os.path.join(folder, "venv")
    call(sys.executable, "-m", "venv", venv)
    python = os.path.join(venv, "bin", "python")
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("PYTHONPATH", "PIP_"))}
    pip = [python, "-m", "pip", "--isolated", "--disable-pip-version-check"]
    call(*pip, "install", "--no-index", wheel, env=env, cwd=folder)
    call(python, "-c", PROGRAM, env=env, cwd=folder)
    path = call(python, "-m", "tuck.dropin", env=env, cwd=folder).strip()
    call(python, "-c", PROGRAM, env=dict(env, PYTHONPATH=path), cwd=folder)
    call(*pip, "uninstall", "--yes", "tuck", env=env, cwd=folder)
    if os.path.exists(path):
        raise RuntimeError(f"pip has left {path}")


def try_make(source):
    """It says what to put on the path; in place of a Python there is none."""
    env = {k: v for k, v in os.environ.items()
           if k != "PYTHONPATH" and not k.startswith(("MAKE", "NINJA"))}
    make = ["make", "--no-print-directory", "-C", source, "python"]
    said = call(*make, "PYTHON=" + sys.executable, env=env)
    paths = re.findall(r"^ *export PYTHONPATH=(\S+) +#", said, re.M)
    if len(paths) != 2:
        raise RuntimeError(said)
    for path, program in zip(paths, ("import tuck.greenlet", PROGRAM)):
        call(sys.executable, "-c", program, env=dict(env, PYTHONPATH=path))
    r = subprocess.run([*make, "PYTHON=no-such-python"], env=env, text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if r.returncode == 0 or "there is no no-such-python" not in r.stdout:
        raise RuntimeError(r.stdout)


def main():
    root = os.path.abspath(sys.argv[1])
    why = missing()
    print("1..4")
    if why:
        for n in range(1, 5):
            print(f"ok {n} - wheel # SKIP {why}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        # A build writes to its sources' folder.
        source = os.path.join(folder, "source")
        copy(root, source)
        sdist = build("sdist", source, os.path.join(folder, "sdist"))
        print("ok 1 - an sdist", flush=True)
        with tarfile.open(sdist) as t:
            t.extractall(os.path.join(folder, "from"))
        source, = glob.glob(os.path.join(folder, "from", "*"))
        wheel = build("wheel", source, os.path.join(folder, "wheel"))
        with zipfile.ZipFile(wheel) as z:
            names = z.namelist()
        strange = [n for n in names if not n.startswith(("tuck/", "tuck-"))]
        if strange or not any(n.endswith(".so") for n in names):
            raise RuntimeError(f"in the wheel: {names}")
        print("ok 2 - a wheel of it, with the package only", flush=True)
        try_wheel(wheel, folder)
        print("ok 3 - pip installs it in a fresh environment, where it works", flush=True)
        try_make(source)
        print("ok 4 - make python", flush=True)
    return 0


sys.exit(main())
