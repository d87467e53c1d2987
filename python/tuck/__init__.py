# SPDX-License-Identifier: MIT
"""Microthreads for Python on Tuck's stack slicing."""
import sys as _sys


def _built_untested():
    """Built for this Python all the same, with -Dpython_untested=true."""
    try:
        from tuck._greenlet import UNTESTED
    except ImportError:
        return False
    return UNTESTED


if not (3, 9) <= _sys.version_info < (3, 14) and not _built_untested():
    raise ImportError("tuck knows the insides of CPython 3.9 to 3.13, not of "
                      + _sys.version.split()[0])
if _sys.implementation.name != "cpython":
    raise ImportError("tuck is for CPython, not for "
                      + _sys.implementation.name)
