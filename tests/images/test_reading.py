"""Reading images: every kind of source, every mode, and what is said about unusable ones."""

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
from ultralytics.utils import ASSETS

from fastsam.errors import ConfigError, ImageError, MissingPackageError
from fastsam.images.frame import Frame
from fastsam.images.listing import list_images, open_frames
from fastsam.images.reading import DEFAULT_MAX_PIXELS, read_frame, read_mask

BUS = Path(ASSETS) / "bus.jpg"
RED, WHITE, GREY = [255, 0, 0], [255, 255, 255], [128, 128, 128]


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def gradient(height: int = 6, width: int = 9) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 20, y * 30, x * 5 + y * 7], axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def bus() -> NDArray[np.uint8]:
    return np.array(Image.open(BUS).convert("RGB"))


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


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_animation_gives_its_first_frame(format: str) -> None:
    pages = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue", "lime")]
    options: dict[str, Any] = {"save_all": True, "append_images": pages[1:]}
    if format != "TIFF":
        options["duration"] = 50
    if format == "WEBP":
        options["lossless"] = True
    assert read_frame(encoded(pages[0], format, **options)).rgb[0, 0].tolist() == RED


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


# --- what cannot be read ----------------------------------------------------------------------------


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


# --- folders, patterns, lists, videos ---------------------------------------------------------------


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
