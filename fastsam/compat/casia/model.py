"""CASIA's ``FastSAM``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastsam import FastSAM as Core
from fastsam import Session
from fastsam.compat.sources import shown_path
from fastsam.compat.ultralytics.fastsam import FastSAM as Theirs
from fastsam.prompts.text.encoder import Encoder

if TYPE_CHECKING:
    from fastsam.compat.results import Results

__all__ = ["FastSAM"]


class FastSAM(Theirs):
    """CASIA's ``FastSAM``: a model of ultralytics' that takes no prompts; ``FastSAMPrompt`` does.

    Results are ultralytics' own class (:class:`fastsam.compat.Results`), with float32 masks as in CASIA's.

    Args:
        model: a checkpoint's path, a name of the weights table, None for the embedded default, or a
            :class:`fastsam.FastSAM`.
        text_model: what answers ``text_prompt``, as in :class:`fastsam.FastSAM`.
        bgr: numpy images are BGR, as CASIA's ``model()`` takes them, and not RGB, as its ``FastSAMPrompt``
            does.

    Differences from CASIA's: numpy images are RGB in both, unless ``bgr``; masks are scored by quality,
    where the weights can tell, and have the size of the image, whatever ``retina_masks`` says; options that
    are not given come from the weights; an image without a mask gives a result of length 0 instead of
    ``None``; a file that cannot be read is an error.

    Raises:
        WeightsError: the weights cannot be had or used.
    """

    _mask_kind = "float32"
    _no_prompts = (
        "expected no prompts, as CASIA's FastSAM takes none; use fastsam.compat.ultralytics.FastSAM, or "
        "FastSAMPrompt on the results"
    )

    def __init__(
        self,
        model: str | Path | Core | None = None,
        *,
        text_model: str | Path | Encoder | None = None,
        bgr: bool = False,
    ) -> None:
        super().__init__(model, text_model=text_model, rules="ours")
        self._bgr = bgr

    def _result(self, session: Session, number: int, retina_masks: bool | None) -> Results:
        from fastsam.compat.results import Results

        path = shown_path(session.frame, number)
        return Results(session, path=path, mask_kind="float32", keep_empty=True)
