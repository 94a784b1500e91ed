"""The facade: open an image once, ask as often as you like. The composition root of the package."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

import numpy as np

from fastsam.config import SegmentConfig, VideoConfig, check_names, override
from fastsam.errors import ConfigError
from fastsam.everything.backends.choose import open_network
from fastsam.everything.tiling import OnTile, TiledSegmenter
from fastsam.images.frame import Frame
from fastsam.images.listing import open_frames
from fastsam.images.reading import FrameSource, read_frame
from fastsam.masks.maskset import MaskSet
from fastsam.masks.refine import containment_nms, drop_duplicates
from fastsam.options import ReaderOptions, SegmentOptions, StreamOptions
from fastsam.prompts import Appearance, Example, ImageFeatures, Prompt, Reference
from fastsam.prompts.reference import describe_region, resolve
from fastsam.prompts.reference_spec import Mode, Region
from fastsam.prompts.text.encoder import Encoder
from fastsam.prompts.text.matching import Embedder
from fastsam.prompts.text.models import open_text_model
from fastsam.result import Result
from fastsam.segmenter import Part, Segmenter, as_segmenter
from fastsam.session import Session
from fastsam.weights.table import Progress

if TYPE_CHECKING:
    from typing import Unpack

    from fastsam.video.read.reader import VideoSource
    from fastsam.video.stream import Stream

__all__ = ["FastSAM"]

Channels = Literal["rgb", "bgr"]
# What the models of the same name of CASIA and ultralytics are called with, and this one is not.
_OTHERS_OPTIONS = {
    "device", "retina_masks", "bboxes", "points", "labels", "texts", "source", "save", "stream", "verbose",
}  # fmt: skip
_PHOTO_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic",
)  # fmt: skip


@dataclass(frozen=True)
class _Recipe:
    """What a model is made from: what is sent in place of a model."""

    kind: type[FastSAM]
    weights: str | Path | None
    backend: str
    device: str
    segmenter: Segmenter | None
    text_model: str | Path | Encoder | None

    def open(self) -> FastSAM:
        """Return a model like the one that was sent."""
        options = {spec.name: getattr(self, spec.name) for spec in fields(self) if spec.name != "kind"}
        return self.kind(**options)


_log = logging.getLogger(__name__)
_LARGER = 1.25  # of the size that weights were trained at: views were enlarged by about this


@lru_cache(maxsize=2)
def _opened_here(recipe: _Recipe) -> FastSAM:
    """Return this process's model for the sessions that other processes sent."""
    return recipe.open()


@dataclass(frozen=True, eq=False)
class _Describer:
    """Describes examples for a session; where the session came from another process, the first one opens
    the model.
    """

    model: FastSAM | _Recipe
    config: SegmentConfig

    def __call__(self, example: Example) -> Sequence[Appearance]:
        """Describe a region of another image."""
        model = _opened_here(self.model) if isinstance(self.model, _Recipe) else self.model
        return model._describe(example, self.config)

    def __reduce__(self) -> Any:
        """Send the recipe of the model, not the model."""
        recipe = self.model if isinstance(self.model, _Recipe) else self.model._recipe
        return _Describer, (recipe, self.config)


class FastSAM:
    """A two-stage segmenter: everything first, then selection by prompt.

    Attributes:
        segmenter: stage one.
        defaults: the options that go with the weights.
        location: the path and state of the weights and of the text model; equal for equal results.

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
        progress: called with (done, total) bytes during a download.

    One model serves any number of threads at once. Pickled, it is what it was made from: its weights by name
    or path, and its options; whoever gets it loads them (docs/serving.md).

    Raises:
        WeightsError: the weights cannot be had or used.
        MissingPackageError: the backend's package is not installed.
        ConfigError: no such backend or device.

    >>> model = FastSAM()                                           # doctest: +SKIP
    >>> model("photo.jpg").save("everything.png")                   # doctest: +SKIP
    >>> session = model.open("photo.jpg")                           # doctest: +SKIP
    >>> session.select("a dog").save("dogs.png")                    # doctest: +SKIP
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
        _check_no_photo(weights)
        self._recipe = _Recipe(type(self), _lasting(weights), backend, device, segmenter, text_model)
        self._descriptions: WeakKeyDictionary[Example, dict[SegmentConfig, Sequence[Appearance]]] = (
            WeakKeyDictionary()
        )
        # OpenVINO has device names that PyTorch, which answers texts, does not know.
        text_device = device if backend != "openvino" or device == "cpu" else "auto"
        self._embedder = open_text_model(text_model, device=text_device, progress=progress)
        named = f"|{self._embedder.location}"
        if segmenter is not None:
            as_segmenter(segmenter)  # says what is missing
            self.segmenter: Any = segmenter
            self.defaults = SegmentConfig()
            self._largest_px = 0
            self.location = type(segmenter).__name__ + named
            return
        opened = open_network(weights, backend=backend, device=device, progress=progress)
        self.segmenter, self.defaults = opened.segmenter, SegmentConfig(**opened.defaults)
        trained = opened.segmenter.carried.trained_imgsz
        self._largest_px = int(_LARGER * max(trained, self.defaults.imgsz)) if trained else 0
        self.location = opened.location + named

    def __repr__(self) -> str:
        """Return the weights and where they run."""
        weights = self._recipe.weights
        name = type(self.segmenter).__name__ if self._recipe.segmenter is not None else weights or "embedded"
        return f"FastSAM({str(name)!r}, device={self.device!r})"

    def __reduce__(self) -> Any:
        """Send what the model was made from, without ``progress``."""
        return self._recipe.open, ()

    def __call__(
        self,
        source: FrameSource,
        *,
        channels: Channels = "rgb",
        max_pixels: int | None = None,
        **options: Unpack[SegmentOptions],
    ) -> Result:
        """Return everything in an image: ``open(source, ...).everything()``.

        Args:
            source: as in :meth:`open`.
            channels: as in :meth:`open`.
            max_pixels: as in :meth:`open`.
            options: as in :meth:`open`.

        Raises:
            ImageError, ConfigError: as :meth:`open`; options of other packages' models of this name.
        """
        theirs = set(options) - {spec.name for spec in fields(SegmentConfig)}
        if theirs & _OTHERS_OPTIONS:
            raise ConfigError(
                f"FastSAM()(image, {min(theirs)}=...): code made for CASIA's FastSAM says "
                "`from fastsam.compat import FastSAM, FastSAMPrompt`, for ultralytics' "
                "`from fastsam.compat.ultralytics import FastSAM` (docs/moving-over.md)"
            )
        return self.open(source, channels=channels, max_pixels=max_pixels, **options).everything()

    @property
    def device(self) -> str:
        """Where the network runs, such as ``"cpu"`` or ``"cuda:0"``."""
        return self._stage_one.device

    @property
    def _stage_one(self) -> Segmenter:
        """The segmenter with all that segmenters have."""
        return as_segmenter(self.segmenter)

    def segment_config(self, **options: Unpack[SegmentOptions]) -> SegmentConfig:
        """Return the weights' own options of segmenting with some of them changed.

        Raises:
            ConfigError: an option is unknown or outside its range.
        """
        return override(self.defaults, dict(options))

    @property
    def embedder(self) -> Embedder:
        """What encodes texts and the pictures of masks."""
        return self._embedder

    @property
    def fingerprint(self) -> str:
        """Names the segmenter's network by its file's content; empty for a segmenter without weights."""
        return self._stage_one.fingerprint

    def open(
        self,
        source: FrameSource,
        *,
        channels: Channels = "rgb",
        max_pixels: int | None = None,
        on_tile: OnTile | None = None,
        **options: Unpack[SegmentOptions],
    ) -> Session:
        """Read one image and find all its masks.

        Args:
            source: path, bytes, file object, PIL image, RGB array or Frame.
            channels: the order of an array's channels: ``"rgb"``, or ``"bgr"`` as OpenCV reads them.
            max_pixels: refuse encoded images with more pixels than this, before they are decoded; None is
                the limit in force, see :func:`fastsam.images.reading.read_frame`.
            on_tile: called with (done, total) after each part of an image that is segmented in parts.
            options: fields of :class:`fastsam.config.SegmentConfig` (``conf``, ``iou``, ``imgsz``,
                ``edge_radius``, ...); the rest comes from the weights' defaults.

        Raises:
            ImageError: the image cannot be read.
            ConfigError: an option is unknown or outside its range, or ``channels`` of what is no array.
        """
        config = override(self.defaults, dict(options))
        start = time.perf_counter()
        frame = read_frame(in_rgb(source, channels), max_pixels=max_pixels)
        return self._session(frame, config, 1e3 * (time.perf_counter() - start), on_tile=on_tile)

    def open_many(
        self,
        source: FrameSource | Iterable[Any],
        *,
        max_pixels: int | None = None,
        **options: Unpack[SegmentOptions],
    ) -> Iterator[Session]:
        """Yield a session an image of a folder, glob, list or video file, and a page of a TIFF of several."""
        config = override(self.defaults, dict(options))
        start = time.perf_counter()
        for frame in open_frames(source, max_pixels=max_pixels):
            yield self._session(frame, config, 1e3 * (time.perf_counter() - start))
            start = time.perf_counter()

    def stream(
        self, source: VideoSource, *, config: VideoConfig | None = None, **options: Unpack[StreamOptions]
    ) -> Stream:
        """Open a moving source; iterate over it for ``(frame, masks)``, with ids that stay.

        Args:
            source: a video file, a folder or pattern of frames, a camera's number, an RTSP or HTTP address,
                or an iterable of RGB arrays.
            config: how masks are followed; its fields can also be given by name.
            options: fields of :class:`fastsam.config.VideoConfig` (``conf``, the minimum confidence of a
                new object, ``every``, ``target_fps``, ...), of
                :class:`fastsam.config.SegmentConfig` (``imgsz``, ...), and what
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
        reads = set(ReaderOptions.__annotations__)
        given: dict[str, Any] = dict(options)
        check_names(given, [*ours, *reads, *(spec.name for spec in fields(SegmentConfig))])
        for_video = {name: given.pop(name) for name in list(given) if name in ours}
        for_reader = {name: given.pop(name) for name in list(given) if name in reads}
        video = override(config or VideoConfig(), for_video)
        segment = override(self.defaults, given)
        # What fills a gap in one frame is gone in the next.
        segment = replace(segment, conf=min(video.conf, video.follow_conf), fill_conf=1.0, regions=0)

        def opened(
            frame: Frame, prompted: bool, box: Sequence[float] | None, before: MaskSet | None
        ) -> Session:
            # Tracking ranks nothing by score, so only frames with prompts pay for good scores.
            config = segment if prompted else replace(segment, quality=False)
            if box is None or not self._stage_one.takes_parts:
                return self._session(frame, config, 0.0)
            part = Part(tuple(box), None if before is None else before.pyramid)
            return self._session(frame, config, 0.0, part)

        return Stream(opened, open_video(source, **for_reader), video, self._stage_one)

    def _session(
        self,
        frame: Frame,
        config: SegmentConfig,
        read_ms: float,
        part: Part | None = None,
        on_tile: OnTile | None = None,
    ) -> Session:
        self._check_scale(config)
        segmentation = TiledSegmenter(self._stage_one, on_tile).segment(frame, config, part)
        masks = segmentation.masks
        if config.duplicate_iou < 1:
            masks = drop_duplicates(masks, config.duplicate_iou)
        if config.containment < 1:
            masks = containment_nms(masks, config.containment)
        features = ImageFeatures(frame, masks, self._embedder)
        times = {"read": read_ms, **segmentation.times_ms}
        return Session(frame, masks, config, times, features, describe=_Describer(self, config))

    def _check_scale(self, config: SegmentConfig) -> None:
        """Warn, once, where the network would see things larger than it has learnt to."""
        if 0 < self._largest_px < config.imgsz:
            _log.warning(
                "imgsz=%d is beyond what these weights were trained for: large things fall into pieces above "
                "%d px. For small things in large images use tile=%d",
                config.imgsz,
                self._largest_px,
                self.defaults.imgsz,
            )
            self._largest_px = 0

    def reference(
        self,
        image: FrameSource,
        region: Region,
        *,
        negatives: Any = (),
        mode: Mode = "all",
        threshold: float = 0.2,
        **options: Unpack[SegmentOptions],
    ) -> Reference:
        """Read an image and return a region of it as a prompt for others; see :meth:`Session.reference`.

        Args:
            image: what :meth:`open` takes.
            region: ``Box``, ``Points`` or ``Mask``.
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

    def resolve(self, prompt: Prompt, **options: Unpack[SegmentOptions]) -> Prompt:
        """Return the prompt with every reference in it described, so that it holds vectors and no images.

        Raises:
            ImageError, PromptError, ConfigError: as :meth:`reference`.
        """
        return resolve(prompt, partial(self._describe, config=override(self.defaults, dict(options))))

    def _describe(self, example: Example, config: SegmentConfig) -> Sequence[Appearance]:
        """Describe an example once; the description is kept as long as the example is referenced."""
        known = self._descriptions.setdefault(example, {})
        if config not in known:
            session = self._session(read_frame(example.image), config, 0.0)
            known[config] = describe_region(session.masks, session.features, example)
        return known[config]


def _lasting(weights: str | Path | None) -> str | Path | None:
    """Return weights so that they mean the same file in another folder; names stay as they are."""
    if weights is None or not os.path.exists(path := os.path.expanduser(weights)):
        return weights
    return os.path.abspath(path)


def _check_no_photo(weights: Any) -> None:
    """Raise where a photo is given in place of weights, as in other packages' constructors."""
    if isinstance(weights, (str, os.PathLike)) and Path(weights).suffix.lower() in _PHOTO_SUFFIXES:
        raise ConfigError(
            f"weights {os.fspath(weights)!r}: expected a checkpoint or a name such as "
            f"'FastSAM-s', got a photo; photos are opened: FastSAM().open({os.fspath(weights)!r})"
        )


def in_rgb(source: Any, channels: Channels) -> Any:
    """Return an array of OpenCV's with its channels in the order red, green, blue."""
    if channels == "rgb":
        return source
    if channels != "bgr":
        raise ConfigError(f"channels: expected 'rgb' or 'bgr', got {channels!r}")
    if not isinstance(source, np.ndarray):
        raise ConfigError(
            f"channels: expected an array beside channels='bgr', got {type(source).__name__}, whose channels "
            "are known; leave channels out"
        )
    if source.ndim != 3 or source.shape[2] not in (3, 4):
        return source  # grey, or what read_frame refuses
    return np.concatenate([source[..., 2::-1], source[..., 3:]], axis=2)
