"""Prompts from text and JSON, as the command line and files give them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from fastsam.errors import PromptError
from fastsam.masks.coordinates import as_floats
from fastsam.prompts.reference_spec import Example, Reference
from fastsam.prompts.spec import Box, MaskLike, Points, Position, Prompt, Text, all_of, any_of, but_not

__all__ = ["parse_box", "parse_point", "prompt_from_json"]


def parse_point(text: str) -> tuple[float, float, int]:
    """Parse ``"x,y"`` or ``"x,y,label"``.

    >>> parse_point("10,20,0")
    (10.0, 20.0, 0)
    """
    parts = text.split(",")
    try:
        values = [float(part) for part in parts]
        if len(values) not in (2, 3) or (len(values) == 3 and values[2] not in (0.0, 1.0)):
            raise ValueError
    except ValueError as error:
        raise PromptError(
            f"point {text!r}: expected x,y or x,y,label with label 1 (foreground) or 0 (background), "
            "such as 120,80,1"
        ) from error
    return values[0], values[1], int(values[2]) if len(values) == 3 else 1


def parse_box(text: str) -> tuple[float, ...]:
    """Parse ``"x1,y1,x2,y2"``.

    >>> parse_box("1,2,30,40")
    (1.0, 2.0, 30.0, 40.0)
    """
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise PromptError(f"box {text!r}: expected x1,y1,x2,y2, such as 10,20,200,180") from error
    if len(values) != 4:
        raise PromptError(f"box {text!r}: expected the four numbers x1,y1,x2,y2, got {len(values)}")
    return Box(values).xyxy[0]


def prompt_from_json(text: str) -> Prompt:
    """Parse one prompt from JSON.

    Forms: ``{"box": [x1, y1, x2, y2]}``, ``{"points": [[x, y]], "labels": [1], "level": "part"}``,
    ``{"points": [[x, y]], "previous": {"rle": {...}}}``,
    ``{"polygon": [[x, y], ...]}``, ``{"rle": {...}}``, ``{"scribble": [[x, y], ...], "width_px": 3}``,
    ``{"text": "a dog", "threshold": 0.4, "negatives": ["a wolf"]}``,
    ``{"reference": {"image": "ref.jpg", "box": [...]}, "negatives": [{"points": [[x, y]]}], "mode": "best"}``
    (a list of such objects as several shots; negatives without an image are of the first shot's),
    ``{"position": "leftmost", "of": {"text": "a dog"}, "count": 2}``,
    ``{"any_of": [...]}``, ``{"all_of": [...]}``, ``{"but_not": [wanted, unwanted]}``.
    Other keys are the keyword arguments of the prompt.

    >>> prompt_from_json('{"box": [0, 0, 5, 5], "iou_threshold": 0.5}')
    Box(xyxy=((0.0, 0.0, 5.0, 5.0),), iou_threshold=0.5)
    """
    try:
        return _from_data(json.loads(text))
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError) as error:
        raise PromptError(f"prompt: expected JSON ({error}), got {str(text)[:80]!r}") from error
    except RecursionError as error:
        raise PromptError(f"prompt: nested too deeply, got {str(text)[:80]!r}...") from error


def _from_data(data: Any) -> Prompt:
    """Make a prompt of parsed JSON."""
    if not isinstance(data, dict):
        raise PromptError(f"prompt: expected a JSON object such as {{'box': [0, 0, 5, 5]}}, got {data!r}")
    for key, combine in (("any_of", any_of), ("all_of", all_of), ("but_not", but_not)):
        if key in data:
            members = data[key]
            if not isinstance(members, list) or len(data) != 1:
                raise PromptError(f"prompt {key}: expected only a list of prompts, got {str(data)[:80]}")
            if key == "but_not" and len(members) != 2:
                raise PromptError(f"prompt but_not: expected [wanted, unwanted], got {len(members)} prompts")
            return combine(*[_from_data(member) for member in members])
    kinds = [key for key in _JSON_FORMS if key in data]
    if len(kinds) != 1:
        raise PromptError(
            f"prompt: expected exactly one of {sorted(_JSON_FORMS)} or a combination, got keys {sorted(data)}"
        )
    maker, names = _JSON_FORMS[kinds[0]]
    options = {key: value for key, value in data.items() if key != kinds[0]}
    unknown = sorted(set(options) - set(names))
    if unknown:
        raise PromptError(
            f"prompt {kinds[0]}: unknown option {unknown[0]!r}, expected one of {sorted(names)}"
        )
    made: Prompt = maker(data[kinds[0]], **options)
    return made


def _polygon(points: Any, **options: Any) -> MaskLike:
    """Return a mask prompt of JSON's polygon; RLE does not pass for one."""
    return MaskLike(as_floats(points, "polygon", "(x, y) points, shape (K, 2)"), **options)


def _rle(rle: Any, **options: Any) -> MaskLike:
    """Return a mask prompt of JSON's RLE; a polygon does not pass for one."""
    if not isinstance(rle, Mapping):
        raise PromptError(f"rle: expected a mapping with 'size' and 'counts', got {str(rle)[:80]}")
    return MaskLike(rle, **options)


def _points(points: Any, previous: Any = None, **options: Any) -> Points:
    """Return a point prompt of JSON, whose ``previous`` is a mask prompt as JSON."""
    if previous is None:
        return Points(points, **options)
    before = _from_data(previous)
    if not isinstance(before, MaskLike):
        raise PromptError(f"previous: expected a mask such as {{'rle': {{...}}}}, got {str(previous)[:80]}")
    return Points(points, previous=before, **options)


def _reference(shots: Any, negatives: Any = (), **options: Any) -> Reference:
    """Return a reference of JSON: ``{"image": ..., REGION}``, or a list of such objects."""
    given = shots if isinstance(shots, list) else [shots]
    against = negatives if isinstance(negatives, (list, tuple)) else [negatives]
    if not given:
        raise PromptError("prompt reference: expected at least one object with an image and a region")
    examples = [_example(shot, None) for shot in given]
    first = examples[0].image
    return Reference.made(examples, [_example(one, first) for one in against], **options)


def _example(data: Any, image: Any) -> Example:
    """Return an example of JSON; ``image`` is what it is of where it does not say."""
    if not isinstance(data, dict) or not isinstance(data.get("image", image), str):
        raise PromptError(
            "prompt reference: expected {'image': 'ref.jpg', 'box': [x1, y1, x2, y2]} or with points, "
            f"polygon, rle or scribble, got {str(data)[:80]}"
        )
    region = _from_data({key: value for key, value in data.items() if key != "image"})
    return Example(data.get("image", image), region)  # type: ignore[arg-type]  # what it is, Example checks


def _position(where: Any, of: Any = None, **options: Any) -> Position:
    """Return a position prompt of JSON, whose ``of`` is a prompt as JSON."""
    return Position(where, None if of is None else _from_data(of), **options)


# JSON's keys -> what makes the prompt, and the options that may stand beside it.
_JSON_FORMS: dict[str, tuple[Callable[..., Prompt], tuple[str, ...]]] = {
    "box": (Box, ("iou_threshold",)),
    "points": (_points, ("labels", "multimask", "level", "previous")),
    "polygon": (_polygon, ("threshold", "group")),
    "rle": (_rle, ("threshold", "group")),
    "scribble": (MaskLike.scribble, ("width_px", "threshold", "group")),
    "text": (Text, ("threshold", "negatives", "templates", "crops")),
    "reference": (_reference, ("negatives", "mode", "threshold")),
    "position": (_position, ("of", "count")),
}
