"""The photo tab for programs: /everything, /point, /box and /text, as ``gradio_client`` calls them.

``/everything`` opens a photo, the others are about the photo that the same client opened last.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from fastsam.errors import PromptError
from fastsam.export.records import mask_record
from fastsam.page.photo.state import PhotoState
from fastsam.page.photo.uploads import read_photo
from fastsam.page.shared.model import SharedModel
from fastsam.page.shared.queues import NETWORK, QUICK
from fastsam.page.shared.refusals import as_api_error
from fastsam.page.shared.sessions import PageSession
from fastsam.prompts import Box, Points, Prompt, Text
from fastsam.result import Result

__all__ = ["PhotoApi", "connect_api", "facts_of"]


def facts_of(result: Result) -> dict[str, Any]:
    """Return an answer as JSON can hold it: the masks as COCO's compressed RLE, in order."""
    height, width = result.frame.size_hw
    masks = [mask_record(result, i) for i in range(len(result))]
    return {"width": width, "height": height, "masks": masks, "reason": result.reason}


class PhotoApi:
    """The endpoints.

    Args:
        shared: the model.
        options: names of the fields of SegmentConfig that /everything takes, in order.
    """

    def __init__(self, shared: SharedModel, options: tuple[str, ...]) -> None:
        self.shared = shared
        self.options = options

    def everything(self, who: PageSession, photo: bytes | None, *values: Any) -> Any:
        """Open a photo and find everything in it; /point, /box and /text are then about this photo."""
        with as_api_error(gr):
            if photo is None:
                raise PromptError("photo: expected an image file, got nothing")
            given = {
                name: value for name, value in zip(self.options, values, strict=True) if value is not None
            }
            session = self.shared.open(read_photo(photo, "photo"), given)
            who.act(lambda before: PhotoState(session=session, render=before.render))
            return who, facts_of(session.everything())

    def point(self, who: PageSession, points: Any, labels: Any = None, multimask: bool = False) -> Any:
        """Select what clicks mean: points [[x, y], ...] of one object, labels 1 (wanted) or 0 (not)."""
        return self._answer(who, lambda: Points(points, labels or None, bool(multimask)))

    def box(self, who: PageSession, boxes: Any) -> Any:
        """Select the mask that fits each box [x1, y1, x2, y2] best."""
        return self._answer(who, lambda: Box(boxes))

    def text(self, who: PageSession, texts: Any, threshold: float = Text.threshold) -> Any:
        """Select all masks that show a text, or one of several."""
        return self._answer(who, lambda: Text(texts, threshold))

    def _answer(self, who: PageSession, prompt: Callable[[], Prompt]) -> dict[str, Any]:
        with as_api_error(gr):
            return facts_of(who.state.opened.select(prompt()))


def connect_api(shared: SharedModel, visitor: gr.State, segment: Mapping[str, Any]) -> None:
    """Add the endpoints to the page that is being built.

    Args:
        shared: the model.
        visitor: the state with the visitor.
        segment: the page's control of each field of SegmentConfig.
    """
    api = PhotoApi(shared, tuple(segment))

    def everything(who: PageSession, photo: bytes | None, *values: Any) -> Any:
        return api.everything(who, photo, *values)

    everything.__doc__ = PhotoApi.everything.__doc__
    everything.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # the names clients see
        [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            for name in ("who", "photo", *segment)
        ]
    )
    hidden: dict[str, Any] = {"visible": False}
    photo = gr.File(label="photo", type="binary", **hidden)
    facts = gr.JSON(label="answer", **hidden)
    points, labels = gr.JSON(label="points", **hidden), gr.JSON(label="labels", value=None, **hidden)
    multimask = gr.Checkbox(label="multimask", value=False, **hidden)
    boxes, texts = gr.JSON(label="boxes", **hidden), gr.JSON(label="texts", **hidden)
    threshold = gr.Number(label="threshold", value=Text.threshold, **hidden)
    for name, function, inputs, outputs, queue in (
        ("everything", everything, [photo, *segment.values()], [visitor, facts], NETWORK),
        ("point", api.point, [points, labels, multimask], [facts], QUICK),
        ("box", api.box, [boxes], [facts], QUICK),
        ("text", api.text, [texts, threshold], [facts], NETWORK),
    ):
        gr.Button(**hidden).click(
            function, [visitor, *inputs], outputs, api_name=name, show_progress="hidden", **queue
        )
