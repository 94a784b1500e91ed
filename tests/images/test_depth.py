"""16 bits, fourth bands, pages, and what decoding may take."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fastsam.errors import ConfigError, ImageTooLargeError
from fastsam.images.listing import open_frames
from fastsam.images.reading import image_size_hw, read_frame
from fastsam.untrusted import set_limits
from tests.images.pictures import encoded


def thermal() -> NDArray[np.uint16]:
    """A photo's grey in the range of a thermal camera, with one hot and one dead pixel."""
    grey = np.tile(np.linspace(0, 1, 200), (50, 1))
    values = (29_000 + grey * 2_000).astype(np.uint16)
    values[0, 0], values[1, 1] = 65_535, 0
    return values


def test_a_narrow_range_is_stretched_whatever_two_pixels_say() -> None:
    grey = read_frame(thermal()).rgb[..., 0]
    assert len(np.unique(grey)) > 150
    assert grey[10, 0] == 0
    assert grey[10, -1] == 255
    assert (grey[0, 0], grey[1, 1]) == (255, 0)
    wide = np.linspace(0, 4095, 5_000).astype(np.uint16).reshape(50, 100)
    assert np.array_equal(read_frame(wide).rgb[..., 0], np.rint(wide * (255 / 4095)))


def test_the_range_can_be_chosen() -> None:
    values = thermal()
    assert len(np.unique(read_frame(values, grey_range="full").rgb)) < 20
    chosen = read_frame(values, grey_range=(29_000, 30_000)).rgb[..., 0]
    assert chosen[10, 99] > 250
    for wrong in ("some", (3, 2), (1,), (0, float("nan")), 5):
        with pytest.raises(ConfigError, match="grey_range"):
            read_frame(values, grey_range=wrong)  # type: ignore[arg-type]


def test_a_file_and_its_array_follow_one_rule() -> None:
    grey = thermal()
    assert np.array_equal(read_frame(encoded(Image.fromarray(grey), "PNG")).rgb, read_frame(grey).rgb)
    colour = np.random.default_rng(0).integers(0, 4096, (30, 40, 3)).astype(np.uint16)
    wanted = read_frame(colour).rgb
    assert 100 < wanted.mean() < 150  # 12 bits are not left at their high byte
    for suffix in (".png", ".tiff"):
        done, raw = cv2.imencode(suffix, colour[..., ::-1])
        assert done
        assert np.array_equal(read_frame(raw.tobytes()).rgb, wanted)


def test_a_fourth_band_that_is_not_opacity() -> None:
    rgba = np.zeros((4, 5, 4), np.uint8)
    rgba[..., 0] = 200
    for source in (rgba, encoded(Image.fromarray(rgba), "PNG"), encoded(Image.fromarray(rgba), "TIFF")):
        assert read_frame(source).rgb[0, 0].tolist() == [255, 255, 255]
        assert read_frame(source, transparency="ignore").rgb[0, 0].tolist() == [200, 0, 0]
    with pytest.raises(ConfigError, match="transparency"):
        read_frame(rgba, transparency="black")  # type: ignore[arg-type]


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    pages = [Image.new("RGB", (20, 10), (50 * k, 0, 0)) for k in range(3)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    return tmp_path / "stack.tif"


def test_pages_are_read_or_told(stack: Path) -> None:
    with pytest.warns(UserWarning, match="has 3 pages, only the first is read"):
        assert read_frame(stack).rgb[0, 0, 0] == 0
    frames = list(open_frames(stack))
    assert [frame.rgb[0, 0, 0] for frame in frames] == [0, 50, 100]
    assert [frame.name for frame in frames] == ["stack_000000", "stack_000001", "stack_000002"]
    assert [frame.index for frame in frames] == [0, 1, 2]


def test_a_thumbnail_is_no_page(tmp_path: Path) -> None:
    small, full = Image.new("RGB", (5, 4), "red"), Image.new("RGB", (50, 40), "blue")
    path = tmp_path / "scan.tif"
    small.save(path, tiffinfo={254: 1}, save_all=True, append_images=[full])
    with Image.open(path) as image:
        image.seek(1)
        reduced = image.tag_v2.get(254, 0)  # type: ignore[attr-defined]
    if reduced:
        pytest.skip("this PIL writes the tag to both pages")
    assert read_frame(path).size_hw == image_size_hw(path) == (40, 50)


def test_a_size_from_the_header_is_that_of_the_frame(tmp_path: Path) -> None:
    photo = Image.new("RGB", (30, 20), "red")
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
            path = tmp_path / f"{orientation}.{kind.lower()}"
            photo.save(path, kind, exif=exif)
            assert image_size_hw(path) == read_frame(path).size_hw, (orientation, kind)


def test_what_would_take_too_much_memory_is_refused_by_its_header() -> None:
    line = encoded(Image.new("1", (1, 2_000_000)), "PNG")
    assert len(line) < 10_000
    with pytest.raises(ImageTooLargeError, match=r"a side of 2,000,000 pixels.*FASTSAM_MAX_SIDE_PX"):
        read_frame(line)
    before = set_limits(decoded_bytes=100_000)
    try:
        with pytest.raises(ImageTooLargeError, match=r"GB to decode.*FASTSAM_MAX_DECODED_BYTES"):
            read_frame(encoded(Image.new("RGB", (200, 200)), "PNG"))
        assert read_frame(encoded(Image.new("RGB", (50, 50)), "PNG")).size_hw == (50, 50)
    finally:
        set_limits(decoded_bytes=before.decoded_bytes)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "CMYK", "LA"])
def test_bands_are_what_the_whole_image_is(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 30, 4), np.uint8)
    image = (
        Image.fromarray(pixels).convert("RGB").convert(mode) if mode != "RGBA" else Image.fromarray(pixels)
    )
    whole = read_frame(image).rgb
    monkeypatch.setattr("fastsam.images.pixels._BAND_PIXELS", 100)
    assert np.array_equal(read_frame(image).rgb, whole)
    assert np.array_equal(read_frame(BytesIO(encoded(Image.fromarray(pixels), "PNG"))).rgb.shape, (40, 30, 3))
