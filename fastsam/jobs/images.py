"""Many images through one model: written as they are done, resumed where an earlier run stopped."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from fastsam.errors import ConfigError, ExportError, FastSAMError, PromptError, WeightsError, not_one_of
from fastsam.export import FORMATS, Exporter, unique_names
from fastsam.files import file_state, is_for_all, sole_writer
from fastsam.images.listing import list_images, names_below
from fastsam.images.reading import read_frame
from fastsam.masks.levels import Level, check_level
from fastsam.model import FastSAM
from fastsam.options import LabelOptions, RenderOptions, SegmentOptions
from fastsam.prompts import Points, Prompt, prompt_to_json
from fastsam.prompts.spec import class_names
from fastsam.prompts.text.labels import UNKNOWN
from fastsam.prompts.text.vocabulary import read_classes
from fastsam.result import Result
from fastsam.resume import ResumeLog

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
        level: of everything, only the masks of this level; None for all.
        disjoint: cut everything so that each pixel has one mask at most.
        label: name the masks with these options of :meth:`fastsam.Session.label`; None leaves them unnamed.
        unknown: export masks that have no label, too, as ``"unknown"``.
        max_pixels: refuse images with more pixels than this; None is the limit in force.
        resume: skip images that an earlier run with the same settings has finished.
    """

    sources: tuple[str, ...]
    prompt: Prompt | None = None
    out: Path | None = None
    formats: tuple[str, ...] = ("overlay",)
    segment: SegmentOptions = field(default_factory=SegmentOptions)
    render: RenderOptions = field(default_factory=RenderOptions)
    resume: bool = True
    label: LabelOptions | None = None
    level: Level | None = None
    disjoint: bool = False
    unknown: bool = False
    max_pixels: int | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The names that masks may have, in the order of their ids; empty if nothing is named.

        Raises:
            PromptError: no such vocabulary.
        """
        if self.label is None:
            return class_names(self.prompt)
        named = read_classes(self.label.get("vocabulary", "everyday"))
        names = tuple(dict.fromkeys(name for name, _ in named))
        return (*names, UNKNOWN) if self.unknown and UNKNOWN not in names else names

    @cached_property
    def images(self) -> list[Path | None]:
        """The image files in order, listed once; None stands for stdin.

        Raises:
            ImageError: a source matches nothing.
        """
        files = [source for source in self.sources if source != STDIN]
        found: list[Path | None] = [*list_images(files)] if files else []
        return [None, *found] if STDIN in self.sources else found

    def check(self) -> None:
        """Raise before the network loads what would fail, or destroy something, after it.

        Raises:
            ImageError: a source matches nothing.
            ExportError: unknown format, or the output folder cannot be used or holds the images.
            PromptError: no such vocabulary or level, or a level or partition of what a prompt selects.
        """
        if self.level is not None:
            check_level(self.level)
        if self.prompt is not None and (self.level is not None or self.disjoint):
            raise PromptError("level, disjoint: expected no prompt beside them, they are about everything")
        known = ["overlay", *FORMATS]
        for name in self.formats:
            if name not in known:
                raise ExportError(not_one_of(name, known, "format"))
        if self.label is not None:
            read_classes(self.label.get("vocabulary", "everyday"))
        images = self.images
        if self.out is None:
            return
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            found = (
                "a file of that name is in the way"
                if isinstance(error, FileExistsError | NotADirectoryError)
                else error
            )
            raise ExportError(f"output folder {str(self.out)!r}: cannot be made ({found})") from error
        folder = self.out.resolve()
        for path in images:
            if path is not None and folder in path.resolve().parents:
                raise ExportError(
                    f"output folder {str(self.out)!r} holds the image {str(path)!r} itself: results would "
                    "overwrite images, or be taken for images by the next run; choose another --out"
                )

    def count(self) -> int:
        """Return how many images there are."""
        return len(self.images)


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
        found = result.to_dict()
        masks = found["masks"]
        if isinstance(result.prompt, Points) and result.level_names:
            for mask, stability in zip(masks, result.stability_scores(), strict=True):
                mask["stability"] = round(float(stability), 4)
        for mask, row in zip(masks, result.indices.tolist(), strict=True):
            if result.known is not None and row >= 0:
                mask["label_score"] = round(float(result.known.scores[row]), 4)
        times = {name: round(value, 1) for name, value in self.times_ms.items()}
        files = [str(path) for path in self.files]
        return {
            "image": self.source, "width": found["width"], "height": found["height"], "masks": masks,
            "reason": result.reason, "time_ms": times, "files": files,
        }  # fmt: skip


def run_batch(
    model: FastSAM,
    job: BatchJob,
    stdin: bytes | None = None,
    *,
    on_tile: Callable[[int, int], None] | None = None,
) -> Iterator[BatchDone]:
    """Yield one :class:`BatchDone` an image; a bad image is reported and does not stop the rest.

    Args:
        model: finds and selects the masks.
        job: what to do.
        stdin: the bytes of the image that ``"-"`` stands for.
        on_tile: called with (done, total) after each part of an image that is segmented in parts.

    Raises:
        ImageError, ExportError, PromptError: the job as a whole cannot run, or the disk is full.
        WeightsError: the text-image model cannot be had.
    """
    job.check()
    if job.prompt is not None:  # references are described once, and what they show counts, not their names
        job = replace(job, prompt=model.resolve(job.prompt, **job.segment))
    images = job.images
    if None in images and stdin is None:
        raise ConfigError("source '-': expected the bytes of an image on stdin, got none")
    with sole_writer(job.out, "output folder") if job.out is not None else nullcontext():
        yield from _run(model, job, stdin, on_tile)


def _run(
    model: FastSAM, job: BatchJob, stdin: bytes | None, on_tile: Callable[[int, int], None] | None
) -> Iterator[BatchDone]:
    """Yield one :class:`BatchDone` an image, while nobody else writes to the folder."""
    images = job.images
    names = unique_names([path or Path("stdin") for path in images])
    files = [path for path in images if path is not None]
    shown = dict(zip(files, names_below([one for one in job.sources if one != STDIN], files), strict=True))
    log = _Log(job, model.location)
    formats = dict.fromkeys(name for name in job.formats if name != "overlay")
    exporters = [Exporter(name, job.out, job.classes) for name in formats if job.out is not None]
    for path, name in zip(images, names, strict=True):
        source = STDIN if path is None else str(path)
        key = log.key(path, stdin)
        if job.resume and log.holds(key):
            yield BatchDone(source, skipped=True)
            continue
        try:
            log.check_name(name, source)
            image = stdin if path is None else path
            file_name = "" if path is None else shown[path]
            done = _one(model, job, exporters, image, source, name, file_name, on_tile)
        except WeightsError:
            raise  # the text-image model cannot be had: no other image would fare better
        except FastSAMError as error:
            if isinstance(error, ExportError) and is_for_all(error):
                raise
            yield BatchDone(source, error=str(error))
            continue
        log.add(key, name, done)
        yield done
    for exporter in exporters:
        exporter.close()


def _one(
    model: FastSAM,
    job: BatchJob,
    exporters: list[Exporter],
    image: Any,
    source: str,
    name: str,
    file_name: str,
    on_tile: Callable[[int, int], None] | None,
) -> BatchDone:
    """Segment and write one image; ``file_name`` is what datasets call it."""
    frame = read_frame(image, name, max_pixels=job.max_pixels)
    session = model.open(frame, on_tile=on_tile, **job.segment)
    if job.label is not None:
        session = session.label(**job.label)
    if job.prompt is None:
        result = session.everything(job.level, disjoint=job.disjoint)
    else:
        result = session.select(job.prompt)
    files: list[Path] = []
    if job.out is not None and "overlay" in job.formats:
        files.append(result.save(job.out / f"{name}.png", **job.render))
    kept = result if job.unknown else result.named()
    for exporter in exporters:
        files += exporter.add(
            kept.frame, kept.masks, levels=kept.level_names, labels=kept.labels, file_name=file_name
        )
    return BatchDone(source, result, tuple(files), times_ms=session.times_ms)


class _Log:
    """Which images are done, one JSON line each, so that an interrupted run loses nothing.

    The last line that names a file tells whose it is: results of an earlier run that another one has
    overwritten since do not count as done.
    """

    def __init__(self, job: BatchJob, location: str) -> None:
        asked = "" if job.prompt is None else prompt_to_json(job.prompt)
        settings: list[Any] = [location, asked, sorted(set(job.formats)), job.segment, job.render]
        if job.label is not None:
            named = read_classes(job.label.get("vocabulary", "everyday"))
            settings.append([job.label, named, job.unknown])
        if job.level is not None or job.disjoint:
            settings.append({"level": job.level, "disjoint": job.disjoint})
        self._settings = json.dumps(settings, sort_keys=True)
        self._files: dict[str, list[str]] = {}  # key -> files
        self._owner: dict[str, str] = {}  # file -> key of the last run that wrote it
        self._source: dict[str, str] = {}  # output name -> image, absolute
        self._log = None if job.out is None else ResumeLog(job.out / _LOG)
        for entry in self._log or ():
            with suppress(TypeError, KeyError):
                key, name, source = (str(entry[field]) for field in ("key", "name", "source"))
                self._note(key, name, source, [str(file) for file in entry["files"]])

    def _note(self, key: str, name: str, source: str, files: list[str]) -> None:
        self._files[key] = files
        self._owner.update(dict.fromkeys(files, key))
        self._source[name.casefold()] = source

    def key(self, path: Path | None, stdin: bytes | None) -> str:
        """Return what identifies an image in its present state under these settings."""
        digest = hashlib.sha256(self._settings.encode())
        if path is None:
            digest.update(stdin or b"")
        elif path.is_file():
            digest.update(os.fsencode(f"{os.path.abspath(path)}|{file_state(path)}"))
        return digest.hexdigest()

    def holds(self, key: str) -> bool:
        """Return whether the image is done, and its files are still there and still its own."""
        files = self._files.get(key)
        return files is not None and all(self._owner[file] == key and Path(file).exists() for file in files)

    def check_name(self, name: str, source: str) -> None:
        """Raise ExportError where an output name belongs to another image of an earlier run."""
        before = self._source.get(name.casefold())
        if before is not None and before != _absolute(source) and STDIN not in (before, source):
            raise ExportError(
                f"image {source!r}: its results would overwrite those of {before!r}, both named {name!r}; "
                "choose another --out"
            )

    def add(self, key: str, name: str, done: BatchDone) -> None:
        """Note that an image is done."""
        if self._log is None:
            return
        source, files = _absolute(done.source), [str(path) for path in done.files]
        self._log.append({"key": key, "name": name, "source": source, "files": files})
        self._note(key, name, source, files)


def _absolute(source: str) -> str:
    """Return what an image is called wherever the command is run from."""
    return source if source == STDIN else os.path.abspath(source)
