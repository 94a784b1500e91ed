"""ultralytics' ``SAM``: one mask a prompt, in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsam import FastSAM as Core
from fastsam import Frame, MaskSet, Session
from fastsam.compat.arguments import as_array, objects_of, our_weights
from fastsam.compat.calling import Call
from fastsam.compat.models import CalledModel
from fastsam.compat.segment_anything.answers import answer
from fastsam.compat.segment_anything.low_res import to_low_res
from fastsam.compat.segment_anything.scale import scale_of
from fastsam.compat.sources import shown_path
from fastsam.compat.ultralytics.rules import box_array
from fastsam.errors import PromptError

if TYPE_CHECKING:
    from fastsam.compat.results import Results

__all__ = ["SAM", "answered", "by_object"]

# Keywords of `Predictor.generate`, where nothing is prompted -> those of the mask generator.
_EVERYTHING = {
    "conf_thres": "pred_iou_thresh",
    "crop_downscale_factor": "crop_n_points_downscale_factor",
    "crop_n_layers": "crop_n_layers",
    "crop_nms_thresh": "crop_nms_thresh",
    "crop_overlap_ratio": "crop_overlap_ratio",
    "min_mask_region_area": "min_mask_region_area",
    "point_grids": "point_grids",
    "points_batch_size": "points_per_batch",
    "points_stride": "points_per_side",
    "stability_score_offset": "stability_score_offset",
    "stability_score_thresh": "stability_score_thresh",
}
_KNOWN = ("masks", "multimask_output", "persist", *_EVERYTHING)


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
        super().__init__(our_weights(model) if isinstance(model, (str, Path)) else model, bgr=True)

    def __call__(
        self,
        source: Any = None,
        stream: bool = False,
        bboxes: Any = None,
        points: Any = None,
        labels: Any = None,
        **keywords: Any,
    ) -> list[Results] | Iterator[Results]:
        """Return one result an image.

        Args:
            source: as in :meth:`fastsam.compat.ultralytics.FastSAM.__call__`.
            stream: yield the results one by one instead of a list.
            bboxes: (4,) or (n, 4): n objects.
            points: (2,) or (n, 2): one point for each of n objects; or (n, P, 2): P for each.
            labels: 1 foreground, 0 background; (n,) or (n, P).
            keywords: ``masks``, (H, W) or (n, H, W) drawn masks, of the image's size; ``multimask_output``,
                three answers an object instead of one; those of a call of ``FastSAM``, where ``conf`` is the
                least score without prompts (answers to prompts always stay, so that their rows fit), and
                ``imgsz`` counts for weights that were named: SAM's own size says nothing of the embedded
                ones. Without prompts also those of ultralytics' ``generate``: ``conf_thres``,
                ``stability_score_thresh``, ``crop_n_layers``, ...; see
                :class:`fastsam.compat.segment_anything.SamAutomaticMaskGenerator`.

        Raises:
            ImageError: an image cannot be read.
            ConfigError: a keyword is unknown, or an option outside its range.
            PromptError: a prompt has another form.
        """
        call = self.read(keywords)
        prompts = (bboxes, points, labels, call.others.get("masks"))
        found = self.results(source, call, prompts)
        return found if stream else list(found)

    predict = __call__

    def results(self, source: Any, call: Call, prompts: tuple[Any, ...]) -> Iterator[Results]:
        """Yield the answers about each image of a source: boxes, points, labels, masks as in a call."""
        for number, frame in enumerate(self._frames(source, call)):
            yield call.keep(self._answer(frame, call, prompts, number, source))

    def opened(self, image: Any, options: Mapping[str, Any]) -> Session:
        """Return one image with its masks, for later prompts.

        Raises:
            ImageError: it cannot be read.
        """
        return next(self._sessions(image, self.read(options), plain=False))

    def again(self, session: Session, call: Call, prompts: tuple[Any, ...]) -> Results:
        """Return the answers about an image that :meth:`opened` gave."""
        return call.keep(self._answer(session.frame, call, prompts, session=session))

    def read(self, keywords: Mapping[str, Any]) -> Call:
        """Return what a call asks for, :attr:`overrides` included, and move to its device.

        Raises:
            ConfigError: a keyword is unknown, or a value is no number.
        """
        return self._read(keywords, _KNOWN)

    def frames(self, source: Any, call: Call) -> Iterator[Frame]:
        """Yield the images of a source.

        Raises:
            ImageError: one cannot be read.
        """
        return self._frames(source, call)

    def _answer(
        self,
        frame: Frame,
        call: Call,
        prompts: tuple[Any, ...],
        number: int = 0,
        source: Any = None,
        session: Session | None = None,
    ) -> Results:
        """Return the answers about an image, which is opened unless it is already."""
        if not _asks(prompts):
            return self._everything(frame, call, number, source)
        if session is None:
            session = self.model.open(frame, **self._options(frame, source, call, plain=False))
        multimask = bool(call.others.get("multimask_output", False))
        return answered(self.model, session, prompts, number, multimask=multimask)

    def _everything(self, frame: Frame, call: Call, number: int, source: Any) -> Results:
        """Return all masks of an image, as SAM's mask generator chooses them."""
        from fastsam.compat.segment_anything.automatic_mask_generator import SamAutomaticMaskGenerator

        chosen = {_EVERYTHING[k]: v for k, v in call.others.items() if k in _EVERYTHING}
        options = self._options(frame, source, call, plain=False)
        least = call.options.get("conf", 0.0)
        generator = SamAutomaticMaskGenerator(self.model, **chosen)
        session, masks = generator.masks(frame, **options)
        return _numbered(session, masks[masks.scores >= least], number, keep_empty=False)

    def _options(self, frame: Frame, source: Any, call: Call, *, plain: bool) -> dict[str, Any]:
        """Return the options of segmenting: ``conf`` is of scores, not of the network.

        Where the embedded weights stand in for SAM's, SAM's size is not theirs.
        """
        options = super()._options(frame, source, call, plain=plain)
        options.pop("conf", None)
        own = self._is_named() or isinstance(self._given, Core)
        return options if own else {**options, "imgsz": None}


def answered(
    core: Core,
    session: Session,
    prompts: tuple[Any, ...],
    number: int = 0,
    *,
    multimask: bool,
) -> Results:
    """Return SAM's result for an image.

    Args:
        core: whose scores they are.
        session: the image.
        prompts: boxes, points, labels, masks, as :class:`SAM` takes them.
        number: of the image in its source.
        multimask: three answers an object.

    Raises:
        PromptError: a prompt has another form.
    """
    scale = scale_of(core)
    stacks, scores = [], []
    for coords, marks, box, drawn in by_object(*prompts):
        one = answer(session, coords, marks, box, drawn, multimask=multimask, stacklevel=6)
        stacks.append(one.masks)
        scores.append(scale.put(one.kind, one.scores))
    if stacks:
        masks = MaskSet.from_dense(np.concatenate(stacks), np.concatenate(scores))
    else:
        masks = MaskSet.none(session.size_hw)
    return _numbered(session, masks, number, keep_empty=True)


def _asks(prompts: tuple[Any, ...]) -> bool:
    """Tell whether there is a prompt; labels alone are none."""
    bboxes, points, _, masks = prompts
    return not all(prompt is None for prompt in (bboxes, points, masks))


def _numbered(session: Session, masks: MaskSet, number: int, *, keep_empty: bool) -> Results:
    """Return masks of an image as SAM's result: their classes are their numbers."""
    from fastsam.compat.results import Results

    count = len(masks)
    return Results(
        session,
        masks,
        path=shown_path(session.frame, number),
        mask_kind="bool",
        keep_empty=keep_empty,
        names={k: str(k) for k in range(count)},
        classes=np.arange(count),
    )


def by_object(bboxes: Any, points: Any, labels: Any, masks: Any) -> list[tuple[Any, ...]]:
    """Return the points, labels, box and low-resolution logits of each object."""
    boxes = None if bboxes is None else box_array(bboxes)
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
    return objects_of("SAM", coords, marks, boxes, drawn, empty=True)


def _shaped(values: Any, what: str, depths: tuple[int, ...]) -> NDArray[np.float64]:
    """Return prompts as an array with one row an object."""
    try:
        array = np.asarray(as_array(values), np.float64)
    except (TypeError, ValueError) as error:
        raise PromptError(f"{what}: expected numbers, got {str(values)[:80]}") from error
    if array.ndim not in depths:
        raise PromptError(f"{what}: expected {' or '.join(map(str, depths))} dimensions, got {array.ndim}")
    return array[None] if array.ndim == depths[0] else array
