"""Texts on annotated images: does a category's name find its objects, and is an object called right?

For each image every category is asked for by its name, whether the image shows it or not: once about the
true masks (all that can go wrong is the naming), once about those that stage one finds (what a user gets).
"""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

import fastsam
from fastsam.config import SegmentConfig, TextEvalConfig
from fastsam.datasets import CAPTIONS_NAME, CocoDataset, CocoImage, Split, annotation_rle, read_coco
from fastsam.errors import ConfigError, DatasetError
from fastsam.evaluation.answers import NEITHER, RIGHT, Answers, judge, known_figures
from fastsam.evaluation.captions import caption_figures
from fastsam.evaluation.category_names import asked_texts
from fastsam.evaluation.metrics import mean
from fastsam.evaluation.report import save_json
from fastsam.evaluation.runner import first_images, read_listed
from fastsam.evaluation.shards import Arrays, OnProgress, Shards, measure_all, model_identity
from fastsam.files import file_sha256
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.masks.rle import Rle, decode_rle, rle_iou_matrix
from fastsam.prompts.spec import CropStyle, Text
from fastsam.prompts.text.matching import Embedder, ImageFeatures, mask_text_probabilities, score
from fastsam.prompts.text.models import open_text_model
from fastsam.prompts.text.vocabulary import background, templates

if TYPE_CHECKING:
    from fastsam.model import FastSAM

__all__ = ["evaluate_texts"]

FloatArray = NDArray[np.float32]

_MEASURES = 1  # raise it when what is measured changes: stored measurements are then not used again
_IOU = 0.5  # from which on a mask is an object's


@dataclass(frozen=True)
class _Column:
    """One text-image model that sees crops of one style, on one dataset."""

    model: str
    embedder: Embedder
    style: CropStyle
    shards: Shards
    identity: dict[str, Any]


def evaluate_texts(
    dataset: str | Path,
    model: FastSAM,
    text_models: Mapping[str, Any] | Sequence[Any],
    *,
    crops: Sequence[str] = ("masked",),
    split: Split = "heldout",
    config: TextEvalConfig | None = None,
    names: Mapping[str, str] | None = None,
    segment: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    limit: int | None = None,
    on_progress: OnProgress | None = None,
) -> list[dict[str, Any]]:
    """Measure text-image models on a COCO-format folder, on one with captions, or on both in one.

    Args:
        dataset: folder with ``images/``, ``heldout.txt``, and ``instances.json`` or ``captions.json``.
        model: its stage one finds the masks.
        text_models: what :func:`fastsam.prompts.text.models.open_text_model` takes or gives; with names of
            your own as a mapping.
        crops: how masks are shown to them; each style is measured with each model.
        split: ``"heldout"``, ``"train"`` or ``"all"``.
        config: the protocol.
        names: what to ask for a category by; of itself it is asked for by its name.
        segment: options of stage one, fields of :class:`fastsam.config.SegmentConfig`; the rest are the
            weights' own defaults.
        out: folder for one file per image and ``results.json``; an interrupted run continues from there.
        limit: maximum number of images, in the order of their names.
        on_progress: called with (done, total, name) after each image.

    Returns:
        figures by name for each model and style, JSON values only; None where nothing could be measured.

    Raises:
        DatasetError: the dataset is incomplete, or has neither categories nor captions.
        ConfigError: no model, no or an unknown style, or ``limit`` is below 1.
        WeightsError: a model cannot be had.
        ExportError: ``out`` cannot be written.
    """
    config, root = config or TextEvalConfig(), Path(dataset)
    embedders = _embedders(text_models)
    styles = _styles(crops)
    with_captions = config.captions and (root / CAPTIONS_NAME).is_file()
    if not (root / "instances.json").is_file() and with_captions:
        return [
            _header(root, split, name) | caption_figures(root, split, embedder, out, limit, on_progress)
            for name, embedder in embedders.items()
        ]
    coco = read_coco(root, split)
    images = first_images(coco, limit)
    texts, index = asked_texts(coco, names or {})
    options = dict(segment or {})
    columns = _columns(coco, model, embedders, styles, config, texts, options, out)
    measured = _measured(columns, images, model, options, texts, index, config, on_progress)
    captions = {
        name: caption_figures(root, split, embedder, out, limit) if with_captions else {}
        for name, embedder in embedders.items()
    }
    results = []
    for column, arrays in zip(columns, measured, strict=True):
        result = {
            **_header(root, split, column.model, column.style),
            "images": len(images),
            "texts": len(texts),
            **_summary(arrays, images, texts, index, config),
            **captions[column.model],
            **column.identity,
            "protocol": asdict(config),
        }
        if column.shards.folder is not None:
            save_json(result, column.shards.folder / "results.json")
        results.append(result)
    return results


def _header(root: Path, split: Split, model: str, style: str | None = None) -> dict[str, Any]:
    return {"dataset": root.resolve().name, "split": split, "text_model": model, "crops": style}


def _embedders(text_models: Mapping[str, Any] | Sequence[Any]) -> dict[str, Embedder]:
    """Return the models by the names they were asked for by."""
    named = text_models.items() if isinstance(text_models, Mapping) else [("", one) for one in text_models]
    embedders: dict[str, Embedder] = {}
    for name, model in named:
        opened = model if isinstance(model, Embedder) else open_text_model(model)
        embedders[name or (str(model) if isinstance(model, (str, Path)) else opened.location)] = opened
    if not embedders:
        raise ConfigError("text models: expected at least one, or [None] for the one that comes with fastsam")
    return embedders


def _styles(crops: Sequence[str]) -> list[CropStyle]:
    """Return kinds of crops, checked, each once."""
    known = get_args(CropStyle)
    if not crops or isinstance(crops, str) or set(crops) - set(known):
        raise ConfigError(f"crops: expected some of {', '.join(known)}, got {crops!r}")
    return [style for style in known if style in crops]


def _columns(
    dataset: CocoDataset,
    model: FastSAM,
    embedders: Mapping[str, Embedder],
    crops: Sequence[CropStyle],
    config: TextEvalConfig,
    texts: Sequence[str],
    options: Mapping[str, Any],
    out: str | Path | None,
) -> list[_Column]:
    """Return what is to be measured, each with the place where it is kept."""
    words = "\n".join([*templates(), "", *background()])
    about: dict[str, Any] = {
        "masks": config.masks,
        "model": model_identity(model.segmenter, model.location, required=out is not None),
        "segment": asdict(SegmentConfig(**{**asdict(model.defaults), **options})),
        "annotations_sha256": file_sha256(dataset.root / "instances.json"),
        "texts": list(texts),
        "templates": config.templates,
        "presets_sha256": hashlib.sha256(words.encode()).hexdigest(),
        "version": fastsam.__version__,
        "measures": _MEASURES,
    }
    columns = []
    for name, embedder in embedders.items():
        vectors = embedder.fingerprint
        for style in crops:
            identity = about | {"text_model_identity": vectors, "crops": style}
            shards = Shards(out, f"{dataset.root.resolve().name}-{dataset.split}-texts-{style}", identity)
            kept = {key: identity[key] for key in ("text_model_identity", "model", "segment", "version")}
            columns.append(_Column(name, embedder, style, shards, kept))
    return columns


def _measured(
    columns: Sequence[_Column],
    images: Sequence[CocoImage],
    model: FastSAM,
    options: Mapping[str, Any],
    texts: Sequence[str],
    index: Mapping[int, int],
    config: TextEvalConfig,
    on_progress: OnProgress | None,
) -> list[list[Arrays]]:
    """Return what each column measures on each image; stage one runs once an image."""
    by_name = {f"{column.model} {column.style}": column for column in columns}

    def measure(image: CocoImage, missing: list[str]) -> Iterator[tuple[str, Arrays]]:
        scene = _Scene(image, model, options, index, config.masks)
        for name in missing:
            column = by_name[name]
            yield name, scene.measure(column.embedder, column.style, texts, config.templates)

    measured = list(
        measure_all(
            images,
            lambda image: {name: column.shards.path([image.path]) for name, column in by_name.items()},
            measure,
            label=lambda image: image.path.name,
            on_progress=on_progress,
        )
    )
    return [[arrays[name] for arrays in measured] for name in by_name]


@dataclass(frozen=True)
class _Scene:
    """An image, its objects, and what stage one finds in it; looked at only if need be."""

    image: CocoImage
    model: FastSAM
    options: Mapping[str, Any]
    index: Mapping[int, int]
    with_masks: bool

    @cached_property
    def frame(self) -> Frame:
        """The photo."""
        return read_listed(self.image)

    @cached_property
    def objects(self) -> tuple[list[Rle], list[int]]:
        """The objects that have pixels, and which text names each."""
        return _regions(self.image, self.image.annotations, self.index)

    @cached_property
    def true_masks(self) -> MaskSet:
        """The objects as masks."""
        dense = [decode_rle(rle) for rle in self.objects[0]]
        return MaskSet.from_dense(np.stack(dense)) if dense else MaskSet.none(self.frame.size_hw)

    @cached_property
    def found(self) -> tuple[MaskSet, list[Rle]]:
        """The masks that texts choose among, and as they are handed out."""
        session = self.model.open(self.frame, **self.options)
        given = session.everything().masks
        return session.masks, [given.rle(i) for i in range(len(given))]

    def measure(self, embedder: Embedder, style: CropStyle, texts: Sequence[str], ensemble: bool) -> Arrays:
        """Return all that one model says of the image, and what is true."""
        embedder.texts(texts, ensemble)  # a text is encoded once in a process: not the image's time
        seen = ImageFeatures(self.frame, self.true_masks, embedder)
        arrays: Arrays = {
            "truth": np.array(self.objects[1], np.int64),
            "object_likely": mask_text_probabilities(seen, texts, ensemble=ensemble, crops=style),
            "object_names": mask_text_probabilities(
                seen, texts, ensemble=ensemble, crops=style, together=True
            ),
        }
        if not self.with_masks:
            return arrays
        masks, given = self.found
        seen = ImageFeatures(self.frame, masks, embedder)
        start = time.perf_counter()
        encoded = len(seen.embeddings(style)[1])
        spent_ms = 1e3 * (time.perf_counter() - start)
        crowds, crowd_texts = _regions(self.image, self.image.crowds, self.index)
        return arrays | {
            "mask_likely": score(masks, Text(list(texts), templates=ensemble, crops=style), seen),
            "ious": rle_iou_matrix(given, self.objects[0]).astype(np.float32),
            "covered": _covered(given, crowds),
            "crowds": np.array(crowd_texts, np.int64),
            "crop_ms": np.array(spent_ms / encoded if encoded else np.nan),
        }


def _regions(
    image: CocoImage, annotations: Sequence[dict[str, Any]], index: Mapping[int, int]
) -> tuple[list[Rle], list[int]]:
    """Return annotations as masks, those without a pixel left out, and which text names each."""
    rles, named = [], []
    for annotation in annotations:
        rle = annotation_rle(annotation, (image.height, image.width))
        if annotation.get("category_id") not in index:
            raise DatasetError(
                f"annotation {annotation.get('id')} of {image.path.name}: its category_id "
                f"{annotation.get('category_id')!r} is not among the dataset's categories"
            )
        if coco_mask.area(rle) > 0:
            rles.append(rle)
            named.append(index[annotation["category_id"]])
    return rles, named


def _covered(masks: list[Rle], crowds: list[Rle]) -> FloatArray:
    """Return (N, K) the share of each mask that lies in each region of uncounted objects."""
    if not masks or not crowds:
        return np.zeros((len(masks), len(crowds)), np.float32)
    return np.asarray(coco_mask.iou(masks, crowds, [1] * len(crowds)), np.float32)  # as COCO treats crowds


def _asked(
    image: CocoImage, shown: NDArray[np.int64], count: int, config: TextEvalConfig
) -> NDArray[np.int64]:
    """Return which texts the image is asked for: those it shows, and all or some of the others."""
    absent = np.setdiff1d(np.arange(count), shown)
    if config.absent is not None and config.absent < len(absent):
        random = np.random.default_rng([config.seed, zlib.crc32(os.fsencode(image.path.name))])
        absent = np.sort(random.choice(absent, config.absent, replace=False))
    return np.union1d(shown, absent)


def _summary(
    measured: Sequence[Arrays],
    images: Sequence[CocoImage],
    texts: Sequence[str],
    index: Mapping[int, int],
    config: TextEvalConfig,
) -> dict[str, Any]:
    """Pool what was measured on all images."""
    about_objects, about_masks = _Pool(len(texts)), _Pool(len(texts))
    for arrays, image in zip(measured, images, strict=True):
        truth = arrays["truth"]
        present = np.unique([index[a["category_id"]] for a in (*image.annotations, *image.crowds)])
        for text in _asked(image, present.astype(np.int64), len(texts), config):
            mine, absent = truth == text, text not in present
            about_objects.add(text, arrays["object_likely"][text], mine.astype(np.int64), mine, absent)
            if config.masks:
                probabilities, ious = arrays["mask_likely"][text], arrays["ious"][:, mine]
                within = arrays["covered"][:, arrays["crowds"] == text]
                excused = np.asarray((within >= _IOU).any(axis=1))
                about_masks.add(text, probabilities, judge(probabilities, ious, excused, _IOU), mine, absent)
    names = np.concatenate([arrays["object_names"] for arrays in measured], axis=1)
    truths = np.concatenate([arrays["truth"] for arrays in measured])
    figures: dict[str, Any] = {
        "instances": len(truths),
        "pairs": about_objects.pairs,
        "absent_pairs": len(about_objects.absent),
        **{f"label_{k}": v for k, v in known_figures(names, truths, config.label_threshold).items()},
        **{f"objects_{k}": v for k, v in about_objects.answers().figures(config.threshold).items()},
    }
    if config.masks:
        best = [arrays["ious"].max(axis=0, initial=0.0) for arrays in measured]
        figures |= {
            "masks_covered": mean((np.concatenate(best) >= _IOU).astype(float)),
            **{f"masks_{k}": v for k, v in about_masks.answers().figures(config.threshold).items()},
            "masks_repeated": about_masks.repeated(config.threshold),
            "time_ms": {"crop": mean(np.array([float(arrays["crop_ms"]) for arrays in measured]))},
        }
    return figures


class _Pool:
    """Answers of many pairs of an image and a text."""

    def __init__(self, count: int) -> None:
        self.objects = np.zeros(count, np.int64)
        self.pairs = 0
        self.absent: list[float] = []
        self._rows: list[tuple[int, FloatArray, NDArray[np.int64]]] = []

    def add(
        self,
        text: int,
        likely: FloatArray,
        verdicts: NDArray[np.int64],
        objects: NDArray[np.bool_],
        absent: bool,
    ) -> None:
        """Take the answers of a pair in; masks too small to describe (0) do not count."""
        self.pairs += 1
        self.objects[text] += np.count_nonzero(objects)
        described = likely > 0
        self._rows.append((text, likely[described], verdicts[described]))
        if absent:
            self.absent.append(float(likely.max(initial=0.0)))

    def _joined(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        texts = [np.full(len(scores), text, np.int64) for text, scores, _ in self._rows]
        empty = np.zeros(0, np.int64)
        return (
            np.concatenate([empty, *texts]),
            np.concatenate([empty.astype(np.float64), *(scores for _, scores, _ in self._rows)]),
            np.concatenate([empty, *(verdicts for *_, verdicts in self._rows)]),
        )

    def answers(self) -> Answers:
        """Return the answers that count."""
        texts, scores, verdicts = self._joined()
        counts = verdicts != NEITHER
        return Answers(
            scores[counts], verdicts[counts] == RIGHT, texts[counts], self.objects, np.array(self.absent)
        )

    def repeated(self, threshold: float) -> float | None:
        """Return the share of answers that are neither: an object a second time, or uncounted ones."""
        _, scores, verdicts = self._joined()
        return mean((verdicts[scores >= threshold] == NEITHER).astype(float))
