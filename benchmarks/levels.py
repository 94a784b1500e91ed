"""What one click finds at each level, beside the best of three and the best mask there is.

python benchmarks/levels.py DATASET [DATASET ...] [--limit 40] [--split heldout]

The click is SAM's: the point of an object farthest from its edge. A level is an answer of its own: the
object that the annotators meant may be a whole in one data set and a part in another.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastsam import FastSAM, Points, select
from fastsam.config import EvalConfig
from fastsam.datasets import read_coco
from fastsam.evaluation.runner import first_images, read_listed
from fastsam.masks import decode_rle, farthest_point, rle_iou_matrix
from fastsam.records import MaskSet
from fastsam.refine import refine

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


def main() -> None:
    """Measure the data sets and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--split", default="heldout", choices=("heldout", "train", "all"))
    options = parser.parse_args()
    model = FastSAM()
    config = EvalConfig(
        edge_radius=model.defaults.edge_radius, min_region_share=model.defaults.min_region_share
    )
    print("| data | clicks | " + " | ".join(COLUMNS) + " |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    for folder in options.datasets:
        data = read_coco(folder, options.split)
        found = []
        for image in first_images(data, options.limit):
            frame = read_listed(image)
            masks = model.segmenter.segment(frame, config.select)
            handed_out = refine(masks, frame, config.select)
            rles = [rle for rle in image.rles() if decode_rle(rle).sum() >= config.min_area_px]
            ious = rle_iou_matrix([handed_out.rle(i) for i in range(len(masks))], rles)
            found.append(click_ious(masks, [decode_rle(rle) for rle in rles], ious))
        pooled = np.concatenate(found)
        figures = " | ".join(f"{value:.3f}".lstrip("0") for value in pooled.mean(axis=0))
        print(f"| {data.root.resolve().name} | {len(pooled)} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
