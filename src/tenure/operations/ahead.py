"""Reads ahead: the next items are fetched by a thread while the last ones are worked on."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from queue import Full, Queue
from typing import TypeVar

T = TypeVar("T")

_END = object()
POLL_SECONDS = 0.1


def one_ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """Yield what *items* yields; a thread holds one of them ready, and one more in its hand.

    Whoever stops in the middle closes this: the thread has ended and *items* is closed before they go on. Errors: those
    of *items*, in the order of its items.
    """
    ready: Queue[T | BaseException | object] = Queue(1)
    stopped = threading.Event()

    def hand_over(one: T | BaseException | object) -> bool:
        while not stopped.is_set():
            try:
                ready.put(one, timeout=POLL_SECONDS)
            except Full:
                continue
            return True
        return False

    def read() -> None:
        try:
            for item in items:
                if not hand_over(item):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again by whoever takes the items
            hand_over(error)
        else:
            hand_over(_END)
        finally:
            if isinstance(items, Generator):
                items.close()

    thread = threading.Thread(target=read, name="tenure-ahead", daemon=True)
    thread.start()
    try:
        while (one := ready.get()) is not _END:
            if isinstance(one, BaseException):
                raise one
            yield one  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()
