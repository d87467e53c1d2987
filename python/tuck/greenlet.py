# SPDX-License-Identifier: MIT
"""Greenlets: the interface of the greenlet package, on the contexts of Tuck."""
from tuck._greenlet import (  # noqa: F401
    CLOCKS_PER_SEC,
    GREENLET_USE_CONTEXT_VARS,
    GREENLET_USE_GC,
    GREENLET_USE_STANDARD_THREADING,
    GREENLET_USE_TRACING,
    GreenletExit,
    _C_API,
    enable_optional_cleanup,
    error,
    get_clocks_used_doing_optional_cleanup,
    getcurrent,
    gettrace,
    greenlet,
    settrace,
)

__version__ = "2.0.2"  # of the interface
__all__ = ["__version__", "_C_API", "GreenletExit", "error", "getcurrent",
           "greenlet", "gettrace", "settrace"]
