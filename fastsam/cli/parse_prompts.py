"""Values of flags -> prompts: ``--point``, ``--box``, ``--mask``, ``--reference``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fastsam.errors import PromptError
from fastsam.images.reading import read_mask
from fastsam.prompts import (
    Box,
    MaskLike,
    Points,
    Prompt,
    Reference,
    Text,
    parse_box,
    parse_point,
    prompt_from_json,
)
from fastsam.prompts.spec import ClickLevel

__all__ = ["at_frame", "prompts_by_frame", "reference_prompt", "region_prompts", "text_prompt"]


def region_prompts(
    points: Sequence[str] | None,
    boxes: Sequence[str] | None,
    masks: Sequence[str | Path] | None,
    *,
    multimask: bool = False,
    level: ClickLevel = "auto",
) -> list[Prompt]:
    """Return one prompt for all points, one for all boxes and one for each mask file.

    Raises:
        PromptError: a point or box cannot be read.
        ImageError: a mask cannot be read.

    >>> region_prompts(["3,4", "9,9,0"], ["1,2,30,40"], None)[1]
    Box(xyxy=((1.0, 2.0, 30.0, 40.0),), iou_threshold=0.1)
    """
    regions: list[Prompt] = []
    if points:
        parsed = [parse_point(text) for text in points]
        regions.append(Points([p[:2] for p in parsed], [p[2] for p in parsed], multimask, level))
    if boxes:
        regions.append(Box([parse_box(text) for text in boxes]))
    return regions + [MaskLike(read_mask(path)) for path in masks or ()]


def text_prompt(texts: Sequence[str], threshold: float | None) -> Text:
    """Return a text prompt; without a threshold, with the default one."""
    return Text(texts) if threshold is None else Text(texts, threshold)


def reference_prompt(
    image: str | Path,
    points: Sequence[str] | None,
    boxes: Sequence[str] | None,
    masks: Sequence[str | Path] | None,
    against: Sequence[str] | None = None,
    *,
    best: bool = False,
    threshold: float | None = None,
    flags: str = "--box, --point, --mask",
) -> Reference:
    """Return a region of another image as a prompt.

    Args:
        image: the image's path.
        points: of one object in it.
        boxes: in it.
        masks: mask files of its size.
        against: boxes of what must not be found.
        best: only the best mask.
        threshold: minimum score; the default one if not given.
        flags: the names of the region's flags, for messages.

    Raises:
        PromptError: there is no region, or more than one.
    """
    regions = region_prompts(points, boxes, masks)
    if len(regions) != 1:
        raise PromptError(f"--reference: expected one of {flags} that says where in it, got {len(regions)}")
    unwanted = region_prompts(None, against, None)
    reference = Reference(str(image), regions[0], negatives=unwanted, mode="best" if best else "all")  # type: ignore[arg-type]
    return reference if threshold is None else Reference.of(reference, threshold=threshold)


def at_frame(text: str) -> tuple[int | None, str]:
    """Split a value into the frame that it may begin with, and the rest.

    >>> at_frame("12:320,180"), at_frame("320,180")
    ((12, '320,180'), (None, '320,180'))
    """
    number, colon, rest = text.partition(":")
    return (int(number), rest) if colon and number.isascii() and number.isdigit() else (None, text)


def prompts_by_frame(
    points: Sequence[str] | None,
    boxes: Sequence[str] | None,
    masks: Sequence[str] | None,
    raw: Sequence[str] | None,
    at: int | None,
) -> list[tuple[int | None, Prompt]]:
    """Return prompts with the frame of each; None is the first.

    Args:
        points: all points of a frame describe one object.
        boxes: one object each.
        masks: files, one object each.
        raw: prompts as JSON.
        at: the frame of those that do not name one.

    Raises:
        PromptError: one of them cannot be read.
        ImageError: a mask cannot be read.
    """
    frames: dict[int | None, tuple[list[str], list[str], list[str], list[str]]] = {}
    for kind, values in enumerate((points, boxes, masks, raw)):
        for value in values or ():
            number, rest = at_frame(value)
            frames.setdefault(at if number is None else number, ([], [], [], []))[kind].append(rest)
    if at is not None and at not in frames:
        raise PromptError(f"--at {at}: expected a --point, --box, --mask or --prompt of that frame")
    by_frame: list[tuple[int | None, Prompt]] = []
    for frame, (clicks, drags, files, texts) in frames.items():
        by_frame += [(frame, prompt) for prompt in region_prompts(clicks, drags, files)]
        by_frame += [(frame, prompt_from_json(text)) for text in texts]
    return by_frame
