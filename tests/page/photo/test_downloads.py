"""What a visitor takes home is what is shown, at the photo's own size."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastsam.errors import ExportError, PromptError
from fastsam.export import FORMATS
from fastsam.masks.rle import decode_rle
from fastsam.page.photo import steps
from fastsam.page.photo.downloads import CHOICES, write_download
from fastsam.page.photo.effects import Effect
from fastsam.page.photo.state import PhotoState
from tests.page.setting import MASKS, OTHER, PHOTO, Page


def taken(page: Page, what: str, folder: Path) -> Path:
    return write_download(page.visitor.state, what, folder)


@pytest.mark.parametrize("what", [name for _, name in CHOICES])
def test_everything_can_be_taken_home_in_every_form(what: str, tmp_path: Path) -> None:
    path = taken(Page(), what, tmp_path)
    assert path.parent == tmp_path
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            assert archive.namelist()
    else:
        with Image.open(path) as picture:
            assert picture.size == (80, 60)


def test_every_format_is_offered() -> None:
    assert {name for _, name in CHOICES} == {"view", *FORMATS}


def test_the_masks_that_are_shown_are_saved(tmp_path: Path) -> None:
    page = Page()
    page.mark("point", (60, 30))
    path = taken(page, "png", tmp_path)
    assert path.name == "astro_png.zip"
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".png")]
        pixels = np.asarray(Image.open(io.BytesIO(archive.read(name))))
    np.testing.assert_array_equal(pixels > 0, MASKS[OTHER])


def test_removed_masks_are_not_saved(tmp_path: Path) -> None:
    page = Page()
    page.act("remove", row=OTHER)
    with zipfile.ZipFile(taken(page, "coco", tmp_path)) as archive:
        document = json.loads(archive.read("instances.json"))
    found = np.stack([decode_rle(row["segmentation"]) for row in document["annotations"]])
    np.testing.assert_array_equal(found, MASKS[:2])


def test_cutouts_are_one_picture_a_mask(tmp_path: Path) -> None:
    with zipfile.ZipFile(taken(Page(), "cutout", tmp_path)) as archive:
        assert archive.namelist() == [f"astro_cutouts/{row:03d}.png" for row in range(3)]
        with Image.open(io.BytesIO(archive.read("astro_cutouts/002.png"))) as picture:
            assert picture.mode == "RGBA"
            assert all(abs(got - side) <= 4 for got, side in zip(picture.size, (20, 50), strict=True))


@pytest.mark.parametrize("kind", ["cutout", "blur", "replace"])
def test_an_effect_is_saved_under_its_name(kind: Any, tmp_path: Path) -> None:
    page = Page()
    steps.set_up(page.visitor, effect=Effect(kind))
    page.mark("point", (60, 30))
    path = taken(page, "view", tmp_path)
    assert path.name == f"astro_{kind}.png"
    with Image.open(path) as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (60, 80, 4 if kind == "cutout" else 3)
    unlike = (pixels[..., :3] != PHOTO).any(axis=2)
    assert not (unlike & (MASKS[OTHER] if kind == "blur" else np.zeros_like(unlike)))[10:50, 54:66].any()


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    page = Page()
    for row in range(3):
        page.act("remove", row=row)
    with pytest.raises(PromptError, match="no mask to download"):
        taken(page, "png", tmp_path)
    page.act("clear")
    with pytest.raises(ExportError, match="gif"):
        taken(page, "gif", tmp_path)
    with pytest.raises(PromptError, match="Open a photo first"):
        write_download(PhotoState(), "png", tmp_path)
