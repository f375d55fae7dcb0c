"""Starts the `tenure` command and kills it, as SIGKILL does, at one place inside the fence.

``python killer.py apply ...`` with TEST_KILL_AT=split (after some relationships have moved), alias (before the alias
moves), moved (right after it) or unfence (everything is done, the writers are still stopped).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any, NoReturn

from tenure.operations.split_copies import Copies
from tenure.runner import fence
from tenure.stores import qdrant_copy


def die() -> NoReturn:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit  # never reached


def counted(verb: Callable[..., Any], number: int) -> Callable[..., Any]:
    """Return *verb*, which kills the process after it has worked for the *number*-th time."""
    calls = 0

    def wrapped(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        result = verb(*arguments, **options)
        calls += 1
        if calls == number:
            die()
        return result

    return wrapped


def main() -> NoReturn:
    """Set the trap, then be the command."""
    place = os.environ["TEST_KILL_AT"]
    if place == "split":
        setattr(Copies, "_send", counted(Copies._send, 2))  # noqa: B010
    elif place == "alias":
        setattr(qdrant_copy, "point_alias", lambda *_: die())  # noqa: B010
    elif place == "moved":
        setattr(qdrant_copy, "point_alias", counted(qdrant_copy.point_alias, 1))  # noqa: B010
    elif place == "unfence":
        setattr(fence, "_take_down", lambda *_: die())  # noqa: B010
    else:
        raise SystemExit(f"no such place: {place}")
    from tenure.cli.main import main as command

    command()
    raise SystemExit


if __name__ == "__main__":
    main()
