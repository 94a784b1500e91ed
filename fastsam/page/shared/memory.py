"""A common limit on the memory of all visitors' photos and masks."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any, Protocol

import numpy as np

__all__ = ["MemoryBudget", "bytes_of"]


class Holder(Protocol):
    """Who holds memory, and can let go of it."""

    def put_away(self) -> None:
        """Let go of it."""


class MemoryBudget:
    """Keeps the photos of all visitors within a number of bytes: the least recently used goes first.

    References visitors weakly: gradio forgets them with their session.

    Args:
        limit_bytes: of all photos with their masks together.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._charged: OrderedDict[int, tuple[weakref.ref[Holder], int]] = OrderedDict()
        self._reserved: dict[int, int] = {}

    @property
    def used_bytes(self) -> int:
        """How much is in use now."""
        with self._lock:
            return sum(self._sizes().values()) + sum(self._reserved.values())

    def charge(self, holder: Holder, size: int) -> None:
        """Say how many bytes a holder has now; if that is too much, others are put away."""
        with self._lock:
            self._charged.pop(id(holder), None)
            if size:
                self._charged[id(holder)] = (weakref.ref(holder), size)
            self._make_room(id(holder))

    @contextmanager
    def reserved(self, size: int) -> Iterator[None]:
        """Count the memory of a run for as long as it lasts; if that is too much, photos are put away."""
        key = object()
        with self._lock:
            self._reserved[id(key)] = size
            self._make_room(None)
        try:
            yield
        finally:
            with self._lock:
                del self._reserved[id(key)]

    def _make_room(self, spared: int | None) -> None:
        """Put away the least recently used until the others fit."""
        sizes = self._sizes()
        total = sum(sizes.values()) + sum(self._reserved.values())
        for key in list(sizes):
            if total <= self.limit_bytes or key == spared:
                break
            holder = self._charged.pop(key)[0]()
            total -= sizes[key]
            if holder is not None:
                holder.put_away()

    def _sizes(self) -> dict[int, int]:
        """Forget the visitors who left, and return the sizes of the others, least recently used first."""
        for key in [key for key, (reference, _) in self._charged.items() if reference() is None]:
            del self._charged[key]
        return {key: size for key, (_, size) in self._charged.items()}


def bytes_of(record: Any) -> int:
    """Return the bytes of all arrays in a record and the records in it, each counted once.

    >>> bytes_of((np.zeros(3, np.uint8), {"a": np.zeros(2, np.float32)}))
    11
    """
    seen: dict[int, int] = {}
    waiting = [record]
    while waiting:
        one = waiting.pop()
        if isinstance(one, np.ndarray):
            whole = one
            while isinstance(whole.base, np.ndarray):
                whole = whole.base
            seen[id(whole)] = whole.nbytes
        elif id(one) in seen:
            continue
        elif isinstance(one, dict):
            seen[id(one)] = 0
            waiting += one.values()
        elif isinstance(one, (list, tuple)):
            seen[id(one)] = 0
            waiting += one
        elif isinstance(one, bytes):
            seen[id(one)] = len(one)
        elif is_dataclass(one) and not isinstance(one, type):
            seen[id(one)] = 0
            waiting += [getattr(one, spec.name) for spec in fields(one)]
            waiting += [value for name, value in vars(one).items() if isinstance(value, np.ndarray)]
    return sum(seen.values())
