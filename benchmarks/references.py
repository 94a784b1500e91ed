"""How well references find the same thing again: in the next frames of a video, and in other photos.

Each annotated region is a reference (its exact pixels); what answers best in the other image is compared with
what is annotated there. Beside it what needs no looking: the mask that overlaps the reference's box best
(scaled to the other image's size), a mask at random (the mean over all), and the best mask that there is.

    python benchmarks/references.py --clips data/davis_clips --data data/coco_mix data/food_plates

Clips are folders with ``frames/*.jpg`` and ``masks/*.png`` (0 and 1). Photos are the held-out ones of
COCO-format folders; of each category at most so many pairs of photos are taken, the same ones in each run.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("YOLO_AUTOINSTALL", "False")
os.environ.setdefault("YOLO_OFFLINE", "True")

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from fastsam import FastSAM, MaskLike, Reference, read_frame
from fastsam.config import EvalConfig
from fastsam.datasets import read_coco
from fastsam.errors import PromptError
from fastsam.images.listing import list_images
from fastsam.images.reading import read_mask
from fastsam.masks.dense import box_from_mask
from fastsam.masks.rle import encode_rle, rle_iou_matrix
from fastsam.prompts import Appearance, Example
from fastsam.prompts.appearance import Appearances, appearances_of
from fastsam.prompts.reference import describe_region, reference_probabilities

FloatArray = NDArray[np.float32]
COLUMNS = ("random", "box", "ours", "oracle")
F1_IOU = 0.5


@dataclass(frozen=True, eq=False)
class Photo:
    """An image as references meet it: its masks' looks and scores, and what is annotated in it."""

    size_hw: tuple[int, int]
    appearances: Appearances
    scores: FloatArray
    boxes: FloatArray
    kinds: NDArray[np.int64]  # (G,) category of each annotated region
    regions: list[Appearance | None]  # how each looks; None where it is too small to tell
    region_boxes: FloatArray
    ious: NDArray[np.float64]  # (N, G)


def opened(model: FastSAM, image: Any, truths: Sequence[NDArray[np.bool_]], kinds: Sequence[int]) -> Photo:
    """Segment an image and look at everything in it."""
    session = model.open(image)
    regions: list[Appearance | None] = []
    for truth in truths:
        try:
            found = describe_region(session.masks, session.features, Example(session.frame, MaskLike(truth)))
            regions.append(found[0])
        except PromptError:
            regions.append(None)
    ours = [session.masks.rle(i) for i in range(len(session.masks))]
    return Photo(
        session.frame.size_hw,
        appearances_of(session.features),
        session.masks.scores,
        session.masks.boxes_xyxy,
        np.asarray(kinds, np.int64),
        regions,
        np.array([box_from_mask(truth) for truth in truths], np.float32).reshape(-1, 4),
        rle_iou_matrix(ours, [encode_rle(truth) for truth in truths]).reshape(len(ours), len(truths)),
    )


def scores(photo: Photo, looks: Sequence[Appearance]) -> NDArray[np.float64]:
    """Return (N,) the scores of a photo's masks for a reference of these shots."""
    return reference_probabilities(photo.appearances, Reference.made(looks)) * photo.scores


def box_ious(box: FloatArray, boxes: FloatArray) -> FloatArray:
    """Return (N,) the IoU of a box with boxes."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.maximum(sides, 0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return np.asarray(shared / np.maximum(areas - shared, 1e-9), np.float32)


def compared(source: Photo, region: int, target: Photo, wanted: NDArray[np.bool_]) -> dict[str, float] | None:
    """Return each choice's IoU with the nearest of the wanted regions; None where nothing is told."""
    look = source.regions[region]
    if look is None or len(target.scores) == 0:
        return None
    fits = target.ious[:, wanted].max(axis=1)
    scale = np.array(target.size_hw[::-1] * 2, np.float32) / np.array(source.size_hw[::-1] * 2, np.float32)
    overlaps = box_ious(source.region_boxes[region] * scale, target.boxes)
    return {
        "random": float(fits.mean()),
        "box": float(fits[overlaps.argmax()]),
        "ours": float(fits[scores(target, [look]).argmax()]),
        "oracle": float(fits.max()),
    }


def summary(name: str, rows: Sequence[dict[str, float]], **more: Any) -> dict[str, Any]:
    """Return the means of rows."""
    means = {key: round(float(np.mean([row[key] for row in rows])), 4) if rows else None for key in COLUMNS}
    return {"what": name, "pairs": len(rows), **means, **more}


def of_clips(model: FastSAM, folder: Path, every: int, steps: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield a row a step: a frame's object in the frame so many later."""
    rows: dict[int, list[dict[str, float]]] = {step: [] for step in steps}
    for clip in sorted(path.parent for path in folder.glob("*/frames")):
        frames = list_images(clip / "frames")
        starts = range(0, len(frames), every)
        needed = sorted({i + step for i in starts for step in (0, *steps) if i + step < len(frames)})
        photos = {}
        for i in needed:
            truth = read_mask(clip / "masks" / f"{frames[i].stem}.png")
            photos[i] = opened(model, read_frame(frames[i]), [truth], [1])
        for i in starts:
            for step in steps:
                if i in photos and i + step in photos:
                    row = compared(photos[i], 0, photos[i + step], np.array([True]))
                    rows[step] += [row] if row else []
    for step in steps:
        yield summary(f"{folder.name}, {step} frame{'s' * (step != 1)} later", rows[step])


def of_photos(
    model: FastSAM, folder: Path, limit: int | None, per_kind: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Yield a row for a region's kind in another photo, by one shot and by three."""
    least = EvalConfig().min_area_px
    photos = []
    for image in read_coco(folder, "heldout").images[:limit]:
        kinds = [a["category_id"] for a in image.annotations]
        kept = [
            (truth, kind) for truth, kind in zip(image.masks(), kinds, strict=True) if truth.sum() >= least
        ]
        if kept:
            photos.append(opened(model, image.path, [t for t, _ in kept], [k for _, k in kept]))
    rng = np.random.default_rng(seed)
    one: list[dict[str, float]] = []
    three: list[dict[str, float]] = []
    chosen: list[tuple[int, int, int]] = []  # of one shot: rightly chosen, chosen, found of the wanted
    wanted_count = 0
    for kind in sorted({int(k) for photo in photos for k in photo.kinds}):
        shots = [(p, int(r)) for p, photo in enumerate(photos) for r in np.flatnonzero(photo.kinds == kind)]
        pairs = [(p, r, q) for p, r in shots for q in sorted({p for p, _ in shots}) if p != q]
        for k in rng.permutation(len(pairs))[:per_kind]:
            p, r, q = pairs[k]
            wanted = photos[q].kinds == kind
            row = compared(photos[p], r, photos[q], wanted)
            look = photos[p].regions[r]
            if row is None or look is None:
                continue
            one.append(row)
            values = scores(photos[q], [look])
            fits = photos[q].ious[:, wanted] > F1_IOU
            answer = values >= Reference.made([look]).threshold
            chosen.append(
                (int(fits[answer].any(axis=1).sum()), int(answer.sum()), int(fits[answer].any(axis=0).sum()))
            )
            wanted_count += int(wanted.sum())
            others = [photos[a].regions[b] for a, b in shots if a != q and (a, b) != (p, r)]
            more = [x for x in others if x is not None]
            if len(more) >= 2:
                few = [look, *(more[i] for i in rng.permutation(len(more))[:2])]
                best = int(scores(photos[q], few).argmax())
                three.append(row | {"ours": float(photos[q].ious[best, wanted].max())})
    right, said, found = (sum(column) for column in zip(*chosen, strict=True)) if chosen else (0, 0, 0)
    precision, recall = right / max(said, 1), found / max(wanted_count, 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    told = {"precision": round(precision, 4), "recall": round(recall, 4), "f1": round(f1, 4)}
    yield summary(f"{folder.name}, same kind elsewhere", one, images=len(photos), **told)
    yield summary(f"{folder.name}, three shots", three, images=len(photos))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=Path, help="folder of clips with frames/ and masks/")
    parser.add_argument(
        "--data", type=Path, nargs="*", default=[], help="COCO-format folders with heldout.txt"
    )
    parser.add_argument("--every", type=int, default=10, help="a reference every so many frames of a clip")
    parser.add_argument(
        "--steps", type=int, nargs="*", default=[1, 10], help="frames between reference and answer"
    )
    parser.add_argument("--limit", type=int, help="only the first so many photos of a folder")
    parser.add_argument("--per-kind", type=int, default=25, help="pairs of photos of each category")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights")
    parser.add_argument("--text-model")
    parser.add_argument("--json", type=Path, help="write the rows here, too")
    given = parser.parse_args()
    model = FastSAM(given.weights, text_model=given.text_model, device="cpu")
    found: list[dict[str, Any]] = []
    if given.clips:
        found += of_clips(model, given.clips, given.every, given.steps)
    for folder in given.data:
        found += of_photos(model, folder, given.limit, given.per_kind, given.seed)
        if given.json:
            given.json.write_text(json.dumps(found, indent=1))
    table = Table("mIoU", "pairs", *COLUMNS, "P / R / F1 of all")
    for row in found:
        figures = ["" if row[name] is None else f"{row[name]:.3f}" for name in COLUMNS]
        told = f"{row['precision']:.2f} / {row['recall']:.2f} / {row['f1']:.2f}" if "f1" in row else ""
        table.add_row(row["what"], str(row["pairs"]), *figures, told)
    Console(highlight=False, width=110).print(table)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
