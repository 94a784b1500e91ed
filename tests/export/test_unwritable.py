"""What cannot be written, and what is said of it."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsam.errors import ExportError, RecordError
from fastsam.export import FORMATS, Exporter, write
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from tests.export.drawn import SIZE

# --- what cannot be written or read -----------------------------------------------------------------


def test_unknown_format_lists_the_known(masks: MaskSet, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"expected one of png, npz, coco.*did you mean coco"):
        write(masks, tmp_path, "cocoo")
    with pytest.raises(ExportError, match="expected one of png"):
        Exporter("", tmp_path)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_where_the_folder_should_be(format: str, masks: MaskSet, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    for folder in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(ExportError, match="a part of the path is a file, not a folder"):
            write(masks, folder, format)


@contextmanager
def small_disk(limit: int) -> Iterator[None]:
    """Let no file grow beyond ``limit`` bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("format", FORMATS)
def test_a_write_that_fails_half_way_leaves_the_old_files(format: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = MaskSet.from_dense(rng.random((3, 60, 60)) > 0.5)
    photo = rng.integers(0, 255, (60, 60, 3)).astype(np.uint8)
    write(noise[[0]], tmp_path, format, name="a", rgb=photo)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    labels = [str(i) * 3000 for i in range(3)]  # makes every format large enough
    with small_disk(500), pytest.raises(ExportError, match="cannot be written"):
        write(noise, tmp_path, format, name="a", labels=labels, rgb=photo)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EACCES, "no permission to write there; choose another folder"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EIO, "cannot be written: .*error"),
    ],
)
def test_what_the_file_system_says(
    number: int, said: str, masks: MaskSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    exporter = Exporter("npz", tmp_path)
    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(ExportError, match=said):
        exporter.add(Frame(np.zeros((*SIZE, 3), np.uint8), "a"), masks)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"labels": ["a"]}, "labels: expected 5 texts for 5 masks, got 1"),
        ({"labels": "abcde"}, "labels: expected 5 texts for 5 masks, got 'abcde'"),
        ({"levels": []}, "levels: expected 5 texts"),
        ({"stability_scores": [1.0]}, r"stability_scores: expected shape \(5,\) for 5 masks, got \(1,\)"),
        ({"points_xy": np.zeros((5, 3))}, r"points_xy: expected shape \(5, 2\)"),
        ({"stability_scores": ["x"] * 5}, "stability_scores: expected numbers"),
    ],
)
def test_annotations_must_fit(known: dict[str, Any], said: str, masks: MaskSet, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=said):
        write(masks, tmp_path, "csv", **known)
    assert os.listdir(tmp_path) == []
