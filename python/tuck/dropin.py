# SPDX-License-Identifier: MIT
"""Have `import greenlet` find Tuck's.

In a program, before anything imports greenlet:

    import tuck.dropin
    tuck.dropin.install()

Or for a program that nobody changes:

    PYTHONPATH=$(python3 -m tuck.dropin) python3 program.py
"""
import os
import sys


def path():
    """The folder to put first on the path."""
    here = os.path.dirname(os.path.abspath(__file__))
    for folder in (os.path.join(here, "dropin.path"),
                   os.path.join(os.path.dirname(here), "dropin")):
        if os.path.isdir(os.path.join(folder, "greenlet")):
            return folder
    raise ImportError("the folder of the drop-ins is not installed")


def install():
    """Put it first on the path; ImportError if it is too late."""
    found = sys.modules.get("greenlet")
    if found and not found.__file__.startswith(path() + os.sep):
        raise ImportError("another greenlet is imported already: "
                          + found.__file__)
    if path() not in sys.path:
        sys.path.insert(0, path())


if __name__ == "__main__":
    print(path())
