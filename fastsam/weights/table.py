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

import os
import re
import sys
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fastsam.errors import ChecksumError, WeightsError, translated
from fastsam.files import file_sha256
from fastsam.weights.download import Progress

__all__ = ["Progress", "WeightsEntry", "cache_folder", "embedded_path", "local_path", "table", "text_model"]


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
        edge_radius, min_region_share, fill_conf, regions: its defaults likewise.
        licence: of the weights.
        embedded: it comes with the package.
        description: one line.
        aliases: other names that it goes by.
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
    fill_conf: float | None = None
    regions: int | None = None
    embedded: bool = False
    aliases: tuple[str, ...] = ()

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
    with translated(
        OSError,
        ValueError,
        KeyError,
        TypeError,
        to=WeightsError,
        problem="cannot be read ({reason})",
        subject=f"weights table {path}",
        advice="reinstall fastsam",
        path=path,
    ):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        rows = [{**row, "aliases": tuple(row.get("aliases", ()))} for row in content["weights"]]
        entries = tuple(WeightsEntry(**row) for row in rows)
        return _Manifest(str(content["default"]), entries, WeightsEntry(**content["text_model"]))


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
        names = (entry.name, entry.file.removesuffix(".pt"), *entry.aliases)
        if wanted in (other.lower() for other in names):
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
