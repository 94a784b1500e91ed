"""What people write for a prompt without making one: words, two numbers, a list, keywords."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import PromptError
from fastsam.prompts.base import AllOf, AnyOf, Prompt
from fastsam.prompts.drawn import is_number
from fastsam.prompts.spec import Box, Points, Text

__all__ = ["PromptLike", "SelectOptions", "as_prompt", "prompt_of"]

PromptLike = Prompt | str | Sequence[float] | Sequence[Prompt | str] | NDArray[Any]


class SelectOptions(TypedDict, total=False):
    """A prompt as keywords."""

    points: Any
    labels: Any
    boxes: Any
    text: str | Sequence[str]


def as_prompt(value: Any) -> Prompt:
    """Return what somebody means by a value, as a prompt.

    Args:
        value: a prompt; words, which mean a :class:`Text`; two numbers, which mean a click at ``(x, y)``;
            four numbers, which mean a box; a list of prompts and words, which means any of them.

    Raises:
        PromptError: it could mean several things, or nothing.

    >>> from fastsam.prompts import Point, Text
    >>> as_prompt("a dog") == Text("a dog"), as_prompt((30, 40)) == Point(30, 40)
    (True, True)
    """
    if isinstance(value, Prompt):
        return value
    if isinstance(value, str):
        return Text(value)
    items = value.tolist() if isinstance(value, np.ndarray) and value.ndim == 1 else value
    if isinstance(items, (list, tuple)) and items:
        if all(is_number(one) for one in items):
            if len(items) == 2:
                return Points(items)
            if len(items) == 4:
                return Box(items)
        elif all(isinstance(one, Prompt | str) for one in items):
            return AnyOf(tuple(as_prompt(one) for one in items))
    raise PromptError(
        "prompt: expected one such as Box(x1, y1, x2, y2), Points([(x, y), ...]), Text('a dog') or "
        "Mask.bitmap(array); words, (x, y), (x1, y1, x2, y2) and a list of prompts will do, "
        f"got {_shown(value)}"
    )


def _shown(value: Any) -> str:
    """Return a value for a message; of an array its shape."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return f"{type(value).__name__} {value!r}"[:80]


def prompt_of(
    prompt: Any = None, *, points: Any = None, labels: Any = None, boxes: Any = None, text: Any = None
) -> Prompt:
    """Return the prompt that is given as one value or as keywords.

    Args:
        prompt: as :func:`as_prompt` takes it.
        points: as :class:`Points` takes them.
        labels: of the points.
        boxes: as :class:`Box` takes them.
        text: as :class:`Text` takes it.

    Raises:
        PromptError: nothing is given, or a prompt and keywords, or labels without points.

    >>> prompt_of(points=[(3, 4)], labels=[1], boxes=(0, 0, 9, 9)) == Points([(3, 4)], [1]) & Box(0, 0, 9, 9)
    True
    """
    given = {"points": points, "boxes": boxes, "text": text}
    named = [name for name, value in given.items() if value is not None]
    if labels is not None and points is None:
        raise PromptError("labels: expected the points that they are of, as points=...")
    if prompt is not None:
        if named:
            raise PromptError(
                f"select: expected a prompt or {', '.join(named)}, got both; join prompts with &"
            )
        return as_prompt(prompt)
    if not named:
        return as_prompt(None)
    made: list[Prompt] = []
    if points is not None:
        made.append(Points(points, labels))
    if boxes is not None:
        made.append(Box(boxes))
    if text is not None:
        made.append(Text(text))
    return made[0] if len(made) == 1 else AllOf(tuple(made))
