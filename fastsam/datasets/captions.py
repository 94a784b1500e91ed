"""Sentences that people described images with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastsam.datasets.coco import Split, heldout_names, name_inside
from fastsam.errors import DatasetError
from fastsam.untrusted import read_json

__all__ = ["CAPTIONS_NAME", "CaptionedImage", "read_captions"]

CAPTIONS_NAME = "captions.json"


@dataclass(frozen=True)
class CaptionedImage:
    """One image and the sentences that people described it with."""

    path: Path
    captions: tuple[str, ...]


def read_captions(root: str | Path, split: Split = "all") -> tuple[CaptionedImage, ...]:
    """Read the captions of a folder, in the order of the images' names; ``split`` as for :func:`read_coco`.

    Raises:
        DatasetError: there is no ``captions.json``, it is something else, or the split needs a
            ``heldout.txt``.
    """
    root = Path(root)
    source = root / CAPTIONS_NAME
    form = '{"IMAGE.jpg": ["a sentence", ...], ...}'
    if not source.is_file():
        raise DatasetError(f"{source}: expected JSON such as {form}, found no such file")
    read = read_json(source, "captions", DatasetError)
    if not isinstance(read, dict) or not all(
        isinstance(said, list) and all(isinstance(sentence, str) for sentence in said)
        for said in read.values()
    ):
        raise DatasetError(f"{source}: expected {form}, got something else")
    heldout = heldout_names(root, split)
    return tuple(
        CaptionedImage(root / "images" / name_inside(name), tuple(said))
        for name, said in sorted(read.items())
        if said and (split == "all" or (name in heldout) == (split == "heldout"))
    )
