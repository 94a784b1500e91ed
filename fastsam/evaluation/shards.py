"""What an evaluation measured on each image, one file per image, so that an interrupted run can continue.

The name of a run's folder depends on all that its figures depend on, and that of an image's file on the
bytes of its inputs: results of other settings, weights or annotations are never mixed in.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import ConfigError, DatasetError
from fastsam.files import file_sha256, fingerprint, replacing, write_bytes

__all__ = ["Arrays", "OnProgress", "Shards", "measure_all", "model_identity"]

Arrays = dict[str, NDArray[Any]]
OnProgress = Callable[[int, int, str], None]
Item = TypeVar("Item")


def model_identity(segmenter: Any, model_id: str | None, *, required: bool) -> dict[str, str | None]:
    """Return what tells one model from another."""
    checkpoint = getattr(segmenter, "checkpoint", None)
    digest = file_sha256(Path(checkpoint)) if checkpoint is not None and Path(checkpoint).is_file() else None
    if required and digest is None and model_id is None:
        raise ConfigError(
            f"model_id: expected a name for a {type(segmenter).__name__}, which has no checkpoint file; "
            "without one, measurements of different models would be mixed up in 'out'"
        )
    return {"backend": type(segmenter).__name__, "weights_sha256": digest, "id": model_id}


class Shards:
    """The stored measurements of one run; without a folder nothing is stored.

    Args:
        out: where runs are kept, or None.
        name: readable part of the run's folder.
        identity: everything that the figures depend on, JSON values only; kept as ``run.json``.
    """

    def __init__(self, out: str | Path | None, name: str, identity: Mapping[str, Any]) -> None:
        self.folder = None if out is None else Path(out) / f"{name}-{fingerprint(identity)}"
        if self.folder is not None:
            text = json.dumps(identity, indent=2, sort_keys=True) + "\n"
            write_bytes(self.folder / "run.json", text.encode())

    def path(self, inputs: Sequence[Path], name: str | None = None) -> Path | None:
        """Return the file of an image, given the files that its figures depend on (the image first).

        ``name`` is the readable part of its name, the image's if not given.

        Raises:
            DatasetError: one of them is missing.
        """
        for source in inputs:
            if not source.is_file():
                raise DatasetError(
                    f"dataset: {source} is listed but not there; restore it or take it off the list"
                )
        if self.folder is None:
            return None
        content = fingerprint([inputs[0].name, *[file_sha256(source) for source in inputs]])
        return self.folder / f"{name or inputs[0].stem}.{content}.npz"

    @staticmethod
    def load(path: Path | None) -> Arrays | None:
        """Return what was stored, None where nothing usable was."""
        if path is None or not path.is_file():
            return None
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            return None  # damaged: measure the image again

    @staticmethod
    def save(path: Path | None, arrays: Arrays) -> None:
        """Store the measurements of an image.

        Raises:
            ExportError: the folder cannot be written.
        """
        if path is not None:
            with replacing(path) as stream:
                np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def measure_all(
    items: Sequence[Item],
    files: Callable[[Item], Mapping[str, Path | None]],
    measure: Callable[[Item, list[str]], Iterable[tuple[str, Arrays]]],
    *,
    label: Callable[[Item], str],
    on_progress: OnProgress | None = None,
) -> Iterator[dict[str, Arrays]]:
    """Yield the measurements of each item, by what was measured: stored ones, or new ones that are stored.

    Args:
        items: images or clips.
        files: where each measurement of an item is kept (:meth:`Shards.path`), by name.
        measure: takes an item and the names that are not stored, and gives each with its arrays.
        label: an item's name for ``on_progress``.
        on_progress: called with (done, total, label) when the caller has used an item's measurements.

    Raises:
        DatasetError: an input file is missing.
        ExportError: the folder cannot be written.
    """
    for number, item in enumerate(items, start=1):
        paths = files(item)
        stored = {name: Shards.load(path) for name, path in paths.items()}
        missing = [name for name, arrays in stored.items() if arrays is None]
        for name, arrays in measure(item, missing) if missing else ():
            Shards.save(paths[name], arrays)
            stored[name] = arrays
        yield {name: arrays for name, arrays in stored.items() if arrays is not None}
        if on_progress is not None:
            on_progress(number, len(items), label(item))
