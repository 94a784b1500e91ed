"""The facade: open an image once, ask as often as you like. The composition root of the package."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastsam.config import RenderConfig, SegmentConfig
from fastsam.errors import ConfigError, PromptError
from fastsam.everything.backend import Segmenter
from fastsam.everything.tiling import TiledSegmenter
from fastsam.export import write
from fastsam.labels import Labels, label
from fastsam.records import Frame, MaskSet, Selection
from fastsam.refine import drop_duplicates, grid_cell_px, refine
from fastsam.render import cutout, overlay, save_image
from fastsam.sources import open_frames, read_frame
from fastsam.text_models import open_text_model
from fastsam.weights import Progress, resolve
from prompts import Box, ImageFeatures, Points, Prompt, Text, select
from prompts.encoder import Encoder

__all__ = ["FastSAM", "Result", "Session"]

_Config = TypeVar("_Config", SegmentConfig, RenderConfig)


@dataclass(frozen=True, eq=False, repr=False)
class Result(Selection):
    """A selection together with the image it is of: it can draw, save and export itself.

    Attributes:
        frame: the image.
        prompt: what was asked; None for everything.
        known: the labels of everything, where the session has them.
    """

    frame: Frame = field(kw_only=True)
    prompt: Prompt | None = field(default=None, kw_only=True)
    known: Labels | None = field(default=None, kw_only=True)

    @property
    def labels(self) -> tuple[str, ...] | None:
        """What each mask is: by the session's labels, else by the text that it answers; else None."""
        if self.known is not None:
            return tuple(self.known.names[i] for i in self.indices)
        if isinstance(self.prompt, Text):
            return tuple(self.prompt.texts[number] for number in self.groups)
        return None

    def plot(self, **options: Any) -> NDArray[np.uint8]:
        """Return the (H, W, 3) uint8 RGB photo with the masks and the prompt drawn over it.

        Args:
            options: fields of :class:`fastsam.config.RenderConfig`, such as ``alpha=0.3``.
        """
        points, point_labels, boxes = _drawn(self.prompt)
        config = _override(RenderConfig(), options)
        return overlay(
            self.frame,
            self.masks,
            config,
            points=points,
            point_labels=point_labels,
            boxes=boxes,
            labels=self.labels,
            rows=self.indices.tolist(),  # a mask keeps the colour that it has among everything
        )

    def save(self, path: str | Path, **options: Any) -> Path:
        """Write :meth:`plot` as an image file (by its suffix) and return the path."""
        target = _path(path, "path")
        return save_image(self.plot(**options), target)

    def export(self, folder: str | Path, format: str = "png", **options: Any) -> list[Path]:
        """Write the masks into a folder and return the files.

        Args:
            folder: made when absent.
            format: a name of ``fastsam.export.FORMATS``, such as ``"png"``, ``"coco"``, ``"yolo"``.
            options: what the format takes beside the masks: ``labels`` (by default :attr:`labels`),
                ``stability_scores``, ``points_xy``, ``file_name``.

        Raises:
            ExportError: unknown format, or the folder cannot be written.
            ConfigError: unknown option.
        """
        known = ("labels", "levels", "stability_scores", "points_xy", "file_name")
        for name in options:
            if name not in known:
                raise ConfigError(f"option {name!r}: expected one of {', '.join(known)}")
        about = {
            "source": self.frame.source,
            "levels": self.level_names,
            "labels": self.labels,
            **options,
        }
        return write(self.masks, _path(folder, "folder"), str(format), name=self.frame.name, **about)

    def cutouts(self) -> list[NDArray[np.uint8]]:
        """Return each mask's part of the photo as (h, w, 4) RGBA, transparent outside the mask."""
        return [cutout(self.frame, self.masks, i) for i in range(len(self))]


def _path(value: Any, what: str) -> Path:
    """Return a path, or say what was given instead."""
    if not isinstance(value, (str, os.PathLike)) or "\0" in str(value):
        raise ConfigError(f"{what}: expected a path, got {value!r}")
    return Path(value)


def _drawn(prompt: Prompt | None) -> tuple[Any, Any, Any]:
    """Return what of a prompt is drawn: points, their labels, boxes."""
    if isinstance(prompt, Points):
        clicks = [(p, 1) for o in prompt.objects for p in o.foreground]
        clicks += [(p, 0) for o in prompt.objects for p in o.background]
        return [p for p, _ in clicks], [label for _, label in clicks], None
    return None, None, list(prompt.xyxy) if isinstance(prompt, Box) else None


def _override(config: _Config, options: dict[str, Any]) -> _Config:
    """Return a config with the options that are not None; unknown names are an error."""
    known = {spec.name for spec in fields(config)}
    unknown = sorted(set(options) - known)
    if unknown:
        raise ConfigError(f"option {unknown[0]!r}: expected one of {', '.join(sorted(known))}")
    given = {name: value for name, value in options.items() if value is not None}
    return replace(config, **given)


@dataclass(frozen=True, eq=False, repr=False)
class Session:
    """One image with all its masks; a value that never changes.

    Attributes:
        frame: the image.
        masks: everything that stage one found, best score first, as prompts choose among them. What is
            handed out is refined first, where ``config`` asks for it.
        config: the options it was found with.
        times_ms: how long reading and the steps of stage one took.
        features: the masks as the text-image model sees them, encoded at the first text and then kept.
        labels: a name for each mask, after :meth:`label`.
    """

    frame: Frame
    masks: MaskSet
    config: SegmentConfig
    times_ms: dict[str, float]
    features: ImageFeatures | None = None
    labels: Labels | None = None

    def __repr__(self) -> str:
        """Return the image and how many masks it has."""
        return f"Session({self.frame!r}, {len(self.masks)} masks)"

    def everything(self) -> Result:
        """Return all masks."""
        rows = np.arange(len(self.masks))
        reason = f"everything: {len(rows)} masks above confidence {self.config.conf:g}"
        return self._result(Selection.of(self.masks, rows, self.masks.scores, reason), None)

    def select(self, prompt: Prompt) -> Result:
        """Return what the prompt means; the network does not run again.

        Raises:
            PromptError: the prompt does not fit the image.
            WeightsError: that model cannot be had.
        """
        return self._result(select(self.masks, prompt, self.features), prompt)

    def label(
        self,
        vocabulary: str | Path | Sequence[str] = "everyday",
        threshold: float = 0.3,
        *,
        templates: bool = True,
    ) -> Session:
        """Return the same session with a name for each mask; its results draw and write the names.

        Args:
            vocabulary: ``"coco"``, ``"everyday"``, ``"stuff"``, the path of a file with a name a line, or the
                names.
            threshold: a mask whose best name is less probable is ``"unknown"``.
            templates: average each name over sentences such as ``"a photo of {}."``.

        Raises:
            PromptError: no such vocabulary.
            WeightsError: that model cannot be had.
        """
        return replace(self, labels=label(self.features, vocabulary, threshold, templates=templates))

    def select_many(self, prompts: Sequence[Prompt]) -> list[Result]:
        """Return one result a prompt, in order."""
        if not isinstance(prompts, Sequence):
            raise PromptError(f"prompts: expected a list of prompts, got {type(prompts).__name__}")
        return [self.select(prompt) for prompt in prompts]

    def _result(self, selection: Selection, prompt: Prompt | None) -> Result:
        values = {spec.name: getattr(selection, spec.name) for spec in fields(selection)}
        cell_px = grid_cell_px(self.masks)[selection.indices]  # an edited mask has left the grid
        values["masks"] = refine(selection.masks, self.frame, self.config, cell_px)
        return Result(**values, frame=self.frame, prompt=prompt, known=self.labels)


class FastSAM:
    """A two-stage segmenter: everything first, then selection by prompt.

    Attributes:
        segmenter: stage one.
        defaults: the options that go with the weights.
        identity: names the weights and their state; equal for equal results.
        on_tile: is told (done, total) after each part of an image that is segmented in parts; None at first.

    Args:
        weights: a checkpoint's path, a name of the weights table (``"FastSAM-s"``), or None for the
            embedded default.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        segmenter: use this stage one instead of loading weights.
        text_model: what answers texts: None for the small model that comes with the package, a
            folder in open_clip's format, ``"MODEL:TAG"`` or ``"MODEL:FILE"``
            (:func:`fastsam.text_models.open_text_model`), or an encoder; loaded at the first text.
        progress: is told of the bytes of a download.

    Raises:
        WeightsError: the weights cannot be had or used.

    >>> model = FastSAM()                                           # doctest: +SKIP
    >>> session = model.open("photo.jpg")                           # doctest: +SKIP
    >>> session.select(Points([(320, 240)])).save("clicked.png")    # doctest: +SKIP
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        device: str = "auto",
        segmenter: Segmenter | None = None,
        text_model: str | Path | Encoder | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._embedder = open_text_model(text_model, device=device, progress=progress)
        self.on_tile: Callable[[int, int], None] | None = None
        named = f"|{self._embedder.identity}"
        if segmenter is not None:
            if not callable(getattr(segmenter, "segment", None)):
                raise ConfigError(
                    f"segmenter: expected an object with segment(frame, config), "
                    f"got {type(segmenter).__name__}"
                )
            self.segmenter, self.defaults = segmenter, SegmentConfig()
            self.identity = type(segmenter).__name__ + named
            return
        from fastsam.everything.torch_backend import TorchBackend  # torch loads only when it is needed

        found = resolve(weights, progress=progress)
        self.segmenter = TorchBackend(found.path, device)
        state = found.path.stat()
        self.identity = f"{found.path.resolve()}|{state.st_size}|{state.st_mtime_ns}{named}"
        self.defaults = SegmentConfig(**found.defaults)

    def open(self, source: Any, **options: Any) -> Session:
        """Read one image and find all its masks.

        Args:
            source: path, bytes, file object, PIL image, RGB array or Frame.
            options: fields of :class:`fastsam.config.SegmentConfig` (``conf``, ``iou``, ``imgsz``,
                ``edge_radius``, ...); the rest comes from the weights' defaults.

        Raises:
            ImageError: the image cannot be read.
            ConfigError: an option is unknown or outside its range.
        """
        config = _override(self.defaults, options)
        start = time.perf_counter()
        frame = read_frame(source)
        return self._session(frame, config, 1e3 * (time.perf_counter() - start))

    def open_many(self, source: Any, **options: Any) -> Iterator[Session]:
        """Yield a session an image of a folder, glob, list or video file."""
        config = _override(self.defaults, options)
        start = time.perf_counter()
        for frame in open_frames(source):
            yield self._session(frame, config, 1e3 * (time.perf_counter() - start))
            start = time.perf_counter()

    def _session(self, frame: Frame, config: SegmentConfig, read_ms: float) -> Session:
        segmenter = TiledSegmenter(self.segmenter, self.on_tile)
        masks = segmenter.segment(frame, config)
        if config.duplicate_iou < 1:
            masks = drop_duplicates(masks, config.duplicate_iou)
        features = ImageFeatures(frame, masks, self._embedder)
        return Session(frame, masks, config, {"read": read_ms, **segmenter.times_ms}, features)
