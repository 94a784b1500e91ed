"""One place for weights: a name or a path in, a verified local file out.

The table is ``weights/manifest.toml``. The default checkpoint comes with the package; the others are
downloaded once, into ``$FASTSAM_HOME/weights`` (else ``$XDG_CACHE_HOME/fastsam/weights``, else
``~/.cache/fastsam/weights``). Environment variables:

* ``FASTSAM_HOME``: fastsam's own folder.
* ``FASTSAM_OFFLINE=1``: never touch the network; say instead which file to place where.
* ``FASTSAM_WEIGHTS_URL``: a mirror's folder; files are taken from there instead of from their publisher.
* ``http_proxy``, ``https_proxy``, ``no_proxy``: as everywhere.

How far a file is verified, honestly: one whose ``sha256`` is in the table must have it. The publisher of the
others gives no hash, so the first download is trusted (over https, complete, and a sound archive: each
record's CRC fits) and its hash is written beside it, ``NAME.pt.sha256``; from then on the file must have
that one. Whatever the file, loading it runs none of its code (:mod:`fastsam.weights.checkpoint`).
"""

from __future__ import annotations

import difflib
import json
import os
import re
import struct
import sys
import tomllib
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastsam.errors import CheckpointError, ChecksumError, DownloadError, UnknownWeightsError, WeightsError
from fastsam.weights.download import Progress, discard, exclusive, fetch, file_sha256

__all__ = [
    "Progress",
    "ResolvedWeights",
    "WeightsEntry",
    "cache_folder",
    "download",
    "embedded_path",
    "local_path",
    "resolve",
    "table",
    "text_model",
]


_HEADER_AT_MOST = 100_000_000  # bytes, as the safetensors format says


@dataclass(frozen=True)
class WeightsEntry:
    """A checkpoint that has a name.

    Attributes:
        name: how it is asked for; case does not matter, and ``.pt`` may follow.
        file: its file name, of an embedded one after its folder's, if it has one.
        url: where its publisher has it; empty for embedded ones.
        sha256: what the file must have; empty where nobody told us.
        size_bytes: its size, where known.
        imgsz: network input size it was made for, pixels.
        conf: its default least confidence; None for the library's.
        iou: its default NMS overlap; None for the library's.
        licence: of the weights.
        embedded: it comes with the package.
        description: one line.
    """

    name: str
    file: str
    imgsz: int
    licence: str
    description: str
    url: str = ""
    sha256: str = ""
    size_bytes: int | None = None
    conf: float | None = None
    iou: float | None = None
    edge_radius: float | None = None
    min_region_share: float | None = None
    embedded: bool = False

    def __post_init__(self) -> None:
        """Check what would otherwise fail far from here."""
        wrong = [
            "file: expected a bare name, of an embedded one FOLDER/NAME at most" if self._astray() else "",
            "sha256: expected 64 hex digits" if not re.fullmatch(r"([0-9a-f]{64})?", self.sha256) else "",
            "url: expected one unless embedded" if self.embedded == bool(self.url) else "",
        ]
        if any(wrong):
            raise WeightsError(f"weights table, {self.name!r}: {'; '.join(filter(None, wrong))}")

    def _astray(self) -> bool:
        """Tell whether the file would be outside the folder that it belongs to."""
        parts = self.file.replace("\\", "/").split("/")
        return len(parts) > 1 + self.embedded or any(part in ("", ".", "..") for part in parts)


@dataclass(frozen=True)
class ResolvedWeights:
    """A local file, and its table entry if it was asked for by name."""

    path: Path
    entry: WeightsEntry | None = None

    @property
    def defaults(self) -> dict[str, Any]:
        """What these weights want of :class:`fastsam.config.SegmentConfig`."""
        options = ("imgsz", "conf", "iou", "edge_radius", "min_region_share")
        chosen = {name: getattr(self.entry, name, None) for name in options}
        return {name: value for name, value in chosen.items() if value is not None}


def _embedded_folder() -> Path:
    """Return the folder of the manifest and the embedded checkpoint: in a wheel, or in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_weights", package.parent / "weights"):
        if (folder / "manifest.toml").is_file():
            return folder
    raise WeightsError(
        f"no weights table beside {package}: the installation is incomplete; reinstall fastsam"
    )


@dataclass(frozen=True)
class _Manifest:
    """What manifest.toml says."""

    default: str
    entries: tuple[WeightsEntry, ...]
    text_model: WeightsEntry


@lru_cache(maxsize=1)
def _manifest() -> _Manifest:
    """Return the default's name, the table, and the text-image model that comes with the package."""
    path = _embedded_folder() / "manifest.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        entries = tuple(WeightsEntry(**row) for row in content["weights"])
        found = _Manifest(str(content["default"]), entries, WeightsEntry(**content["text_model"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"weights table {path}: cannot be read ({error}); reinstall fastsam") from error
    return found


def table() -> tuple[WeightsEntry, ...]:
    """Return all checkpoints that have a name, the default first.

    >>> [entry.name for entry in table()][:3]
    ['fastsam-nano', 'FastSAM-s', 'FastSAM-x']
    """
    return _manifest().entries


def _find(name: str) -> WeightsEntry | None:
    """Return the entry of a name, in any case, with or without ``.pt``."""
    manifest = _manifest()
    wanted = name.strip().lower().removesuffix(".pt")
    wanted = manifest.default.lower() if wanted == "default" else wanted
    for entry in manifest.entries:
        if wanted in (entry.name.lower(), entry.file.lower().removesuffix(".pt")):
            return entry
    return None


def text_model() -> WeightsEntry:
    """Return the text-image model that comes with the package.

    >>> text_model().name
    'fastsam-nano-text'
    """
    return _manifest().text_model


def embedded_path(entry: WeightsEntry) -> Path:
    """Return the file of an entry that comes with the package, verified.

    Raises:
        WeightsError: it is missing.
        ChecksumError: its bytes are not the ones that the table says.
    """
    path = local_path(entry)
    if not path.is_file():
        raise WeightsError(
            f"weights {entry.name}: {path} is missing, though it should come with the package; reinstall "
            "fastsam, or pass another name or a path"
        )
    if entry.sha256 and (found := file_sha256(path)) != entry.sha256:
        raise ChecksumError(
            f"weights {entry.name}: {path} has sha256 {found}, expected {entry.sha256}; reinstall fastsam "
            "(in a git checkout: git lfs pull, if the file is a pointer)"
        )
    return path


def cache_folder() -> Path:
    """Return the folder that downloaded weights are kept in; it need not exist yet.

    Raises:
        WeightsError: this user has no home folder and ``FASTSAM_HOME`` is not set.
    """
    if home := os.environ.get("FASTSAM_HOME"):
        return Path(home).expanduser() / "weights"
    cache = os.environ.get("XDG_CACHE_HOME") or (
        os.environ.get("LOCALAPPDATA") if sys.platform == "win32" else None
    )
    try:
        base = Path(cache) if cache else Path.home() / ".cache"
    except RuntimeError as error:
        raise WeightsError(f"no folder to keep weights in ({error}); set FASTSAM_HOME to one") from error
    return base / "fastsam" / "weights"


def local_path(entry: WeightsEntry) -> Path:
    """Return where an entry's file is, or will be once it is downloaded."""
    return (_embedded_folder() if entry.embedded else cache_folder()) / entry.file


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
        return ResolvedWeights(Path(path))
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
            fetch(_url(entry), part, progress)
            digest = _verify(entry, part, target)
            os.replace(part, target)
            discard(part)
            _pin(entry, target, digest)
    except DownloadError as error:
        raise DownloadError(_by_hand(entry, target, str(error))) from error
    except WeightsError:
        raise
    except OSError as error:
        raise DownloadError(_by_hand(entry, target, f"cannot use the folder ({error})")) from error
    return target


def _url(entry: WeightsEntry) -> str:
    mirror = os.environ.get("FASTSAM_WEIGHTS_URL", "").strip()
    return f"{mirror.rstrip('/')}/{entry.file}" if mirror else entry.url


def _require_network(entry: WeightsEntry, target: Path) -> None:
    """Raise DownloadError where the user forbids the network."""
    if os.environ.get("FASTSAM_OFFLINE", "").strip().lower() not in ("", "0", "false", "no", "off"):
        raise DownloadError(f"{target} is not there, and FASTSAM_OFFLINE is set")


def _by_hand(entry: WeightsEntry, target: Path, reason: str) -> str:
    return (
        f"weights {entry.name}: {reason}. Wanted {_url(entry)}: fetch it where you can, and place it as "
        f"{entry.file} in the folder {target.parent} (FASTSAM_HOME moves that folder, FASTSAM_WEIGHTS_URL "
        "names a mirror); or pass the path of a file that you have"
    )


def _pin_file(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _pin(entry: WeightsEntry, target: Path, digest: str) -> None:
    """Remember the hash of a file that the table has none for, in the format of ``sha256sum``."""
    pin = _pin_file(target)
    if entry.sha256 or pin.exists():
        return
    partial = pin.with_name(f"{pin.name}.part")
    partial.write_text(f"{digest}  {target.name}\n", encoding="utf-8")
    os.replace(partial, pin)


def _verify(entry: WeightsEntry, path: Path, target: Path) -> str:
    """Return the hash of ``path``, which is ``target`` or its part; a bad file is removed.

    Raises:
        ChecksumError: the bytes are not the ones that the table, or the first download, says.
        CheckpointError: no hash is known, and it is no sound archive.
    """
    pin = _pin_file(target)
    digest = file_sha256(path)
    what = str(path) if path == target else f"the file from {_url(entry)}"
    wanted, whose = entry.sha256, "the weights table"
    if not wanted and pin.is_file():
        wanted, whose = pin.read_text(encoding="utf-8").split(" ")[0].strip(), str(pin)
    if wanted:
        if digest != wanted:
            discard(path)
            again = "" if entry.sha256 else f"; if the publisher has replaced the file, delete {pin} first"
            raise ChecksumError(
                f"weights {entry.name}: {what} has sha256 {digest}, {whose} says {wanted}; "
                f"it was removed, and the next call downloads it again{again}"
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
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            return f"no safetensors header; it starts with {head!r}"
    if not ends or 8 + length + max(ends) != path.stat().st_size:
        return "its size is not the one that its header says"
    return ""
