"""Folders, patterns, lists and videos; masks that somebody drew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from fastsam.errors import ImageError
from fastsam.images.frame import Frame
from fastsam.images.listing import images_below, list_images, open_frames
from fastsam.images.reading import read_frame, read_mask
from tests.images.pictures import encoded, gradient


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    (folder / "more").mkdir(parents=True)
    for name in ("img10.png", "img2.PNG", "Img1.png", ".hidden.png", "more/img3.png"):
        Image.new("L", (3, 2), len(name)).save(folder / name, "PNG")
    (folder / "notes.txt").write_text("no image")
    return folder


def test_folder_in_natural_order(album: Path) -> None:
    assert [path.name for path in list_images(album)] == ["Img1.png", "img2.PNG", "img10.png"]
    frames = list(open_frames(album))
    assert [(frame.name, frame.index) for frame in frames] == [("Img1", 0), ("img2", 1), ("img10", 2)]


def test_patterns_and_lists_without_repeats(album: Path) -> None:
    assert [path.name for path in list_images(str(album / "img*.png"))] == ["img10.png"]
    deep = list_images(str(album / "**" / "*"))
    assert sorted(path.name for path in deep) == ["Img1.png", "img10.png", "img2.PNG", "img3.png"]
    both = list_images([album / "img10.png", str(album), album / "more" / ".." / "img10.png"])
    assert [path.name for path in both] == ["img10.png", "Img1.png", "img2.PNG"]


def test_a_name_with_brackets_is_a_file_first(album: Path) -> None:
    path = album / "cat[1].png"
    Image.new("L", (1, 1)).save(path)
    assert list_images(str(path)) == [path]


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ([], "empty list"),
        ("{}/nothing", "no such file or folder"),
        ("{}/*.webp", "pattern .* matches nothing"),
        ("{}/*.txt", "matches 1 files without an image's extension"),
        ("{}/empty", "found none among its 0 files$"),
        ("{}", r"found none among its 1 files; for its 1 subfolders use the pattern"),
        ("http://example.com/*.jpg", "is a URL"),
        ("{}/clip.mp4", "is a video"),
    ],
)
def test_nothing_to_list(sources: Any, said: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / ("clip.mp4" if "mp4" in str(sources) else "a.txt")).write_bytes(b"x")
    if isinstance(sources, str):
        sources = sources.format(tmp_path)
    with pytest.raises(ImageError, match=said):
        list_images(sources)


def test_subfolders_that_hold_images_are_told(
    album: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (album / "more" / "img3.png").unlink()
    (album / "more" / "deeper").mkdir(parents=True)
    list_images(album)
    assert caplog.messages == []
    Image.new("RGB", (4, 4)).save(album / "more" / "deeper" / "a.jfif", "JPEG")
    list_images(album)
    assert "images in its subfolder 'more' are left out" in caplog.text
    assert album / "more" / "deeper" / "a.jfif" in images_below(album)
    (album / "more" / "loop").symlink_to(album)
    assert len(images_below(album)) == len(list_images(album)) + 1


def test_open_frames_takes_single_things_and_mixed_lists(album: Path) -> None:
    array = gradient()
    named = Frame(array.copy(), "given", index=41)
    for source in (array, Image.fromarray(array), encoded(Image.fromarray(array), "PNG"), named):
        (frame,) = open_frames(source)
        assert np.array_equal(frame.rgb, array)
    with (album / "img10.png").open("rb") as stream:
        assert next(open_frames(stream)).name == "img10"
    frames = list(open_frames([array, str(album), named, album / "img10.png"]))
    assert [frame.name for frame in frames] == ["image", "Img1", "img2", "img10", "given", "img10"]
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 41, 5]
    assert list(open_frames([])) == []


def test_open_frames_reports_missing_paths_at_once_and_reads_lazily(album: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        open_frames([album, "nowhere.png"])
    (album / "img10.png").write_bytes(b"broken")
    frames = open_frames(album)
    assert [next(frames).name, next(frames).name] == ["Img1", "img2"]
    with pytest.raises(ImageError, match=r"img10\.png"):
        next(frames)

    def endless() -> Any:
        while True:
            yield gradient()

    stream = open_frames(endless())
    assert [next(stream).index for _ in range(3)] == [0, 1, 2]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    assert writer.isOpened()
    for blue in (0, 80, 160):
        writer.write(np.full((48, 64, 3), (blue, 0, 250 - blue), np.uint8))
    writer.release()
    return path


def test_video_frames_have_names_times_and_rgb(clip: Path) -> None:
    frames = list(open_frames(clip))
    assert [frame.name for frame in frames] == ["clip_000000", "clip_000001", "clip_000002"]
    assert [frame.t_ms for frame in frames] == pytest.approx([0, 100, 200])
    assert [frame.index for frame in frames] == [0, 1, 2]
    for frame, blue in zip(frames, (0, 80, 160), strict=True):
        assert frame.size_hw == (48, 64)
        assert np.abs(frame.rgb[20, 20].astype(int) - [250 - blue, 0, blue]).max() < 12
    mixed = list(open_frames([gradient(), clip]))
    assert [frame.index for frame in mixed] == [0, 1, 2, 3]
    assert mixed[0].t_ms is None


def test_damaged_video(tmp_path: Path) -> None:
    path = tmp_path / "broken.avi"
    path.write_bytes(b"RIFF" + bytes(200))
    with pytest.raises(ImageError, match=r"broken\.avi.*finds no frame"):
        list(open_frames(path))
    with pytest.raises(ImageError, match="for a video use open_frames"):
        read_frame(path)


@pytest.mark.parametrize(
    ("pixels", "mode"),
    [
        (np.array([[0, 255, 0]], np.uint8), "L"),
        (np.array([[0, 1, 0]], np.uint8), "L"),
        (np.array([[0, 1, 0]], bool), "1"),
        (np.array([[[255, 255, 255, 0], [255, 255, 255, 255], [0, 0, 0, 255]]], np.uint8), "RGBA"),
        (np.array([[0, 60000, 0]], np.uint16), "I;16"),
    ],
)
def test_read_mask_knows_how_masks_are_drawn(pixels: np.ndarray, mode: str, tmp_path: Path) -> None:
    picture = Image.fromarray(pixels)
    assert picture.mode == mode
    picture.save(tmp_path / "drawn.png")
    assert read_mask(tmp_path / "drawn.png").tolist() == [[False, True, False]]


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is empty"), (b"no picture", "not an image"), (None, "folder")]
)
def test_read_mask_names_its_file(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "drawn.png"
    _ = path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(ImageError, match=f"(?i)mask .*drawn.png.*({message}|is a directory)"):
        read_mask(path)
    Image.new("L", (3, 1)).save(tmp_path / "black.png")
    with pytest.raises(ImageError, match="expected bright pixels"):
        read_mask(tmp_path / "black.png")
