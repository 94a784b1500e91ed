"""How files appear: whole or not at all, under names that every file system takes."""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
import unicodedata
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fastsam.errors import ExportError, FastSAMError

__all__ = [
    "as_export_errors", "replacing", "replacing_folder", "safe_name", "unique_names", "writable_folder",
    "write_bytes",
]  # fmt: skip

_MAX_NAME_BYTES = 180  # leaves room for suffixes below the 255 of most file systems
_WINDOWS_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))}
_FULL = "free some space and run again; files written so far are whole"
_REASONS = {
    errno.ENOSPC: f"the disk is full; {_FULL}",
    errno.EDQUOT: f"the disk quota is used up; {_FULL}",
    errno.EACCES: "no permission to write there; choose another folder",
    errno.EPERM: "no permission to write there; choose another folder",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another folder",
    errno.EEXIST: "a part of the path is a file, not a folder; choose another folder",
    errno.EISDIR: "there is a folder of that name; remove it or choose another folder",
}


@contextmanager
def as_export_errors(path: Path) -> Iterator[None]:
    """Turn what the file system says into an ExportError."""
    try:
        yield
    except FastSAMError:
        raise
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        raise ExportError(f"{path}: cannot be written: {reason}") from error


def writable_folder(path: Path) -> Path:
    """Make a folder where there is none, and make sure that files can be written into it."""
    with as_export_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".{uuid.uuid4().hex[:12]}.part"
        probe.touch()
        probe.unlink()
    return path


@contextmanager
def replacing(path: Path) -> Iterator[io.BufferedWriter]:
    """Give a file to write that becomes ``path`` when all went well."""
    partial = path.with_name(f".{uuid.uuid4().hex[:12]}.part")
    with as_export_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("xb") as stream:
                yield stream
            os.replace(partial, path)
        finally:
            with suppress(FileNotFoundError):
                partial.unlink()


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give a folder to fill that takes the place of ``path`` when all went well."""
    partial, old = (path.with_name(f".{uuid.uuid4().hex[:12]}.{kind}") for kind in ("part", "old"))
    with as_export_errors(path):
        partial.mkdir(parents=True)
        try:
            yield partial
            if path.is_dir():
                os.replace(path, old)
            os.replace(partial, path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file atomically and return its path."""
    with replacing(path) as stream:
        stream.write(content)
    return path


def safe_name(name: str) -> str:
    """Return a name that every file system takes: no separators, control characters or reserved words.

    >>> safe_name("a/b: c?.jpg"), safe_name(".."), safe_name("NUL")
    ('a_b_ c_.jpg', 'image', 'NUL_')
    """
    text = unicodedata.normalize("NFC", name)
    text = re.sub(r'[\x00-\x1f\x7f-\x9f\ud800-\udfff<>:"/\\|?*]', "_", text).strip(". ")
    text = text.encode()[:_MAX_NAME_BYTES].decode(errors="ignore").rstrip(". ") or "image"
    taken = text.casefold() == "instances" or text.partition(".")[0].casefold() in _WINDOWS_DEVICES
    return f"{text}_" if taken else text


def unique_names(paths: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Return one safe output name for each image path, no two alike (upper and lower case count as one).

    A name is the file's stem; where stems meet, the suffix is added (``cat_jpg``, ``cat_png``) and then
    folders, from the inside out (``monday_cat``, ``tuesday_cat``); the same file again gets a number.

    >>> unique_names(["a/cat.jpg", "b/cat.jpg", "b/dog.jpg", "b/dog.png"])
    ['a_cat', 'b_cat', 'dog_jpg', 'dog_png']
    """
    absolute = [os.path.abspath(path) for path in paths]
    distinct = list(dict.fromkeys(absolute))
    parts = [Path(path) for path in distinct]
    twins = Counter((path.parent, path.stem.casefold()) for path in parts)
    stems = [
        path.stem if twins[path.parent, path.stem.casefold()] == 1 else f"{path.stem}_{path.suffix[1:]}"
        for path in parts
    ]
    folders = [[name for name in path.parent.parts if name != path.anchor] for path in parts]
    depth = [0] * len(parts)
    while True:
        names = [
            safe_name("_".join([*inner[len(inner) - deep :], stem]))
            for inner, deep, stem in zip(folders, depth, stems, strict=True)
        ]
        count = Counter(name.casefold() for name in names)
        clash = [i for i, name in enumerate(names) if count[name.casefold()] > 1]
        deeper = [i for i in clash if depth[i] < len(folders[i])]
        if not deeper:
            break
        for i in deeper:
            depth[i] += 1
    named = dict(zip(distinct, names, strict=True))
    return _numbered([named[path] for path in absolute])


def _numbered(names: Sequence[str]) -> list[str]:
    """Add numbers to names that were there before."""
    taken, result = {name.casefold() for name in names}, list[str]()
    seen: set[str] = set()
    for name in names:
        free, number = name, 2
        while free.casefold() in seen or (free != name and free.casefold() in taken):
            free, number = f"{name}_{number}", number + 1
        seen.add(free.casefold())
        result.append(free)
    return result
