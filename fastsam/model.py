"""The facade: open an image once, ask as often as you like. The composition root of the package."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import WeakKeyDictionary

from fastsam.config import SegmentConfig, VideoConfig
from fastsam.errors import ConfigError
from fastsam.everything.backends.choose import open_network
from fastsam.everything.segmenter import Segmenter
from fastsam.everything.tiling import TiledSegmenter
from fastsam.images.frame import Frame
from fastsam.images.listing import open_frames
from fastsam.images.reading import read_frame
from fastsam.masks.maskset import MaskSet
from fastsam.masks.refine import containment_nms, drop_duplicates
from fastsam.prompts import Example, ImageFeatures, Look, Prompt, Reference
from fastsam.prompts.reference import look_at, resolve
from fastsam.prompts.reference_spec import Mode, Region
from fastsam.prompts.text.encoder import Encoder
from fastsam.prompts.text.matching import Embedder
from fastsam.prompts.text.models import open_text_model
from fastsam.weights.table import Progress

if TYPE_CHECKING:
    from fastsam.video.stream import Stream

from fastsam.config import check_names, override
from fastsam.session import Session

__all__ = ["FastSAM"]

_READER_OPTIONS = ("policy", "queue_size", "max_pixels", "reconnect_s", "start", "fps", "wanted")


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


@lru_cache(maxsize=2)
def _opened_here(recipe: _Recipe) -> FastSAM:
    """Return this process's model for the sessions that other processes sent."""
    return recipe.open()


@dataclass(frozen=True, eq=False)
class _Looker:
    """Looks at examples for a session; where the session came from another process, the first look opens
    the model.
    """

    model: FastSAM | _Recipe
    config: SegmentConfig

    def __call__(self, example: Example) -> Sequence[Look]:
        """Look at a region of another image."""
        model = _opened_here(self.model) if isinstance(self.model, _Recipe) else self.model
        return model._look(example, self.config)

    def __reduce__(self) -> Any:
        """Send the recipe of the model, not the model."""
        recipe = self.model if isinstance(self.model, _Recipe) else self.model._recipe
        return _Looker, (recipe, self.config)


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

    One model serves any number of threads at once. Pickled, it is what it was made from: its weights by name
    or path, and its options; whoever gets it loads them (docs/serving.md).

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
        self._recipe = _Recipe(type(self), _lasting(weights), backend, device, segmenter, text_model)
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

    def __reduce__(self) -> Any:
        """Send what the model was made from, without ``on_tile`` and ``progress``."""
        return self._recipe.open, ()

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        """Say what to call instead: old code calls models of the same name.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "FastSAM()(image): expected model.open(image), which gives a session to select from; code made "
            "for CASIA's FastSAM says `from fastsam.compat import FastSAM, FastSAMPrompt`, for ultralytics' "
            "`from fastsam.compat.ultralytics import FastSAM` (docs/moving-over.md)"
        )

    def segment_config(self, **options: Any) -> SegmentConfig:
        """Return the weights' own options of segmenting with some of them changed.

        Raises:
            ConfigError: an option is unknown or outside its range.
        """
        return override(self.defaults, options)

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
        config = override(self.defaults, options)
        start = time.perf_counter()
        frame = read_frame(source)
        return self._session(frame, config, 1e3 * (time.perf_counter() - start))

    def open_many(self, source: Any, **options: Any) -> Iterator[Session]:
        """Yield a session an image of a folder, glob, list or video file."""
        config = override(self.defaults, options)
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
        check_names(options, [*ours, *_READER_OPTIONS, *(spec.name for spec in fields(SegmentConfig))])
        for_video = {name: options.pop(name) for name in list(options) if name in ours}
        for_reader = {name: options.pop(name) for name in list(options) if name in _READER_OPTIONS}
        video = override(config or VideoConfig(), for_video)
        segment = override(self.defaults, options)
        # What fills a gap in one frame is gone in the next.
        segment = replace(segment, conf=min(video.conf, video.follow_conf), fill_conf=1.0, regions=0)

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
        return Session(frame, masks, config, times, features, look=_Looker(self, config))

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
        return resolve(prompt, partial(self._look, config=override(self.defaults, options)))

    def _look(self, example: Example, config: SegmentConfig) -> Sequence[Look]:
        """Look at an example once; what was seen is kept for as long as somebody holds the example."""
        known = self._looks.setdefault(example, {})
        if config not in known:
            session = self._session(read_frame(example.image), config, 0.0)
            known[config] = look_at(session.masks, session.features, example)
        return known[config]


def _lasting(weights: str | Path | None) -> str | Path | None:
    """Return weights so that they mean the same file in another folder; names stay as they are."""
    if weights is None or not os.path.exists(path := os.path.expanduser(weights)):
        return weights
    return os.path.abspath(path)
