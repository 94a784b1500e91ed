"""Boxes, outlines and scribbles: the best mask beside what is made where none fits; the fit of its weights.

The prompts are made from the true objects: their boxes, boxes whose edges are moved by up to a tenth of the
sides, outlines of 14 points that are off by 7 % of the object's radius (standard deviation), and a line along
the object. ``masks`` are the answers of the masks alone, ``ours`` those with the photo.

    python benchmarks/drawn.py --data data/coco_mix data/camvid --weights weights/fastsam-nano-seg.pt

``--fit`` makes the numbers of ``DRAWN`` in ``fastsam/prompts/solve/weights.py``, on training images only.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import cv2
import numpy as np
from clicks import arguments, eval_config, pictures
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize

from fastsam.errors import FastSAMError
from fastsam.evaluation.prompting import jittered_box, mask_iou
from fastsam.masks.dense import box_from_mask, farthest_point
from fastsam.masks.selection import Selection
from fastsam.prompts import Box, Mask, select
from fastsam.prompts.mask import rasterise
from fastsam.prompts.solve.drawn import drawn_terms
from fastsam.prompts.solve.scene import Scene

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
KINDS = ("tight box", "jittered box", "outline", "scribble")
_CELLS = 300  # of each window that are learnt from
_RIDGE = 1e-4


def prompts(target: BoolArray, seed: int) -> dict[str, Box | Mask]:
    """Return the prompts for an object, by their kind."""
    box, size_hw = box_from_mask(target), (target.shape[0], target.shape[1])
    return {
        "tight box": Box(box, iou_threshold=0.0),
        "jittered box": Box(jittered_box(box, size_hw, 0.1, [seed]), iou_threshold=0.0),
        "outline": Mask.polygon(_outline(target, seed), threshold=0.0),
        "scribble": Mask.scribble(_line(target), max(round(min(size_hw) / 60), 1)),
    }


def _outline(target: BoolArray, seed: int) -> FloatArray:
    found, _ = cv2.findContours(target.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = max(found, key=cv2.contourArea)[:, 0].astype(np.float64)
    points = contour[np.linspace(0, len(contour) - 1, 14, endpoint=False).astype(int)]
    radius = np.sqrt(np.count_nonzero(target) / np.pi)
    points += np.random.default_rng([seed, 7]).normal(0, 0.07 * radius, points.shape)
    return np.asarray(np.clip(points, 0, [target.shape[1] - 1, target.shape[0] - 1]))


def _line(target: BoolArray) -> FloatArray:
    """Return points through the deepest pixel, along the longest direction of the object, inside it."""
    pixels = np.argwhere(cv2.erode(target.astype(np.uint8), np.ones((5, 5))) > 0)[:, ::-1].astype(np.float64)
    if len(pixels) < 10:
        pixels = np.argwhere(target)[:, ::-1].astype(np.float64)
    middle = np.array(farthest_point(target), np.float64)
    axis = np.linalg.eigh(np.cov((pixels - pixels.mean(axis=0)).T))[1][:, 1]
    along, beside = (pixels - middle) @ axis, np.abs((pixels - middle) @ np.array([-axis[1], axis[0]]))
    on_it = along[beside < max(2, 0.05 * np.sqrt(np.count_nonzero(target)))]
    low, high = np.quantile(on_it, [0.15, 0.85]) if len(on_it) else (0.0, 0.0)
    points = middle + np.linspace(low, high, 8)[:, None] * axis
    return np.asarray(np.clip(points, 0, [target.shape[1] - 1, target.shape[0] - 1]))


def _union(found: Selection, size_hw: tuple[int, int]) -> BoolArray:
    return found.masks.union() if len(found) else np.zeros(size_hw, bool)


def measured(args: argparse.Namespace) -> Table:
    """Return the mean IoU of the answers, by kind of prompt and dataset."""
    made = Table(
        title=f"{args.split}, {args.limit} images a dataset, mean IoU: masks, ours (expected by ours)"
    )
    for heading in ("dataset", "objects", *KINDS):
        made.add_column(heading, no_wrap=True)
    means: list[FloatArray] = []
    for data in args.data:
        rows: list[list[tuple[float, float, float]]] = []
        for picture in pictures(data, args, args.split):
            scene = picture.scene(eval_config(args).select)
            for target in picture.objects:
                rows.append([_fits(scene, one, target) for one in prompts(target, len(rows)).values()])
        means.append(np.mean(rows, axis=0))
        made.add_row(data.name, str(len(rows)), *(_cell(values) for values in means[-1]))
    made.add_row("mean", "", *(_cell(values) for values in np.mean(means, axis=0)))
    return made


def _fits(scene: Scene, prompt: Box | Mask, target: BoolArray) -> tuple[float, float, float]:
    size_hw = scene.masks.size_hw
    masks, ours = select(scene.masks, prompt), select(scene.masks, prompt, scene=scene)
    expected = float(ours.scores[0]) if len(ours) else 0.0
    return mask_iou(_union(masks, size_hw), target), mask_iou(_union(ours, size_hw), target), expected


def _cell(values: FloatArray) -> str:
    masks, ours, expected = values
    return f"{masks:.3f} {ours:.3f} ({expected:.3f})"


def _cells(
    args: argparse.Namespace, kinds: tuple[str, ...]
) -> Iterator[tuple[list[str], FloatArray, FloatArray]]:
    rng, number = np.random.default_rng(0), 0
    for data in args.data:
        for picture in pictures(data, args, "train"):
            scene = picture.scene(eval_config(args).select)
            for target in picture.objects:
                number += 1
                for kind in kinds:
                    prompt = prompts(target, number)[kind]
                    region = prompt if isinstance(prompt, Mask) else Mask.polygon(_corners(prompt.xyxy[0]))
                    window, terms, _ = drawn_terms(scene, rasterise(region, scene.masks.size_hw))
                    x0, y0, x1, y1 = window.box
                    part = target[y0:y1, x0:x1].astype(np.float32)
                    wanted = cv2.resize(part, window.shape[::-1], interpolation=cv2.INTER_AREA).ravel()
                    near = np.flatnonzero(terms["within"].ravel() > -0.15)
                    near = rng.choice(near, min(_CELLS, len(near)), replace=False)
                    yield (
                        list(terms),
                        np.stack([term.ravel()[near] for term in terms.values()], 1),
                        wanted[near],
                    )


def _corners(xyxy: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    x1, y1, x2, y2 = xyxy
    return [(x1, y1), (x2 - 1, y1), (x2 - 1, y2 - 1), (x1, y2 - 1)]


def fitted(args: argparse.Namespace) -> str:
    """Return the numbers as they are written in ``weights.py``."""
    lines = []
    for name, kinds in (("box", KINDS[:2]), ("outline", KINDS[2:3])):
        names, terms, wanted = zip(*_cells(args, kinds), strict=True)
        evidence = np.concatenate(terms)
        evidence = np.concatenate([evidence, np.ones((len(evidence), 1))], axis=1)
        truth = np.concatenate(wanted)
        share = np.concatenate([np.full(len(one), 1 / len(one)) for one in wanted]) / len(wanted)

        def loss(
            theta: FloatArray,
            evidence: FloatArray = evidence,
            truth: FloatArray = truth,
            share: FloatArray = share,
        ) -> tuple[float, FloatArray]:
            logits = evidence @ theta
            value = share @ (np.logaddexp(0, logits) - truth * logits)
            slope = evidence.T @ (share * (1 / (1 + np.exp(-logits)) - truth))
            return float(value + _RIDGE * theta @ theta), np.asarray(slope + 2 * _RIDGE * theta)

        found = minimize(loss, np.zeros(evidence.shape[1]), jac=True, method="L-BFGS-B").x.round(3)
        numbers = ", ".join(
            f'"{key}": {value}' for key, value in zip([*names[0], "bias"], found, strict=True)
        )
        lines.append(f'    "{name}": {{{numbers}}},')
    return "\n".join(["DRAWN = {", *lines, "}"])


def main() -> None:
    """Parse the command line and print the table, or the numbers."""
    parser = arguments(__doc__)
    parser.set_defaults(clicks=20)
    args = parser.parse_args()
    try:
        Console().print(fitted(args) if args.fit else measured(args))
    except FastSAMError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
