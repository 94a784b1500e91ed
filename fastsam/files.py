"""Writing files completely or not at all, under names that every file system accepts."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import shutil
import sys
import unicodedata
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from fastsam.errors import ExportError, FastSAMError, reason_of

__all__ = [
    "LOCK_NAME", "as_export_errors", "exclusive", "file_sha256", "file_state", "fingerprint", "is_for_all",
    "replacing", "replacing_folder", "replacing_path", "safe_name", "sole_writer", "trim_folder",
    "unique_names", "writable_folder", "write_bytes",
]  # fmt: skip

_MAX_NAME_BYTES = 180  # leaves room for suffixes below the 255 of most file systems
_WINDOWS_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))}
_FULL = "free some space and run again; files written so far are whole"
_PARTS = ".????????????.*"
_IS_PART = re.compile(r"\.[0-9a-f]{12}\.(part|old)(\..*)?")
_ELSEWHERE = "choose another folder"
_REASONS = {
    errno.ENOSPC: ("the disk is full", _FULL),
    errno.EDQUOT: ("the disk quota is used up", _FULL),
    errno.EACCES: ("no permission to write there", _ELSEWHERE),
    errno.EPERM: ("no permission to write there", _ELSEWHERE),
    errno.EROFS: ("the file system is read-only", _ELSEWHERE),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", _ELSEWHERE),
    errno.EEXIST: ("a part of the path is a file, not a folder", _ELSEWHERE),
    errno.EISDIR: ("there is a folder of that name", f"remove it or {_ELSEWHERE}"),
}


@contextmanager
def as_export_errors(path: Path, *kinds: type[Exception], what: str = "") -> Iterator[None]:
    """Turn what the file system says into an ExportError.

    Args:
        path: the file or folder.
        kinds: what else may be raised while it is written, such as a library's own errors.
        what: what it is, such as ``"checkpoint"``; stands before the path.
    """
    caught: tuple[type[Exception], ...] = (OSError, *kinds)
    try:
        yield
    except FastSAMError:
        raise
    except caught as error:
        number = error.errno if isinstance(error, OSError) else None
        reason, advice = _REASONS.get(number or 0, (reason_of(error), ""))
        subject = f"{what} {path}" if what else str(path)
        raise ExportError(
            f"cannot be written: {reason}", subject=subject, advice=advice, path=path
        ) from error


def is_for_all(error: FastSAMError) -> bool:
    """Tell whether nothing else can be written either: the disk is full, or read-only."""
    cause = error.__cause__
    full = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
    return isinstance(cause, OSError) and cause.errno in full


def file_state(path: str | os.PathLike[str]) -> str:
    """Return what changes when a file does, without reading it: its size and the time of its last change.

    Raises:
        OSError: there is no such file.
    """
    state = os.stat(path)
    return f"{state.st_size}|{state.st_mtime_ns}"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hex digits.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(content: Any) -> str:
    """Return 16 hex digits that change when anything in a JSON value does; the order of keys is nothing.

    >>> fingerprint({"a": 1, "b": [2, 3]}) == fingerprint({"b": [2, 3], "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def trim_folder(folder: Path, pattern: str, keep: int) -> None:
    """Remove all but the ``keep`` newest files of a pattern: what a cache no longer needs."""
    newest = sorted(folder.glob(pattern), key=lambda file: file.stat().st_mtime, reverse=True)
    for old in newest[keep:]:
        old.unlink(missing_ok=True)


def writable_folder(path: Path) -> Path:
    """Create a folder if needed, and check that files can be written into it."""
    with as_export_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".{uuid.uuid4().hex[:12]}.part"
        probe.touch()
        probe.unlink()
    return path


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold a lock file against other threads and processes; waits for it.

    Raises:
        OSError: the lock file cannot be made.
    """
    held = False
    while not held:
        with lock.open("a+b") as file:
            _wait_for(file)
            held = _is_still(file, lock)
            if held:
                try:
                    yield
                finally:
                    with suppress(OSError):
                        lock.unlink()  # before it is let go: who waits for it sees that it has gone


def _wait_for(file: BinaryIO) -> None:
    if sys.platform == "win32":
        import msvcrt

        held = False
        while not held:
            with suppress(OSError):  # LK_LOCK gives up after ten seconds
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                held = True
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)  # closing the file lets it go


LOCK_NAME = ".lock"
_written_here: set[Path] = set()  # folders that this process writes to


@contextmanager
def sole_writer(folder: Path, what: str) -> Iterator[None]:
    """Write to a folder as the only one; a second run in it is refused at once, it does not wait.

    The lock ends with its process, however that ends.

    Args:
        folder: is made where there is none.
        what: what it is, for the message, such as ``"run folder"``.

    Raises:
        ExportError: another run writes to it, or it cannot be written to.
    """
    taken = ExportError(
        "another run is writing to it",
        subject=f"{what} {folder}",
        advice="wait until it has ended, or choose another folder",
        path=folder,
    )
    writable_folder(folder)
    here = folder.resolve()
    if here in _written_here:
        raise taken
    path = folder / LOCK_NAME
    with as_export_errors(folder):
        lock = path.open("a+b")
    with lock:
        with as_export_errors(folder):
            if not _locked(lock) or not _is_still(lock, path):
                raise taken
        _written_here.add(here)
        try:
            _remove_parts(folder)
            yield
        finally:
            _written_here.discard(here)
            if _is_still(lock, path):
                with suppress(OSError):
                    path.unlink()  # before it is let go: who opened it meanwhile sees that it has gone


def _is_still(file: BinaryIO, path: Path) -> bool:
    """Tell whether a locked file is the one of that name: the one before may have removed it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _remove_parts(folder: Path) -> None:
    """Remove what a killed run was writing: in the folder, and in those that lie in it."""
    for pattern in (_PARTS, f"*/{_PARTS}"):
        for path in folder.glob(pattern):
            if _IS_PART.fullmatch(path.name):
                with suppress(OSError):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _locked(file: BinaryIO) -> bool:
    """Lock a file against other processes; tells whether nobody else has."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # children do not inherit it, as flock's
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True


@contextmanager
def replacing(path: Path) -> Iterator[io.BufferedWriter]:
    """Give a file to write that becomes ``path`` when all went well."""
    with as_export_errors(path), _becoming(path, ".part") as partial, partial.open("xb") as stream:
        yield stream


@contextmanager
def replacing_path(
    path: Path, *kinds: type[Exception], what: str = "", beside: Sequence[str] = ()
) -> Iterator[Path]:
    """Give a path of the same suffix to write, for a library that opens files itself.

    It becomes ``path`` when all went well; else nothing of it stays.

    Args:
        path: the file.
        kinds: what the library raises if it cannot write; see :func:`as_export_errors`.
        what: what it is, for messages.
        beside: suffixes of files that the library writes beside it; they are there before ``path`` is.
    """
    with (
        as_export_errors(path, *kinds, what=what),
        _becoming(path, f".part{path.suffix}", beside) as partial,
    ):
        yield partial


@contextmanager
def _becoming(path: Path, suffix: str, beside: Sequence[str] = ()) -> Iterator[Path]:
    """Give a hidden path that is renamed to ``path`` when all went well, and removed else."""
    partial = path.with_name(f".{uuid.uuid4().hex[:12]}{suffix}")
    pairs = [*((partial.with_suffix(other), path.with_suffix(other)) for other in beside), (partial, path)]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        for written, wanted in pairs:
            os.replace(written, wanted)
    finally:
        for written, _ in pairs:
            with suppress(OSError):
                written.unlink()


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
