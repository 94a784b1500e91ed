"""Files appear whole or not at all; what a cache no longer needs goes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastsam.errors import ExportError
from fastsam.files import file_state, replacing, replacing_path, trim_folder, write_bytes


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_half(target: Path) -> None:
    with replacing(target) as stream:
        stream.write(b"half of")
        raise RuntimeError


def test_a_file_that_broke_off_leaves_the_one_before(tmp_path: Path) -> None:
    target = write_bytes(tmp_path / "a.txt", b"before")
    with pytest.raises(RuntimeError):
        write_half(target)
    assert (target.read_bytes(), names(tmp_path)) == (b"before", ["a.txt"])


def test_a_library_writes_a_hidden_file_of_the_same_suffix(tmp_path: Path) -> None:
    target = tmp_path / "folder" / "a.png"
    with replacing_path(target) as partial:
        assert (partial.suffix, partial.parent, partial.name[0]) == (".png", target.parent, ".")
        partial.write_bytes(b"picture")
        assert not target.exists()
    assert (target.read_bytes(), names(target.parent)) == (b"picture", ["a.png"])


def test_what_lies_beside_a_file_is_there_with_it(tmp_path: Path) -> None:
    with replacing_path(tmp_path / "a.xml", beside=[".bin"]) as partial:
        partial.write_bytes(b"x")
        partial.with_suffix(".bin").write_bytes(b"b")
    assert names(tmp_path) == ["a.bin", "a.xml"]
    with pytest.raises(ExportError), replacing_path(tmp_path / "b.xml", beside=[".bin"]) as partial:
        partial.write_bytes(b"x")  # and no .bin
    assert names(tmp_path) == ["a.bin", "a.xml"]


def test_a_librarys_own_error_is_told_as_ours(tmp_path: Path) -> None:
    target = tmp_path / "a.pt"
    with pytest.raises(ExportError) as caught, replacing_path(target, RuntimeError, what="checkpoint"):
        raise RuntimeError("no space")
    assert str(caught.value) == f"checkpoint {target}: cannot be written: no space"
    assert caught.value.path == str(target)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    write_bytes(tmp_path / "file", b"")
    with pytest.raises(ExportError) as caught, replacing(tmp_path / "file" / "a"):
        pass
    assert caught.value.problem == "cannot be written: a part of the path is a file, not a folder"
    assert caught.value.advice == "choose another folder"


def test_the_state_of_a_file_changes_with_it(tmp_path: Path) -> None:
    path = write_bytes(tmp_path / "a", b"one")
    first = file_state(path)
    assert file_state(path) == first
    os.utime(path, ns=(0, 10**18))
    assert file_state(path) != first
    os.utime(path, ns=(0, 10**18))
    second = file_state(path)
    path.write_bytes(b"other")
    os.utime(path, ns=(0, 10**18))
    assert file_state(path) != second


def test_the_newest_files_stay(tmp_path: Path) -> None:
    for k, name in enumerate(("old.npz", "new.npz", "older.npz", "older.txt")):
        write_bytes(tmp_path / name, b"")
        os.utime(tmp_path / name, (0, [20, 30, 10, 0][k]))
    trim_folder(tmp_path, "*.npz", 2)
    assert names(tmp_path) == ["new.npz", "old.npz", "older.txt"]
