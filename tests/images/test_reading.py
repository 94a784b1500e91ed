"""Reading images: every kind of source, and every mode."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from fastsam.errors import ConfigError, ImageError, ImageTooLargeError
from fastsam.images.listing import list_images, open_frames
from fastsam.images.reading import read_frame, read_mask
from fastsam.untrusted import set_limits
from tests.images.pictures import BUS, GREY, RED, WHITE, encoded, gradient

# --- kinds of source --------------------------------------------------------------------------------


def test_every_kind_of_source_gives_the_same_pixels(bus: NDArray[np.uint8]) -> None:
    content = BUS.read_bytes()
    with BUS.open("rb") as stream, Image.open(BUS) as image:
        frames = [
            read_frame(source)
            for source in (BUS, str(BUS), content, bytearray(content), memoryview(content), stream)
        ]
        frames += [read_frame(image), read_frame(bus), read_frame(BytesIO(content))]
        assert not stream.closed
    for frame in frames:
        assert np.array_equal(frame.rgb, bus)
        assert not frame.rgb.flags.writeable
    assert [frame.name for frame in frames] == ["bus"] * 2 + ["image"] * 3 + ["bus", "bus", "image", "image"]
    assert frames[0].source == str(BUS)
    assert read_frame(content, "mine").name == "mine"


def test_a_frame_comes_back_as_it_is() -> None:
    frame = read_frame(gradient(), "a")
    assert read_frame(frame) is frame
    renamed = read_frame(frame, "b")
    assert renamed.name == "b"
    assert np.shares_memory(renamed.rgb, frame.rgb)


def test_arrays_are_copied() -> None:
    array = gradient()
    frame = read_frame(array)
    array[:] = 0
    assert np.array_equal(frame.rgb, gradient())


def test_colour_order_is_rgb_where_opencv_has_bgr(tmp_path: Path) -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    path = tmp_path / "red.png"
    assert cv2.imwrite(str(path), red[..., ::-1])
    assert read_frame(path).rgb[0, 0].tolist() == RED
    bgr = cv2.imread(str(path))
    assert bgr is not None
    assert read_frame(bgr[..., ::-1]).rgb[0, 0].tolist() == RED


@pytest.mark.parametrize(
    ("array", "pixel"),
    [
        (np.full((1, 1), 128, np.uint8), GREY),
        (np.full((2, 3, 1), 128, np.uint8), GREY),
        (np.ones((2, 3), bool), WHITE),
        (np.zeros((2, 3), bool), [0, 0, 0]),
        (np.full((2, 3), 0.5, np.float32), GREY),
        (np.full((2, 3, 1), 0.5, np.float16), GREY),
        (np.full((2, 3, 3), 1.0 + 1e-6), WHITE),
        (np.full((2, 3), -0.0), [0, 0, 0]),
        (np.full((2, 3), 65535, np.uint16), WHITE),
        (np.full((2, 3), 4095, np.uint16), WHITE),
        (np.full((2, 3), 255, np.uint16), WHITE),
        (np.full((2, 3), 200, np.uint16), [200] * 3),
        (np.full((2, 3), 2048, np.uint16), [128] * 3),
        (np.full((2, 3), 65535, ">u2"), WHITE),
        (np.array([[[255, 0, 0, 255]]], np.uint8), RED),
        (np.array([[[9, 9, 9, 0]]], np.uint8), WHITE),
        (np.array([[[0, 0, 0, 127]]], np.uint8), [128] * 3),
        (np.array([[[1.0, 0, 0, 0.0]]]), WHITE),
        (np.array([[[65535, 0, 0, 65535]]], np.uint16), RED),
    ],
)
def test_array_values(array: NDArray[Any], pixel: list[int]) -> None:
    frame = read_frame(array)
    assert frame.size_hw == array.shape[:2]
    assert frame.rgb[0, 0].tolist() == pixel


def test_strided_arrays_are_read_right() -> None:
    wide = np.arange(2 * 6 * 3, dtype=np.uint8).reshape(2, 6, 3)
    assert np.array_equal(read_frame(wide[:, ::-2]).rgb, wide[:, ::-2])
    rgba = np.dstack([wide, np.full((2, 6), 255, np.uint8)])
    assert np.array_equal(read_frame(rgba[::-1, ::2]).rgb, wide[::-1, ::2])


# --- modes of image files ---------------------------------------------------------------------------


def sixteen_bit(top: int) -> Image.Image:
    return Image.fromarray(np.linspace(0, top, 12).astype(np.uint16).reshape(3, 4))


def with_colour_key() -> bytes:
    return encoded(Image.new("RGB", (2, 2), (0, 255, 0)), "PNG", transparency=(0, 255, 0))


def palette_with_alpha() -> bytes:
    image = Image.new("P", (2, 2), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    return encoded(image, "PNG", transparency=bytes([255, 0]))


@pytest.mark.parametrize(
    ("content", "pixel"),
    [
        (encoded(Image.new("L", (2, 2), 128), "PNG"), GREY),
        (encoded(Image.new("1", (2, 2), 1), "PNG"), WHITE),
        (encoded(Image.new("P", (2, 2), 0), "PNG"), [0, 0, 0]),
        (palette_with_alpha(), WHITE),
        (with_colour_key(), WHITE),
        (encoded(Image.new("LA", (2, 2), (0, 127)), "PNG"), [128] * 3),
        (encoded(Image.new("RGBA", (2, 2), (255, 0, 0, 255)), "PNG"), RED),
        (encoded(Image.new("RGBA", (2, 2), (255, 0, 0, 0)), "WEBP", lossless=True), WHITE),
        (encoded(Image.new("RGBA", (2, 2), (255, 0, 0, 0)), "TIFF"), WHITE),
        (encoded(Image.new("CMYK", (2, 2), (0, 255, 255, 0)), "TIFF"), RED),
        (encoded(Image.new("I;16", (2, 2), 65535), "PNG"), WHITE),
        (encoded(Image.new("I;16", (2, 2), 65535), "TIFF"), WHITE),
        (encoded(Image.new("I;16", (2, 2), 2048), "TIFF"), GREY),
        (encoded(Image.new("I", (2, 2), 4095), "TIFF"), WHITE),
        (encoded(Image.new("F", (2, 2), 0.5), "TIFF"), GREY),
        (encoded(Image.new("RGB", (1, 1), (255, 0, 0)), "BMP"), RED),
        (encoded(Image.new("RGB", (1, 1), (255, 0, 0)), "PPM"), RED),
        (encoded(Image.new("RGB", (16, 16), (255, 0, 0)), "ICO"), RED),
        (encoded(Image.new("RGB", (1, 1), (255, 0, 0)), "PNG"), RED),
    ],
)
def test_modes(content: bytes, pixel: list[int]) -> None:
    assert read_frame(content).rgb[0, 0].tolist() == pixel


@pytest.mark.parametrize("format", ["JPEG", "AVIF", "JPEG2000", "WEBP"])
def test_lossy_formats_are_close(format: str, bus: NDArray[np.uint8]) -> None:
    small = Image.fromarray(bus).resize((90, 120))
    try:
        content = encoded(small, format, quality=90) if format != "JPEG2000" else encoded(small, format)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow cannot write {format}")
    difference = np.abs(read_frame(content).rgb.astype(int) - np.asarray(small).astype(int))
    assert difference.mean() < 6


def test_cmyk_jpeg_is_not_inverted() -> None:
    content = encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95)
    assert np.abs(read_frame(content).rgb[4, 4].astype(int) - RED).max() < 12


@pytest.mark.parametrize("top", [255, 1023, 4095, 65535])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_gradient(top: int, format: str) -> None:
    levels = read_frame(encoded(sixteen_bit(top), format)).rgb[..., 0].ravel()
    wanted = np.rint(np.linspace(0, top, 12).astype(np.uint16) * (255 / top))
    assert np.array_equal(levels, wanted)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_animation_gives_its_first_frame(format: str) -> None:
    pages = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue", "lime")]
    options: dict[str, Any] = {"save_all": True, "append_images": pages[1:]}
    options["duration"] = 50
    if format == "WEBP":
        options["lossless"] = True
    with pytest.warns(UserWarning, match="is an animation, only its first frame is read"):
        assert read_frame(encoded(pages[0], format, **options)).rgb[0, 0].tolist() == RED
    read_frame(encoded(pages[0], format))  # without a word


def test_the_limit_of_pixels_can_be_raised_everywhere(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    before = set_limits(image_pixels=1_000)
    try:
        for read in (read_frame, read_mask, lambda path: next(open_frames(path))):
            with pytest.raises(ImageTooLargeError, match=r"raise max_pixels \(--max-pixels, FASTSAM_"):
                read(tmp_path / "a.png")
        assert read_frame(tmp_path / "a.png", max_pixels=1_200).size_hw == (30, 40)
        set_limits(image_pixels=1_200)
        assert read_frame(tmp_path / "a.png").size_hw == (30, 40)
    finally:
        set_limits(image_pixels=before.image_pixels)
    for wrong in (0, -1, 1.5, True, "x"):
        with pytest.raises(ConfigError, match="max_pixels: expected a whole number, at least 1"):
            read_frame(tmp_path / "a.png", max_pixels=wrong)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:.*only (the|its) first")
def test_sample_images_of_every_sort() -> None:
    folder = Path(skimage.data.__file__).parent
    for path in list_images(folder):
        if path.name == "multipage_rgb.tif":  # float64: PIL has no such mode
            with pytest.raises(ImageError, match="begins as TIFF, but is damaged or of a rare kind"):
                read_frame(path)
            continue
        frame = read_frame(path)
        with Image.open(path) as image:
            assert frame.size_hw == (image.height, image.width), path.name
    astronaut = folder / "astronaut.png"
    assert np.array_equal(read_frame(astronaut).rgb, np.asarray(Image.open(astronaut)))


# --- EXIF -------------------------------------------------------------------------------------------

# What a viewer does for each orientation to show the stored pixels upright.
UPRIGHT: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", sorted(UPRIGHT))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_exif_rotation(orientation: int, format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    content = encoded(Image.fromarray(gradient()), format, exif=exif, **options)
    wanted = UPRIGHT[orientation](gradient())
    assert np.array_equal(read_frame(content).rgb, wanted)
    with Image.open(BytesIO(content)) as image:
        assert np.array_equal(read_frame(image).rgb, wanted)


def test_exif_rotation_of_a_jpeg_photo(bus: NDArray[np.uint8]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    frame = read_frame(encoded(Image.open(BUS), "JPEG", quality=95, exif=exif))
    assert frame.size_hw == (bus.shape[1], bus.shape[0])
    assert np.abs(frame.rgb.astype(int) - np.rot90(bus, -1)).mean() < 3


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_nonsense_orientation_is_ignored(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(gradient()), "PNG", exif=exif)
    assert np.array_equal(read_frame(content).rgb, gradient())


def test_broken_exif_does_not_cost_the_photo() -> None:
    content = encoded(Image.fromarray(gradient()), "PNG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xffrubbish")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PIL's own remark on it
        assert np.array_equal(read_frame(content).rgb, gradient())
