"""The facade: open an image once, ask as often as you like. The composition root of the package."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from fastsam.config import RenderConfig, SegmentConfig, VideoConfig
from fastsam.errors import ConfigError, PromptError
from fastsam.everything.backends.choose import open_network
from fastsam.everything.segmenter import Segmenter
from fastsam.everything.tiling import TiledSegmenter
from fastsam.export import write
from fastsam.images.drawing import cutout, overlay, save_image
from fastsam.images.reading import open_frames, read_frame
from fastsam.masks.levels import Level, Levels, containment_tree
from fastsam.masks.maskset import Frame, MaskSet, Selection
from fastsam.masks.refine import containment_nms, drop_duplicates, grid_cell_px, partition, refine
from fastsam.prompts import Box, Example, ImageFeatures, Look, Points, Prompt, Reference, Text, select
from fastsam.prompts.reference import look_at, resolve, resolve_reference
from fastsam.prompts.reference_spec import Mode, Region
from fastsam.prompts.text.encoder import Encoder
from fastsam.prompts.text.labels import UNKNOWN, Labels, label
from fastsam.prompts.text.matching import Embedder
from fastsam.prompts.text.models import open_text_model
from fastsam.weights.table import Progress

if TYPE_CHECKING:
    from fastsam.video.stream import Stream

__all__ = ["FastSAM", "Result", "Session"]

_Config = TypeVar("_Config", SegmentConfig, RenderConfig, VideoConfig)
_READER_OPTIONS = ("policy", "queue_size", "max_pixels", "reconnect_s", "start", "fps", "wanted")


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
            return tuple(self.known.names[i] if i >= 0 else UNKNOWN for i in self.indices)
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
            # A mask keeps the colour that it has among everything.
            rows=np.maximum(self.indices, 0).tolist(),
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
        look: looks at a region of another image with the model that this session is of, for references.
    """

    frame: Frame
    masks: MaskSet
    config: SegmentConfig
    times_ms: dict[str, float]
    features: ImageFeatures | None = None
    labels: Labels | None = None
    look: Callable[[Example], Sequence[Look]] | None = None

    def __repr__(self) -> str:
        """Return the image and how many masks it has."""
        return f"Session({self.frame!r}, {len(self.masks)} masks)"

    @cached_property
    def levels(self) -> Levels:
        """How the masks nest: the parent, the children and the level of each, found when first asked for."""
        return containment_tree(self.masks)

    def everything(self, level: Level | None = None, *, disjoint: bool = False) -> Result:
        """Return all masks, or those of one level, or a partition of the image.

        Args:
            level: only the ``"whole"`` things (that lie in no other mask), their ``"part"`` or ``"subpart"``
                masks; :attr:`levels` says how they nest.
            disjoint: cut the masks so that each pixel has one at most: smaller ones are in front, so a part
                stays and its whole becomes the rest of it; of masks of the same thing the best stays.
                ``result.label_map()`` is the partition as one picture.

        The result's ``levels`` are filled in where either is asked for.

        Raises:
            PromptError: no such level.
        """
        rows = np.arange(len(self.masks)) if level is None else self.levels.at(level)
        if disjoint:
            rows = rows[self.levels.twin[rows] == rows]
        what = "masks" if level is None else f"masks of level {level}"
        reason = f"everything: {len(rows)} {what} above confidence {self.config.conf:g}"
        found = self._result(Selection.of(self.masks, rows, self.masks.scores[rows], reason), None)
        if level is None and not disjoint:
            return found
        named = replace(found, levels=tuple(self.levels.names[i] for i in rows))
        return _disjoint(named) if disjoint else named

    def only(self, rows: Any) -> Session:
        """Return the same image with some of its masks only: prompts choose among these.

        Args:
            rows: which, as an array is indexed.
        """
        masks = self.masks[rows]
        features = None if self.features is None else ImageFeatures(self.frame, masks, self.features.embedder)
        return replace(self, masks=masks, features=features, labels=None)

    def select(self, prompt: Prompt) -> Result:
        """Return what the prompt means; the network does not run again on this image.

        The image of a reference that no model has looked at yet is segmented first, once for a reference.

        Raises:
            PromptError: the prompt does not fit the image.
            ImageError: the image of a reference cannot be read.
            WeightsError: that model cannot be had.
        """
        looked = resolve(prompt, self._look_at)
        return self._result(select(self.masks, looked, self.features), prompt)

    def reference(
        self, region: Region, *, negatives: Any = (), mode: Mode = "all", threshold: float = 0.2
    ) -> Reference:
        """Return a region of this image as a prompt for others of the same model.

        Args:
            region: ``Box``, ``Points`` or ``MaskLike`` (an earlier answer, for one).
            negatives: what it must not be taken for: regions of this image, or other references.
            mode: ``"all"`` that look like it, or only the ``"best"``.
            threshold: least score of an answer.

        Raises:
            PromptError: a region selects nothing here, or is wanted and unwanted at once.
        """
        made = Reference(self.frame, region, negatives=negatives, mode=mode, threshold=threshold)
        return resolve_reference(made, self._look_at)

    def _look_at(self, example: Example) -> Sequence[Look]:
        if example.image is self.frame:
            return look_at(self.masks, self.features, example)
        if self.look is None:
            raise PromptError(
                f"{example!r}: this session cannot open other images; expected one of FastSAM().open(...), "
                "or a reference that has been looked at (Session.reference)"
            )
        return self.look(example)

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
        if not (_is_iterated(prompt) and selection.edited.any()):  # what was handed out before stays as it is
            cell_px = grid_cell_px(self.masks)[selection.indices]  # an edited mask has left the grid
            values["masks"] = refine(selection.masks, self.frame, self.config, cell_px)
        return Result(**values, frame=self.frame, prompt=prompt, known=self.labels)


def _is_iterated(prompt: Prompt | None) -> bool:
    """Tell whether a prompt changes an earlier answer."""
    return isinstance(prompt, Points) and prompt.previous is not None


def _disjoint(result: Result) -> Result:
    """Return the result cut so that no masks overlap."""
    masks, rows, cut = partition(result.masks)
    return replace(
        result[rows], masks=masks, edited=cut, reason=f"{result.reason}; {len(rows)} of them apart"
    )


class FastSAM:
    """A two-stage segmenter: everything first, then selection by prompt.

    Attributes:
        segmenter: stage one.
        defaults: the options that go with the weights.
        identity: names the weights and their state; equal for equal results.
        on_tile: is told (done, total) after each part of an image that is segmented in parts; None at first.

    Args:
        weights: a checkpoint's path, a name of the weights table (``"FastSAM-s"``), None for the embedded
            default, or a network that ``fastsam export-model`` has converted.
        backend: what runs the network: ``"torch"``, ``"onnx"``, ``"openvino"``; ``"auto"`` is torch for
            checkpoints. The others convert a checkpoint at its first use
            (:func:`fastsam.everything.backends.choose.open_network`).
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        segmenter: use this stage one instead of loading weights.
        text_model: what answers texts: None for the small model that comes with the package, a
            folder in open_clip's format, ``"MODEL:TAG"`` or ``"MODEL:FILE"``
            (:func:`fastsam.prompts.text.models.open_text_model`), or an encoder; loaded at the first text.
        progress: is told of the bytes of a download.

    Raises:
        WeightsError: the weights cannot be had or used.
        MissingPackageError: the backend's package is not installed.
        ConfigError: no such backend or device.

    >>> model = FastSAM()                                           # doctest: +SKIP
    >>> session = model.open("photo.jpg")                           # doctest: +SKIP
    >>> session.select(Points([(320, 240)])).save("clicked.png")    # doctest: +SKIP
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        backend: str = "auto",
        device: str = "auto",
        segmenter: Segmenter | None = None,
        text_model: str | Path | Encoder | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._looks: WeakKeyDictionary[Example, dict[SegmentConfig, Sequence[Look]]] = WeakKeyDictionary()
        # OpenVINO has device names that PyTorch, which answers texts, does not know.
        text_device = device if backend != "openvino" or device == "cpu" else "auto"
        self._embedder = open_text_model(text_model, device=text_device, progress=progress)
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
        opened = open_network(weights, backend=backend, device=device, progress=progress)
        self.segmenter, self.defaults = opened.segmenter, SegmentConfig(**opened.defaults)
        self.identity = opened.identity + named

    def segment_config(self, **options: Any) -> SegmentConfig:
        """Return the weights' own options of segmenting with some of them changed.

        Raises:
            ConfigError: an option is unknown or outside its range.
        """
        return _override(self.defaults, options)

    @property
    def embedder(self) -> Embedder:
        """What encodes texts and the pictures of masks."""
        return self._embedder

    @property
    def network(self) -> str:
        """Names the segmenter's network by its file's content; empty for a segmenter without weights."""
        return str(getattr(self.segmenter, "sha256", ""))

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

    def stream(self, source: Any, *, config: VideoConfig | None = None, **options: Any) -> Stream:
        """Open a moving source; iterate over it for ``(frame, masks)``, with ids that stay.

        Args:
            source: a video file, a folder or pattern of frames, a camera's number, an RTSP or HTTP address,
                or an iterable of RGB arrays.
            config: how masks are followed; its fields can also be given by name.
            options: fields of :class:`fastsam.config.VideoConfig` (``every``, ``target_fps``, ...), of
                :class:`fastsam.config.SegmentConfig` (``conf``, ``imgsz``, ...), and what
                :func:`fastsam.video.read.reader.open_video` takes (``policy``, ``start``, ...).

        Raises:
            VideoError: the source cannot be opened, or has no frame.
            ConfigError: an option is unknown or outside its range.
        """
        from fastsam.video.read.reader import open_video
        from fastsam.video.stream import Stream

        ours = {spec.name for spec in fields(VideoConfig)}
        if not isinstance(config, VideoConfig | None):
            raise ConfigError(
                f"config: expected a VideoConfig, got {type(config).__name__}; options can be given by name"
            )
        known = sorted({*ours, *_READER_OPTIONS, *(spec.name for spec in fields(SegmentConfig))})
        if unknown := sorted(set(options) - set(known)):
            raise ConfigError(f"option {unknown[0]!r}: expected one of {', '.join(known)}")
        for_video = {name: options.pop(name) for name in list(options) if name in ours}
        for_reader = {name: options.pop(name) for name in list(options) if name in _READER_OPTIONS}
        video = _override(config or VideoConfig(), for_video)
        segment = _override(self.defaults, options)
        segment = replace(segment, conf=min(segment.conf, video.candidates))

        def opened(
            frame: Frame, prompted: bool, box: Sequence[float] | None, before: MaskSet | None
        ) -> Session:
            # Tracking ranks nothing by score, so only frames with prompts pay for good scores.
            config = segment if prompted else replace(segment, quality=False)
            look = getattr(self.segmenter, "segment_part", None)
            if box is None or look is None:
                return self._session(frame, config, 0.0)
            part = partial(look, box_xyxy=box, before=None if before is None else before.pyramid)
            return self._session(frame, config, 0.0, part)

        return Stream(opened, open_video(source, **for_reader), video, self.segmenter)

    def _session(
        self,
        frame: Frame,
        config: SegmentConfig,
        read_ms: float,
        look: Callable[[Frame, SegmentConfig], MaskSet] | None = None,
    ) -> Session:
        segmenter = TiledSegmenter(self.segmenter, self.on_tile)
        masks = segmenter.segment(frame, config) if look is None else look(frame, config)
        if config.duplicate_iou < 1:
            masks = drop_duplicates(masks, config.duplicate_iou)
        if config.containment < 1:
            masks = containment_nms(masks, config.containment)
        features = ImageFeatures(frame, masks, self._embedder)
        steps = segmenter.times_ms if look is None else self.segmenter.times_ms
        times = {"read": read_ms, **steps}
        return Session(frame, masks, config, times, features, look=partial(self._look, config=config))

    def reference(
        self,
        image: Any,
        region: Region,
        *,
        negatives: Any = (),
        mode: Mode = "all",
        threshold: float = 0.2,
        **options: Any,
    ) -> Reference:
        """Read an image and return a region of it as a prompt for others; see :meth:`Session.reference`.

        Args:
            image: what :meth:`open` takes.
            region: ``Box``, ``Points`` or ``MaskLike``.
            negatives: regions of the same image, or other references.
            mode: ``"all"`` or ``"best"``.
            threshold: least score of an answer.
            options: as in :meth:`open`.

        Raises:
            ImageError: the image cannot be read.
            PromptError: a region selects nothing there, or is wanted and unwanted at once.
            ConfigError: an option is unknown or outside its range.
        """
        session = self.open(image, **options)
        return session.reference(region, negatives=negatives, mode=mode, threshold=threshold)

    def resolve(self, prompt: Prompt, **options: Any) -> Prompt:
        """Return the prompt with every reference in it looked at, so that it holds vectors and no images.

        Raises:
            ImageError, PromptError, ConfigError: as :meth:`reference`.
        """
        return resolve(prompt, partial(self._look, config=_override(self.defaults, options)))

    def _look(self, example: Example, config: SegmentConfig) -> Sequence[Look]:
        """Look at an example once; what was seen is kept for as long as somebody holds the example."""
        known = self._looks.setdefault(example, {})
        if config not in known:
            session = self._session(read_frame(example.image), config, 0.0)
            known[config] = look_at(session.masks, session.features, example)
        return known[config]
