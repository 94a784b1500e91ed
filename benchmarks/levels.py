"""What one click finds at each level, beside the best of three and the best mask there is; with --groups,
what a region drawn over one, two or three objects finds, answered by one mask or by a group.

python benchmarks/levels.py DATASET [DATASET ...] [--limit 40] [--split heldout] [--groups]

The click is SAM's: the point of an object farthest from its edge. A level is an answer of its own: the
object that the annotators meant may be a whole in one data set and a part in another. A drawn region is the
objects' union with its edge moved by 6 % of its size, mostly outwards; objects of 400 pixels and more that do
not overlap much.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam import FastSAM, MaskLike, Points, select
from fastsam.config import EvalConfig
from fastsam.datasets import read_coco
from fastsam.evaluation.prompting import mask_iou
from fastsam.evaluation.runner import first_images, read_listed
from fastsam.masks.dense import farthest_point
from fastsam.masks.maskset import MaskSet
from fastsam.masks.refine import refine
from fastsam.masks.rle import decode_rle, rle_iou_matrix

COLUMNS = ("auto", "whole", "part", "subpart", "best of three", "oracle")


def click_ious(
    masks: MaskSet, objects: Sequence[NDArray[np.bool_]], ious: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (objects, columns) IoUs of the answers to a click on each object.

    Args:
        masks: N masks to choose from.
        objects: true masks.
        ious: (N, objects) IoU of each mask, as it is handed out, with each object.
    """
    rows = []
    for g, target in enumerate(objects):
        x, y = farthest_point(target)
        click = (x + 0.5, y + 0.5)
        prompts = [
            *(Points(click, level=level) for level in ("auto", "whole", "part", "subpart")),
            Points(click, multimask=True),
        ]
        found = [select(masks, prompt).indices for prompt in prompts]
        best = [float(ious[index, g].max()) if len(index) else 0.0 for index in found]
        rows.append([*best, float(ious[:, g].max(initial=0.0))])
    return np.array(rows).reshape(-1, len(COLUMNS))


def drawn_over(target: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return a mask as a hand draws it: a bit too large, or sometimes too small."""
    radius = max(int(0.06 * np.sqrt(np.count_nonzero(target))), 1)
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    change = cv2.dilate if rng.random() < 0.7 else cv2.erode
    moved = change(target.astype(np.uint8), brush).astype(bool)
    return moved if moved.any() else target


def region_ious(
    masks: MaskSet, objects: Sequence[NDArray[np.bool_]], rng: np.random.Generator
) -> dict[int, list[tuple[float, float]]]:
    """Return for one, two and three objects the IoU of the answer with them: of one mask, of a group."""
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: [], 3: []}
    for count, times in ((1, 3), (2, 2), (3, 2)):
        for _ in range(times if len(objects) >= count else 0):
            chosen = [objects[i] for i in rng.permutation(len(objects))[:count]]
            target = np.any(chosen, axis=0)
            if target.sum() < 0.95 * sum(one.sum() for one in chosen):
                continue
            region = drawn_over(target, rng)
            one, group = (
                mask_iou(select(masks, MaskLike(region, 0.0, group=wanted)).masks.union(), target)
                for wanted in (False, True)
            )
            found[count].append((one, group))
    return found


def print_regions(folder: str, model: FastSAM, config: EvalConfig, options: argparse.Namespace) -> None:
    """Measure a data set and print a row a number of objects."""
    rng, data = np.random.default_rng(0), read_coco(folder, options.split)
    pooled: dict[int, list[tuple[float, float]]] = {}
    for image in first_images(data, options.limit):
        masks = model.segmenter.segment(read_listed(image), config.select)
        objects = [mask for mask in map(decode_rle, image.rles()) if mask.sum() >= 400]
        for count, pairs in region_ious(masks, objects, rng).items():
            pooled.setdefault(count, []).extend(pairs)
    for count, pairs in pooled.items():
        if pairs:
            one, group = (f"{value:.3f}".lstrip("0") for value in np.mean(pairs, axis=0))
            print(f"| {data.root.resolve().name} | {count} | {len(pairs)} | {one} | {group} |", flush=True)


def main() -> None:
    """Measure the data sets and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--split", default="heldout", choices=("heldout", "train", "all"))
    parser.add_argument("--groups", action="store_true")
    options = parser.parse_args()
    model = FastSAM()
    config = EvalConfig(
        edge_radius=model.defaults.edge_radius, min_region_share=model.defaults.min_region_share
    )
    if options.groups:
        print("| data | objects | regions | one mask | group |")
        print("|---|---|---|---|---|")
        for folder in options.datasets:
            print_regions(folder, model, config, options)
        return
    print("| data | clicks | " + " | ".join(COLUMNS) + " |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    for folder in options.datasets:
        data = read_coco(folder, options.split)
        found = []
        for image in first_images(data, options.limit):
            frame = read_listed(image)
            masks = model.segmenter.segment(frame, config.select)
            handed_out = refine(masks, frame.rgb, config.select)
            rles = [rle for rle in image.rles() if decode_rle(rle).sum() >= config.min_area_px]
            ious = rle_iou_matrix([handed_out.rle(i) for i in range(len(masks))], rles)
            found.append(click_ious(masks, [decode_rle(rle) for rle in rles], ious))
        pooled = np.concatenate(found)
        figures = " | ".join(f"{value:.3f}".lstrip("0") for value in pooled.mean(axis=0))
        print(f"| {data.root.resolve().name} | {len(pooled)} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
