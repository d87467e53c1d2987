# SPDX-License-Identifier: MIT
"""Tells the build what it needs to know of the interpreter that runs this.

Four lines: two folders of headers, the suffix of extensions, where packages
with extensions are installed. Otherwise it ends with the reason. With the
argument `untested` it takes Python 3.14, too.
"""
import os
import sys
import sysconfig

if sys.implementation.name != "cpython":
    sys.exit(f"Tuck is for CPython, not for {sys.implementation.name}")
if not (3, 9) <= sys.version_info < (3, 15):
    sys.exit("Tuck knows the insides of CPython 3.9 to 3.13, not of "
             + sys.version.split()[0])
if sys.version_info >= (3, 14) and sys.argv[1:] != ["untested"]:
    sys.exit("Tuck has never been run on CPython 3.14, so it is refused; "
             "for who wants to test it: -Dpython_untested=true")
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    sys.exit("Tuck needs the global interpreter lock")
paths = sysconfig.get_paths()
header = os.path.join(paths["include"], "internal", "pycore_frame.h")
if not os.path.exists(os.path.join(paths["include"], "Python.h")) or (
        sys.version_info >= (3, 11) and not os.path.exists(header)):
    sys.exit(f"no headers of Python {sys.version.split()[0]}")
print(paths["include"], paths["platinclude"],
      sysconfig.get_config_var("EXT_SUFFIX"), paths["platlib"], sep="\n")
