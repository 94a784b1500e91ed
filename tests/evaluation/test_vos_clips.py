"""Reading clips: both layouts, and what is wrong with a folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from fastsam.errors import DatasetError
from fastsam.evaluation.clips import read_clips

SIZE = (48, 64)


def write_clip(frames: Path, masks: Path, values: list[int], count: int = 4) -> None:
    """Crops of a photo that move, and a square for each value."""
    frames.mkdir(parents=True)
    masks.mkdir(parents=True)
    for t in range(count):
        Image.fromarray(data.astronaut()[t : t + SIZE[0], t : t + SIZE[1]]).save(frames / f"{t:05d}.jpg")
        pixels = np.zeros(SIZE, np.uint8)
        for k, value in enumerate(values):
            pixels[5:15, 5 + 20 * k + t : 15 + 20 * k + t] = value
        Image.fromarray(pixels).save(masks / f"{t:05d}.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, values in (("b-two", [1, 2]), ("a-one", [1])):
        write_clip(tmp_path / "clips" / name / "frames", tmp_path / "clips" / name / "masks", values)
    return tmp_path / "clips"


def test_clips_in_folders(root: Path) -> None:
    clips = read_clips(root)
    assert [(clip.name, len(clip), clip.ids) for clip in clips] == [("a-one", 4, (1,)), ("b-two", 4, (1, 2))]
    assert [clip.name for clip in read_clips(root, limit=1)] == ["a-one"]
    frame = clips[1].frame(2)
    assert (frame.index, frame.size_hw) == (2, SIZE)
    truth = clips[1].truth(2)
    assert {i: int(mask.sum()) for i, mask in truth.items()} == {1: 100, 2: 100}
    assert truth[2][5, 27]
    assert not truth[1][5, 27]


def test_one_clip_is_its_own_folder(root: Path) -> None:
    (clip,) = read_clips(root / "b-two")
    assert (clip.name, clip.ids) == ("b-two", (1, 2))


def test_davis_layout(tmp_path: Path) -> None:
    for name, values in (("swan", [255]), ("dogs", [1, 3, 255])):
        write_clip(tmp_path / "JPEGImages/480p" / name, tmp_path / "Annotations/480p" / name, values)
    dogs, swan = read_clips(tmp_path)
    assert swan.ids == (255,)  # DAVIS 2016: white is the object
    assert dogs.ids == (1, 3)  # beside others 255 is nobody's


def test_palette_masks_are_read_by_number(tmp_path: Path) -> None:
    write_clip(tmp_path / "c/frames", tmp_path / "c/masks", [1])
    for path in (tmp_path / "c/masks").iterdir():
        pixels = np.zeros(SIZE, np.uint8)
        pixels[5:15, 5:15] = 7
        picture = Image.fromarray(pixels)
        picture.putpalette([0, 0, 0] + [200, 100, 50] * 7)
        picture.save(path)
    with Image.open(tmp_path / "c/masks/00000.png") as opened:
        assert opened.mode == "P"
    (clip,) = read_clips(tmp_path)
    assert clip.ids == (7,)
    assert clip.truth(1)[7].sum() == 100


def test_an_object_that_comes_later_is_not_followed(root: Path) -> None:
    late = np.full(SIZE, 9, np.uint8)
    Image.fromarray(late).save(root / "a-one/masks/00002.png")
    clip = read_clips(root)[0]
    assert clip.ids == (1,)
    assert not clip.truth(2)[1].any()


def drop_a_mask(root: Path) -> None:
    (root / "a-one/masks/00003.png").unlink()


def rename_a_mask(root: Path) -> None:
    (root / "a-one/masks/00003.png").rename(root / "a-one/masks/00007.png")


def empty_first_mask(root: Path) -> None:
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(root / "a-one/masks/00000.png")


def other_size(root: Path) -> None:
    Image.fromarray(np.ones((30, 30), np.uint8)).save(root / "a-one/masks/00001.png")


def coloured_mask(root: Path) -> None:
    Image.fromarray(np.ones((*SIZE, 3), np.uint8)).save(root / "a-one/masks/00000.png")


def no_image(root: Path) -> None:
    (root / "a-one/masks/00001.png").write_bytes(b"nothing")


def two_frames(root: Path) -> None:
    for kind, suffix in (("frames", "jpg"), ("masks", "png")):
        for t in (2, 3):
            (root / "a-one" / kind / f"{t:05d}.{suffix}").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop_a_mask, "clip a-one: expected a mask for each frame, got 4 frames .* and 3 masks"),
        (rename_a_mask, "of the same names, got 00003.jpg and 00007.png"),
        (empty_first_mask, "marks no object"),
        (other_size, "of one size, got 64x48 and 30x30"),
        (coloured_mask, "palette or grey PNG"),
        (no_image, "cannot be read as an image"),
        (two_frames, "at least 3 frames"),
        (lambda root: shutil.rmtree(root / "a-one/masks"), "expected a folder .*masks, found none"),
        (lambda root: [shutil.rmtree(path) for path in root.iterdir()], "found no clip in it"),
        (shutil.rmtree, "expected a folder"),
    ],
)
def test_what_is_wrong_with_a_folder(root: Path, damage: object, message: str) -> None:
    damage(root)  # type: ignore[operator]
    with pytest.raises(DatasetError, match=message):
        read_clips(root)
