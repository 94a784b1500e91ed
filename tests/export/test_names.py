"""Names of files that every file system takes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsam.errors import ExportError
from fastsam.export import Exporter, load_npz, safe_name, unique_names, write
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from tests.export.drawn import SIZE

# --- names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("bus", "bus"),
        ("", "image"),
        ("..", "image"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("a\\b:c*d", "a_b_c_d"),
        ("nul\0byte\nline", "nul_byte_line"),
        ("con", "con_"),
        ("COM1.backup", "COM1.backup_"),
        ("instances", "instances_"),
        ("Über straße 日本", "Über straße 日本"),
        ("e\u0301", "\u00e9"),
        ("bad\udcff", "bad_"),
        ("end. ", "end"),
        ("x" * 400, "x" * 180),
        ("日" * 100, "日" * 60),
    ],
)
def test_safe_names(name: str, safe: str, masks: MaskSet, tmp_path: Path) -> None:
    assert safe_name(name) == safe
    assert safe_name(safe) == safe or safe.endswith("_")
    (path,) = write(masks[[0]], tmp_path, "npz", name=name)
    assert path == tmp_path / f"{safe}.npz"
    assert path.is_file()


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        ([], []),
        (["p/cat.jpg", "p/dog.jpg"], ["cat", "dog"]),
        (["a/cat.jpg", "b/cat.jpg"], ["a_cat", "b_cat"]),
        (["x/a/cat.jpg", "y/a/cat.jpg", "z/dog.jpg"], ["x_a_cat", "y_a_cat", "dog"]),
        (["p/cat.jpg", "p/cat.png"], ["cat_jpg", "cat_png"]),
        (["p/cat.jpg", "p/Cat.png"], ["cat_jpg", "Cat_png"]),
        (["a/cat.jpg", "a/cat.png", "b/cat.jpg"], ["cat_jpg", "cat_png", "cat"]),
        (["p/cat.jpg", "p/cat.jpg", "q/../p/cat.jpg"], ["cat", "cat_2", "cat_3"]),
        (["a/cat.jpg", "b/cat.jpg", "c/a_cat.jpg"], None),
        (["p/a:b.jpg", "p/a*b.jpg", "p/a?b.jpg"], None),
        (["p/c.jpg", "p/c.jpg", "p/c_2.jpg"], None),
    ],
)
def test_unique_names(paths: list[str], names: list[str] | None) -> None:
    found = unique_names(paths)
    assert names is None or found == names
    assert len({name.casefold() for name in found}) == len(paths)
    assert [safe_name(name) for name in found] == found


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("aA1_./", min_size=1, max_size=6), max_size=8))
def test_unique_names_never_meet(paths: list[str]) -> None:
    found = unique_names(paths)
    assert len({name.casefold() for name in found}) == len(paths)


def test_two_images_of_a_run_do_not_overwrite_each_other(masks: MaskSet, tmp_path: Path) -> None:
    def frame(name: str, source: str) -> Frame:
        return Frame(np.zeros((*SIZE, 3), np.uint8), name, source)

    exporter = Exporter("npz", tmp_path)
    exporter.add(frame("cat", "a/cat.jpg"), masks)
    exporter.add(frame("cat", "a/cat.jpg"), masks[[0]])  # the same image again
    assert len(load_npz(tmp_path / "cat.npz")) == 1
    for name, source in (("cat", "b/cat.jpg"), ("Cat", "a/Cat.jpg"), ("cat", "")):
        with pytest.raises(ExportError, match=r"would overwrite the files of 'a/cat\.jpg'.*unique_names"):
            exporter.add(frame(name, source), masks)
    exporter.add(frame("image", ""), masks)
    with pytest.raises(ExportError, match="would overwrite the files of 'image'"):
        exporter.add(frame("image", ""), masks)
    names = unique_names(["a/cat.jpg", "b/cat.jpg"])
    for name, source in zip(names, ["a/cat.jpg", "b/cat.jpg"], strict=True):
        exporter.add(frame(name, source), masks)
    assert sorted(os.listdir(tmp_path)) == ["a_cat.npz", "b_cat.npz", "cat.npz", "image.npz"]
