"""Which selector gets the most out of the same masks: ours, those of two peers, and the best possible.

One checkpoint segments each image once; every selector then answers the same click (the object's point
farthest from its edge) and the same tight box for each annotated object. The figure is the mean IoU of
answer and object.

    python benchmarks/selection.py --data data/coco_mix --weights yolov8n-seg.pt --limit 20
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("YOLO_AUTOINSTALL", "False")
os.environ.setdefault("YOLO_OFFLINE", "True")

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from fastsam.config import EvalConfig
from fastsam.datasets import read_coco
from fastsam.errors import FastSAMError
from fastsam.evaluation.prompting import mask_iou
from fastsam.everything.backends.torch_network import TorchBackend
from fastsam.images.frame import Frame
from fastsam.images.reading import read_frame
from fastsam.masks.dense import box_from_mask, farthest_point, iou_matrix
from fastsam.masks.maskset import MaskSet
from fastsam.masks.rle import decode_rle
from fastsam.prompts import Box, Points, select

BoolArray = NDArray[np.bool_]


class Selector(ABC):
    """Answers prompts about one image's masks with one (H, W) mask."""

    def __init__(self, frame: Frame, masks: MaskSet, dense: BoolArray) -> None:
        self.frame, self.masks, self.dense = frame, masks, dense
        self.nothing = np.zeros(frame.size_hw, bool)

    @abstractmethod
    def click(self, x: int, y: int, target: BoolArray) -> BoolArray:
        """Answer a foreground click; only ceilings look at ``target``."""

    @abstractmethod
    def box(self, xyxy: NDArray[np.float32], target: BoolArray) -> BoolArray:
        """Answer a box."""


class Ours(Selector):
    """fastsam: the first answer."""

    def click(self, x: int, y: int, target: BoolArray) -> BoolArray:
        """Take the best answer."""
        found = select(self.masks, Points((x + 0.5, y + 0.5)))
        return found.masks.mask(0) if len(found) else self.nothing

    def box(self, xyxy: NDArray[np.float32], target: BoolArray) -> BoolArray:
        """Take the best answer, however bad: the peers have no threshold either."""
        found = select(self.masks, Box(xyxy, iou_threshold=0.0))
        return found.masks.mask(0) if len(found) else self.nothing


class OursBestOfThree(Ours):
    """fastsam with ``multimask``: the best of up to three answers, as SAM's oracle row."""

    def click(self, x: int, y: int, target: BoolArray) -> BoolArray:
        """Take the answer that fits the object best."""
        found = select(self.masks, Points((x + 0.5, y + 0.5), multimask=True))
        return max(found.masks, key=lambda mask: mask_iou(mask, target), default=self.nothing)


class Ultralytics(Selector):
    """``FastSAMPredictor.prompt``: the union of what it returns."""

    def __init__(self, frame: Frame, masks: MaskSet, dense: BoolArray) -> None:
        super().__init__(frame, masks, dense)
        import torch
        from ultralytics.engine.results import Results
        from ultralytics.models.fastsam import FastSAMPredictor

        self.predictor = FastSAMPredictor(overrides={"save": False, "verbose": False})
        self.predictor.device = torch.device("cpu")
        rows = np.concatenate([masks.boxes_xyxy, masks.scores[:, None], np.zeros((len(masks), 1))], axis=1)
        self.results = Results(
            np.ascontiguousarray(frame.rgb[:, :, ::-1]),
            path=frame.source,
            names={0: "object"},
            boxes=torch.from_numpy(rows.astype(np.float32)),
            masks=torch.from_numpy(dense.astype(np.uint8)),
        )

    def _union(self, **prompt: Any) -> BoolArray:
        if len(self.masks) == 0:
            return self.nothing
        (answer,) = self.predictor.prompt(self.results, **prompt)
        return np.asarray(answer.masks.data.numpy().astype(bool).any(axis=0))

    def click(self, x: int, y: int, target: BoolArray) -> BoolArray:
        """Join every mask that comes back."""
        return self._union(points=[[x, y]], labels=[1])

    def box(self, xyxy: NDArray[np.float32], target: BoolArray) -> BoolArray:
        """Take the one mask that comes back."""
        return self._union(bboxes=xyxy[None])


class CasiaStyle(Selector):
    """CASIA FastSAM's behaviour: a click joins every mask under it, a box takes the best filled-box IoU."""

    def click(self, x: int, y: int, target: BoolArray) -> BoolArray:
        """Join every mask under the click."""
        return np.asarray(self.dense[self.dense[:, y, x]].any(axis=0))

    def box(self, xyxy: NDArray[np.float32], target: BoolArray) -> BoolArray:
        """Take the mask of the highest IoU with the filled box."""
        if len(self.dense) == 0:
            return self.nothing
        x1, y1, x2, y2 = (round(float(value)) for value in xyxy)
        inside = self.dense[:, y1:y2, x1:x2].sum(axis=(1, 2))
        union = (x2 - x1) * (y2 - y1) + self.dense.sum(axis=(1, 2)) - inside
        return np.asarray(self.dense[int((inside / union).argmax())])


class SmallestHit(CasiaStyle):
    """A click takes the smallest mask under it: a simple rule to beat."""

    def click(self, x: int, y: int, target: BoolArray) -> BoolArray:
        """Take the smallest mask under the click."""
        hit = self.dense[self.dense[:, y, x]]
        return hit[int(hit.sum(axis=(1, 2)).argmin())] if len(hit) else self.nothing


class BestScore(CasiaStyle):
    """A click takes the most confident mask under it."""

    def click(self, x: int, y: int, target: BoolArray) -> BoolArray:
        """Take the first mask under the click: they are sorted by score."""
        hit = np.flatnonzero(self.dense[:, y, x])
        return self.dense[hit[0]] if len(hit) else self.nothing


class Oracle(Selector):
    """The best mask of all for a box, the best of those under the click for a click: ceilings."""

    def _best(self, masks: BoolArray, target: BoolArray) -> BoolArray:
        return masks[int(iou_matrix(masks, target[None])[:, 0].argmax())] if len(masks) else self.nothing

    def click(self, x: int, y: int, target: BoolArray) -> BoolArray:
        """Take the best mask under the click."""
        return self._best(self.dense[self.dense[:, y, x]], target)

    def box(self, xyxy: NDArray[np.float32], target: BoolArray) -> BoolArray:
        """Take the best mask of all."""
        return self._best(self.dense, target)


SELECTORS: dict[str, type[Selector]] = {
    "ours": Ours,
    "ours, best of 3 levels": OursBestOfThree,
    "ultralytics": Ultralytics,
    "CASIA style": CasiaStyle,
    "smallest under click": SmallestHit,
    "best score under click": BestScore,
    "oracle (ceiling)": Oracle,
}


def measure(frame: Frame, masks: MaskSet, objects: Sequence[BoolArray]) -> dict[str, NDArray[np.float64]]:
    """Return per selector an (objects, 4) table: IoU and time of the click, IoU and time of the box."""
    dense = np.asarray(masks)
    tables = {}
    for name, kind in SELECTORS.items():
        selector = kind(frame, masks, dense)
        rows = []
        for target in objects:
            x, y = farthest_point(target)
            start = time.perf_counter()
            clicked = selector.click(x, y, target)
            middle = time.perf_counter()
            boxed = selector.box(box_from_mask(target), target)
            stop = time.perf_counter()
            rows.append(
                (
                    mask_iou(clicked, target),
                    1e3 * (middle - start),
                    mask_iou(boxed, target),
                    1e3 * (stop - middle),
                )
            )
        tables[name] = np.array(rows, np.float64).reshape(-1, 4)
    return tables


def run(data: Path, weights: Path, split: Any, limit: int | None, config: EvalConfig) -> dict[str, Any]:
    """Return the figures of every selector on a dataset."""
    dataset = read_coco(data, split)
    backend = TorchBackend(weights, "cpu")
    images = dataset.images[:limit]
    parts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in SELECTORS}
    for number, image in enumerate(images):
        frame = read_frame(image.path)
        targets = [decode_rle(rle) for rle in image.rles()]
        targets = [target for target in targets if np.count_nonzero(target) >= max(config.min_area_px, 1)]
        masks = backend.segment(frame, config.select)
        for name, rows in measure(frame, masks, targets).items():
            parts[name].append(rows)
        sys.stderr.write(f"\r{number + 1}/{len(images)} {image.path.name}   ")
    sys.stderr.write("\n")
    selectors = {}
    for name, tables in parts.items():
        rows = np.concatenate([*tables, np.zeros((0, 4))])
        means = rows.mean(axis=0).tolist() if len(rows) else [None] * 4
        selectors[name] = dict(zip(("point_mIoU", "point_ms", "box_mIoU", "box_ms"), means, strict=True))
    count = sum(len(table) for table in parts["ours"])
    return {
        "dataset": dataset.name, "split": split, "images": len(images), "objects": count,
        "weights": weights.name, "conf": config.select_conf, "imgsz": config.imgsz, "selectors": selectors,
    }  # fmt: skip


def table(results: dict[str, Any]) -> Table:
    """Return the figures as a table."""
    made = Table(title=f"{results['dataset']} {results['split']}: {results['objects']} objects")
    made.add_column("selector, on the same masks")
    for name in ("point mIoU", "box mIoU", "ms a click", "ms a box"):
        made.add_column(name, justify="right")
    for name, row in results["selectors"].items():
        cells = (("point_mIoU", 3), ("box_mIoU", 3), ("point_ms", 1), ("box_ms", 1))
        made.add_row(name, *["-" if row[key] is None else f"{row[key]:.{digits}f}" for key, digits in cells])
    return made


def main() -> None:
    """Parse the command line and print the table, or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="COCO-format folder")
    parser.add_argument("--weights", type=Path, required=True, help="checkpoint that makes the masks")
    parser.add_argument("--split", default="heldout", choices=("heldout", "train", "all"))
    parser.add_argument("--limit", type=int, help="only the first so many images")
    parser.add_argument(
        "--conf", type=float, default=EvalConfig.select_conf, help="least confidence of a mask"
    )
    parser.add_argument("--imgsz", type=int, default=EvalConfig.imgsz)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    args = parser.parse_args()
    try:
        config = EvalConfig(conf=args.conf, select_conf=args.conf, imgsz=args.imgsz)
        results = run(args.data, args.weights, args.split, args.limit, config)
    except FastSAMError as error:
        parser.exit(2, f"error: {error}\n")
    if args.json:
        print(json.dumps(results, indent=2))
    else:
        Console().print(table(results))


if __name__ == "__main__":
    main()
