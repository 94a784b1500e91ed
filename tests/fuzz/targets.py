"""What is fuzzed: each target takes random numbers and a folder, and does one thing with bad input.

A target may raise errors of ``fastsam.errors`` and nothing else.
"""

from __future__ import annotations

import functools
import io
import json
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fastsam.datasets import check_listed, read_captions, read_coco
from fastsam.images.reading import read_frame, read_mask
from fastsam.masks.maskset import MaskSet
from fastsam.prompts import Box, Mask, Points, Text, select
from fastsam.prompts.json_form import prompt_from_json

__all__ = ["TARGETS", "Target"]

Target = Callable[[random.Random, Path], None]
TARGETS: dict[str, Target] = {}
# Numbers that programs trip over, beside ordinary ones.
_NUMBERS: tuple[Any, ...] = (
    0, 1, -1, 2, 3, 40, 50, 2**31, -(2**31), 2**62, 2**63, 10**30, 0.5, -0.0, 1e9, -1e9, 1e300, float("nan"),
    float("inf"), True, None, "1", "", [], {}, [[]],
)  # fmt: skip
_SIZE = (40, 50)


def target(function: Target) -> Target:
    """Enter a function into the table, under its name."""
    TARGETS[function.__name__] = function
    return function


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return bytes with some of them changed, left out, doubled or cut off."""
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(found) or 1)
        match rng.randrange(5):
            case 0 if found:
                found[at] ^= 1 << rng.randrange(8)
            case 1:
                found[at : at + rng.randint(1, 16)] = b""
            case 2:
                found[at:at] = rng.randbytes(rng.randint(1, 16))
            case 3:
                found[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
            case _:
                del found[rng.randrange(len(found) + 1) :]
    return bytes(found)


def anything(rng: random.Random, depth: int = 0) -> Any:
    """Return a value of JSON, most often a number that programs trip over."""
    if depth < 4 and rng.random() < 0.35:
        inside = [anything(rng, depth + 1) for _ in range(rng.randint(0, 5))]
        keys = ("size", "counts", "box", "points", "rle", "text", "id", "segmentation", "any_of", "image")
        return inside if rng.random() < 0.6 else dict(zip(rng.sample(keys, len(inside)), inside, strict=True))
    return rng.choice(_NUMBERS)


def disturbed(content: Any, rng: random.Random, chance: float = 0.06) -> Any:
    """Return a value of JSON some of whose parts are something else."""
    if rng.random() < chance:
        return anything(rng)
    if isinstance(content, dict):
        kept = {key: disturbed(value, rng, chance) for key, value in content.items()}
        return {key: value for key, value in kept.items() if rng.random() > chance / 3}
    if isinstance(content, list):
        return [disturbed(value, rng, chance) for value in content]
    return content


def as_json(content: Any, rng: random.Random) -> bytes:
    """Return JSON as files have it: now and then with 1e999, deep nesting, a byte-order mark, or damaged."""
    text = json.dumps(content).replace("Infinity", "1e999")
    raw = text.encode(rng.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16")))
    match rng.randrange(12):
        case 0:
            return mutated(raw, rng)
        case 1:
            return b"[" * rng.choice((70, 2_000, 100_000)) + raw
        case _:
            return raw


@functools.cache
def pictures() -> list[bytes]:
    """Small files of many formats."""
    rng = np.random.default_rng(0)
    colour = Image.fromarray(rng.integers(0, 256, (24, 31, 4), np.uint8))
    forms: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (colour.convert("RGB"), "JPEG", {}), (colour.convert("RGB"), "JPEG", {"progressive": True}),
        (colour, "PNG", {}), (colour.convert("P"), "PNG", {"transparency": 0}),
        (colour.convert("1"), "PNG", {}), (colour, "TIFF", {}), (colour, "WEBP", {}),
        (colour.convert("L"), "TIFF", {"compression": "tiff_lzw"}), (colour.convert("P"), "GIF", {}),
        (colour.convert("RGB"), "BMP", {}), (colour.convert("RGB"), "PPM", {}),
        (Image.fromarray(rng.integers(0, 4096, (24, 31)).astype(np.uint16)), "PNG", {}), (colour, "ICO", {}),
        (colour.convert("RGB"), "JPEG2000", {}), (colour.convert("RGB"), "AVIF", {}),
    ]  # fmt: skip
    found = []
    for image, form, options in forms:
        stream = io.BytesIO()
        try:
            image.save(stream, form, **options)
        except (OSError, KeyError):  # this build of PIL does not write it
            continue
        found.append(stream.getvalue())
    return found


@target
def image_bytes(rng: random.Random, folder: Path) -> None:
    """A damaged image file, read as a photo or as a mask."""
    content = mutated(rng.choice(pictures()), rng)
    if rng.random() < 0.8:
        read_frame(content, max_pixels=10**7)
    else:
        path = folder / "image"
        path.write_bytes(content)
        read_mask(path, max_pixels=10**7)


_PROMPTS: tuple[Any, ...] = (
    {"box": [1, 2, 30, 20]}, {"points": [[3, 4], [9, 9]], "labels": [1, 0], "level": "part"},
    {"polygon": [[0, 0], [20, 0], [20, 20]]}, {"scribble": [[1, 1], [9, 9]], "width_px": 3},
    {"rle": {"size": [40, 50], "counts": [100, 20, 1880]}}, {"text": "a dog", "negatives": ["a cat"]},
    {"any_of": [{"box": [1, 2, 30, 20]}, {"points": [[3, 4]]}]}, {"position": "leftmost", "count": 2},
    {"but_not": [{"box": [1, 2, 30, 20]}, {"points": [[3, 4]], "previous": {"box": [1, 1, 2, 2]}}]},
    {"reference": {"image": "none.jpg", "box": [0, 0, 3, 3]}},
)  # fmt: skip


@functools.cache
def some_masks() -> MaskSet:
    """Three masks to choose from."""
    dense = np.zeros((3, *_SIZE), bool)
    dense[0, 5:30, 5:40] = dense[1, 10:20, 10:20] = dense[2, 25:35, 30:45] = True
    return MaskSet.from_dense(dense, [0.9, 0.8, 0.7])


@target
def prompt_json(rng: random.Random, folder: Path) -> None:
    """A prompt as JSON, as the command and the page get it; asked where it is one."""
    raw = as_json(disturbed(rng.choice(_PROMPTS), rng, 0.12), rng)
    select(some_masks(), prompt_from_json(raw if rng.random() < 0.5 else raw.decode("utf-8", "replace")))


@target
def prompt_api(rng: random.Random, folder: Path) -> None:
    """A prompt made in Python from whatever there is."""
    kind = rng.choice((Points, Box, Mask, Text))
    value = anything(rng)
    if rng.random() < 0.3:
        value = np.array([rng.choice((0.0, 5.0, 1e300, -1e9, float("nan"))) for _ in range(8)]).reshape(4, 2)
    options = {name: anything(rng) for name in ("labels", "threshold") if rng.random() < 0.1}
    try:
        prompt = kind(value, **options)
    except TypeError as error:
        if "unexpected keyword" in str(error):  # Python's own word for a wrong call
            return
        raise
    select(some_masks(), prompt)


_COCO = {
    "images": [{"id": 1, "file_name": "a.png", "height": 40, "width": 50}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 20, 1, 20, 20]], "iscrowd": 0},
        {"id": 2, "image_id": 1, "segmentation": {"size": [40, 50], "counts": [100, 20, 1880]}, "iscrowd": 0},
        {"id": 3, "image_id": 1, "segmentation": {"size": [40, 50], "counts": "T3d0l1"}, "iscrowd": 1},
    ],
    "categories": [{"id": 1, "name": "thing"}],
}


@target
def dataset(rng: random.Random, folder: Path) -> None:
    """A data set's files, and its annotations as masks."""
    (folder / "instances.json").write_bytes(as_json(disturbed(_COCO, rng), rng))
    (folder / "captions.json").write_bytes(as_json(disturbed({"a.png": ["a dog"]}, rng), rng))
    names = rng.choice((b"a.png\n", "a.png\n".encode("utf-16"), b"\xff\xe9\n", b"", b"b.png\n"))
    (folder / "heldout.txt").write_bytes(names)
    (folder / "images").mkdir(exist_ok=True)
    (folder / "images" / "a.png").write_bytes(rng.choice(pictures()))
    if rng.random() < 0.2:
        read_captions(folder, "train")
        return
    for image in read_coco(folder, rng.choice(("all", "train", "heldout"))).images:
        image.rles()
        image.masks()
        check_listed(image)


def once(rng: random.Random, name: str, folder: Path) -> None:
    """Run one case with warnings of image libraries unheard."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        TARGETS[name](rng, folder)
