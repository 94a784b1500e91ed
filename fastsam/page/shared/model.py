"""The one model that all visitors share: loaded at the first photo, used by one visitor at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fastsam.config import SegmentConfig
from fastsam.errors import ConfigError
from fastsam.everything.tiling import views_of
from fastsam.images.reading import read_frame
from fastsam.model import FastSAM
from fastsam.prompts.text.models import open_text_model
from fastsam.session import Session
from fastsam.video.stream import Stream
from fastsam.weights.resolve import resolve

__all__ = ["MOST_PARTS", "SharedModel"]

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
            open_text_model(text_model, device=device)  # a wrong name is an error at once
        self._load: Callable[[], FastSAM] = lambda: FastSAM(weights, device=device, text_model=text_model)
        self._model = model
        self._lock = threading.Lock()

    def open(self, source: Any, options: dict[str, Any]) -> Session:
        """Find all masks of an image; the first call loads the model.

        Args:
            source: the image.
            options: fields of SegmentConfig, as the controls of a page show them. What is as the weights have
                it counts as not given, so that a changed ``conf`` turns the filling of gaps off.

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
            defaults = self.defaults
            return self._model.open(frame, **{k: v for k, v in options.items() if v != getattr(defaults, k)})

    def stream(self, source: Any, **options: Any) -> Stream:
        """Open a video to follow; take its frames in :attr:`turn`."""
        with self._lock:
            if self._model is None:
                self._model = self._load()
            return self._model.stream(source, **options)

    @property
    def turn(self) -> threading.Lock:
        """Held by whoever uses the model; a video lets go of it after each frame, for photos."""
        return self._lock
