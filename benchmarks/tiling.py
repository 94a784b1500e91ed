"""What tiles are worth: memory for a huge image, recall of small objects, and masks that stay where they are.

    python benchmarks/tiling.py memory --weights weights/fastsam-nano-seg.pt
    python benchmarks/tiling.py recall --data coco_mix --data camvid --tile-side 320 --crop-layers 1
    python benchmarks/tiling.py extent --width 1500 --height 1200 --imgsz 256 --tile 256

Memory: a picture of 12,000 x 9,000 pixels is put together of real photographs; each segmenter gets it in a
process of its own, which loads its network and warms it up on a small photo first. What is reported is the
peak of the resident memory from then on, less what the process held then; the picture's own 324 MB are in it.
A process that reaches ``--limit-gb`` is ended: so much was not enough. All have the same checkpoint, input
size, confidence, NMS threshold and bound on the masks; ours also draw the overlay and write RLE.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("YOLO_AUTOINSTALL", "False")
os.environ.setdefault("YOLO_OFFLINE", "True")

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from rich.console import Console
from rich.table import Table

from fastsam import FastSAM, Frame, MaskSet
from fastsam.datasets import read_coco
from fastsam.errors import FastSAMError
from fastsam.evaluation.metrics import AREAS, best_ious, match_image, recall_and_precision
from fastsam.everything.tiling import TiledSegmenter
from fastsam.images.reading import read_frame
from fastsam.masks.dense import iou_matrix
from fastsam.masks.refine import refine
from fastsam.masks.rle import rle_iou_matrix

WHO = ("ours", "ours, tiles", "peer")
_SMALL_SHARE = 0.005  # of the image: the other meaning of a small object


def photographs() -> list[NDArray[np.uint8]]:
    """Return the photographs of installed packages, RGB."""
    import skimage.data
    from ultralytics.utils import ASSETS

    found = [read_frame(path).rgb for path in sorted(ASSETS.glob("*.jpg"))]
    return found + [getattr(skimage.data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")]


def mosaic(width: int, height: int, cell: tuple[int, int] = (750, 1000)) -> NDArray[np.uint8]:
    """Return a picture of many photographs, each differently cut, mirrored and lit; always the same one."""
    random, photos = np.random.default_rng(0), photographs()
    picture = np.zeros((height, width, 3), np.uint8)
    for y in range(0, height, cell[0]):
        for x in range(0, width, cell[1]):
            rgb = photos[int(random.integers(len(photos)))]
            share = random.uniform(0.6, 1, 2)
            h, w = (int(side * part) for side, part in zip(rgb.shape[:2], share, strict=True))
            top, left = random.integers(0, [rgb.shape[0] - h + 1, rgb.shape[1] - w + 1])
            colours, mirrored = (int(way) for way in random.choice([-1, 1], 2))
            part = rgb[top : top + h, left : left + w][:, ::mirrored, ::colours]
            target = picture[y : y + cell[0], x : x + cell[1]]
            target[:] = cv2.resize(np.ascontiguousarray(part), target.shape[1::-1])
    return picture


# --- memory -----------------------------------------------------------------------------------------


def resident_mb(peak: bool = False) -> float:
    """Return the resident memory of this process; its peak since :func:`reset_peak`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:" if peak else "VmRSS:"):
            return int(line.split()[1]) / 1024
    raise OSError("/proc/self/status has no VmRSS")


def reset_peak() -> None:
    """Let the peak begin again at what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")


def run_ours(args: argparse.Namespace, picture: NDArray[np.uint8] | None, tile: int) -> int:
    """Segment a picture, decode each mask, draw the overlay and encode RLE; return the number of masks."""
    model = run_ours.__dict__.setdefault("model", FastSAM(args.weights, device="cpu"))
    if picture is None:
        model.open(photographs()[0], imgsz=args.imgsz)
        return 0
    session = model.open(
        Frame(picture, "mosaic"),
        imgsz=args.imgsz,
        conf=args.conf,
        iou=args.iou,
        max_det=args.max_det,
        tile=tile,
    )
    result = session.everything()
    print(json.dumps({"after_segment_mb": resident_mb(peak=True)}), file=sys.stderr)
    result.plot()
    for i in range(len(result)):
        result.masks.rle(i)
    return len(result)


def run_peer(args: argparse.Namespace, picture: NDArray[np.uint8] | None) -> int:
    """Segment a picture with ultralytics, at full size; return the number of masks."""
    import ultralytics

    model = run_peer.__dict__.setdefault("model", ultralytics.YOLO(str(args.weights)))
    options = {
        "imgsz": args.imgsz, "conf": args.conf, "iou": args.iou, "max_det": args.max_det,
        "retina_masks": True, "agnostic_nms": True, "device": "cpu", "verbose": False, "save": False,
    }  # fmt: skip
    image = photographs()[0] if picture is None else picture
    (result,) = model.predict(np.ascontiguousarray(image[..., ::-1]), **options)
    return len(result)


def measure_here(args: argparse.Namespace) -> dict[str, Any]:
    """Measure one segmenter in this process."""
    import torch

    torch.set_num_threads(args.threads)
    run: Callable[[Any], int] = {
        "ours": lambda p: run_ours(args, p, 0),
        "ours, tiles": lambda p: run_ours(args, p, args.tile),
        "peer": lambda p: run_peer(args, p),
    }[args.who]
    run(None)
    before = resident_mb()
    reset_peak()
    threading.Thread(target=end_above, args=(1024 * args.limit_gb,), daemon=True).start()
    start = time.perf_counter()
    masks = run(mosaic(args.width, args.height))
    return {
        "who": args.who, "model_mb": before, "above_model_mb": resident_mb(peak=True) - before,
        "masks": masks, "seconds": time.perf_counter() - start,
    }  # fmt: skip


def end_above(limit_mb: float) -> None:
    """End this process before it takes the machine's memory."""
    while resident_mb() < limit_mb:
        time.sleep(0.02)
    os._exit(9)


def memory(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure each segmenter in a process of its own."""
    found = []
    for who in args.only or WHO:
        command = [sys.executable, __file__, "memory", "--who", who, "--weights", str(args.weights)]
        for name in ("imgsz", "conf", "iou", "max_det", "tile", "width", "height", "limit_gb", "threads"):
            command += [f"--{name.replace('_', '-')}", str(getattr(args, name))]
        done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603 - this file
        if done.returncode == 0:
            found.append(json.loads(done.stdout.splitlines()[-1]))
        else:
            reason = done.stderr.strip().splitlines()[-1:] or [""]
            ended = f"ended at {args.limit_gb:g} GB" if done.returncode == 9 else reason[0][:200]
            found.append({"who": who, "failed": ended})
        print(json.dumps(found[-1]), file=sys.stderr)
    return found


# --- recall -----------------------------------------------------------------------------------------


def recall(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure the recall of small objects, with and without tiles, on datasets in COCO's format."""
    import torch

    torch.set_num_threads(args.threads)
    model = FastSAM(args.weights, device="cpu")
    ways: dict[str, dict[str, Any]] = {"whole image": {}}
    ways |= {f"tile {side}": {"tile": side, "tile_overlap": args.overlap} for side in args.tile_side}
    ways |= {f"crop layers {n}": {"crop_layers": n} for n in args.crop_layers}
    ways |= {f"whole image at {size}": {"imgsz": size} for size in args.whole_at}
    rows = []
    for data in args.data:
        dataset = read_coco(data, args.split)
        images = dataset.images[:: max(len(dataset.images) // args.images, 1)][: args.images]
        for name, options in ways.items():
            config = model.open(photographs()[-1], **options, conf=args.conf).config
            rows.append({"data": dataset.name, "way": name, **recall_of(model, images, config)})
            print(json.dumps(rows[-1]), file=sys.stderr)
    return rows


def recall_of(model: FastSAM, images: Any, config: Any) -> dict[str, Any]:
    """Return the figures of one way on some images."""
    matches, tiny, seconds, count = [], [], 0.0, 0
    for image in images:
        frame = read_frame(image.path)
        start = time.perf_counter()
        found = refine_all(TiledSegmenter(model.segmenter).segment(frame, config), frame, config)
        seconds += time.perf_counter() - start
        rles, objects = [found.rle(i) for i in range(len(found))], image.rles()
        matches.append(match_image(rles, found.boxes_xyxy, found.scores, objects)[0])
        areas = np.array([coco_mask.area(rle) for rle in objects])
        best = best_ious(rle_iou_matrix(rles, list(objects)))
        tiny.append(best[areas < _SMALL_SHARE * frame.rgb.shape[0] * frame.rgb.shape[1]])
        count += len(found)
    figures = recall_and_precision(matches)
    chosen = {name: figures[f"AR@1000_{name}"] for name in AREAS if name != "all"}
    best = np.concatenate(tiny) if tiny else np.zeros(0)
    thresholds = np.linspace(0.5, 0.95, 10)
    return {
        "images": len(images), "AR": figures["AR@1000"], **chosen,
        "AR_under_half_percent": float((best[:, None] >= thresholds).mean()) if len(best) else None,
        "found_under_half_percent": float((best >= 0.5).mean()) if len(best) else None,
        "objects_under_half_percent": len(best), "AP": figures["AP"],
        "masks": count / max(len(images), 1), "seconds": seconds / max(len(images), 1),
    }  # fmt: skip


def refine_all(masks: MaskSet, frame: Frame, config: Any) -> MaskSet:
    """Return the masks as they are handed out, decoded once."""
    refined = refine(masks, frame.rgb, config)
    return MaskSet.from_crops([refined.crop(i) for i in range(len(masks))], masks.size_hw, masks.scores)


# --- extent -----------------------------------------------------------------------------------------


def extent(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Segment a picture, and a cut of it by itself: how many masks that lie in both are the same."""
    import torch

    torch.set_num_threads(args.threads)
    model = FastSAM(args.weights, device="cpu")
    picture = mosaic(args.width, args.height)
    side = args.tile
    x0, y0 = side // 2 + 7, side // 3 + 5
    x1, y1 = args.width - side // 3 - 11, args.height - side // 2 - 3
    rows = []
    for name, options in {
        "whole image": {},
        "tiles": {"tile": side},
        "tiles alone": {"tile": side, "tile_whole": False},
    }.items():
        options |= {"imgsz": args.imgsz, "conf": args.conf}
        first = model.open(Frame(picture), **options).masks
        cut = Frame(np.ascontiguousarray(picture[y0:y1, x0:x1]), origin_xy=(x0, y0))
        part = model.open(cut, **options).masks
        second = np.zeros((len(part), args.height, args.width), bool)
        second[:, y0:y1, x0:x1] = np.asarray(part)
        best = iou_matrix(np.asarray(first), second).max(axis=1, initial=0.0)
        for deep in (side // 4, side // 2, side):
            boxes = first.boxes_xyxy
            inside = (boxes[:, :2] >= [x0 + deep, y0 + deep]).all(axis=1)
            inside &= (boxes[:, 2:] <= [x1 - deep, y1 - deep]).all(axis=1)
            same = float((best[inside] >= 0.95).mean()) if inside.any() else None
            rows.append({"way": name, "deep_px": deep, "masks": int(inside.sum()), "same": same})
    return rows


def show(rows: list[dict[str, Any]], console: Console) -> None:
    """Print rows as a table."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = Table()
    for name in names:
        table.add_column(name, justify="left" if isinstance(rows[0].get(name), str) else "right")
    for row in rows:
        cells = [row.get(name) for name in names]
        table.add_row(*("" if v is None else f"{v:.3f}" if isinstance(v, float) else str(v) for v in cells))
    console.print(table)


def main() -> None:
    """Parse the command line and print a table, or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("memory", "recall", "extent"))
    parser.add_argument(
        "--weights", type=Path, help="the embedded checkpoint if not given; the peer needs it"
    )
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--conf", type=float, default=0.1)
    parser.add_argument("--iou", type=float, default=0.7)
    parser.add_argument("--max-det", type=int, default=300)
    parser.add_argument("--tile", type=int, default=1024, help="of memory and extent")
    parser.add_argument("--width", type=int, default=12_000)
    parser.add_argument("--height", type=int, default=9_000)
    parser.add_argument("--limit-gb", type=float, default=14.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--who", choices=WHO, help="measure this one here")
    parser.add_argument("--only", action="append", choices=WHO)
    parser.add_argument(
        "--data", action="append", default=[], type=Path, help="of recall: COCO-format folders"
    )
    parser.add_argument("--split", default="heldout", choices=("heldout", "train", "all"))
    parser.add_argument("--images", type=int, default=20, help="of each folder, evenly chosen")
    parser.add_argument("--tile-side", action="append", type=int, default=[])
    parser.add_argument("--crop-layers", action="append", type=int, default=[])
    parser.add_argument("--whole-at", action="append", type=int, default=[], help="other input sizes")
    parser.add_argument("--overlap", type=float, default=0.25)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    args = parser.parse_args()
    try:
        if args.who:
            print(json.dumps(measure_here(args)))
            return
        rows = {"memory": memory, "recall": recall, "extent": extent}[args.what](args)
    except FastSAMError as error:
        parser.exit(2, f"error: {error}\n")
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        show(rows, Console(width=160))


if __name__ == "__main__":
    main()
