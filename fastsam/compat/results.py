"""ultralytics' own ``Results``, made of a session's masks; tensors are made when somebody asks for them.

The only module of the call shapes that imports ultralytics when it is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from fastsam import MaskSet, Session
from fastsam.compat.arguments import as_array
from fastsam.masks.letterbox import Letterbox
from fastsam.needed import needed
from fastsam.prompts import ImageFeatures

with needed("ultralytics", "return its results"):
    from ultralytics.engine import results as theirs

__all__ = ["MaskKind", "Results"]

MaskKind = Literal["uint8", "float32", "bool"]
_NEAR_EDGE_PX = 20  # ultralytics' FastSAM: a box that ends this near the image's edge ends at it
_WHOLE_IOU = 0.9  # and one that is then this much of the image is all of it


class Results(theirs.Results):
    """What was found in one image, as ultralytics gives it.

    ``boxes`` (xyxy, conf, cls, id), ``masks`` (data, xy, xyn), ``orig_img`` (BGR), ``orig_shape``, ``names``,
    ``path``, ``speed``, ``plot``, ``save``, ``summary``, ... are ultralytics' own. Masks without a pixel
    are left out.

    Attributes:
        session: the image with everything that was found in it; later prompts ask this.

    Args:
        session: the image.
        masks: the masks to show, of this image; the session's by default.
        path: what ``path`` says.
        mask_kind: dtype of ``masks.data``, values 0 and 1.
        mask_hw: the network's input, where ``masks.data`` is wanted at that size; image size by default.
        keep_empty: masks without a pixel stay, and ``masks`` is never None: row k answers prompt k.
        names: class number -> name; ``{0: "object"}`` by default.
        classes: (N,) class number of each mask; zeros by default.
        ids: (N,) track number of each mask, if they are tracked.
        session_rows: (N,) which rows of the session's masks ``masks`` are, if they are rows of it.
    """

    def __init__(
        self,
        session: Session,
        masks: MaskSet | None = None,
        *,
        path: str = "",
        mask_kind: MaskKind = "uint8",
        mask_hw: tuple[int, int] | None = None,
        keep_empty: bool = False,
        names: Mapping[int, str] | None = None,
        classes: Any = None,
        ids: Any = None,
        session_rows: NDArray[np.int64] | None = None,
    ) -> None:
        self.session = session
        self._source = session.masks if masks is None else masks
        self._mask_kind, self._mask_hw, self._keep_empty = mask_kind, mask_hw, keep_empty
        count = len(self._source)
        self._session_rows = np.arange(count) if masks is None else session_rows
        self._classes = np.zeros(count) if classes is None else np.asarray(classes)
        self._ids = None if ids is None else np.asarray(ids)
        self.orig_shape = session.frame.size_hw
        self.probs = self.keypoints = self.obb = self.semantic_mask = self.depth = None
        times = session.times_ms
        self.speed = {
            "preprocess": times.get("prepare", 0.0),
            "inference": times.get("network", 0.0),
            "postprocess": times.get("decode", 0.0),
        }
        self.names = {0: "object"} if names is None else dict(names)
        self.path, self.save_dir = path, None
        self._keys = ("boxes", "masks", "probs", "keypoints", "obb")  # type: ignore[assignment]

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The rows of the given masks that are shown: those with pixels, unless empty ones are kept."""
        if self._keep_empty:
            return np.arange(len(self._source))
        return np.flatnonzero(self._source.areas_px > 0)

    @property
    def mask_set(self) -> MaskSet:
        """The shown masks, as this package has them."""
        return self._source[self.rows]

    def features(self) -> ImageFeatures | None:
        """Return the shown masks as the text-image model sees them; what it has seen already is kept."""
        known = self.session.features
        if known is None:
            return None
        if self._session_rows is not None:
            return known.take(self._session_rows[self.rows])
        return ImageFeatures(self.session.frame, self.mask_set, known.embedder)

    @cached_property
    def orig_img(self) -> NDArray[np.uint8]:  # type: ignore[override]
        """(H, W, 3) uint8 BGR image."""
        return np.ascontiguousarray(self.session.frame.rgb[..., ::-1])

    @cached_property
    def boxes(self) -> Any:  # type: ignore[override]
        """The box, confidence and class of each mask: ultralytics' ``Boxes``."""
        rows = self.rows
        boxes = _at_the_edge(self._source.boxes_xyxy[rows], self.orig_shape)
        columns = [boxes, self._source.scores[rows, None], self._classes[rows, None]]
        if self._ids is not None:
            columns.insert(1, self._ids[rows, None])
        return theirs.Boxes(
            torch.from_numpy(np.concatenate(columns, axis=1).astype(np.float32)), self.orig_shape
        )

    @cached_property
    def masks(self) -> Any:  # type: ignore[override]
        """Ultralytics' ``Masks``; None where nothing was found."""
        rows = self.rows
        if len(rows) == 0 and not self._keep_empty:
            return None
        stack = np.asarray(self._source[rows], dtype=np.dtype(self._mask_kind))
        if self._mask_hw is not None:
            stack = _in_net_frame(stack, Letterbox(self.orig_shape, self._mask_hw))
        return theirs.Masks(torch.from_numpy(stack), self.orig_shape)

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.boxes)

    def __getitem__(self, index: Any) -> Any:
        """Return the result with some of its masks; it can be prompted like the whole one."""
        index = as_array(index)
        chosen = np.atleast_1d(self.rows[index])
        part = self._with(self._source[chosen], self._classes[chosen], chosen, keep_empty=len(self.rows) > 0)
        for name in ("boxes", "masks"):  # what the caller has looked at, and perhaps changed
            if vars(self).get(name) is not None:
                setattr(part, name, vars(self)[name][index])
        return part

    def pick(self, rows: Any) -> Results:
        """Return the result with these of the shown masks, in order; also where these are none."""
        chosen = self.rows[np.asarray(rows, np.int64)]
        return self._with(self._source[chosen], self._classes[chosen], chosen, keep_empty=True)

    def asked_session(self) -> Session:
        """Return the image with the shown masks alone, for prompts of this package."""
        if self._session_rows is None:
            return self.session
        return self.session.only(self._session_rows[self.rows])

    def answered(self, masks: MaskSet) -> Results:
        """Return the same image with other masks: the answer to a prompt."""
        return self._with(masks, None, None, keep_empty=True)

    def _with(
        self, masks: MaskSet, classes: Any, rows: NDArray[np.int64] | None, *, keep_empty: bool
    ) -> Results:
        """Return the same image with other masks: rows of the given ones, or new ones."""
        made = Results(
            self.session,
            masks,
            path=self.path,
            mask_kind=self._mask_kind,
            mask_hw=self._mask_hw,
            keep_empty=keep_empty,
            names=self.names,
            classes=classes,
            ids=None if self._ids is None or rows is None else self._ids[rows],
            session_rows=None if self._session_rows is None or rows is None else self._session_rows[rows],
        )
        made.speed = self.speed
        if "orig_img" in vars(self):
            made.orig_img = self.orig_img
        return made

    def __reduce__(self) -> Any:
        """Copy and pickle as plain data, without the session."""
        masks = None if self.masks is None else self.masks.data
        return _plain, (self.orig_img, self.path, self.names, self.boxes.data, masks, self.speed)


def _plain(image: Any, path: str, names: Any, boxes: Any, masks: Any, speed: Any) -> Any:
    """Return ultralytics' own class."""
    return theirs.Results(image, path, names, boxes=boxes, masks=masks, speed=speed)


def _at_the_edge(boxes_xyxy: NDArray[np.float32], size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Return boxes as ultralytics' FastSAM: what ends near the image's edge ends there; nearly all is all."""
    height, width = size_hw
    boxes = boxes_xyxy.copy()
    boxes[:, :2][boxes[:, :2] < _NEAR_EDGE_PX] = 0
    boxes[:, 2][boxes[:, 2] > width - _NEAR_EDGE_PX] = width
    boxes[:, 3][boxes[:, 3] > height - _NEAR_EDGE_PX] = height
    share = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) / (height * width)
    boxes[share > _WHOLE_IOU] = (0, 0, width, height)
    return boxes


def _in_net_frame(stack: NDArray[Any], letterbox: Letterbox) -> NDArray[Any]:
    """Return (N, H, W) masks scaled and padded as the network's input is."""
    import cv2

    (height, width), (top, left) = letterbox.content_hw, letterbox.offset_yx
    found = np.zeros((len(stack), *letterbox.net_hw), stack.dtype)
    for small, mask in zip(found, stack, strict=True):
        share = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
        small[top : top + height, left : left + width] = share > 0.5
    return found
