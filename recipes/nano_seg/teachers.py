"""Let two detectors label what the annotators left out, where the two agree.

python -m recipes.nano_seg.teachers --pack PACK --weights yolov8n-seg-coco.pt yolo11n-seg-coco.pt

Writes one line a picture to ``PACK/filled.jsonl``; a run that was broken off goes on.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from fastsam.config import SegmentConfig
from fastsam.everything.backends.torch_network import TorchBackend
from fastsam.images.reading import read_frame
from fastsam.masks.maskset import MaskSet
from fastsam.masks.rle import Rle, rle_iou_matrix
from recipes.nano_seg.pack import FILLED, SOURCES, Photos, Picture, read_pack

CONF = 0.25  # least confidence of either teacher
AGREE = 0.75  # least IoU of their masks: a mask that one of them cuts at its box finds no partner
SAME = 0.6  # a mask that overlaps a label this much is that label
LEAST_PX = 150
FIRST = ("coco_mix", "coco_more", "coco_people", "flickr8k_1000", "bsds500")
LOOK = SegmentConfig(conf=CONF, iou=0.7, imgsz=640, max_det=100, quality=False)


def new_masks(first: MaskSet, second: MaskSet, known: list[Rle]) -> list[Rle]:
    """Return the masks of ``first`` that ``second`` has too and that are no known object."""
    mine = [first.rle(i) for i in range(len(first)) if first.areas_px[i] >= LEAST_PX]
    theirs = [second.rle(i) for i in range(len(second))]
    if not mine or not theirs:
        return []
    agreed = rle_iou_matrix(mine, theirs).max(axis=1) >= AGREE
    found: list[Rle] = []
    for rle, good in zip(mine, agreed, strict=True):
        others = known + found
        if good and (not others or rle_iou_matrix([rle], others).max() < SAME):
            found.append(rle)
    return found


def in_turn(pictures: list[Picture]) -> list[Picture]:
    """Return what teachers look at: first what has few labels of its own, source beside source."""
    wanted = {source.name for source in SOURCES if source.fill}
    placed: list[tuple[float, Picture]] = []
    for name in wanted:
        own = [picture for picture in pictures if picture.source == name]
        late = name not in FIRST
        placed += [(late + k / len(own), picture) for k, picture in enumerate(own)]
    return [picture for _, picture in sorted(placed, key=lambda pair: (pair[0], pair[1].key))]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--weights", type=Path, nargs=2, required=True)
    args = parser.parse_args()
    first, second = (TorchBackend(path, "cpu") for path in args.weights)
    photos = Photos()
    pictures = [picture for picture in in_turn(read_pack(args.pack)) if picture.filled is None]
    started = time.monotonic()
    with (args.pack / FILLED).open("a", encoding="utf-8") as stream:
        for k, picture in enumerate(pictures, 1):
            rgb = np.ascontiguousarray(photos.bgr(picture)[..., ::-1])
            frame = read_frame(rgb)
            found = new_masks(first.segment(frame, LOOK), second.segment(frame, LOOK), picture.rles)
            stream.write(json.dumps([picture.key, found]) + "\n")
            stream.flush()
            if k % 100 == 0:
                rate = k / (time.monotonic() - started)
                print(f"{k}/{len(pictures)} {rate:.2f}/s", flush=True)


if __name__ == "__main__":
    main()
