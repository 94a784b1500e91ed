"""ultralytics' ``FastSAM``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastsam import FastSAM as Core
from fastsam import Session
from fastsam.compat.calling import Call
from fastsam.compat.models import CalledModel
from fastsam.compat.sources import shown_path
from fastsam.compat.ultralytics.asking import Asked, prompted
from fastsam.compat.ultralytics.theirs import exported, their_model
from fastsam.compat.ultralytics.tracks import Tracks
from fastsam.errors import ConfigError
from fastsam.masks.letterbox import Letterbox

if TYPE_CHECKING:
    from fastsam.compat.results import MaskKind, Results

__all__ = ["FastSAM", "Rules"]

Rules = Literal["theirs", "ours"]
_CHANGE_NOTHING = ("persist",)  # where frames are not tracked


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

    _mask_kind: MaskKind = "uint8"
    _no_prompts = ""  # why a model takes none

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
        **keywords: Any,
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
            keywords: ``conf``, least confidence; ``iou``, NMS threshold; ``imgsz``, the network's input: a
                side, or (height, width); ``max_det``, most masks; ``device``, where the network runs;
                ``retina_masks``: False gives ``masks.data`` at the size of the network's input;
                ``vid_stride``: every how many frames of a video one is taken; ``save``, ``save_txt``,
                ``save_crop``, ``show``: also write each result into ``runs/segment/predict*`` as ultralytics
                does (of a video a picture a frame), or show it in a window; and ultralytics' others, where
                they do not change what is found. What is not given comes from ``overrides``.

        Raises:
            ImageError: an image cannot be read.
            ConfigError: a keyword is unknown, or an option outside its range.
            PromptError: a prompt has another form.
        """
        asked = Asked(bboxes, points, labels, texts)
        if self._no_prompts and (given := [k for k, v in asked._asdict().items() if v is not None]):
            raise ConfigError(f"FastSAM: {', '.join(given)}: {self._no_prompts}")
        found = self._results(source, self._read(keywords, _CHANGE_NOTHING), asked)
        return found if stream else list(found)

    predict = __call__

    def _results(self, source: Any, call: Call, asked: Asked) -> Iterator[Results]:
        ours = self.rules == "ours"
        for number, session in enumerate(self._sessions(source, call, plain=not ours)):
            result = self._result(session, number, call.retina_masks)
            yield call.keep(prompted(result, asked, ours=ours))

    def _result(self, session: Session, number: int, retina_masks: bool | None) -> Results:
        """Return everything that was found in an image."""
        from fastsam.compat.results import Results

        stride = getattr(self.model.segmenter, "stride", 32)
        letterbox = Letterbox.fit(session.frame.size_hw, session.config.imgsz, stride=stride)
        return Results(
            session,
            session.everything().masks if self.rules == "ours" else None,
            path=shown_path(session.frame, number),
            mask_hw=letterbox.net_hw if retina_masks is False else None,
            session_rows=np.arange(len(session.masks)),
        )

    def track(
        self, source: Any = None, stream: bool = False, persist: bool = False, **keywords: Any
    ) -> list[Results] | Iterator[Results]:
        """Return one result a frame, with ``boxes.id``: the numbers of this package's tracker, which stay.

        Args:
            source: a video, or frames as in a call.
            stream: yield the results one by one instead of a list.
            persist: go on with the objects of the last call.
            keywords: as in a call, ``conf`` being .1 by default, as in ultralytics. There is one tracker,
                whatever ``tracker`` says.

        Raises:
            ImageError, ConfigError: as in a call.
        """
        call = self._read({"conf": 0.1, **keywords}, ("tracker", *_CHANGE_NOTHING))
        if self._tracks is None or not persist:
            self._tracks = Tracks()
        found = self._tracked(source, call, self._tracks)
        return found if stream else list(found)

    def _tracked(self, source: Any, call: Call, tracks: Tracks) -> Iterator[Results]:
        for number, session in enumerate(self._sessions(source, call, plain=self.rules == "theirs")):
            path = shown_path(session.frame, number)
            yield call.keep(tracks.step(session, path, self._mask_kind))

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
