"""Masks that a model is sure of join a dataset's labels: annotate, train, annotate.

``annotate -> train -> annotate``: the written folder is a COCO-format dataset that ``fastsam train`` and
``fastsam eval`` read. What people drew is kept as it is; a mask joins only where it passes the gate
(confident, stable, large enough, and no object that is labelled already), and says so:
``"source": "model"`` with its ``"score"``. Held-out images keep exactly their own annotations.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsam.config import AnnotateConfig, SegmentConfig
from fastsam.datasets import CocoImage, heldout_names, known_ious, read_listed
from fastsam.errors import DatasetError, FastSAMError, ImageError, PromptError
from fastsam.files import file_sha256, fingerprint, sole_writer
from fastsam.images.frame import Frame
from fastsam.masks.rle import Rle, rle_iou_matrix
from fastsam.prompts import ImageFeatures
from fastsam.prompts.text.labels import UNKNOWN, label
from fastsam.prompts.text.vocabulary import read_classes
from fastsam.resume import ResumeLog
from fastsam.segmenter import Segmenter, segmented
from fastsam.training.labelled import NEW_CLASS, read_content, write_dataset

if TYPE_CHECKING:
    from fastsam.masks.maskset import MaskSet
    from fastsam.model import FastSAM

__all__ = ["annotate", "new_objects"]

_log = logging.getLogger(__name__)
_LOG = ".annotated.jsonl"


def new_objects(
    masks: MaskSet, labelled: Sequence[Rle], config: AnnotateConfig, crowds: Sequence[Rle] = ()
) -> NDArray[np.int64]:
    """Return the rows of ``masks`` that pass the gate, best score first.

    A mask is taken when its score, stability and area reach the config's limits and its IoU with every
    label, and with every mask taken before it, stays below ``same_iou``. One that lies in a crowd is labelled
    already.

    >>> from fastsam.masks.maskset import MaskSet
    >>> square = np.zeros((2, 9, 9), bool); square[:, 1:8, 1:8] = True
    >>> new_objects(MaskSet.from_dense(square), [], AnnotateConfig(min_area_px=9)).tolist()
    [0]
    """
    rows = np.flatnonzero((masks.scores >= config.conf) & (masks.areas_px >= config.min_area_px))
    rows = rows[np.argsort(-masks.scores[rows], kind="stable")]
    rows = rows[masks[rows].stability_scores() >= config.stability] if rows.size else rows
    found = [masks.rle(int(i)) for i in rows]
    known = (
        rle_iou_matrix(found, list(labelled)).max(axis=1, initial=0.0) if found else np.zeros(0, np.float64)
    )
    if found and crowds:  # NaN: it shows one of a crowd that is labelled as a whole
        fit = known_ious(known[:, None], found, list(crowds))
        known = np.where(np.isnan(fit), 1.0, known)
    mutual = rle_iou_matrix(found, found) if found else np.zeros((0, 0))
    taken: list[int] = []
    for k in range(len(rows)):
        if known[k] < config.same_iou and (not taken or mutual[k, taken].max() < config.same_iou):
            taken.append(k)
    return np.asarray(rows[taken], np.int64)


def annotate(
    data: str | Path,
    model: Segmenter | FastSAM,
    out: str | Path,
    config: AnnotateConfig | None = None,
    *,
    classes: str | Path | Sequence[str] | None = None,
    threshold: float = 0.3,
    unknown: bool = False,
    on_progress: Callable[[int, int, str], None] | None = None,
    on_error: Callable[[str, FastSAMError], None] | None = None,
) -> Path:
    """Write a copy of a dataset in which a model has labelled what was not labelled.

    An image that is missing, damaged or not as large as listed gets nothing new; what it had stays.

    Args:
        data: a COCO-format folder, or a folder with ``images/`` alone, sub-folders included (nothing labelled
            yet). A ``heldout.txt`` in it is copied, and the images it lists get no new labels.
        model: stage one; a ``FastSAM`` where there are ``classes``.
        out: folder for ``instances.json``, ``heldout.txt`` and a link to the images. An interrupted run
            goes on where it stopped; other settings, weights or labels start anew.
        config: the gate.
        classes: what new masks may be, as :meth:`fastsam.Session.label` takes a vocabulary
            (``"person=a person"`` is looked for as a person and called ``person``). They become categories in
            this order, those of the dataset keep their ids. Without, each new mask is an ``object``.
        threshold: least probability of a class.
        unknown: also take masks that are none of the classes, as ``object``.
        on_progress: called after each image with (done, total, name).
        on_error: called with the name of an image that cannot be used, and why; without it, a warning of this
            module's logger says so.

    Returns:
        ``out``.

    Raises:
        DatasetError: ``data`` is no dataset, or ``out`` is the same folder.
        ExportError: ``out`` cannot be written to, or another run writes to it.
        PromptError: no such vocabulary, or classes for a model without a text model.
    """
    config = config or AnnotateConfig()
    root, out = Path(data).resolve(), Path(out).resolve()
    if out == root:
        raise DatasetError(f"annotate: expected an output folder other than the dataset itself, got {out}")
    naming = None if classes is None else _Naming(model, read_classes(classes), threshold, unknown)
    stage_one: Any = model
    segmenter: Segmenter = getattr(stage_one, "segmenter", stage_one)
    wrong = on_error or (lambda name, error: _log.warning("%s", error))
    content = read_content(root, wrong)
    heldout = heldout_names(root)
    with sole_writer(out, "output folder"):
        log = ResumeLog(out / _LOG, _run_fingerprint(segmenter, content.coco, config, naming))
        done: dict[str, list[dict[str, Any]]] = {entry["name"]: entry["annotations"] for entry in log}
        for number, image in enumerate(content.images):
            if image.name not in heldout and image.name not in done:
                try:
                    done[image.name] = _annotations(image, segmenter, config, naming)
                except (DatasetError, ImageError) as error:
                    wrong(image.name, error)
                else:
                    log.append({"name": image.name, "annotations": done[image.name]})
            if on_progress is not None:
                on_progress(number + 1, len(content.images), image.name)
        write_dataset(root, out, content.coco, done, () if naming is None else naming.names)
    return out


class _Naming:
    """Gives new masks a class of a vocabulary."""

    def __init__(
        self, model: Any, classes: Sequence[tuple[str, str]], threshold: float, unknown: bool
    ) -> None:
        self.names = tuple(dict.fromkeys(name for name, _ in classes))
        self._embedder = getattr(model, "embedder", None)
        if self._embedder is None:
            raise PromptError("classes: expected a FastSAM, whose text model tells them apart, got stage one")
        self._vocabulary = [name if name == words else f"{name}={words}" for name, words in classes]
        self._threshold, self._unknown = threshold, unknown
        self.about = [self._vocabulary, threshold, unknown, self._embedder.fingerprint]

    def of(self, frame: Frame, masks: MaskSet) -> list[str | None]:
        """Return the class of each mask, ``"object"`` for an unknown one; None for one to leave out."""
        found = label(ImageFeatures(frame, masks, self._embedder), self._vocabulary, self._threshold).names
        other = NEW_CLASS if self._unknown else None
        return [other if name == UNKNOWN else name for name in found]


def _run_fingerprint(
    model: Segmenter, coco: dict[str, Any], config: AnnotateConfig, naming: _Naming | None
) -> str:
    """Return a digest of everything that new labels depend on."""
    checkpoint = getattr(model, "checkpoint", None)
    weights = type(model).__name__ if checkpoint is None else file_sha256(Path(checkpoint))
    return fingerprint([weights, coco, asdict(config), None if naming is None else naming.about])


def _annotations(
    image: CocoImage, model: Segmenter, config: AnnotateConfig, naming: _Naming | None
) -> list[dict[str, Any]]:
    """Return the new COCO annotations of one image, without ids; the class is in ``"class"``."""
    frame = read_listed(image)
    options = SegmentConfig(conf=config.conf, iou=config.iou, imgsz=config.imgsz)
    masks = segmented(model, frame, options).masks
    rows = new_objects(masks, image.rles(), config, image.crowd_rles())
    chosen = masks[rows]
    names: list[str | None] = [NEW_CLASS] * len(chosen) if naming is None else naming.of(frame, chosen)
    boxes = chosen.tight_boxes()
    return [
        {
            "segmentation": dict(chosen.rle(i)),
            "bbox": [float(v) for v in (*boxes[i, :2], *(boxes[i, 2:] - boxes[i, :2]))],
            "area": int(chosen.areas_px[i]),
            "iscrowd": 0,
            "score": round(float(chosen.scores[i]), 4),
            "source": "model",
            "class": name,
        }
        for i, name in enumerate(names)
        if name is not None
    ]
