# SPDX-License-Identifier: MIT
"""What code that looks behind the package's front expects to find here."""
from tuck._greenlet import *  # noqa: F401,F403
from tuck._greenlet import _C_API  # noqa: F401
