"""Clicks that correct an answer, beside simpler rules on the same masks; and the fit of what evidence counts.

The table is that of ``fastsam eval --noc`` for several datasets, and their mean:

    python benchmarks/clicks.py --data data/coco_mix data/camvid --weights weights/fastsam-nano-seg.pt

``--fit`` makes the numbers of ``fastsam/prompts/solve/weights.py``, on training images only. Answers to their
objects are corrected by simulated clicks, with the numbers of now; a logistic regression then tells each
cell of the object from the others. Each object counts alike. Repeat it until the numbers stay.

    python benchmarks/clicks.py --fit --data data/coco_mix data/camvid --weights weights/fastsam-nano-seg.pt
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize

from fastsam.config import EvalConfig
from fastsam.datasets import read_coco
from fastsam.errors import FastSAMError
from fastsam.evaluation.clicking import CLICKS, RULES, click_figures, click_objects
from fastsam.evaluation.prompting import next_click
from fastsam.evaluation.runner import read_listed
from fastsam.everything.backends.torch_network import TorchBackend
from fastsam.masks.crop import Crop
from fastsam.masks.refine import refine
from fastsam.masks.region import Region
from fastsam.masks.rle import decode_rle
from fastsam.prompts import Points, select
from fastsam.prompts.solve.scene import Scene
from fastsam.prompts.solve.state import Click, State, considered, corrected, kept
from fastsam.prompts.solve.weights import WEIGHTS
from fastsam.segmenter import segmented

BoolArray = NDArray[np.bool_]
_CORRECTIONS = 11
_CELLS = 200  # of each window that are learnt from
_NEAR_PX = 9  # cells around object and answer that are drawn four times as often as those farther away
_RIDGE = 2e-5


def scenes(data: Path, args: argparse.Namespace, split: Any) -> Iterator[tuple[Scene, list[BoolArray]]]:
    """Yield the images of a dataset, segmented, and some objects of each."""
    backend, config, rng = TorchBackend(args.weights, "cpu"), EvalConfig(), np.random.default_rng(0)
    images = read_coco(data, split).images[: args.limit]
    for number, image in enumerate(images):
        frame = read_listed(image)
        objects = [decode_rle(rle) for rle in image.rles()]
        objects = [one for one in objects if np.count_nonzero(one) >= config.min_area_px]
        if len(objects) > args.objects:
            objects = [objects[i] for i in rng.choice(len(objects), args.objects, replace=False)]
        masks = segmented(backend, frame, config.select).masks
        yield Scene(frame.rgb, masks, refine(masks, frame.rgb, config.select)), objects
        sys.stderr.write(f"\r{data.name} {number + 1}/{len(images)}   ")
    sys.stderr.write("\n")


def measured(args: argparse.Namespace) -> Table:
    """Return the figures of each rule on each dataset, and the means over datasets."""
    config = EvalConfig(max_clicks=args.clicks)
    made = Table(title=f"{args.split}, {args.limit} images a dataset")
    names = [f"clicks_mIoU@{count}" for count in CLICKS if count <= args.clicks] + [
        "noc@85", "noc@90", "noc_failed",
    ]  # fmt: skip
    for heading in ("dataset", "rule", *names):
        made.add_column(heading, no_wrap=True)
    rows: dict[str, list[list[float]]] = {prefix: [] for prefix in RULES}
    for data in args.data:
        found = [click_objects(scene, objects, config) for scene, objects in scenes(data, args, args.split)]
        figures = click_figures(np.concatenate(found, axis=-1))
        for prefix in RULES:
            rows[prefix].append([figures[prefix + name] for name in names])
            cells = [f"{value:.3f}" for value in rows[prefix][-1]]
            made.add_row(data.name, prefix.rstrip("_") or "ours", *cells)
    for prefix, values in rows.items():
        mean = [f"{value:.3f}" for value in np.mean(values, axis=0)]
        made.add_row("mean", prefix.rstrip("_") or "ours", *mean)
    return made


def cells_of(
    scene: Scene, target: BoolArray, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]:
    """Yield for each correction the terms of some cells, whether these are of the object, and weights."""
    answer, clicked, state = np.zeros(target.shape, bool), np.zeros(target.shape, bool), None
    for _ in range(_CORRECTIONS + 1):
        click = next_click(answer, target, clicked)
        if click is None:
            return
        x, y, label = click
        clicked[y, x] = True
        one = Click(x, y, label == 1)
        if state is None:
            chosen = select(scene.masks, Points((x, y)), scene=scene)
            region = Region.from_mask(chosen.masks.mask(0))
            assert region.bitmap is not None
            state = kept(State.of(Crop(region.x0, region.y0, region.bitmap)), one)
        else:
            found = considered(scene, state, one)
            share = np.float32(1 / (state.corrections + 1))
            yield _drawn(found.terms, _at_cells(target, found.box, found.terms), share, rng)
            state = corrected(scene, state, one)
        answer = np.zeros(target.shape, bool)
        x0, y0, patch = state.crop
        answer[y0 : y0 + patch.shape[0], x0 : x0 + patch.shape[1]] = patch


def _at_cells(
    target: BoolArray, box: tuple[int, int, int, int], terms: dict[str, NDArray[np.float32]]
) -> NDArray[np.float32]:
    x0, y0, x1, y1 = box
    shape = next(iter(terms.values())).shape
    part = target[y0:y1, x0:x1].astype(np.float32)
    return np.asarray(cv2.resize(part, shape[::-1], interpolation=cv2.INTER_AREA), np.float32)


def _drawn(
    terms: dict[str, NDArray[np.float32]], wanted: NDArray[np.float32], share: np.float32,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:  # fmt: skip
    """Return (K, 2 terms + 2) evidence, (K,) the truth, (K,) weights that undo how the cells were drawn."""
    known = ((wanted > 0.5) | (terms["sureness"] > 0)).astype(np.uint8)
    near = cv2.dilate(known, np.ones((_NEAR_PX, _NEAR_PX), np.uint8)).ravel() > 0
    chance = np.where(near, 1.0, 0.25)
    chance /= chance.sum()
    count = min(_CELLS, len(chance))
    cells = rng.choice(len(chance), count, p=chance)
    evidence = np.stack(
        [np.broadcast_to(terms[name], wanted.shape).ravel()[cells] for name in WEIGHTS], axis=1
    )
    evidence = np.concatenate([evidence, np.ones((count, 1))], axis=1).astype(np.float32)
    weights = 1 / (chance[cells] * count) / max(float(wanted.sum()), 8.0)
    return (
        np.concatenate([evidence, evidence * share], axis=1),
        wanted.ravel()[cells],
        weights.astype(np.float32),
    )


def fitted(args: argparse.Namespace) -> str:
    """Return the numbers as they are written in ``weights.py``."""
    rng = np.random.default_rng(0)
    parts = [
        part
        for data in args.data
        for scene, objects in scenes(data, args, "train")
        for target in objects
        for part in cells_of(scene, target, rng)
    ]
    evidence, wanted, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    weights = np.minimum(weights, 0.5)
    weights /= weights.sum()

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = evidence @ theta.astype(np.float32)
        value = weights @ (np.logaddexp(0, logits) - wanted * logits)
        slope = evidence.T @ (weights * (1 / (1 + np.exp(-logits)) - wanted))
        return float(value + _RIDGE * theta @ theta), np.asarray(slope + 2 * _RIDGE * theta, np.float64)

    found = minimize(loss, np.zeros(evidence.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 300})
    first, extra = np.split(found.x.round(3), 2)
    lines = [f'    "{name}": ({a}, {b}),' for name, a, b in zip(WEIGHTS, first, extra, strict=False)]
    heading = (
        f"# {len(parts)} corrections, loss {found.fun:.4f}\nBIAS = ({first[-1]}, {extra[-1]})\nWEIGHTS = {{"
    )
    return "\n".join([heading, *lines, "}"])


def main() -> None:
    """Parse the command line and print the table, or the numbers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="COCO-format folders")
    parser.add_argument("--weights", type=Path, required=True, help="checkpoint that makes the masks")
    parser.add_argument("--split", default="heldout", choices=("heldout", "train", "all"))
    parser.add_argument("--limit", type=int, default=20, help="only the first so many images of each")
    parser.add_argument("--objects", type=int, default=5, help="so many objects of each image, at random")
    parser.add_argument("--clicks", type=int, default=20, help="give up after so many clicks")
    parser.add_argument("--fit", action="store_true", help="fit the weights, on training images")
    args = parser.parse_args()
    try:
        Console().print(fitted(args) if args.fit else measured(args))
    except FastSAMError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
