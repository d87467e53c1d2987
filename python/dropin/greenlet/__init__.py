# SPDX-License-Identifier: MIT
"""The module greenlet by Tuck: put this folder's parent first on the path."""
from tuck.greenlet import *  # noqa: F401,F403
from tuck.greenlet import (  # noqa: F401
    CLOCKS_PER_SEC,
    GREENLET_USE_CONTEXT_VARS,
    GREENLET_USE_GC,
    GREENLET_USE_STANDARD_THREADING,
    GREENLET_USE_TRACING,
    __all__,
    __version__,
    _C_API,
    enable_optional_cleanup,
    get_clocks_used_doing_optional_cleanup,
)
from greenlet import _greenlet  # noqa: F401
