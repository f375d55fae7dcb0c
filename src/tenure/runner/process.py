"""Names a process so that another one on the same machine can tell for certain that it is gone."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")
_SEPARATOR = " "
# Fields of /proc/PID/stat behind the command's closing parenthesis: the state first, the start time twentieth.
_STATE, _STARTED = 0, 19
_DEAD = frozenset({"Z", "X", "x"})


def this_process() -> str:
    """Return the name of this process: boot, process namespace, number and start time; empty where there is no /proc.

    A number alone would say nothing: numbers are given again, start again at the next boot, and mean another process
    in every container.
    """
    try:
        stat = _stat(os.getpid())
        return _SEPARATOR.join([*_place(), str(os.getpid()), stat[_STARTED]])
    except (OSError, IndexError):
        return ""


def is_gone(name: str) -> bool:
    """Return whether the process of that name has ended for certain; False also where that cannot be known from here.

    It can be known in the same boot of the same kernel and in the same process namespace, where the number is free,
    belongs to a process that started later, or to one that only waits for its parent to take note of its end.
    """
    try:
        *place, number, started = name.split(_SEPARATOR)
        if place != _place():
            return False
        pid = int(number)
    except (OSError, ValueError):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # it is there and belongs to somebody else
    try:
        stat = _stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        # Ended since, or hidden from us (mount option hidepid): only the first is an answer.
        return _absent(pid)
    except OSError:
        return False
    return len(stat) > _STARTED and (stat[_STARTED] != started or stat[_STATE] in _DEAD)


def _absent(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _place() -> list[str]:
    """Return what makes process numbers mean the same: this boot of this kernel, this namespace. Errors: OSError."""
    boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return [boot, (_PROC / "self/ns/pid").readlink().name]


def _stat(pid: int) -> list[str]:
    """Return the fields of a process behind its command, which may hold blanks and parentheses. Errors: OSError."""
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
