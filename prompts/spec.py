"""What a caller can ask for: frozen prompt objects, checked when made.

Coordinates are image pixels, ``(x, y)`` and xyxy. What depends on the image (inside it or not) is
checked when the prompt meets its masks.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from fastsam.errors import PromptError
from fastsam.prompts.reference_spec import Reference
from fastsam.prompts.regions import Box, ClickLevel, MaskLike, ObjectPoints, Points, as_share

__all__ = [
    "AllOf",
    "AnyOf",
    "Box",
    "ButNot",
    "ClickLevel",
    "MaskLike",
    "ObjectPoints",
    "Points",
    "Position",
    "Prompt",
    "Reference",
    "Text",
    "all_of",
    "any_of",
    "as_share",
    "asks",
    "but_not",
]


CropStyle = Literal["masked", "blurred", "context"]


@dataclass(frozen=True, init=False)
class Text:
    """A phrase or several; each is answered by all masks that show it.

    Args:
        texts: what to look for, such as ``"a red car"``; a list asks several at once, each as if alone.
        threshold: least score of an answer: the probability that the mask shows the text, in competition with
            ``negatives`` and with a vocabulary of anything else, times the mask's own score.
        negatives: what it must not be taken for.
        templates: average each text over sentences such as ``"a photo of {}."``.
        crops: how a mask is shown to the encoder: ``"masked"`` (grey around it), ``"blurred"`` (its
            surroundings blurred) or ``"context"`` (a larger window, nothing hidden).

    Raises:
        PromptError: no text, an empty one, one that is also a negative, or an unknown kind of crop.

    >>> Text("a dog").texts
    ('a dog',)
    """

    texts: tuple[str, ...]
    threshold: float = 0.3
    negatives: tuple[str, ...] = ()
    templates: bool = True
    crops: CropStyle = "masked"

    def __init__(
        self,
        texts: Any,
        threshold: float = 0.3,
        negatives: Any = (),
        templates: bool = True,
        crops: CropStyle = "masked",
    ) -> None:
        wanted, unwanted = _phrases(texts, "text"), _phrases(negatives, "negatives")
        if not wanted:
            raise PromptError("text: expected at least one text, such as 'a dog'")
        both = {text.casefold() for text in wanted} & {text.casefold() for text in unwanted}
        if both:
            raise PromptError(
                f"negatives: {min(both)!r} is a text and a negative at once; leave it out of one"
            )
        if not isinstance(templates, (bool, np.bool_)):
            raise PromptError(f"templates: expected True or False, got {templates!r}")
        if crops not in get_args(CropStyle):
            raise PromptError(f"crops: expected one of {', '.join(get_args(CropStyle))}, got {crops!r}")
        object.__setattr__(self, "texts", wanted)
        object.__setattr__(self, "threshold", as_share(threshold, "threshold"))
        object.__setattr__(self, "negatives", unwanted)
        object.__setattr__(self, "templates", bool(templates))
        object.__setattr__(self, "crops", crops)


Where = Literal["leftmost", "rightmost", "topmost", "bottommost", "largest", "smallest", "centre"]


@dataclass(frozen=True)
class Position:
    """The masks at one end of an order: the leftmost, the two largest, the most central of the dogs.

    Args:
        where: ``"leftmost"``, ``"rightmost"``, ``"topmost"``, ``"bottommost"`` and ``"centre"`` go by the
            middle of a mask's box, ``"largest"`` and ``"smallest"`` by its pixels.
        of: choose among what this prompt selects; among all masks by default.
        count: how many.

    Raises:
        PromptError: unknown ``where``, ``of`` is no prompt, or ``count`` is not a whole number above 0.

    >>> Position("leftmost", of=Text("a dog")).count
    1
    """

    where: Where
    of: Prompt | None = None
    count: int = 1

    def __post_init__(self) -> None:
        """Check the order, the prompt and the count."""
        if self.where not in get_args(Where):
            raise PromptError(f"position: expected one of {', '.join(get_args(Where))}, got {self.where!r}")
        if self.of is not None:
            _members((self.of,), "position of")
        object.__setattr__(self, "count", _count(self.count))


@dataclass(frozen=True)
class AnyOf:
    """What any of the prompts selects."""

    prompts: tuple[Prompt, ...]

    def __post_init__(self) -> None:
        """Check that these are prompts."""
        object.__setattr__(self, "prompts", _members(self.prompts, "any_of"))


@dataclass(frozen=True)
class AllOf:
    """What satisfies all of the prompts."""

    prompts: tuple[Prompt, ...]

    def __post_init__(self) -> None:
        """Check that these are prompts."""
        object.__setattr__(self, "prompts", _members(self.prompts, "all_of"))


@dataclass(frozen=True)
class ButNot:
    """What ``prompt`` selects once the masks that ``unwanted`` selects are out of the race."""

    prompt: Prompt
    unwanted: Prompt

    def __post_init__(self) -> None:
        """Check that these are prompts."""
        _members((self.prompt, self.unwanted), "but_not")


Prompt = Box | Points | MaskLike | Text | Reference | Position | AnyOf | AllOf | ButNot


def asks(prompt: Prompt | None, kind: type) -> bool:
    """Tell whether a prompt is of a kind or is made of one.

    >>> asks(Position("leftmost", of=Text("a dog")), Text)
    True
    """
    if isinstance(prompt, (AnyOf, AllOf)):
        return any(asks(member, kind) for member in prompt.prompts)
    if isinstance(prompt, ButNot):
        return asks(prompt.prompt, kind) or asks(prompt.unwanted, kind)
    return asks(prompt.of, kind) if isinstance(prompt, Position) else isinstance(prompt, kind)


def any_of(*prompts: Prompt) -> AnyOf:
    """Return a prompt that selects what any of the given ones selects."""
    return AnyOf(prompts)


def all_of(*prompts: Prompt) -> AllOf:
    """Return a prompt that selects what satisfies all of the given ones."""
    return AllOf(prompts)


def but_not(prompt: Prompt, unwanted: Prompt) -> ButNot:
    """Return a prompt that selects what ``prompt`` does, without what ``unwanted`` selects."""
    return ButNot(prompt, unwanted)


def _phrases(texts: Any, what: str) -> tuple[str, ...]:
    """Return one text or several, each without spaces around it."""
    given = [texts] if isinstance(texts, str) else texts
    if not isinstance(given, (list, tuple)):
        raise PromptError(f"{what}: expected a text or a list of texts, got {texts!r}")
    for text in given:
        if not isinstance(text, str) or not text.strip():
            raise PromptError(f"{what}: expected words, such as 'a dog', got {text!r}")
    return tuple(" ".join(text.split()) for text in given)


def _members(prompts: Any, what: str) -> tuple[Prompt, ...]:
    """Check that there are prompts, and that they are prompts."""
    if not isinstance(prompts, (list, tuple)):
        raise PromptError(f"{what}: expected a tuple of prompts, got {type(prompts).__name__}")
    if not prompts:
        raise PromptError(f"{what}: expected at least one prompt")
    for prompt in prompts:
        if not isinstance(prompt, Prompt):
            raise PromptError(
                f"{what}: expected prompts such as Box(...) or Points(...), got {type(prompt).__name__}"
            )
    return tuple(prompts)


def _count(value: Any) -> int:
    """Return a number of masks, checked."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise PromptError(f"count: expected a whole number above 0, got {value!r}")
    return int(value)
