"""Networks that all tests of a process share: each is loaded once, and sees each photo once.

A network keeps nothing of an image, so that a test gets the masks that it would get from one of its own
(``tests/everything/backends/test_threads.py`` proves it, on networks that are not shared).
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from fastsam.config import SegmentConfig
from fastsam.everything.backends.choose import OpenedNetwork
from fastsam.files import file_state
from fastsam.images.frame import Frame
from fastsam.prompts.text.matching import Embedder
from fastsam.segmenter import Part, Segmentation

__all__ = ["loaded_once", "seen_once"]

_KEPT_PASSES = 48  # a few megabytes each


@contextmanager
def loaded_once() -> Iterator[None]:
    """Load each checkpoint, and the embedded text model, once, whoever opens it."""
    import fastsam.model as module

    networks: dict[tuple[Any, ...], OpenedNetwork] = {}
    encoders: dict[str, Any] = {}
    open_network, open_text_model = module.open_network, module.open_text_model

    def shared_network(weights: Any = None, **options: Any) -> OpenedNetwork:
        options.pop("progress", None)
        if weights is not None and not os.path.isfile(weights):
            return open_network(weights, **options)  # a name, a folder, or an error
        state = "" if weights is None else file_state(weights)
        key = (str(weights), state, *sorted(options.items()))
        if key not in networks:
            networks[key] = open_network(weights, **options)
        return networks[key]

    def shared_text_model(model: Any = None, **options: Any) -> Embedder:
        embedder = open_text_model(model, **options)
        if model is None:  # the encoder is shared; what it has encoded stays each test's own
            embedder.encoder = encoders.setdefault(str(options.get("device")), embedder.encoder)
        return embedder

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "open_network", shared_network)
        patch.setattr(module, "open_text_model", shared_text_model)
        yield


@contextmanager
def seen_once() -> Iterator[None]:
    """Remember what stage one finds: the same photo with the same options is not looked at again."""
    import fastsam.everything.segmenter as module

    segment = module.NetworkBackend.segment
    passes: OrderedDict[tuple[Any, ...], Segmentation] = OrderedDict()

    def remembered(self: Any, frame: Frame, config: SegmentConfig, part: Part | None = None) -> Segmentation:
        if part is not None:
            return segment(self, frame, config, part)
        pixels = hashlib.sha256(frame.rgb.tobytes()).digest()
        key = (type(self), self.fingerprint, frame.size_hw, frame.origin_xy, pixels, replace(config))
        if key in passes:
            passes.move_to_end(key)
        else:
            passes[key] = segment(self, frame, config)
            if len(passes) > _KEPT_PASSES:
                passes.popitem(last=False)
        return passes[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.NetworkBackend, "segment", remembered)
        yield
