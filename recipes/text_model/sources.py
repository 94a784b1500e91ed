"""The photos, masks and captions that the model learns from; held-out photos are never read here."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fastsam.datasets import read_captions, read_coco

NAMES = {
    "piring": "plate", "tahu goreng": "fried tofu", "tempe goreng": "fried tempeh", "nasi": "rice",
    "tahu kukus": "steamed tofu", "tahu bacem": "brown braised tofu", "tempe bacem": "brown braised tempeh",
    "tempe kukus": "steamed tempeh", "roti tawar": "white bread",
    "tempe goreng tepung": "battered fried tempeh", "tahu": "tofu", "tempe": "tempeh",
    "lele": "fried catfish", "kembung": "mackerel", "balcony-fence": "balcony",
    "traffic-infrastructure": "traffic sign", "non-building-infrastructure": "wall",
    "facade": "building facade", "vegetation": "vegetation",
    "top": "top garment", "cape": "cape garment", "flats": "flat shoes", "pumps": "pumps shoes",
    "wedges": "wedge shoes", "heels": "high heels", "vest": "vest garment", "jumper": "jumper garment",
    "mouse": "computer mouse", "tie": "necktie", "crop": "crop plant", "weed": "weed plant",
    "pole": "pole", "sign": "sign",
}  # fmt: skip
SOURCES = ("coco_mix", "clothing_ccp", "food_plates", "facade", "camvid", "cwfid", "nuclei_dsb2018")
CAPTIONED = ("coco_mix", "flickr8k_1000")


def spoken(name: str) -> str:
    """Return what a category is called in plain English."""
    return NAMES.get(name, name.replace("-", " "))


def for_tuning(photo: str) -> bool:
    """Tell whether a training photo is kept for choosing settings: one in ten, by its name."""
    return int(hashlib.md5(photo.encode()).hexdigest(), 16) % 100 in range(40, 50)


def train_captions(data: Path) -> list[str]:
    """Return the captions of training photos."""
    return [caption for _, sentences in captioned(data) for caption in sentences]


def captioned(data: Path) -> list[tuple[Path, list[str]]]:
    """Return the training photos with captions."""
    return [
        (image.path, list(image.captions))
        for source in CAPTIONED
        for image in read_captions(data / source, "train")
    ]


def category_names(data: Path) -> list[str]:
    """Return what the categories of all sources are called, each once."""
    found: dict[str, None] = {}
    for source in SOURCES:
        found.update(dict.fromkeys(map(spoken, read_coco(data / source, "train").categories.values())))
    return list(found)
