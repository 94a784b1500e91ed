"""The bounded hand-over between the thread that reads frames and whoever uses them."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Generic, Literal, TypeVar

__all__ = ["Ended", "HandOver", "Policy"]

Policy = Literal["latest", "all"]
T = TypeVar("T")
_GLANCE_S = 0.2  # waits are cut into pieces of this length: on Windows, Ctrl-C is only seen between them


class Ended(Exception):  # noqa: N818 - an end is no error
    """Nothing more will come."""


class HandOver(Generic[T]):
    """A queue between two threads that neither of them can be stuck in.

    ``"all"``: :meth:`put` waits while ``size`` items lie there. ``"latest"``: one item lies there at most,
    and a newer one takes its place; ``dropped`` counts those that nobody took.
    """

    def __init__(self, policy: Policy, size: int) -> None:
        self.dropped = 0
        self.policy, self._size = policy, size
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = self._finished = False
        self._error: BaseException | None = None

    def put(self, item: T) -> bool:
        """Lay an item down; False once nobody wants any more."""
        with self._changed:
            if self.policy == "latest":
                self.dropped += len(self._items)
                self._items.clear()
            while len(self._items) >= self._size and not self._closed:
                self._changed.wait(_GLANCE_S)
            if self._closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def get(self, timeout_s: float | None = None) -> T:
        """Take the oldest item; None waits for as long as it takes.

        Raises:
            Ended: all items are taken and the producer has finished, or the queue is closed.
            TimeoutError: none came in time.
            BaseException: what the producer failed with, after its last item; once.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not self._items:
                if self._error is not None:
                    error, self._error = self._error, None
                    raise error
                if self._closed or self._finished:
                    raise Ended
                left = _GLANCE_S if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self._changed.wait(min(left, _GLANCE_S))
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def finish(self, error: BaseException | None = None) -> None:
        """Say that no more items come, and why if something failed."""
        with self._changed:
            self._finished = True
            self._error = None if self._closed else error
            self._changed.notify_all()

    def close(self) -> None:
        """Wake both sides for good and let go of all items."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._error = None
            self._changed.notify_all()
