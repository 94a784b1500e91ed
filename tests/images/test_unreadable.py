"""What cannot be read, and what is said of it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fastsam.errors import ConfigError, ImageError, MissingPackageError
from fastsam.images.reading import DEFAULT_MAX_PIXELS, read_frame
from tests.images.pictures import BUS, encoded, gradient


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros(5, np.uint8), r"got shape \(5,\)"),
        (np.zeros((2, 3, 2), np.uint8), r"got shape \(2, 3, 2\)"),
        (np.zeros((3, 4, 5), np.uint8), r"transpose\(1, 2, 0\)"),
        (np.zeros((2, 4, 5, 3), np.uint8), "one at a time"),
        (np.zeros((0, 4, 3), np.uint8), "at least 1x1 pixel"),
        (np.zeros((4, 0), bool), "at least 1x1 pixel"),
        (np.full((2, 2), np.nan), "NaN"),
        (np.array([[0.5, np.inf]]), "NaN or infinity"),
        (np.array([[0.0, 255.0]]), r"0\.\.255; divide by 255"),
        (np.array([[-1.0, 1.0]]), r"floats in 0\.\.1, got -1\.\.1"),
        (np.zeros((2, 2), np.int64), "got int64; for values"),
        (np.zeros((2, 2), np.complex64), "got complex64"),
        (np.array([["a"]]), "expected dtype"),
    ],
)
def test_unusable_arrays(array: NDArray[Any], said: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match=said):
            read_frame(array)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"not an image at all", "is not an image"),
        (b"<!DOCTYPE html><html>404</html>", "is text, not an image"),
        (b"\x00\x00\x00\x18ftypmp42" + bytes(40), "for a video use open_frames"),
        (BUS.read_bytes()[:100], "begins as JPEG"),
        (BUS.read_bytes()[:-20000], "damaged or cut off"),
        (encoded(Image.fromarray(gradient()), "PNG")[:-30], "damaged or cut off"),
        (encoded(Image.new("I", (2, 2), 70000), "TIFF"), r"grey values in 0\.\.65535, got 70000"),
        (encoded(Image.new("I", (2, 2), -1), "TIFF"), "got -1"),
        (encoded(Image.new("F", (2, 2), 7.5), "TIFF"), r"floats in 0\.\.1, got 7\.5"),
        (encoded(Image.new("F", (2, 2), float("nan")), "TIFF"), "NaN"),
    ],
)
def test_unusable_bytes(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=said):
        read_frame(content)
    with pytest.raises(ImageError, match=said) as caught:
        read_frame(path)
    assert "photo.jpg" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "empty string"),
        ("no/such/photo.jpg", "no such file or folder; check the path .relative paths start at"),
        ("a\0b.jpg", "no such file"),
        ("x" * 5000, "cannot be opened"),
        ("http://example.com/dog.jpg", "is a URL; .*download it first"),
        ("rtsp://camera/1", "is a URL"),
        ("data:image/png;base64,AAAA", "is a URL"),
        (None, "got NoneType"),
        (7, "got int"),
        ([[1, 2], [3, 4]], "got list"),
    ],
)
def test_unusable_sources(source: Any, said: str) -> None:
    with pytest.raises(ImageError, match=said) as caught:
        read_frame(source)
    assert len(str(caught.value)) < 500


def test_a_folder_is_not_an_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a folder; its images are read one by one"):
        read_frame(tmp_path)


def test_unusable_file_objects(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(Image.new("L", (3, 3)), "PNG"))
    with path.open(encoding="latin-1") as text, pytest.raises(ImageError, match=r"binary mode \('rb'\)"):
        read_frame(text)  # type: ignore[arg-type]
    with path.open(encoding="utf-8") as text, pytest.raises(ImageError, match="binary mode, 'rb'"):
        read_frame(text)  # type: ignore[arg-type]
    with pytest.raises(ImageError, match="closed file"):
        read_frame(text)  # type: ignore[arg-type]


def test_pixel_limit_is_ours_and_leaves_pils_alone() -> None:
    before = Image.MAX_IMAGE_PIXELS
    content = encoded(Image.new("L", (20, 10)), "PNG")
    with pytest.raises(ImageError, match=r"20x10 = 200 pixels, the limit is 199 .*raise max_pixels"):
        read_frame(content, max_pixels=199)
    assert read_frame(content, max_pixels=200).size_hw == (10, 20)
    with pytest.raises(ConfigError, match="max_pixels"):
        read_frame(content, max_pixels=0)
    # 20000 x 20000 pixels in 50 kB: refused before anything is decoded, without a warning.
    bomb = encoded(Image.new("1", (20000, 20000)), "PNG")
    with pytest.raises(ImageError, match=f"the limit is {DEFAULT_MAX_PIXELS:,}"):
        read_frame(bomb)
    assert before == Image.MAX_IMAGE_PIXELS


def test_between_pils_warning_and_the_limit_is_read_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)  # 60 px would warn, 300 px would be refused
    assert read_frame(encoded(Image.new("L", (10, 6)), "PNG")).size_hw == (6, 10)
    assert read_frame(encoded(Image.new("L", (20, 15)), "PNG")).size_hw == (15, 20)


def test_heic_names_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    with pytest.raises(MissingPackageError, match="pip install pillow_heif"):
        read_frame(b"\x00\x00\x00\x18ftypheic" + bytes(40))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_damaged_files_give_a_frame_or_our_error(format: str) -> None:
    content = encoded(Image.fromarray(gradient(24, 31)), format)
    rng = np.random.default_rng(7)
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PIL remarks on some of what it repairs
        for trial in range(120):
            damaged = bytearray(content[: int(rng.integers(1, len(content)))] if trial % 2 else content)
            for _ in range(trial % 5):
                damaged[int(rng.integers(len(damaged)))] = int(rng.integers(256))
            try:
                frame = read_frame(damaged, max_pixels=10_000_000)
            except ImageError:
                refused += 1
            else:
                assert frame.rgb.dtype == np.uint8
    assert refused >= 20
