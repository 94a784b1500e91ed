"""Many images through one model: written as they are done, resumed where an earlier run stopped."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastsam.errors import ConfigError, ExportError, FastSAMError
from fastsam.export import FORMATS, Exporter, unique_names
from fastsam.pipeline import FastSAM, Result
from fastsam.sources import list_images, read_frame
from prompts import Prompt

__all__ = ["BatchDone", "BatchJob", "run_batch"]

STDIN = "-"
_LOG = ".fastsam-done.jsonl"


@dataclass(frozen=True)
class BatchJob:
    """What to segment, how, and where to.

    Attributes:
        sources: files, folders, patterns; ``"-"`` stands for the bytes given to :func:`run_batch`.
        prompt: the same question for every image; None for everything.
        out: output folder; None writes nothing.
        formats: ``"overlay"`` and names of ``fastsam.export.FORMATS``.
        segment: fields of SegmentConfig that differ from the weights' defaults.
        render: fields of RenderConfig that differ from its defaults.
        resume: skip images that an earlier run with the same settings has finished.
    """

    sources: tuple[str, ...]
    prompt: Prompt | None = None
    out: Path | None = None
    formats: tuple[str, ...] = ("overlay",)
    segment: dict[str, Any] = field(default_factory=dict)
    render: dict[str, Any] = field(default_factory=dict)
    resume: bool = True

    def images(self) -> list[Path | None]:
        """Return the image files in order; None stands for stdin.

        Raises:
            ImageError: a source matches nothing.
        """
        files = [source for source in self.sources if source != STDIN]
        found: list[Path | None] = [*list_images(files)] if files else []
        return [None, *found] if STDIN in self.sources else found

    def check(self) -> None:
        """Raise before the network loads what would fail after it."""
        known = ["overlay", *FORMATS]
        for name in self.formats:
            if name not in known:
                raise ExportError(f"format {name!r}: expected one of {', '.join(known)}")
        self.images()

    def count(self) -> int:
        """Return how many images there are."""
        return len(self.images())


@dataclass(frozen=True)
class BatchDone:
    """What became of one image.

    Attributes:
        source: the file, or ``"-"``.
        result: the answer; None when skipped or failed.
        files: what was written.
        error: one line, or empty.
        skipped: an earlier run had finished it.
        times_ms: of reading, the steps of stage one.
    """

    source: str
    result: Result | None = None
    files: tuple[Path, ...] = ()
    error: str = ""
    skipped: bool = False
    times_ms: dict[str, float] = field(default_factory=dict)

    def line(self) -> str:
        """Return one line for people."""
        if self.skipped or self.result is None:
            return f"{self.source}: done before, skipped"
        count = len(self.result)
        written = ", ".join(str(path) for path in self.files[:3]) + (" ..." if len(self.files) > 3 else "")
        return f"{self.source}: {count} mask{'s' * (count != 1)} ({self.result.reason}) -> {written}"

    def record(self) -> dict[str, Any]:
        """Return what ``--json`` prints: plain JSON types, masks as COCO RLE."""
        if self.result is None:
            return {"image": self.source, "skipped": self.skipped}
        result = self.result
        height, width = result.frame.size_hw
        masks = [
            {
                "box_xyxy": [round(float(v), 2) for v in result.boxes_xyxy[i]],
                "score": round(float(result.masks.scores[i]), 4),
                "prompt_score": round(float(result.scores[i]), 4),
                "group": int(result.groups[i]),
                "level": result.levels[i],
                "area_px": int(result.masks.areas_px[i]),
                "segmentation": result.masks.rle(i),
            }
            for i in range(len(result))
        ]
        times = {name: round(value, 1) for name, value in self.times_ms.items()}
        files = [str(path) for path in self.files]
        return {
            "image": self.source, "width": width, "height": height, "masks": masks,
            "reason": result.reason, "time_ms": times, "files": files,
        }  # fmt: skip


def run_batch(model: FastSAM, job: BatchJob, stdin: bytes | None = None) -> Iterator[BatchDone]:
    """Yield one :class:`BatchDone` an image; a bad image is reported and does not stop the rest.

    Raises:
        ImageError, ExportError: the job as a whole cannot run.
    """
    job.check()
    images = job.images()
    if None in images and stdin is None:
        raise ConfigError("source '-': expected the bytes of an image on stdin, got none")
    names = unique_names([path or Path("stdin") for path in images])
    log = _Log(job, model.identity)
    exporters = [Exporter(name, job.out) for name in job.formats if name != "overlay" and job.out is not None]
    for path, name in zip(images, names, strict=True):
        source = STDIN if path is None else str(path)
        key = log.key(path, stdin)
        if log.holds(key):
            yield BatchDone(source, skipped=True)
            continue
        try:
            done = _one(model, job, exporters, stdin if path is None else path, source, name)
        except FastSAMError as error:
            yield BatchDone(source, error=str(error))
            continue
        log.add(key, done)
        yield done
    for exporter in exporters:
        exporter.close()


def _one(
    model: FastSAM, job: BatchJob, exporters: list[Exporter], image: Any, source: str, name: str
) -> BatchDone:
    """Segment and write one image."""
    session = model.open(read_frame(image, name), **job.segment)
    result = session.everything() if job.prompt is None else session.select(job.prompt)
    files: list[Path] = []
    if job.out is not None and "overlay" in job.formats:
        files.append(result.save(job.out / f"{name}.png", **job.render))
    for exporter in exporters:
        files += exporter.add(result.frame, result.masks)
    return BatchDone(source, result, tuple(files), times_ms=session.times_ms)


class _Log:
    """Which images are done, one JSON line each, so that an interrupted run loses nothing."""

    def __init__(self, job: BatchJob, identity: str) -> None:
        self._path = None if job.out is None else job.out / _LOG
        asked = hashlib.sha256(pickle.dumps(job.prompt)).hexdigest()
        self._settings = json.dumps(
            [identity, asked, sorted(job.formats), job.segment, job.render], sort_keys=True
        )
        self._done: dict[str, list[str]] = {}
        if self._path is not None and job.resume and self._path.is_file():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                try:
                    entry = json.loads(line)
                except json.JSONDecodeError:
                    continue  # the line that a crash cut short
                self._done[entry["key"]] = entry["files"]

    def key(self, path: Path | None, stdin: bytes | None) -> str:
        """Return what identifies an image in its present state under these settings."""
        digest = hashlib.sha256(self._settings.encode())
        if path is None:
            digest.update(stdin or b"")
        elif path.is_file():
            state = path.stat()
            digest.update(f"{os.path.abspath(path)}|{state.st_size}|{state.st_mtime_ns}".encode())
        return digest.hexdigest()

    def holds(self, key: str) -> bool:
        """Return whether the image is done and its files are still there."""
        return key in self._done and all(Path(name).exists() for name in self._done[key])

    def add(self, key: str, done: BatchDone) -> None:
        """Note that an image is done."""
        if self._path is None:
            return
        entry = {"key": key, "source": done.source, "files": [str(path) for path in done.files]}
        with self._path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")
