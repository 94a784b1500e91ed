"""Running a dataset through a model: one network pass an image, resumable, to one mapping of figures."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import fastsam
from fastsam.config import EvalConfig, SegmentConfig
from fastsam.datasets import (
    CocoDataset,
    CocoImage,
    Split,
    boundary_file,
    known_ious,
    read_boundaries,
    read_coco,
    read_listed,
)
from fastsam.errors import ConfigError, DatasetError
from fastsam.evaluation.as_used import figures_as_used, measure_as_used
from fastsam.evaluation.boundary import (
    BoundaryCounts,
    boundary_figures,
    count_boundaries,
    even_thresholds,
    soft_boundaries,
)
from fastsam.evaluation.clicking import click_figures, click_objects
from fastsam.evaluation.metrics import (
    ImageMatches,
    best_ious,
    match_image,
    mean,
    recall_and_precision,
    score_correlation,
)
from fastsam.evaluation.prompting import FIGURES, prompt_objects
from fastsam.evaluation.report import save_json
from fastsam.evaluation.shards import Arrays, OnProgress, Shards, measure_all, model_identity
from fastsam.evaluation.worst import save_worst
from fastsam.files import file_sha256
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.masks.refine import refine
from fastsam.masks.rle import Rle, decode_rle, rle_iou_matrix
from fastsam.prompts.solve.scene import Scene
from fastsam.segmenter import as_segmenter, segmented

if TYPE_CHECKING:
    from fastsam.model import FastSAM
    from fastsam.segmenter import Segmenter

__all__ = ["evaluate", "first_images", "read_listed"]

_MEASURES = 5  # raise it when what is measured changes: stored measurements are then not used again
_BOX_AREAS = ("all",)
_TIMES = ("network", "decode", "pixels", "prompt")


def evaluate(
    dataset: str | Path | CocoDataset,
    model: FastSAM | Segmenter,
    *,
    split: Split = "heldout",
    config: EvalConfig | None = None,
    out: str | Path | None = None,
    limit: int | None = None,
    model_id: str | None = None,
    worst: int = 0,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Measure a model on a COCO-format dataset.

    Args:
        dataset: folder with ``instances.json``, ``images/`` and ``heldout.txt``; or one that is read.
        model: a ``FastSAM`` or its stage one.
        split: of a folder; ``"heldout"``, ``"train"`` or ``"all"``.
        config: the protocol; thresholds of the model itself are not used.
        out: folder for one file per image and ``results.json``; an interrupted run continues from
            there. Other settings, weights or annotations get a folder of their own beside it.
        limit: maximum number of images, in the order of their names.
        worst: number of images to draw, those with the lowest figures, into ``worst/`` in the run's folder.
        model_id: names a model that has no checkpoint file; needed only with ``out``.
        on_progress: called after each image with (done, total, name).

    Returns:
        figures by name, JSON values only; None where nothing could be measured. Times are medians over
        images, milliseconds.

    Raises:
        DatasetError: the dataset is incomplete, or an image is not as large as listed.
        ConfigError: ``limit`` is below 1, ``out`` is given for a model without identity, or ``worst``
            without ``out``.
        ExportError: ``out`` cannot be written.
    """
    config = _with_defaults(config or EvalConfig(), getattr(model, "defaults", None))
    if worst and out is None:
        raise ConfigError("worst: expected an output folder for the pictures; give 'out'")
    segmenter: Any = getattr(model, "segmenter", model)
    used: SegmentConfig = getattr(model, "defaults", None) or SegmentConfig()
    coco = dataset if isinstance(dataset, CocoDataset) else read_coco(dataset, split)
    images = first_images(coco, limit)
    identity = {
        "model": model_identity(segmenter, model_id, required=out is not None),
        "annotations_sha256": file_sha256(coco.root / "instances.json") if out is not None else None,
        "protocol": asdict(config),
        "used": asdict(used) if config.used else None,
        "version": fastsam.__version__,
        "measures": _MEASURES,
    }
    shards = Shards(out, f"{coco.root.resolve().name}-{split}", identity)

    def files(image: CocoImage) -> dict[str, Path | None]:
        boundaries = [boundary_file(coco.root, image)] if config.boundary else []
        return {"": shards.path([image.path, *boundaries])}

    def measure(image: CocoImage, _: list[str]) -> Iterator[tuple[str, Arrays]]:
        yield "", _measure(segmenter, coco, image, config, used)

    all_arrays = measure_all(
        images, files, measure, label=lambda image: image.path.name, on_progress=on_progress
    )
    measured = [arrays[""] for arrays in all_arrays]
    results = {
        "dataset": coco.root.resolve().name,
        "split": coco.split,
        "images": len(images),
        **_summary(measured, config),
        **{name: identity[name] for name in ("model", "protocol", "version")},
    }
    if shards.folder is not None:
        save_json(results, shards.folder / "results.json")
        if worst:
            save_worst(segmenter, _worst(measured, images)[:worst], config, shards.folder / "worst")
    return results


def _with_defaults(config: EvalConfig, defaults: SegmentConfig | None) -> EvalConfig:
    """Return the protocol with the refinement that goes with the weights, where none was asked for."""
    own = defaults or SegmentConfig()
    given = {name: getattr(config, name) for name in ("edge_radius", "min_region_share")}
    return replace(config, **{n: getattr(own, n) if value is None else value for n, value in given.items()})


def _worst(measured: Sequence[Arrays], images: Sequence[CocoImage]) -> list[tuple[float, CocoImage]]:
    """Return the images that have objects, those with the lowest mean best IoU first."""
    means = [
        (float(arrays["best_iou"].mean()), image)
        for arrays, image in zip(measured, images, strict=True)
        if len(arrays["best_iou"])
    ]
    return sorted(means, key=lambda pair: pair[0])


def first_images(dataset: CocoDataset, limit: int | None) -> tuple[CocoImage, ...]:
    """Return the images to measure."""
    if limit is not None and limit < 1:
        raise ConfigError(f"limit: expected at least 1 image, got {limit}")
    if not dataset.images:
        raise DatasetError(
            f"dataset {dataset.root}: split {dataset.split!r} has no images; "
            "compare the names in heldout.txt with those in instances.json, or use split 'all'"
        )
    return dataset.images[:limit]


def _measure(
    segmenter: Segmenter, dataset: CocoDataset, image: CocoImage, config: EvalConfig, used: SegmentConfig
) -> Arrays:
    """Return everything that is measured on one image."""
    frame = read_listed(image)
    start = time.perf_counter()
    masks = segmented(as_segmenter(segmenter), frame, config.segment)
    passed = time.perf_counter()
    # Each mask is decoded once; what needs all pixels works on these packed copies.
    refined = refine(masks, frame.rgb, config.segment)
    pixels = MaskSet.from_crops([refined.crop(i) for i in range(len(masks))], masks.size_hw, masks.scores)
    decoded = time.perf_counter()
    rles, objects, crowds = [pixels.rle(i) for i in range(len(pixels))], image.rles(), image.crowd_rles()
    detected = (rles, masks.boxes_xyxy, masks.scores, objects)
    by_mask, ious = match_image(*detected, crowds=crowds)
    by_box, _ = match_image(*detected, kind="box", areas=_BOX_AREAS, crowds=crowds)
    arrays = {f"mask_{name}": value for name, value in by_mask.arrays().items()}
    arrays |= {f"box_{name}": value for name, value in by_box.arrays().items()}
    arrays["best_iou"] = best_ious(ious)
    arrays["mask_iou"] = known_ious(ious, rles, crowds)
    steps = masks.times_ms
    chosen = segmenter.segment(frame, config.select)
    prompt_ms = _add_prompts(arrays, chosen, frame, objects, config, image.path.name)
    if config.used:
        arrays |= measure_as_used(segmenter.segment(frame, used), frame, objects, used, config)
    if config.boundary:
        truths = read_boundaries(dataset.root, image)
        counts = count_boundaries(
            soft_boundaries(pixels, frame), truths, even_thresholds(config.boundary_thresholds)
        )
        arrays["boundary"] = np.stack(
            [counts.truth_matched, counts.truth, counts.found_matched, counts.found]
        )
    whole_ms, pixels_ms = 1e3 * (passed - start), 1e3 * (decoded - passed)
    arrays["times_ms"] = np.array(
        [steps.get("network", whole_ms), steps.get("decode", 0.0), pixels_ms, prompt_ms]
    )
    return arrays


def _add_prompts(
    arrays: Arrays,
    chosen: MaskSet,
    frame: Frame,
    objects: Sequence[Rle],
    config: EvalConfig,
    name: str,
) -> float:
    """Prompt for every object; add the figures and return the time of a prompt."""
    targets = [decode_rle(rle) for rle in objects]
    handed_out = refine(chosen, frame.rgb, config.select)
    selectable = rle_iou_matrix([handed_out.rle(i) for i in range(len(chosen))], list(objects))
    seed = (config.seed, zlib.crc32(os.fsencode(name)))
    scene = Scene(frame.rgb, chosen, handed_out)
    prompted = prompt_objects(chosen, targets, selectable, config, seed, scene=scene)
    if config.noc:
        arrays["click_iou"] = click_objects(scene, targets, config)
    areas = np.array([np.count_nonzero(target) for target in targets], np.int64)
    arrays["selectable_iou"] = np.where(areas >= config.min_area_px, best_ious(selectable), np.nan)
    arrays |= {"prompt_iou": prompted.ious, "area_px": areas}
    return prompted.prompt_ms


def _summary(measured: Sequence[Arrays], config: EvalConfig) -> dict[str, Any]:
    """Pool the measurements of all images."""
    by_mask = [ImageMatches.from_arrays(_part(arrays, "mask_")) for arrays in measured]
    by_box = [ImageMatches.from_arrays(_part(arrays, "box_")) for arrays in measured]
    pooled = {
        name: np.concatenate([a[name] for a in measured], axis=-1)
        for name in ("best_iou", "selectable_iou", "prompt_iou")
    }
    results: dict[str, Any] = {
        "instances": int(pooled["best_iou"].shape[-1]),
        "prompted_instances": int(np.isfinite(pooled["selectable_iou"]).sum()),
        "masks_per_image": float(np.mean([len(one.scores) for one in by_mask])),
        **recall_and_precision(by_mask),
        **{f"box_{name}": value for name, value in recall_and_precision(by_box, _BOX_AREAS).items()},
        **score_correlation(
            np.concatenate([one.scores for one in by_mask]),
            np.concatenate([arrays["mask_iou"] for arrays in measured]),
        ),
        "oracle_mIoU": mean(pooled["best_iou"]),
        "selection_oracle_mIoU": mean(pooled["selectable_iou"]),
    }
    for name, values in zip(FIGURES, pooled["prompt_iou"], strict=True):
        head, _, tail = name.partition("_")
        results[f"{head}_mIoU" + (f"_{tail}" if tail else "")] = mean(values)
    if config.used:
        results |= figures_as_used(measured)
    if config.noc:
        results |= click_figures(np.concatenate([arrays["click_iou"] for arrays in measured], axis=-1))
    if config.boundary:
        counts = [BoundaryCounts(*arrays["boundary"]) for arrays in measured]
        results |= boundary_figures(counts, even_thresholds(config.boundary_thresholds))
    times = np.stack([arrays["times_ms"] for arrays in measured])
    results["time_ms"] = {name: _median(times[:, k]) for k, name in enumerate(_TIMES)}
    return results


def _part(arrays: Arrays, prefix: str) -> Arrays:
    """Return the arrays of one kind, without their prefix."""
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _median(values: NDArray[np.float64]) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else None
