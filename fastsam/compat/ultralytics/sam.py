"""ultralytics' ``SAM``: one mask a prompt, in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsam import FastSAM as Core
from fastsam import MaskSet, Session
from fastsam.compat.arguments import as_array, objects_of, our_weights
from fastsam.compat.models import CalledModel
from fastsam.compat.segment_anything.answers import answer
from fastsam.compat.segment_anything.low_res import to_low_res
from fastsam.compat.segment_anything.scale import scale_of
from fastsam.compat.sources import shown_path
from fastsam.compat.ultralytics.calls import CallOptions, given_back, options_of
from fastsam.errors import PromptError

if TYPE_CHECKING:
    from typing import Unpack

    from fastsam.compat.results import Results

__all__ = ["SAM", "answered"]


class SAM(CalledModel):
    """ultralytics' ``SAM``: ``model(source, bboxes=..., points=..., labels=...)`` -> ``Results``.

    Row k answers prompt k, also where nothing does: an empty mask, score 0. Without prompts all masks come.
    Scores are on SAM's scale (:mod:`fastsam.compat.segment_anything.scale`). Arrays are BGR.

    Args:
        model: a YOLO segmentation checkpoint's path or name, or a :class:`fastsam.FastSAM`. One of SAM's
            files (``"sam_b.pt"``, ``"mobile_sam.pt"``, ``"sam2_t.pt"``) gets a warning, and the embedded
            weights answer.

    Raises:
        WeightsError: the weights cannot be had or used.
    """

    def __init__(self, model: str | Path | Core | None = None) -> None:
        super().__init__(model if isinstance(model, Core) else our_weights(model), bgr=True)

    def __call__(
        self,
        source: Any = None,
        stream: bool = False,
        bboxes: Any = None,
        points: Any = None,
        labels: Any = None,
        *,
        masks: Any = None,
        multimask_output: bool = False,
        **options: Unpack[CallOptions],
    ) -> list[Results] | Iterator[Results]:
        """Return one result an image.

        Args:
            source: as in :meth:`fastsam.compat.ultralytics.FastSAM.__call__`.
            stream: yield the results one by one instead of a list.
            bboxes: (4,) or (n, 4): n objects.
            points: (2,) or (n, 2): one point for each of n objects; or (n, P, 2): P for each.
            labels: 1 foreground, 0 background; (n,) or (n, P).
            masks: (H, W) or (n, H, W) drawn masks, of the image's size.
            multimask_output: three answers an object instead of one.
            options: as in :meth:`fastsam.compat.ultralytics.FastSAM.__call__`. ``conf`` is the minimum score
                of masks without prompts; answers to prompts always stay, so that their rows fit. ``imgsz`` is
                for weights that were named; SAM's own size says nothing of the embedded ones.

        Raises:
            ImageError: an image cannot be read.
            ConfigError: a keyword is unknown, or an option outside its range.
            PromptError: a prompt has another form.
        """
        named = ("bboxes", "points", "labels", "masks", "multimask_output")
        segment, keep = options_of("SAM", options, named)
        least = segment.pop("conf") or 0.0
        self._move(options.get("device"))
        prompts = (bboxes, points, labels, masks)
        results = (
            keep(answered(self.model, session, prompts, number, multimask=multimask_output, least=least))
            for number, session in enumerate(self._sessions(source, self._options(segment), plain=False))
        )
        return given_back(results, stream)

    predict = __call__

    def opened(self, image: Any, options: Mapping[str, Any]) -> Session:
        """Return one image with its masks, for later prompts.

        Raises:
            ImageError: it cannot be read.
        """
        chosen = {name: options.get(name) for name in ("iou", "imgsz", "max_det")}
        return next(self._sessions(image, self._options(chosen), plain=False))

    def _options(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the options of segmenting; where the embedded weights stand in, SAM's size is not theirs."""
        return options if self._is_named() or isinstance(self._given, Core) else {**options, "imgsz": None}


def answered(
    core: Core,
    session: Session,
    prompts: tuple[Any, Any, Any, Any],
    number: int = 0,
    *,
    multimask: bool,
    least: float = 0.0,
) -> Results:
    """Return SAM's result for an image.

    Args:
        core: whose scores they are.
        session: the image.
        prompts: boxes, points, labels, masks, as :class:`SAM` takes them.
        number: of the image in its source.
        multimask: three answers an object.
        least: score of masks without prompts.

    Raises:
        PromptError: a prompt has another form.
    """
    from fastsam.compat.results import Results

    scale = scale_of(core)
    bboxes, points, _, drawn_masks = prompts
    asked = not all(prompt is None for prompt in (bboxes, points, drawn_masks))  # labels alone ask nothing
    if not asked:
        found = session.everything().masks
        scored = MaskSet(found.size_hw, found.boxes_xyxy, scale.put("quality", found.scores), found.store)
        masks = scored[scored.scores >= least]
    else:
        stacks, scores = [], []
        for coords, marks, box, drawn in _by_object(*prompts):
            one = answer(session, coords, marks, box, drawn, multimask=multimask, stacklevel=6)
            stacks.append(one.masks)
            scores.append(scale.put(one.kind, one.scores))
        masks = MaskSet.from_dense(np.concatenate(stacks), np.concatenate(scores))
    count = len(masks)
    return Results(
        session,
        masks,
        path=shown_path(session.frame, number),
        mask_kind="bool",
        keep_empty=asked,
        names={k: str(k) for k in range(count)},
        classes=np.arange(count),
    )


def _by_object(bboxes: Any, points: Any, labels: Any, masks: Any) -> list[tuple[Any, ...]]:
    """Return the points, labels, box and low-resolution logits of each object."""
    boxes = None if bboxes is None else _shaped(bboxes, "bboxes", (1, 2))
    coords = None if points is None else _shaped(points, "points", (1, 2, 3))
    marks = None
    if coords is not None:
        coords = coords[:, None] if coords.ndim == 2 else coords
        marks = np.ones(coords.shape[:2]) if labels is None else _shaped(labels, "labels", (0, 1, 2))
        if marks.size != coords.shape[0] * coords.shape[1]:
            raise PromptError(
                f"labels: expected one for each point, {coords.shape[:2]}, got shape {marks.shape}"
            )
        marks = marks.reshape(coords.shape[:2])
    drawn = None
    if masks is not None:
        stack = np.asarray(as_array(masks))
        drawn = np.stack([to_low_res(mask > 0) for mask in (stack[None] if stack.ndim == 2 else stack)])
    return objects_of("SAM", coords, marks, boxes, drawn)


def _shaped(values: Any, what: str, depths: tuple[int, ...]) -> NDArray[np.float64]:
    """Return prompts as an array with one row an object."""
    try:
        array = np.asarray(as_array(values), np.float64)
    except (TypeError, ValueError) as error:
        raise PromptError(f"{what}: expected numbers, got {str(values)[:80]}") from error
    if array.ndim not in depths:
        raise PromptError(f"{what}: expected {' or '.join(map(str, depths))} dimensions, got {array.ndim}")
    return array[None] if array.ndim == depths[0] else array
