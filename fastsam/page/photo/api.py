"""The page for programs: /everything, /point, /box and /text, as ``gradio_client`` calls them.

``/everything`` opens a photo, the others are about the photo that the same client opened last.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from fastsam.errors import FastSAMError, PromptError
from fastsam.page.photo.state import Visit
from fastsam.page.photo.steps import read_photo
from fastsam.page.shared.sessions import SharedModel, Visitor
from fastsam.prompts import Box, Points, Prompt, Text
from fastsam.result import Result

__all__ = ["connect_api", "facts_of"]


def facts_of(result: Result) -> dict[str, Any]:
    """Return an answer as JSON can hold it: the masks as COCO's compressed RLE, in order."""
    height, width = result.frame.size_hw
    labels = result.labels
    masks = []
    for i in range(len(result)):
        rle = result.masks.rle(i)
        masks.append(
            {
                "row": int(result.indices[i]),
                "score": round(float(result.scores[i]), 4),
                "group": int(result.groups[i]),
                "level": result.levels[i],
                "label": labels[i] if labels else "",
                "box_xyxy": [round(float(edge), 1) for edge in result.boxes_xyxy[i]],
                "area_px": int(result.masks.areas_px[i]),
                "segmentation": dict(rle),
            }
        )
    return {"width": width, "height": height, "masks": masks, "reason": result.reason}


def connect_api(
    gr: Any,
    shared: SharedModel,
    visitor: Any,
    segment: Mapping[str, Any],
    network: Mapping[str, Any],
) -> None:
    """Add the endpoints to the page that is being built.

    Args:
        gr: the gradio module.
        shared: the model.
        visitor: the state with the visitor.
        segment: the page's control of each field of SegmentConfig.
        network: how events queue that run a network.
    """

    def told(function: Callable[[], Any]) -> Any:
        try:
            return function()
        except FastSAMError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def answer(who: Visitor, prompt: Callable[[], Prompt]) -> Any:
        return told(lambda: facts_of(who.visit.opened.select(prompt())))

    def everything(who: Visitor, photo: bytes | None, *values: Any) -> Any:
        """Open a photo and find everything in it; what follows /point, /box and /text is about this photo."""

        def opened() -> Any:
            if photo is None:
                raise PromptError("photo: expected an image file, got nothing")
            options = {name: value for name, value in zip(segment, values, strict=True) if value is not None}
            session = shared.open(read_photo(photo, "photo"), options)
            who.act(lambda before: Visit(session=session, look=before.look))
            return facts_of(session.everything())

        return who, told(opened)

    def point(who: Visitor, points: Any, labels: Any = None, multimask: bool = False) -> Any:
        """Select what clicks mean: points [[x, y], ...] of one object, labels 1 (wanted) or 0 (not)."""
        return answer(who, lambda: Points(points, labels or None, bool(multimask)))

    def box(who: Visitor, boxes: Any) -> Any:
        """Select the mask that fits each box [x1, y1, x2, y2] best."""
        return answer(who, lambda: Box(boxes))

    def text(who: Visitor, texts: Any, threshold: float = Text.threshold) -> Any:
        """Select all masks that show a text, or one of several."""

        def prompt() -> Prompt:
            return Text(texts, threshold)

        return answer(who, prompt)

    everything.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # the names clients see
        [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            for name in ("who", "photo", *segment)
        ]
    )
    hidden = {"visible": False}
    photo = gr.File(label="photo", type="binary", **hidden)
    facts = gr.JSON(label="answer", **hidden)
    points, labels = gr.JSON(label="points", **hidden), gr.JSON(label="labels", value=None, **hidden)
    multimask = gr.Checkbox(label="multimask", value=False, **hidden)
    boxes, texts = gr.JSON(label="boxes", **hidden), gr.JSON(label="texts", **hidden)
    threshold = gr.Number(label="threshold", value=Text.threshold, **hidden)
    quick = {"concurrency_id": "quick", "concurrency_limit": 2}
    for function, inputs, outputs, how in (
        (everything, [photo, *segment.values()], [visitor, facts], network),
        (point, [points, labels, multimask], [facts], quick),
        (box, [boxes], [facts], quick),
        (text, [texts, threshold], [facts], network),
    ):
        gr.Button(**hidden).click(
            function, [visitor, *inputs], outputs, api_name=function.__name__, show_progress="hidden", **how
        )
