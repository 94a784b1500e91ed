"""What a category of a dataset is asked for by: its name in words, or what a file says instead."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastsam.datasets import CocoDataset, read_coco
from fastsam.errors import DatasetError
from fastsam.untrusted import read_text

__all__ = ["asked_texts", "in_words", "read_names"]


def in_words(name: str) -> str:
    """Return a category's name as people write it.

    >>> in_words("traffic-infrastructure"), in_words("cell_phone"), in_words("t-shirt")
    ('traffic infrastructure', 'cell phone', 't-shirt')
    """
    return " ".join(re.sub(r"(?<=\w\w)[-_](?=\w\w)", " ", name).split())


def read_names(path: str | Path, datasets: Sequence[str | Path] = ()) -> dict[str, str]:
    """Read a file with lines ``category = text``; empty lines and lines that start with ``#`` do not count.

    Args:
        path: the file.
        datasets: COCO-format folders; each category must be one of one of them.

    Raises:
        DatasetError: it cannot be read, a line is no pair, or a category is of no dataset.
    """
    path = Path(path)
    lines = read_text(path, "names", DatasetError).splitlines()
    names: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.strip().startswith("#"):
            continue
        name, equals, text = (part.strip() for part in line.partition("="))
        if not (name and equals and text):
            raise DatasetError(
                f"names {path}, line {number}: expected CATEGORY = TEXT, such as piring = plate, got {line!r}"
            )
        names[name] = text
    if datasets:
        with_objects = [root for root in datasets if (Path(root) / "instances.json").is_file()]
        known = {name for root in with_objects for name in read_coco(root).categories.values()}
        unknown = sorted(set(names) - known)
        if unknown:
            raise DatasetError(
                f"names {path}: {unknown[0]!r} is no category of {', '.join(str(d) for d in datasets)}; "
                f"expected one of {', '.join(sorted(known)) or 'none'}"
            )
    return names


def asked_texts(dataset: CocoDataset, names: Mapping[str, str]) -> tuple[tuple[str, ...], dict[int, int]]:
    """Return the texts to ask for, and which of them each category's id goes by.

    Categories that go by one text are one: nobody can tell them apart by it.

    Raises:
        DatasetError: the dataset has no categories.
    """
    if not dataset.categories:
        raise DatasetError(f"dataset {dataset.root}: expected categories with names, found none")
    places: dict[str, int] = {}
    texts: list[str] = []
    index = {}
    for number, name in dataset.categories.items():
        text = " ".join(names.get(name, in_words(name)).split())
        if text.casefold() not in places:
            places[text.casefold()] = len(texts)
            texts.append(text)
        index[number] = places[text.casefold()]
    return tuple(texts), index
