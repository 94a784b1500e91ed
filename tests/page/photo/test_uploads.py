"""Files that visitors open: what is refused, in plain words, and how a photo is read."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import pytest
from PIL import Image

from fastsam.errors import ImageError, PromptError
from fastsam.page.photo import steps
from fastsam.page.photo.uploads import read_photo, read_upload
from fastsam.page.shared.memory import MemoryBudget
from fastsam.page.shared.sessions import PageSession
from tests.page.setting import PHOTO


def png_header(width: int, height: int) -> bytes:
    """A tiny PNG file that claims a size: a decompression bomb."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    head = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 2, 0, 0, 0])
    body = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"<html>", "“my photo.jpg” is text, not an image"),
        (b"", "“my photo.jpg” is empty"),
        (png_header(60_000, 60_000), "has 60000x60000 = 3,600,000,000 pixels, the limit is 50,000,000"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "“my photo.jpg” begins as JPEG, but is damaged"),
    ],
)
def test_files_that_are_no_photo_are_refused(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "upload.bin"
    path.write_bytes(content)
    with pytest.raises(ImageError) as refused:
        read_upload(path, "my photo.jpg")
    assert told in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
    assert "max_pixels" not in str(refused.value)  # a programmer's advice


def test_large_and_lost_files_are_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    with open(large, "wb") as file:
        file.truncate(200 * 2**20)
    with pytest.raises(ImageError, match=r"“large.jpg” is larger than 50 MB"):
        read_upload(large)
    with pytest.raises(ImageError, match=r"“gone.jpg” is not there any more"):
        read_upload(tmp_path / "gone.jpg")


@pytest.mark.parametrize("what", ["size", "empty", "kind", "upload", "camera", "something else"])
def test_what_the_browser_refuses_is_told(what: str) -> None:
    with pytest.raises(PromptError, match=r"photo|image"):
        steps.act(PageSession(MemoryBudget(1)), {"do": "refuse", "what": what, "name": "x.jpg"})


def test_a_photo_is_read_as_viewers_see_it(tmp_path: Path) -> None:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(PHOTO).save(stream, "JPEG", exif=exif)
    frame = read_photo(stream.getvalue(), "../../etc/turned.jpg")
    assert (frame.size_hw, frame.name) == ((80, 60), "turned")
