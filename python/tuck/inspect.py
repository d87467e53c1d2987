# SPDX-License-Identifier: MIT
"""All greenlets of a process, and what each of them is doing.

As sys._current_frames() and faulthandler.dump_traceback() do for threads.
"""
import sys
import threading
import traceback

from tuck._greenlet import (  # noqa: F401
    c_stack,
    getcurrent,
    greenlets,
    set_switch_hook,
    whereabouts,
)

__all__ = ["c_stack", "current_frames", "dump", "dump_on", "frame_of",
           "greenlets", "set_switch_hook", "whereabouts"]


def frame_of(greenlet):
    """The innermost Python frame of a greenlet; None if it has none."""
    if greenlet.gr_frame is not None:
        return greenlet.gr_frame
    ident, runs = whereabouts(greenlet)
    if not runs:
        return None
    frame = sys._current_frames().get(ident)
    while frame and frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    return frame


def current_frames():
    """{greenlet: its innermost frame, or None} of all of all threads."""
    return {g: frame_of(g) for g in greenlets()}


def _threads():
    return {t.ident: t.name for t in threading.enumerate()}


def _title(greenlet, names):
    ident, _ = whereabouts(greenlet)
    if ident is None:
        return f"{greenlet!r}\n"
    return f"{greenlet!r} in thread {names.get(ident, '?')} ({ident})\n"


def _c_part(greenlet):
    if whereabouts(greenlet)[0] != threading.get_ident():
        return ["  C: of another thread, not shown\n"]
    return [f"  C: {line}\n" for line in c_stack(greenlet)]


def dump(file=None, c=False):
    """Write the stacks of all greenlets, innermost call last.

    With c also the calls in C, innermost first, of those of this thread.
    """
    file = file or sys.stderr
    names = _threads()
    for greenlet, frame in current_frames().items():
        lines = [_title(greenlet, names)]
        if frame is not None:
            lines += traceback.format_stack(frame)
        if c:
            lines += _c_part(greenlet)
        file.write("".join(lines) + "\n")


def dump_on(signum, file=None):
    """dump() whenever the process gets this signal; the handler before it."""
    import signal
    return signal.signal(signum, lambda *_: dump(file))
