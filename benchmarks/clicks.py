"""Clicks that correct an answer, beside simpler rules on the same masks; and the fit of what evidence counts.

The table is that of ``fastsam eval --noc`` for several datasets, and their mean:

    python benchmarks/clicks.py --data data/coco_mix data/camvid --weights weights/fastsam-nano-seg.pt

Images are segmented first, and kept in ``--keep`` as figures are, so that a run that broke off goes on there;
remove the folder after a change of the code or the weights.

``--fit`` makes the numbers of ``fastsam/prompts/solve/weights.py``, on training images only. Answers to their
objects are corrected by simulated clicks, with the numbers of now; a logistic regression then tells each
cell of the object from the others. Each object counts alike. Repeat it until the numbers stay.

    python benchmarks/clicks.py --fit --data data/coco_mix data/camvid --weights weights/fastsam-nano-seg.pt
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize

from fastsam.config import EvalConfig, SegmentConfig
from fastsam.datasets import read_coco
from fastsam.errors import FastSAMError
from fastsam.evaluation.clicking import CLICKS, RULES, clicked, figures_of
from fastsam.evaluation.prompting import next_click
from fastsam.evaluation.runner import read_listed
from fastsam.everything.backends.torch_network import TorchBackend
from fastsam.masks.crop import Crop
from fastsam.masks.maskset import MaskSet
from fastsam.masks.refine import refine
from fastsam.masks.region import Region
from fastsam.masks.rle import decode_rle
from fastsam.prompts import Points, select
from fastsam.prompts.solve.scene import Scene
from fastsam.prompts.solve.state import Click, State, considered, corrected, kept
from fastsam.prompts.solve.weights import WEIGHTS
from fastsam.segmenter import segmented
from fastsam.weights.resolve import resolve

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
_CORRECTIONS = 11
_CELLS = 200  # of each window that are learnt from
_NEAR_PX = 9  # cells around object and answer that are drawn four times as often as those farther away
_RIDGE = 2e-5


@dataclass(frozen=True, eq=False)
class Picture:
    """An image that is clicked in: its name, its masks as they are chosen among, and some of its objects."""

    name: str
    rgb: NDArray[np.uint8]
    masks: MaskSet
    objects: list[BoolArray]

    def scene(self, config: SegmentConfig) -> Scene:
        """Return what clicks are answered from, new: it remembers answers."""
        return Scene(self.rgb, self.masks, refine(self.masks, self.rgb, config))


def pictures(data: Path, args: argparse.Namespace, split: Any) -> Iterator[Picture]:
    """Yield the images of a dataset, segmented once and kept in ``args.keep``, each with some objects.

    Which images and objects are taken does not depend on how many are, nor on what was done before.
    """
    config, backend = eval_config(args), None
    images = sorted(read_coco(data, split).images, key=lambda image: _number("c" + image.path.name))
    found = 0
    for image in images:
        objects = [
            one for one in map(decode_rle, image.rles()) if np.count_nonzero(one) >= config.min_area_px
        ]
        if not objects:
            continue
        rng = np.random.default_rng(_number(image.path.name) >> 96)
        if len(objects) > args.objects:
            objects = [objects[i] for i in rng.choice(len(objects), args.objects, replace=False)]
        kept = args.keep / data.name / f"{image.path.stem}.pkl"
        if kept.exists():
            rgb, masks = pickle.loads(kept.read_bytes())  # noqa: S301  # written below
        else:
            backend = backend or TorchBackend(args.weights, "cpu")
            frame = read_listed(image)
            rgb, masks = frame.rgb, segmented(backend, frame, config.select).masks
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(pickle.dumps((rgb, masks)))
        yield Picture(image.path.stem, rgb, masks, objects)
        found += 1
        sys.stderr.write(f"\r{data.name} {found}/{args.limit}   ")
        if found >= args.limit:
            break
    sys.stderr.write("\n")


def _number(words: str) -> int:
    return int(hashlib.md5(words.encode(), usedforsecurity=False).hexdigest(), 16)


def eval_config(args: argparse.Namespace) -> EvalConfig:
    """Return the protocol, with the weights' own refinement."""
    own = resolve(args.weights).defaults
    names = ("edge_radius", "min_region_share")
    return EvalConfig(max_clicks=args.clicks, **{name: own[name] for name in names if name in own})


def clicked_in(data: Path, args: argparse.Namespace) -> dict[str, list[FloatArray]]:
    """Return the IoU after each click on each object, by rule; kept ones are not done again."""
    config = eval_config(args)
    ious: dict[str, list[FloatArray]] = {prefix: [] for prefix in RULES}
    for number, picture in enumerate(pictures(data, args, args.split)):
        for prefix, rule in RULES.items():
            if prefix and number >= args.others:
                continue
            kept = args.keep / data.name / f"{picture.name}.{prefix or 'ours_'}{args.clicks}.npy"
            if not kept.exists():
                scene = picture.scene(config.select)
                np.save(kept, [clicked(rule, scene, one, args.clicks) for one in picture.objects])
            ious[prefix] += list(np.load(kept))
    return ious


def measured(args: argparse.Namespace) -> Table:
    """Return the figures of each rule on each dataset, and the means over datasets."""
    made = Table(title=f"{args.split}, {args.limit} images a dataset, {args.others} for all rules but ours")
    names = [f"clicks_mIoU@{count}" for count in CLICKS if count <= args.clicks] + [
        "noc@85", "noc@90", "noc_failed",
    ]  # fmt: skip
    for heading in ("dataset", "rule", "objects", *names):
        made.add_column(heading, no_wrap=True)
    rows: dict[str, list[list[float]]] = {prefix: [] for prefix in RULES}
    for data in args.data:
        for prefix, ious in clicked_in(data, args).items():
            if not ious:
                continue
            figures = figures_of(np.array(ious).T)
            rows[prefix].append([figures[name] for name in names])
            cells = [f"{value:.3f}" for value in rows[prefix][-1]]
            made.add_row(data.name, prefix.rstrip("_") or "ours", str(len(ious)), *cells)
    for prefix, values in ((prefix, values) for prefix, values in rows.items() if values):
        mean = [f"{value:.3f}" for value in np.mean(values, axis=0)]
        made.add_row("mean", prefix.rstrip("_") or "ours", "", *mean)
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
            score = float(chosen.masks.scores[0])
            state = kept(State.of(Crop(region.x0, region.y0, region.bitmap), score=score), one)
        else:
            found = considered(scene, state, one)
            share = np.float32(1 / (state.corrections + 1))
            yield _drawn(found.terms, _at_cells(target, found.window.box, found.terms), share, rng)
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
        for picture in pictures(data, args, "train")
        for target in picture.objects
        for part in cells_of(picture.scene(eval_config(args).select), target, rng)
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


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Return the options that say which objects of which images are measured, and where they are kept."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="COCO-format folders")
    parser.add_argument("--weights", type=Path, required=True, help="checkpoint that makes the masks")
    parser.add_argument("--split", default="heldout", choices=("heldout", "train", "all"))
    parser.add_argument("--limit", type=int, default=20, help="images of each")
    parser.add_argument("--objects", type=int, default=2, help="objects of each image, at random")
    parser.add_argument("--keep", type=Path, default=Path("runs/clicks"), help="folder to go on from")
    parser.add_argument("--fit", action="store_true", help="fit the weights, on training images")
    return parser


def main() -> None:
    """Parse the command line and print the table, or the numbers."""
    parser = arguments(__doc__)
    parser.add_argument("--others", type=int, default=20, help="images of each for the rules beside ours")
    parser.add_argument("--clicks", type=int, default=20, help="give up after so many clicks")
    args = parser.parse_args()
    try:
        Console().print(fitted(args) if args.fit else measured(args))
    except FastSAMError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
