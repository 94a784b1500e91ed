"""This package's scores on SAM's scale: monotone maps, fitted for each network.

SAM's predicted IoU and stability of a mask that is worth keeping are above its thresholds, .88 and .95;
those of a YOLO network lie elsewhere, differently for each. The maps put them where SAM's thresholds mean
what they mean there: at .88 and .95 about those masks stay that the network's own options keep, .95 and .97
halve them. They are fitted on photographs that come with the packages that this one needs, at the first use
of a network, and kept in the cache folder.

What SAM itself keeps on those photographs was not measured: only the meaning of its defaults is taken over.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam import Box, FastSAM, Points, Session
from fastsam.errors import FastSAMError
from fastsam.files import write_bytes
from fastsam.masks.dense import farthest_point
from fastsam.weights.table import cache_folder

__all__ = ["IDENTITY", "SamScale", "fit", "scale_of"]

FloatArray = NDArray[np.float32]
Knots = tuple[tuple[float, ...], tuple[float, ...]]

_log = logging.getLogger(__name__)
_VERSION = 2  # counts up when the fit changes
_PHOTOS = (
    ("ultralytics", "assets/bus.jpg"),
    ("ultralytics", "assets/zidane.jpg"),
    ("skimage", "data/astronaut.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/rocket.jpg"),
)
_ASKED = 10  # masks of a photo that prompts are tried on
_LEAST_MASKS = 10  # fewer tell nothing
_STEP = 1e-4  # between knots
# Quantile of what the network finds by its own options -> where SAM has it.
_QUALITY = {0.05: 0.88, 0.5: 0.95, 0.95: 0.99}
_STABILITY = {0.05: 0.95, 0.5: 0.97, 0.95: 0.99}
_PROMPTED = {0.05: 0.8, 0.25: 0.9, 0.5: 0.95, 0.95: 0.99}


@dataclass(frozen=True)
class SamScale:
    """Where scores lie on SAM's scale; each map keeps their order, 0 and 1.

    Attributes:
        quality: of a mask by itself, SAM's ``predicted_iou``.
        stability: SAM's ``stability_score``.
        click: of an answer to points.
        box: of an answer to a box.
    """

    quality: Knots = ((0.0, 1.0), (0.0, 1.0))
    stability: Knots = ((0.0, 1.0), (0.0, 1.0))
    click: Knots = ((0.0, 1.0), (0.0, 1.0))
    box: Knots = ((0.0, 1.0), (0.0, 1.0))

    def put(self, kind: str, values: Any) -> FloatArray:
        """Return scores of a kind (a field's name; another's stay as they are) on SAM's scale."""
        knots: Knots | None = getattr(self, kind, None)
        return np.asarray(values if knots is None else np.interp(values, *knots), np.float32)


IDENTITY = SamScale()
"""For segmenters without a network: their scores are their own."""

_known: dict[str, SamScale] = {}


def scale_of(model: FastSAM) -> SamScale:
    """Return the scale of a model's network, fitted at its first use on this machine."""
    if not model.fingerprint:
        return IDENTITY
    defaults = model.defaults
    options = (
        defaults.imgsz,
        defaults.conf,
        defaults.iou,
        defaults.quality,
        defaults.fill_conf,
        defaults.regions,
    )
    key = f"{model.fingerprint[:16]}-{'-'.join(f'{float(value):g}' for value in options)}"
    if key not in _known:
        _known[key] = _loaded(key) or _kept(key, fit(model))
    return _known[key]


def fit(model: FastSAM) -> SamScale:
    """Fit the maps of a model on the photographs that are installed."""
    sessions = [model.open(photo) for photo in _photos()]
    sessions = [session for session in sessions if len(session.masks)]
    qualities = np.concatenate([session.masks.scores for session in sessions]) if sessions else np.zeros(0)
    if len(qualities) < _LEAST_MASKS:
        _log.warning("SAM's scale: %d masks in the photographs, too few to fit; scores stay", len(qualities))
        return IDENTITY
    stabilities = np.concatenate([session.masks.stability_scores() for session in sessions])
    answers = [_prompted(session) for session in sessions]
    clicks, boxes = (np.concatenate([pair[k] for pair in answers]) for k in (0, 1))
    return SamScale(
        _knots(qualities, _QUALITY),
        _knots(stabilities, _STABILITY),
        _knots(clicks, _PROMPTED),
        _knots(boxes, _PROMPTED),
    )


def _prompted(session: Session) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return how well the best masks answer clicks, into their middle and anywhere, and their own box."""
    random = np.random.default_rng(0)
    clicks: list[float] = []
    boxes: list[float] = []
    for i in range(min(len(session.masks), _ASKED)):
        x0, y0, patch = session.masks.crop(i)
        if not patch.any():
            continue
        rows, columns = np.nonzero(patch)
        anywhere = int(random.integers(len(rows)))
        for x, y in (farthest_point(patch), (int(columns[anywhere]), int(rows[anywhere]))):
            clicks += session.select(Points((x0 + x, y0 + y))).scores[:1].tolist()
        boxes += session.select(Box(session.masks[i].tight_boxes()[0])).scores[:1].tolist()
    return np.array(clicks), np.array(boxes)


def _knots(values: NDArray[Any], targets: Mapping[float, float]) -> Knots:
    """Return the map that takes quantiles to targets, strictly rising."""
    if len(values) < _LEAST_MASKS:
        return (0.0, 1.0), (0.0, 1.0)
    raw = np.quantile(values, list(targets))
    count = len(raw)
    for k in range(count):
        least = _STEP if k == 0 else raw[k - 1] + _STEP
        raw[k] = min(max(raw[k], least), 1 - _STEP * (count - k))
    return (0.0, *map(float, raw), 1.0), (0.0, *targets.values(), 1.0)


def _photos() -> list[Path]:
    """Return the photographs that are installed; the packages are not imported."""
    found = []
    for package, inside in _PHOTOS:
        spec = find_spec(package)
        folders = (spec.submodule_search_locations or []) if spec is not None else []
        found += [path for folder in folders if (path := Path(folder) / inside).is_file()]
    return found


def _file(key: str) -> Path:
    return cache_folder().parent / "sam-scale" / f"{key}-{_VERSION}.json"


def _loaded(key: str) -> SamScale | None:
    """Return the maps that an earlier process kept."""
    try:
        content = json.loads(_file(key).read_text())
        pairs = {
            name: (tuple(map(float, raw)), tuple(map(float, put))) for name, (raw, put) in content.items()
        }
        return SamScale(**pairs)
    except (OSError, ValueError, TypeError, FastSAMError):  # absent, or not ours: it is made again
        return None


def _kept(key: str, scale: SamScale) -> SamScale:
    """Keep the maps for later processes, where there is a place for that."""
    try:
        content = {name: getattr(scale, name) for name in scale.__dataclass_fields__}
        write_bytes(_file(key), json.dumps(content).encode())
    except (OSError, FastSAMError) as error:
        _log.info("SAM's scale is fitted again next time: %s", error)
    return scale
