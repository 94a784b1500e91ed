"""ultralytics' ``FastSAM``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastsam import FastSAM as Core
from fastsam.compat.models import CalledModel
from fastsam.compat.sources import shown_path
from fastsam.compat.ultralytics.asking import Asked, prompted
from fastsam.compat.ultralytics.calls import CallOptions, given_back, options_of
from fastsam.compat.ultralytics.keeping import Keeper
from fastsam.compat.ultralytics.theirs import exported, their_model
from fastsam.compat.ultralytics.tracks import Tracks
from fastsam.errors import ConfigError
from fastsam.masks.letterbox import Letterbox

if TYPE_CHECKING:
    from typing import Unpack

    from fastsam.compat.results import Results

__all__ = ["FastSAM", "Rules"]

Rules = Literal["theirs", "ours"]


class FastSAM(CalledModel):
    """ultralytics' ``FastSAM``: ``model(source, bboxes=..., points=..., texts=...)`` returns ``Results``.

    Results are ultralytics' own class, with equal masks for equal weights. Arrays are BGR, as there.

    Args:
        model: a checkpoint's path, a name of the weights table, None for the embedded default, or a
            :class:`fastsam.FastSAM`.
        text_model: what answers ``texts``, as in :class:`fastsam.FastSAM`.
        rules: whose prompts: ``"theirs"`` (:mod:`fastsam.compat.ultralytics.rules`), with the network's own
            masks and confidences and, for weights that are named, ultralytics' defaults (``conf`` .25,
            ``iou`` .7, ``imgsz`` 640); ``"ours"``: refined masks, scored by quality, chosen as
            :class:`fastsam.Box`, :class:`fastsam.Points` and :class:`fastsam.Text` choose, with the
            weights' own defaults.

    Differences from ultralytics': without ``retina_masks=False`` masks have the size of the image; there is
    one class, whatever the checkpoint has; texts are answered by the text-image model of this package; a
    file that cannot be read is an error.

    Raises:
        WeightsError: the weights cannot be had or used.
        ConfigError: unknown ``rules``.
    """

    def __init__(
        self,
        model: str | Path | Core | None = None,
        *,
        text_model: Any = None,
        rules: Rules = "theirs",
    ) -> None:
        if rules not in ("theirs", "ours"):
            raise ConfigError(f"rules: expected 'theirs' or 'ours', got {rules!r}")
        super().__init__(model, text_model, bgr=True)
        self.rules: Rules = rules
        self._tracks: Tracks | None = None

    def __call__(
        self,
        source: Any = None,
        stream: bool = False,
        bboxes: Any = None,
        points: Any = None,
        labels: Any = None,
        texts: Any = None,
        **options: Unpack[CallOptions],
    ) -> list[Results] | Iterator[Results]:
        """Return one result an image; with prompts, the masks that they choose.

        Args:
            source: a path, folder, pattern, video, camera number, PIL image, BGR array, tensor (3, H, W) or
                (B, 3, H, W) in RGB and 0..1, or a list of these.
            stream: yield the results one by one instead of a list.
            bboxes: xyxy boxes, (4,) or (n, 4), image pixels.
            points: (2,) or (n, 2), image pixels.
            labels: 1 foreground, 0 background, for each point.
            texts: a phrase or several.
            options: ``conf``, ``iou``, ``imgsz``, ``max_det``, ``device``, ``retina_masks``, ``save``,
                ``show`` (:class:`fastsam.compat.ultralytics.calls.CallOptions`), and ultralytics' other
                keywords, where they do not change what is found.

        Raises:
            ImageError: an image cannot be read.
            ConfigError: a keyword is unknown, or an option outside its range.
            PromptError: a prompt has another form.
        """
        segment, keep = options_of("FastSAM", options, ("bboxes", "points", "labels", "texts"))
        self._move(options.get("device"))
        asked = Asked(bboxes, points, labels, texts)
        return given_back(self._results(source, segment, asked, options.get("retina_masks"), keep), stream)

    predict = __call__

    def _results(
        self, source: Any, options: dict[str, Any], asked: Asked, retina_masks: bool | None, keep: Keeper
    ) -> Iterator[Results]:
        from fastsam.compat.results import Results

        ours = self.rules == "ours"
        for number, session in enumerate(self._sessions(source, options, plain=not ours)):
            stride = getattr(self.model.segmenter, "stride", 32)
            letterbox = Letterbox.fit(session.frame.size_hw, session.config.imgsz, stride=stride)
            result = Results(
                session,
                session.everything().masks if ours else None,
                path=shown_path(session.frame, number),
                mask_hw=letterbox.net_hw if retina_masks is False else None,
                session_rows=np.arange(len(session.masks)),
            )
            yield keep(prompted(result, asked, ours=ours))

    def track(
        self,
        source: Any = None,
        stream: bool = False,
        persist: bool = False,
        *,
        tracker: Any = None,
        **options: Unpack[CallOptions],
    ) -> list[Results] | Iterator[Results]:
        """Return one result a frame, with ``boxes.id``: the numbers of this package's tracker, which stay.

        Args:
            source: a video, or frames as in a call.
            stream: yield the results one by one instead of a list.
            persist: go on with the objects of the last call.
            tracker: accepted for old code; there is one tracker.
            options: as in a call; ``conf`` is .1 by default, as in ultralytics.

        Raises:
            ImageError, ConfigError: as in a call.
        """
        segment, keep = options_of("FastSAM.track", options, ("persist", "tracker"))
        segment["conf"] = segment["conf"] or 0.1
        self._move(options.get("device"))
        if self._tracks is None or not persist:
            self._tracks = Tracks()
        return given_back(self._tracked(source, segment, self._tracks, keep), stream)

    def _tracked(
        self, source: Any, options: dict[str, Any], tracks: Tracks, keep: Keeper
    ) -> Iterator[Results]:
        for number, session in enumerate(self._sessions(source, options, plain=self.rules == "theirs")):
            yield keep(tracks.step(session, shown_path(session.frame, number)))

    def val(self, **options: Any) -> Any:
        """Return ultralytics' own metrics of the checkpoint, by its validator."""
        with their_model(self.checkpoint) as model:
            return model.val(**options)

    def export(self, **options: Any) -> str:
        """Export the checkpoint with ultralytics' own code (``format="onnx"``, ...) and return the path.

        The file comes beside the checkpoint; into the current folder for the embedded weights. ``fastsam
        export-model`` writes networks that this package runs.
        """
        folder = self.checkpoint.parent if self._is_named() else Path.cwd()
        return exported(self.checkpoint, folder, options)

    def train(self, **_: Any) -> Any:
        """Refuse: training is :mod:`fastsam`'s own command.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "FastSAM.train: expected the command `fastsam train DATASET`; it trains the same networks"
        )
