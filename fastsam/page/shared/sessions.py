"""Who is on the page: one model for all, one photo each, and a bound on the memory of all of them."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from fastsam.config import SegmentConfig
from fastsam.errors import ConfigError
from fastsam.everything.tiling import views_of
from fastsam.images.reading import read_frame
from fastsam.model import FastSAM
from fastsam.page.photo.state import Visit
from fastsam.prompts.text.models import open_text_model
from fastsam.session import Session
from fastsam.video.stream import Stream
from fastsam.weights.resolve import resolve

__all__ = ["MOST_PARTS", "SharedModel", "Shelf", "Visitor", "bytes_of"]

MOST_PARTS = 100  # of a photo, each a pass of the network: no visitor may hold up the others for minutes


class SharedModel:
    """The one model of all visitors: loaded at the first photo, used by one visitor at a time.

    Attributes:
        defaults: the options that go with the weights.

    Args:
        weights: a checkpoint's path or name; None for the embedded default.
        device: where the networks run.
        text_model: what answers texts; see :class:`fastsam.model.FastSAM`.
        model: use this one instead.

    Raises:
        WeightsError: the weights cannot be had.
    """

    def __init__(
        self,
        weights: str | None = None,
        device: str = "auto",
        text_model: str | None = None,
        model: FastSAM | None = None,
    ) -> None:
        self.defaults = model.defaults if model else SegmentConfig(**resolve(weights).defaults)
        if model is None:
            open_text_model(text_model, device=device)  # a name that is none is told at once
        self._load: Callable[[], FastSAM] = lambda: FastSAM(weights, device=device, text_model=text_model)
        self._model = model
        self._lock = threading.Lock()

    def open(self, source: Any, options: dict[str, Any]) -> Session:
        """Find all masks of an image; the first call loads the model.

        Raises:
            ImageError: the image cannot be read.
            ConfigError: an option is outside its range, or asks for so many parts of the image that others
                would wait for minutes.
        """
        frame = read_frame(source)
        parts = len(views_of(frame, replace(self.defaults, **options)))
        if parts > MOST_PARTS:
            raise ConfigError(
                f"tile, crop_layers: expected at most {MOST_PARTS} parts of a photo on this page, "
                f"got {parts}; choose larger tiles or fewer layers, or use the fastsam command"
            )
        with self._lock:
            if self._model is None:
                self._model = self._load()
            return self._model.open(frame, **options)

    def stream(self, source: Any, **options: Any) -> Stream:
        """Open a video to be followed; its frames are to be taken in :attr:`turn`."""
        with self._lock:
            if self._model is None:
                self._model = self._load()
            return self._model.stream(source, **options)

    @property
    def turn(self) -> threading.Lock:
        """Held by whoever uses the model; a video lets go of it after each frame, for photos."""
        return self._lock


class Visitor:
    """One visitor: what is in a ``gr.State``. Does one thing at a time, and knows no other visitor.

    A copy is a new visitor: that is how gradio makes each session its own.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._turn = threading.Lock()
        self._visit = Visit()

    def __deepcopy__(self, memo: dict[int, Any]) -> Visitor:
        """Return a new visitor of the same page."""
        return Visitor(self._shelf)

    @property
    def visit(self) -> Visit:
        """What is known of the visitor."""
        return self._visit

    def act(self, step: Callable[[Visit], Visit]) -> Visit:
        """Take one step after the other: return the next visit, which is kept.

        What the step raises leaves the visit as it was.
        """
        with self._turn:
            done = step(self._visit)
            self._shelf.keep(self, replace(done, version=self._visit.version + 1))
            return self._visit


class Shelf:
    """Keeps the photos of all visitors within a number of bytes: the one not used for longest goes first.

    Holds visitors weakly: gradio forgets them with their session.

    Args:
        limit_bytes: of all photos with their masks together.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, tuple[weakref.ref[Visitor], int]] = OrderedDict()
        self._reserved: dict[int, int] = {}

    @property
    def used_bytes(self) -> int:
        """How much is kept now."""
        with self._lock:
            return sum(self._living().values()) + sum(self._reserved.values())

    def keep(self, visitor: Visitor, visit: Visit) -> None:
        """Give a visitor the next visit; where that is too much, put away the photos of others."""
        size = bytes_of(visit.session) + bytes_of(visit.view)
        with self._lock:
            visitor._visit = visit
            self._kept.pop(id(visitor), None)
            if size:
                self._kept[id(visitor)] = (weakref.ref(visitor), size)
            self._put_away(id(visitor))

    @contextmanager
    def reserved(self, size: int) -> Iterator[None]:
        """Count what a run needs for as long as it lasts; where that is too much, photos are put away."""
        key = object()
        with self._lock:
            self._reserved[id(key)] = size
            self._put_away(None)
        try:
            yield
        finally:
            with self._lock:
                del self._reserved[id(key)]

    def _put_away(self, spared: int | None) -> None:
        """Put away the photos not used for longest until the others fit."""
        living = self._living()
        total = sum(living.values()) + sum(self._reserved.values())
        for key in list(living):
            if total <= self.limit_bytes or key == spared:
                break
            other = self._kept.pop(key)[0]()
            total -= living[key]
            if other is not None:
                other._visit = Visit(version=other._visit.version + 1, look=other._visit.look, put_away=True)

    def _living(self) -> dict[int, int]:
        """Forget the visitors who left, and return the sizes of the others, least recently used first."""
        for key in [key for key, (reference, _) in self._kept.items() if reference() is None]:
            del self._kept[key]
        return {key: size for key, (_, size) in self._kept.items()}


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
