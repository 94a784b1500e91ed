"""A name or a path in, a verified local file out: look up, download, verify."""

from __future__ import annotations

import difflib
import json
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastsam.errors import (
    CheckpointError,
    ChecksumError,
    DownloadError,
    ExportError,
    UnknownWeightsError,
    reason_of,
)
from fastsam.files import exclusive, file_sha256, write_bytes
from fastsam.untrusted import MALFORMED
from fastsam.weights.download import MOST_BYTES, Progress, discard, fetch
from fastsam.weights.table import WeightsEntry, _find, embedded_path, local_path, table

__all__ = ["ResolvedWeights", "download", "resolve"]


_HEADER_AT_MOST = 100_000_000  # bytes, as the safetensors format says


@dataclass(frozen=True)
class ResolvedWeights:
    """A local file, and the table entry that it is of, if any.

    Attributes:
        path: the file.
        entry: what it was asked for by; of a file by path the entry whose file it is called like.
    """

    path: Path
    entry: WeightsEntry | None = None

    @property
    def defaults(self) -> dict[str, Any]:
        """What these weights want of :class:`fastsam.config.SegmentConfig`."""
        options = ("imgsz", "conf", "iou", "edge_radius", "min_region_share", "fill_conf", "regions")
        chosen = {name: getattr(self.entry, name, None) for name in options}
        return {name: value for name, value in chosen.items() if value is not None}


def resolve(name_or_path: str | Path | None = None, *, progress: Progress | None = None) -> ResolvedWeights:
    """Return a verified local file for a name of the table or a path.

    Args:
        name_or_path: None or ``"default"`` for the checkpoint that comes with the package, an existing file,
            or a name of :func:`table`, which is downloaded if it is not there yet.
        progress: is told of a download's bytes.

    Raises:
        UnknownWeightsError: neither a name of the table nor a file.
        DownloadError: it cannot be downloaded; the message says which file to place where.
        ChecksumError: the file's bytes are not the ones that the table, or the first download, says.
        CheckpointError: the file that is there, or that the server sent, is no checkpoint archive.

    >>> resolve("FastSAM-XL")
    Traceback (most recent call last):
    ...
    fastsam.errors.UnknownWeightsError: weights 'FastSAM-XL': no such file, and no such name in the table;
    did you mean FastSAM-x or FastSAM-s? The path of a .pt file would do too
    """
    asked = "default" if name_or_path is None else str(name_or_path)
    path = os.path.expanduser(asked)
    if asked != "default" and os.path.isfile(path):
        return ResolvedWeights(Path(path), _find(os.path.basename(path)))
    entry = _find(asked)
    if entry is None:
        raise UnknownWeightsError(_unknown(asked, path))
    return ResolvedWeights(embedded_path(entry) if entry.embedded else download(entry, progress), entry)


def _unknown(asked: str, path: str) -> str:
    """Return the message for what is neither a file nor a name."""
    if os.path.isdir(path):
        return f"weights {asked!r}: expected a .pt file or a name of the table, got a folder"
    names = {entry.name.lower(): entry.name for entry in table()} | {"default": "default"}
    name = os.path.basename(path).lower().removesuffix(".pt")
    near = [names[key] for key in difflib.get_close_matches(name, names, n=3, cutoff=0.75)]
    hint = f"did you mean {' or '.join(near)}?" if near else f"the table has {', '.join(names.values())}."
    return (
        f"weights {asked!r}: no such file, and no such name in the table; {hint} "
        "The path of a .pt file would do too"
    )


def download(entry: WeightsEntry, progress: Progress | None = None) -> Path:
    """Return the cached file of an entry, verified; download it if it is not there.

    Raises:
        DownloadError: it cannot be downloaded; the message says which file to place where.
        ChecksumError: its bytes are not the ones that the entry, or the first download, says.
        CheckpointError: no hash is known, and the file is no sound archive.
    """
    target = local_path(entry)
    part = target.with_name(f"{target.name}.part")
    try:
        if target.is_file() and not os.access(target.parent, os.W_OK):
            _verify(entry, target, target)  # a shared folder that somebody else filled
            return target
        if not target.is_file():
            _require_network(entry, target)
        target.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(target.with_name(f"{target.name}.lock")):
            if target.is_file():  # since before, or another process was faster
                _verify(entry, target, target)
                return target
            fetch(_url(entry), part, progress, entry.size_bytes or MOST_BYTES)
            digest = _verify(entry, part, target)
            os.replace(part, target)
            discard(part)
            _pin(entry, target, digest)
    except DownloadError as error:
        raise _by_hand(entry, target, str(error), error.status) from error
    except (OSError, ExportError) as error:
        raise _by_hand(entry, target, f"cannot use the folder ({reason_of(error)})") from error
    return target


def _url(entry: WeightsEntry) -> str:
    mirror = os.environ.get("FASTSAM_WEIGHTS_URL", "").strip()
    return f"{mirror.rstrip('/')}/{entry.file}" if mirror else entry.url


def _require_network(entry: WeightsEntry, target: Path) -> None:
    """Raise DownloadError where the user forbids the network."""
    if os.environ.get("FASTSAM_OFFLINE", "").strip().lower() not in ("", "0", "false", "no", "off"):
        raise DownloadError("the file is not there, and FASTSAM_OFFLINE is set")


def _by_hand(entry: WeightsEntry, target: Path, problem: str, status: int | None = None) -> DownloadError:
    """Return the error of a download, with what to do about it."""
    return DownloadError(
        problem,
        subject=f"weights {entry.name}",
        advice=f"wanted {_url(entry)}: download it where you can, and place it as {entry.file} in the folder "
        f"{target.parent} (FASTSAM_HOME moves that folder, FASTSAM_WEIGHTS_URL names a mirror); or pass the "
        "path of a file that you have",
        path=target,
        status=status,
    )


def _pin_file(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _pin(entry: WeightsEntry, target: Path, digest: str) -> None:
    """Remember the hash of a file that the table has none for, in the format of ``sha256sum``."""
    pin = _pin_file(target)
    if entry.sha256 or pin.exists():
        return
    write_bytes(pin, f"{digest}  {target.name}\n".encode())


def _verify(entry: WeightsEntry, path: Path, target: Path) -> str:
    """Return the hash of ``path``, which is ``target`` or its part.

    A bad part is removed. A bad target stays: somebody may have placed it there by hand, and without a
    network nothing would bring it back.

    Raises:
        ChecksumError: the bytes are not the ones that the table, or the first download, says.
        CheckpointError: no hash is known, and it is no sound archive.
    """
    pin = _pin_file(target)
    digest = file_sha256(path)
    what = str(path) if path == target else f"the file from {_url(entry)}"
    wanted, whose = entry.sha256, "the weights table"
    if not wanted and pin.is_file():
        wanted, whose = pin.read_text(encoding="utf-8", errors="replace").split(" ")[0].strip(), str(pin)
    if wanted:
        if digest != wanted:
            if path != target:
                discard(path)
                advice = "it was removed, and the next call downloads it again"
            else:
                advice = (
                    f"delete it, and the next call downloads it again; pass {path} itself to use it as it is"
                )
            if not entry.sha256:
                advice += f"; if it is another release that you trust, delete {pin} instead"
            raise ChecksumError(
                f"weights {entry.name}: {what} has sha256 {digest}, {whose} says {wanted}; {advice}"
            )
        return digest
    if problem := _archive_problem(path):
        if path != target:
            discard(path)  # ours; a file that was placed by hand stays
        raise CheckpointError(f"weights {entry.name}: {what} is no sound checkpoint ({problem}); replace it")
    if path == target and os.access(target.parent, os.W_OK):
        _pin(entry, target, digest)
    return digest


def _archive_problem(path: Path) -> str:
    """Return what is wrong with a file as a checkpoint's archive; empty if nothing is."""
    if path.name.removesuffix(".part").endswith(".safetensors"):
        return _safetensors_problem(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if not any(name.endswith("/data.pkl") for name in archive.namelist()):
                return "an archive without data.pkl"
            broken = archive.testzip()
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        NotImplementedError,
        ValueError,
        EOFError,
        RuntimeError,
    ) as error:
        with path.open("rb") as file:
            head = file.read(40)
        return f"{error}; it starts with {head!r}"
    return f"record {broken} is damaged" if broken else ""


def _safetensors_problem(path: Path) -> str:
    """Return what is wrong with a safetensors file: a JSON header, then tensors that fill the rest."""
    with path.open("rb") as file:
        head = file.read(8)
        length = int.from_bytes(head, "little")
        try:
            tensors: Any = (
                json.loads(file.read(length)) if len(head) == 8 and length < _HEADER_AT_MOST else None
            )
            ends = [row["data_offsets"][1] for name, row in tensors.items() if name != "__metadata__"]
        except MALFORMED:
            return f"no safetensors header; it starts with {head!r}"
    if not ends or 8 + length + max(ends) != path.stat().st_size:
        return "its size is not the one that its header says"
    return ""
