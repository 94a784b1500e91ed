"""Cut every mask that the model learns from out of its photo, once, and keep it with all that is known of it.

python -m recipes.text_model.pictures --data DATA --yolo YOLOV8N_SEG --imagenet MOBILENETV2 --out ROWS.pkl

Each row is a square window around a mask, twice its longer side, with the mask. What is known of a row:

- ``name``: the category of a drawn mask, or of a predicted mask that covers one (IoU >= 0.6), or what the
  COCO detector calls it on photos without categories; empty where nobody knows.
- ``inside``: the category of the drawn mask that a predicted one is a small part of.
- ``absent``: the source whose categories the mask shows none of.
- ``colour``: shares of the named colours among the mask's pixels.
- ``imagenet``: what the ImageNet classifier says of the window's middle, the mask with some surroundings.
"""

from __future__ import annotations

import argparse
import collections
import pickle
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam import FastSAM, read_frame
from fastsam.datasets import CocoImage, annotation_mask, heldout_names, read_coco
from fastsam.prompts.text.vocabulary import read_vocabulary
from recipes.text_model import sources
from recipes.text_model.phrases import COLOURS

SIDE = 288
MOST_A_NAME = 450  # drawn masks of one category of one source
MOST_A_PHOTO = 16  # predicted masks of one photo


@dataclass(frozen=True)
class Picture:
    """A mask of a training photo as a row; see the module."""

    photo: str
    source: str
    jpeg: bytes
    mask: bytes
    name: str = ""
    inside: str = ""
    absent: bool = False
    colour: NDArray[np.float32] | None = None
    imagenet: NDArray[np.float16] | None = None


def cut(rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> dict[str, Any] | None:
    """Return a window around a mask as JPEG, the mask as PNG, and the mask's colours; None under 60 px."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0 or np.count_nonzero(mask) < 60:
        return None
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    side = 2 * max(bottom - top, right - left, 4)
    scale = SIDE / side
    x, y = (left + right) / 2 - side / 2, (top + bottom) / 2 - side / 2
    matrix = np.array([[scale, 0, -x * scale + (scale - 1) / 2], [0, scale, -y * scale + (scale - 1) / 2]])
    shrink = scale < 0.5
    source = cv2.blur(rgb, (max(int(0.6 / scale), 1),) * 2) if shrink else rgb
    window = cv2.warpAffine(source, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderValue=(123, 117, 104))
    inside = cv2.warpAffine(mask.astype(np.uint8) * 255, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    return {
        "jpeg": cv2.imencode(".jpg", window[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes(),
        "mask": cv2.imencode(".png", inside)[1].tobytes(),
        "colour": colours(rgb[mask]),
    }


def colours(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the share of each of COLOURS among (N, 3) RGB pixels.

    The bounds of hue, saturation and value are rules of thumb, looked at on photos.
    """
    hsv = cv2.cvtColor(pixels.reshape(-1, 1, 3), cv2.COLOR_RGB2HSV).reshape(-1, 3).astype(np.int64)
    hue, saturation, value = hsv[:, 0] * 2, hsv[:, 1], hsv[:, 2]
    names = np.full(len(hsv), "", dtype="<U8")
    for name, low, high in (
        ("red", 345, 361), ("red", 0, 12), ("orange", 12, 40), ("yellow", 40, 68), ("green", 68, 165),
        ("blue", 165, 258), ("purple", 258, 295), ("pink", 295, 345),
    ):  # fmt: skip
        names[(hue >= low) & (hue < high)] = name
    names[(names == "orange") & (value < 170)] = "brown"
    names[(names == "orange") & (saturation < 120)] = "brown"
    names[(names == "red") & (saturation < 130) & (value > 140)] = "pink"
    names[(names == "red") & (value < 90)] = "brown"
    names[(names == "brown") & (value > 180) & (saturation < 70)] = "white"
    grey = saturation < 38
    names[grey] = "grey"
    names[(saturation < 48) & (value > 185)] = "white"
    names[(value < 55) | (grey & (value < 75))] = "black"
    return np.array([np.mean(names == colour) for colour in COLOURS], np.float32)


def learn_from(args: argparse.Namespace) -> Iterator[Picture]:
    """Yield the rows of the kinds that are asked for."""
    rng = random.Random(0)
    model = FastSAM()
    for source in sources.SOURCES:
        dataset = read_coco(args.data / source, "train")
        names = {number: sources.spoken(name) for number, name in dataset.categories.items()}
        counts = collections.Counter(
            names[a["category_id"]] for image in dataset.images for a in image.annotations
        )
        if "drawn" in args.kinds:
            for image in dataset.images:
                yield from drawn(image, source, names, counts, rng)
        if "predicted" in args.kinds and source not in ("cwfid", "nuclei_dsb2018"):
            for image in rng.sample(dataset.images, min(args.photos, len(dataset.images))):
                yield from predicted(image, source, names, model, rng)
    detector = _detector(args.yolo) if "detected" in args.kinds else None
    for source in ("flickr8k_1000", "bsds500", "clothing_ccp", "camvid"):
        folder = args.data / source
        held = heldout_names(folder, "heldout")
        paths = [path for path in sorted((folder / "images").iterdir()) if path.name not in held]
        if detector:
            for path in paths:
                yield from detected(path, source, detector)
        if "predicted" in args.kinds and source in ("flickr8k_1000", "bsds500"):
            for path in rng.sample(paths, args.photos):
                yield from predicted(CocoImage(path, 0, 0, ()), source, {}, model, rng)


def _detector(weights: Path) -> Any:
    from ultralytics import YOLO

    return YOLO(weights)


def drawn(
    image: CocoImage, source: str, names: dict[int, str], counts: dict[str, int], rng: random.Random
) -> Iterator[Picture]:
    """Yield the drawn masks of a photo, the most common categories thinned out."""
    rgb = read_frame(image.path).rgb
    for annotation in image.annotations:
        name = names[annotation["category_id"]]
        if rng.random() < MOST_A_NAME / counts[name]:
            row = cut(rgb, annotation_mask(annotation, (image.height, image.width)))
            if row:
                yield Picture(image.path.name, source, **row, name=name)


def predicted(
    image: CocoImage, source: str, names: dict[int, str], model: FastSAM, rng: random.Random
) -> Iterator[Picture]:
    """Yield some of the everything masks of a photo, with what the drawn ones say of them."""
    rgb = read_frame(image.path).rgb
    masks = model.open(rgb).everything().masks
    rows = rng.sample(range(len(masks)), min(MOST_A_PHOTO, len(masks)))
    known = [names[annotation["category_id"]] for annotation in image.annotations]
    drawn_masks = list(image.masks()) if known else []
    for i in rows:
        mask = masks.mask(i)
        row = cut(rgb, mask)
        if row is None:
            continue
        picture = Picture(image.path.name, source, **row)
        area = np.count_nonzero(mask)
        shared = [np.count_nonzero(mask & one) for one in drawn_masks]
        ious = [s / (area + np.count_nonzero(one) - s) for s, one in zip(shared, drawn_masks, strict=True)]
        best = int(np.argmax(ious)) if ious else -1
        if ious and ious[best] >= 0.6:
            yield replace(picture, name=known[best])
            continue
        holders = [k for k, s in enumerate(shared) if s > 0.85 * area and ious[k] < 0.35]
        inside = known[holders[0]] if len({known[k] for k in holders}) == 1 else ""
        absent = bool(known) and max(shared, default=0) < 0.08 * area and source == "coco_mix"
        yield replace(picture, inside=inside, absent=absent)


def detected(path: Path, source: str, detector: Any) -> Iterator[Picture]:
    """Yield what the COCO detector is sure of."""
    result = detector.predict(str(path), imgsz=640, conf=0.45, retina_masks=True, verbose=False)[0]
    if result.masks is None:
        return
    rgb = read_frame(path).rgb
    names = [sources.spoken(name) for name in read_vocabulary("coco")]
    for mask, kind in zip(result.masks.data.numpy() > 0.5, result.boxes.cls.int().tolist(), strict=True):
        row = cut(rgb, mask)
        if row:
            yield Picture(path.name, source, **row, name=names[kind])


def classified(rows: list[Picture], weights: Path) -> Iterator[Picture]:
    """Yield the rows with the logits of the ImageNet classifier."""
    import timm
    import torch
    from safetensors.torch import load_file

    network = timm.create_model("mobilenetv2_100", pretrained=False, pad_type="same").eval()
    network.load_state_dict(load_file(str(weights)))
    network.to(memory_format=torch.channels_last)
    half = int(SIDE / 4 * 1.24)  # the mask with an eighth of its side around it
    for first in range(0, len(rows), 32):
        batch = rows[first : first + 32]
        views = []
        for row in batch:
            window = cv2.imdecode(np.frombuffer(row.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
            middle = window[SIDE // 2 - half : SIDE // 2 + half, SIDE // 2 - half : SIDE // 2 + half]
            views.append(cv2.resize(middle, (160, 160), interpolation=cv2.INTER_AREA))
        x = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.inference_mode():
            logits = network(x).numpy().astype(np.float16)
        for row, one in zip(batch, logits, strict=True):
            yield replace(row, imagenet=one)


def main() -> None:
    """Write --out, a pickle that training reads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--yolo", required=True, type=Path, help="YOLOv8n-seg trained on COCO")
    parser.add_argument("--imagenet", required=True, type=Path, help="MobileNetV2 trained on ImageNet")
    parser.add_argument("--kinds", nargs="+", default=["drawn", "detected", "predicted"])
    parser.add_argument(
        "--photos", type=int, default=200, help="photos a source whose predicted masks are taken"
    )
    parser.add_argument("--out", required=True, type=Path)
    args = parser.parse_args()
    rows: list[Picture] = []
    for row in learn_from(args):
        rows.append(row)
        if len(rows) % 1000 == 0:
            print(len(rows), row.source, flush=True)
    print(f"{len(rows)} rows, {sum(bool(row.name) for row in rows)} with a name; classifying", flush=True)
    rows = list(classified(rows, args.imagenet))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    waiting = args.out.with_suffix(".partial")
    with waiting.open("wb") as file:
        pickle.dump([vars(row) for row in rows], file)
    waiting.replace(args.out)


if __name__ == "__main__":
    main()
