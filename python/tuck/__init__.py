# SPDX-License-Identifier: MIT
"""Microthreads for Python on Tuck's stack slicing."""
import sys as _sys

if not (3, 9) <= _sys.version_info < (3, 14):
    raise ImportError("tuck knows the insides of CPython 3.9 to 3.13, not of "
                      + _sys.version.split()[0])
if _sys.implementation.name != "cpython":
    raise ImportError("tuck is for CPython, not for "
                      + _sys.implementation.name)
