"""Errors carry what they are about as data, and are never taken for those of the file system."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastsam.errors
from fastsam.errors import (
    CheckpointError,
    DownloadError,
    ExportError,
    FastSAMError,
    FrameTooLargeError,
    ImageError,
    ImageTooLargeError,
    VideoError,
    not_one_of,
    reason_of,
    translated,
)
from fastsam.export import load_npz
from fastsam.images.reading import read_frame, read_mask
from fastsam.video.read.reader import open_video
from fastsam.weights.checkpoint import load_checkpoint
from tests.video.clips import panned_clip

CLASSES = [
    value
    for name in fastsam.errors.__all__
    if isinstance(value := getattr(fastsam.errors, name), type) and issubclass(value, FastSAMError)
]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_has_its_parts_and_none_is_of_the_file_system(kind: type[FastSAMError]) -> None:
    error = kind("is empty", subject="file 'a'", advice="copy it again", path=Path("b") / "a")
    assert str(error) == "file 'a': is empty; copy it again"
    assert (error.problem, error.path) == ("is empty", str(Path("b") / "a"))
    assert (str(kind("all of it")), kind("all of it").problem, kind("x").path) == (
        "all of it",
        "all of it",
        None,
    )
    assert not isinstance(error, OSError)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_crosses_to_another_process(kind: type[FastSAMError]) -> None:
    error = kind("is empty", subject="file 'a'", advice="copy it again", path="a")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is kind
        assert (str(other), other.__dict__) == (str(error), error.__dict__)


def test_the_status_of_a_download_crosses_too() -> None:
    error = DownloadError("the server answered 404", status=404)
    assert pickle.loads(pickle.dumps(error)).status == 404
    assert DownloadError("offline").status is None


def test_an_error_gets_its_subject_from_who_knows_it() -> None:
    error = CheckpointError("quality scale: expected numbers above 0")
    told = error.about("checkpoint a.pt", "a.pt")
    assert (str(told), told.path) == ("checkpoint a.pt: quality scale: expected numbers above 0", "a.pt")
    assert (str(error), error.path) == ("quality scale: expected numbers above 0", None)


def test_translation_lets_our_own_errors_through() -> None:
    with pytest.raises(ImageError), translated(ValueError, to=ExportError, problem="{reason}"):
        raise ImageError("ours")
    with pytest.raises(KeyError), translated(OSError, to=ExportError, problem="{reason}"):
        raise KeyError


def test_a_foreign_error_is_told_as_ours() -> None:
    unreadable = translated(OSError, to=ExportError, problem="cannot be read: {reason}", subject="file a")
    with pytest.raises(ExportError) as caught, unreadable:
        Path("no such folder/{reason}").read_bytes()
    assert str(caught.value) == "file a: cannot be read: No such file or directory"
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_a_reason_without_words_is_its_type() -> None:
    assert (reason_of(EOFError()), reason_of(ValueError(" bad "))) == ("EOFError", "bad")


def test_a_near_name_is_suggested() -> None:
    assert not_one_of("birth", ["conf", "birth_rate"], "option").endswith("did you mean birth_rate?")
    assert not_one_of(3, ["conf"], "option") == "option 3: expected one of conf"


def _problems(folder: Path) -> list[FastSAMError]:
    """Return the errors of files that cannot be used."""
    (folder / "empty.jpg").touch()
    (folder / "text.png").write_text("{}")
    (folder / "a.pt").write_bytes(b"<html>")
    (folder / "a.npz").write_bytes(b"PK")
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(folder / "black.png")
    clip = folder / "a (copy).mp4"
    panned_clip(clip, frames=2, size_hw=(48, 64))
    calls = [
        lambda: read_frame(folder / "empty.jpg"),
        lambda: read_frame(folder / "text.png"),
        lambda: read_frame(folder / "missing.png"),
        lambda: read_frame(folder),
        lambda: read_frame(folder / "black.png", max_pixels=100),
        lambda: read_mask(folder / "black.png"),
        lambda: load_checkpoint(folder / "a.pt"),
        lambda: load_checkpoint(folder / "none.pt"),
        lambda: load_npz(folder / "a.npz"),
        lambda: open_video(folder / "none.mp4"),
        lambda: next(iter(open_video(clip, max_pixels=100))),
        lambda: next(iter(open_video(folder / "text.png", max_pixels=100))),
    ]
    found = []
    for call in calls:
        with pytest.raises(FastSAMError) as caught:
            call()
        found.append(caught.value)
    return found


def test_problems_of_files_name_no_folder_but_carry_their_path(tmp_path: Path) -> None:
    folder = tmp_path / "my app (copy)"
    folder.mkdir()
    for error in _problems(folder):
        assert str(tmp_path) in str(error), error
        assert str(tmp_path) not in error.problem
        assert "my app" not in error.problem


def test_too_large_is_a_class_not_a_word(tmp_path: Path) -> None:
    with pytest.raises(ImageTooLargeError):
        read_frame(_png(tmp_path), max_pixels=100)
    clip = tmp_path / "clip.mp4"
    panned_clip(clip, frames=2, size_hw=(48, 64))
    with pytest.raises(FrameTooLargeError) as caught:
        next(iter(open_video(clip, max_pixels=100)))
    assert isinstance(caught.value, VideoError)


def _png(folder: Path) -> Path:
    path = folder / "a.png"
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(path)
    return path


def test_a_careful_message_of_a_checkpoint_is_not_wrapped_in_another(tmp_path: Path) -> None:
    path = tmp_path / "photo.pt"
    path.write_bytes(b"\xff\xd8\xff\xe0 a photo")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert str(caught.value) == (
        f"checkpoint {path}: expected a PyTorch .pt archive, got 12 bytes that are something else "
        "(they begin with b'\\xff\\xd8\\xff\\xe0 a photo'); name a file that ultralytics or fastsam saved"
    )
