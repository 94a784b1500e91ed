"""Prompts from text and JSON, as the command line and files give them, and to JSON."""

from __future__ import annotations

import json
from typing import Any

from fastsam.errors import PromptError, not_one_of
from fastsam.prompts.selection import KINDS
from fastsam.prompts.spec import Box, Prompt
from fastsam.untrusted import at_most, read_json, short

__all__ = ["parse_box", "parse_point", "prompt_from_json", "prompt_to_json"]


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
    if isinstance(text, (str, bytes)):
        at_most(len(text), "prompt_bytes", "bytes in a prompt", PromptError)
    try:
        return _from_data(read_json(text, "prompt", PromptError))
    except PromptError as error:
        if error.subject != "prompt":
            raise
        raise PromptError(f"{error.problem}, got {short(text)}", subject="prompt") from error


def prompt_to_json(prompt: Prompt) -> str:
    """Return a prompt as one line of JSON that :func:`prompt_from_json` reads; equal for equal prompts.

    Raises:
        PromptError: it holds an image in memory, or is no prompt.

    >>> prompt_to_json(Box(0, 0, 5, 5) - Box(1, 1, 2, 2))
    '{"but_not": [{"box": [0.0, 0.0, 5.0, 5.0], "iou_threshold": 0.1}, {"box": [1.0, 1.0, 2.0, 2.0], \
"iou_threshold": 0.1}]}'
    """
    return json.dumps(_to_data(prompt), sort_keys=True)


def _to_data(prompt: Prompt) -> dict[str, Any]:
    """Return a prompt as plain JSON types."""
    kind = KINDS.get(type(prompt))
    if kind is None:
        raise PromptError(f"prompt: expected one such as Box(...), got {type(prompt).__name__}")
    return kind.form.write(prompt, _to_data)


def _from_data(data: Any) -> Prompt:
    """Make a prompt of parsed JSON."""
    if not isinstance(data, dict):
        raise PromptError(
            f"prompt: expected a JSON object such as {{'box': [0, 0, 5, 5]}}, got {short(data)}"
        )
    forms = {key: kind.form for kind in KINDS.values() for key in kind.form.keys}
    found = [key for key in forms if key in data]
    combined = [key for key in found if not forms[key].keys[key]]  # what has no options is a combination
    found = combined[:1] or found
    if len(found) != 1:
        raise PromptError(
            f"prompt: expected exactly one of {sorted(forms)}, got keys {short(sorted(map(str, data)))}"
        )
    key, form = found[0], forms[found[0]]
    options = {name: value for name, value in data.items() if name != key}
    unknown = sorted(set(options) - set(form.keys[key]))
    if unknown and not combined:
        raise PromptError(not_one_of(unknown[0], sorted(form.keys[key]), f"prompt {key}: unknown option"))
    return form.read(key, data[key], options, _from_data)
