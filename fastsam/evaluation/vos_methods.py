"""Ways to follow an object through a video from its first mask: ours, the usual ones, and an upper bound.

All but ByteTrack and BoT-SORT choose among what stage one finds in a frame. In an evaluation it runs once a
frame for all of them (:class:`SharedSegmenter`), and each is charged its whole time.
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastsam.config import SegmentConfig, VideoConfig
from fastsam.errors import ConfigError
from fastsam.evaluation.clips import AnnotatedClip
from fastsam.images.frame import Frame
from fastsam.masks.dense import box_from_mask
from fastsam.masks.maskset import MaskSet
from fastsam.needed import needed
from fastsam.prompts import Box, MaskLike, select
from fastsam.segmenter import as_segmenter, segmented
from fastsam.video.track.tracking import Tracking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastsam.model import FastSAM
    from fastsam.segmenter import Segmenter
    from fastsam.session import Session

__all__ = [
    "DEFAULT_METHODS",
    "METHODS",
    "BoxFollower",
    "ClipFollower",
    "OracleFollower",
    "OurFollower",
    "SharedSegmenter",
    "TrackFollower",
    "with_shared_stage_one",
]

BoolArray = NDArray[np.bool_]
Masks = dict[int, BoolArray]


class ClipFollower(Protocol):
    """Follows the objects of one clip.

    Attributes:
        name: what it is called in tables.
        times_ms: what the steps of the last frame took, by name, as far as it knows them.
    """

    name: str
    times_ms: dict[str, float]

    def start(self, frame: Frame, masks: Masks) -> None:
        """Take the first frame and the (H, W) mask of each object in it."""

    def step(self, frame: Frame) -> Masks:
        """Return the (H, W) mask of each object that is seen in the next frame."""


class SharedSegmenter:
    """Stage one that runs once a frame, however many ask, and keeps account of what each asking costs.

    Attributes:
        times_ms: what the steps of the last answer took when they were run.
        waited_ms: how long the askers really waited since :meth:`reset`.
        cost_ms: how long they would have waited, had each run stage one itself; by step.
    """

    def __init__(self, inner: Segmenter) -> None:
        self._inner = inner
        self._frame: Frame | None = None
        self._found: dict[SegmentConfig, tuple[MaskSet, dict[str, float]]] = {}
        self.times_ms: dict[str, float] = {}
        self.reset()

    def __getattr__(self, name: str) -> Any:
        """Return what else stage one offers, such as its checkpoint."""
        return getattr(self._inner, name)

    def reset(self) -> None:
        """Begin a new account."""
        self.waited_ms, self.cost_ms = 0.0, dict[str, float]()

    def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
        """Return the masks of a frame; those of the same frame object and options are found once."""
        start = time.perf_counter()
        if frame is not self._frame:
            self._frame, self._found = frame, {}
        if config not in self._found:
            segmentation = segmented(as_segmenter(self._inner), frame, config)
            whole_ms = 1e3 * (time.perf_counter() - start)
            self._found[config] = segmentation.masks, dict(segmentation.times_ms) or {"network": whole_ms}
        masks, self.times_ms = self._found[config]
        for name, value in self.times_ms.items():
            self.cost_ms[name] = self.cost_ms.get(name, 0.0) + value
        fresh = masks[np.arange(len(masks))]  # what one asker decodes is not another's gain
        self.waited_ms += 1e3 * (time.perf_counter() - start)
        return fresh


def with_shared_stage_one(model: FastSAM) -> tuple[FastSAM, SharedSegmenter]:
    """Return the same model, and its stage one that runs once a frame."""
    shared = SharedSegmenter(model.segmenter)
    twin = copy.copy(model)
    twin.segmenter = shared
    return twin, shared


class BoxFollower:
    """In each frame, what the box of the last mask selects: what one does with a segmenter alone.

    Args:
        model: finds and selects.
    """

    name = "box"

    def __init__(self, model: FastSAM) -> None:
        self._model = model
        self._boxes: dict[int, tuple[float, ...]] = {}
        self.times_ms: dict[str, float] = {}

    def start(self, frame: Frame, masks: Masks) -> None:
        """Take the tight box of each mask."""
        self._boxes = {i: tuple(box_from_mask(mask).tolist()) for i, mask in masks.items()}

    def step(self, frame: Frame) -> Masks:
        """Return the mask with the highest IoU with each object's last box, and take its box."""
        ids = list(self._boxes)
        session = self._model.open(frame)
        # Chosen only: a session would make an answer where no mask fits the box.
        answer = select(session.masks, Box([self._boxes[i] for i in ids], iou_threshold=0.0))
        refined = session.only(answer.indices).everything().masks
        masks: Masks = {}
        for row, group in enumerate(answer.groups.tolist()):
            mask = refined.mask(row)
            if mask.any():
                masks[ids[group]] = mask
                self._boxes[ids[group]] = tuple(box_from_mask(mask).tolist())
        return masks


class OracleFollower:
    """In each frame, the mask that has the highest IoU with the truth: no choice of one mask is better.

    Args:
        model: finds the masks.
        clip: knows the truth.
    """

    name = "oracle"

    def __init__(self, model: FastSAM, clip: AnnotatedClip) -> None:
        self._model, self._clip = model, clip
        self.times_ms: dict[str, float] = {}

    def start(self, frame: Frame, masks: Masks) -> None:
        """Do nothing: the truth of each frame is known."""

    def step(self, frame: Frame) -> Masks:
        """Return the best mask of each object; none for one that is not seen."""
        session = self._model.open(frame)
        answer: Masks = {}
        for object_id, truth in self._clip.truth(frame.index).items():
            if truth.any():
                best = session.select(MaskLike(truth, threshold=0.0))
                answer |= {object_id: best.masks.mask(0)} if len(best) else {}
        return answer


class TrackFollower:
    """The same checkpoint in ultralytics' tracker: the track that lies over an object's first mask best.

    Args:
        checkpoint: the file; ultralytics unpickles it, so it has to be one that is trusted.
        config: confidence, NMS and input size, as stage one has them.
        device: as torch names it.
        tracker: ``"bytetrack"`` or ``"botsort"``.

    Raises:
        MissingPackageError: ultralytics is not installed.
    """

    def __init__(
        self, checkpoint: Path, config: SegmentConfig, device: str = "cpu", tracker: str = "bytetrack"
    ) -> None:
        with _assignment_at_hand(), needed("ultralytics", "follow objects with its trackers"):
            import ultralytics.trackers  # noqa: F401  while a solver is at hand
            from ultralytics.models import YOLO
        self._yolo: Any = YOLO(str(checkpoint))  # what it returns depends on its options
        self.name = "track" if tracker == "bytetrack" else tracker
        self._options = {
            "tracker": f"{tracker}.yaml",
            "persist": True,
            "conf": config.conf,
            "iou": config.iou,
            "imgsz": config.imgsz,
            "max_det": config.max_det,
            "agnostic_nms": True,
            "retina_masks": True,
            "device": device,
            "verbose": False,
        }
        self._tracks: dict[int, int] = {}
        self.times_ms: dict[str, float] = {}

    def start(self, frame: Frame, masks: Masks) -> None:
        """Follow, for each object, the track whose mask has the highest IoU with its own."""
        self._tracks = {}
        tracks = self._tracked(frame)
        for object_id, mask in masks.items():
            ious = {track: _iou(other, mask) for track, other in tracks.items()}
            best = max(ious, key=ious.__getitem__, default=None)
            if best is not None and ious[best] > 0:
                self._tracks[object_id] = best

    def step(self, frame: Frame) -> Masks:
        """Return the masks of the followed tracks; one that the tracker has lost is empty."""
        tracks = self._tracked(frame)
        return {i: tracks[track] for i, track in self._tracks.items() if track in tracks}

    def _tracked(self, frame: Frame) -> Masks:
        """Return each track's mask."""
        result = self._yolo.track(np.ascontiguousarray(frame.rgb[..., ::-1]), **self._options)[0]
        speed = result.speed
        self.times_ms = {
            "network": speed["preprocess"] + speed["inference"],
            "decode": speed["postprocess"],
        }
        if result.boxes.id is None or result.masks is None:
            return {}
        pixels = result.masks.data.cpu().numpy() > 0.5
        return dict(zip(result.boxes.id.int().tolist(), pixels, strict=True))


def _iou(a: BoolArray, b: BoolArray) -> float:
    union = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / union) if union else 0.0


@contextmanager
def _assignment_at_hand() -> Iterator[None]:
    """Lend ultralytics' trackers an assignment solver while they are imported, if they lack theirs.

    They import ``lap`` and, where it is not installed, run pip to fetch it. What they call of it is one
    function, which scipy can answer exactly.
    """
    try:
        import lap  # noqa: F401
    except ImportError:
        stand_in = ModuleType("lap")
        stand_in.__version__ = "0.5.12"  # type: ignore[attr-defined]
        stand_in.lapjv = lapjv  # type: ignore[attr-defined]
        sys.modules["lap"] = stand_in
        try:
            yield
        finally:
            del sys.modules["lap"]
    else:
        yield


def lapjv(
    cost: NDArray[np.float64], extend_cost: bool = True, cost_limit: float = np.inf
) -> tuple[float, NDArray[np.int64], NDArray[np.int64]]:
    """Return what ``lap.lapjv`` does with ``extend_cost=True``: the cheapest assignment in which a row and a
    column may stay alone at half the limit each.

    Returns:
        the cost, for each row its column, for each column its row; -1 where it stays alone.

    >>> lapjv(np.array([[0.1, 0.9], [0.2, 0.95]]), cost_limit=0.8)[1].tolist()
    [0, -1]
    """
    with needed("scipy", "assign detections to tracks"):
        from scipy.optimize import linear_sum_assignment
    rows, columns = cost.shape
    limit = cost_limit if np.isfinite(cost_limit) else 2.0 * (float(np.abs(cost).sum()) + 1.0)
    wide = np.full((rows + columns, rows + columns), limit / 2)
    wide[rows:, columns:] = 0.0
    wide[:rows, :columns] = cost
    taken = linear_sum_assignment(wide)[1]
    by_row = np.where(taken[:rows] < columns, taken[:rows], -1).astype(np.int64)
    by_column = np.full(columns, -1, np.int64)
    matched = np.flatnonzero(by_row >= 0)
    by_column[by_row[matched]] = matched
    return float(cost[matched, by_row[matched]].sum()), by_row, by_column


class OurFollower:
    """:mod:`fastsam.video`: each object is followed from exactly the mask that was given.

    Args:
        model: finds the masks.
    """

    name = "ours"

    def __init__(self, model: FastSAM) -> None:
        self._model, self._config = model, VideoConfig()
        self._tracking = self._fresh()
        self.times_ms: dict[str, float] = {}

    def _fresh(self) -> Tracking:
        return Tracking(self._config)

    def start(self, frame: Frame, masks: Masks) -> None:
        """Take the mask of each object."""
        self._tracking = self._fresh()
        self._tracking.step(self._opened(frame))
        for object_id, mask in masks.items():
            self._tracking.follow(mask, object_id)

    def step(self, frame: Frame) -> Masks:
        """Return the masks of the objects that are not lost."""
        tracked = self._tracking.step(self._opened(frame))
        return {int(i): tracked.masks.mask(k) for k, i in enumerate(tracked.ids)}

    def _opened(self, frame: Frame) -> Session:
        return self._model.open(frame, conf=min(self._model.defaults.conf, self._config.follow_conf))


def _tracker(name: str, tracker: str) -> Callable[[FastSAM, AnnotatedClip], ClipFollower]:
    def made(model: FastSAM, clip: AnnotatedClip) -> ClipFollower:
        checkpoint = getattr(model.segmenter, "checkpoint", None)
        if checkpoint is None or not Path(checkpoint).is_file():
            raise ConfigError(
                f"method {name!r}: expected a model with a checkpoint file, which ultralytics reads itself; "
                f"got stage one without one; leave the method out"
            )
        return TrackFollower(
            Path(checkpoint), model.defaults, getattr(model.segmenter, "device", "cpu"), tracker
        )

    return made


# Name -> how it is made for a clip, from a model whose stage one is shared.
METHODS: Mapping[str, Callable[[FastSAM, AnnotatedClip], ClipFollower]] = {
    "ours": lambda model, _: OurFollower(model),
    "box": lambda model, _: BoxFollower(model),
    "track": _tracker("track", "bytetrack"),
    "botsort": _tracker("botsort", "botsort"),
    "oracle": OracleFollower,
}
DEFAULT_METHODS = ("ours", "box", "track", "oracle")
