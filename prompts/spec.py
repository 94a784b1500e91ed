"""Prompts as values: what is wanted, checked when made. :mod:`fastsam.prompts.selection` answers them."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, overload

import numpy as np

from fastsam.errors import PromptError, check_one_of
from fastsam.prompts.base import AllOf, AnyOf, ButNot, Prompt, all_of, any_of, asks, but_not, prompts_in
from fastsam.prompts.drawn import as_share, is_number
from fastsam.prompts.reference_spec import Reference
from fastsam.prompts.regions import (
    Box,
    ClickLevel,
    Mask,
    MaskLike,
    ObjectPoints,
    Point,
    Points,
)
from fastsam.prompts.wording import name_and_phrase
from fastsam.untrusted import at_most, short

__all__ = [
    "AllOf",
    "AnyOf",
    "Box",
    "ButNot",
    "ClickLevel",
    "Mask",
    "MaskLike",
    "ObjectPoints",
    "Point",
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
    "class_names",
]


CropStyle = Literal["masked", "blurred", "context"]


@dataclass(frozen=True, init=False)
class Text(Prompt):
    """A phrase or several; each is answered by all masks that show it.

    Args:
        texts: what to look for, such as ``"a red car"``; several, or a list of them, are asked at once, each
            as if alone. ``"person=a person"`` looks for ``a person`` and calls what it finds ``person``, and
            so does the mapping ``{"person": "a person"}``; several texts may share a name.
        threshold: least score of an answer: the probability that the mask shows the text, in competition with
            ``negatives`` and with a vocabulary of anything else, times the mask's own score.
        negatives: what it must not be taken for.
        templates: average each text over sentences such as ``"a photo of {}."``.
        crops: how a mask is shown to the encoder: ``"masked"`` (grey around it), ``"blurred"`` (its
            surroundings blurred) or ``"context"`` (a larger window, nothing hidden).
        names: what each text's masks are called, as many as there are texts; by default, the texts say it.

    Raises:
        PromptError: no text, an empty one, one that is also a negative, or an unknown kind of crop.

    >>> Text("a dog", "a cat", threshold=0.2).texts
    ('a dog', 'a cat')
    """

    texts: tuple[str, ...]
    threshold: float = 0.3
    negatives: tuple[str, ...] = ()
    templates: bool = True
    crops: CropStyle = "masked"
    names: tuple[str, ...] = ()

    @overload
    def __init__(
        self,
        texts: str | Sequence[str] | Mapping[str, str],
        threshold: float = ...,
        *,
        negatives: str | Sequence[str] = ...,
        templates: bool = ...,
        crops: CropStyle = ...,
        names: Sequence[str] | None = ...,
    ) -> None: ...

    @overload
    def __init__(
        self,
        *texts: str,
        threshold: float = ...,
        negatives: str | Sequence[str] = ...,
        templates: bool = ...,
        crops: CropStyle = ...,
        names: Sequence[str] | None = ...,
    ) -> None: ...

    def __init__(
        self,
        *phrases: Any,
        texts: Any = None,
        threshold: Any = 0.3,
        negatives: Any = (),
        templates: bool = True,
        crops: CropStyle = "masked",
        names: Any = None,
    ) -> None:
        if len(phrases) == 2 and is_number(phrases[1]):
            given, threshold = phrases
            phrases = (given,)
        called, wanted = _named(_wanted(phrases, texts), names)
        unwanted = _phrases(negatives, "negatives")
        if not wanted:
            raise PromptError("text: expected at least one text, such as 'a dog'")
        both = {text.casefold() for text in wanted} & {text.casefold() for text in unwanted}
        if both:
            raise PromptError(
                f"negatives: {min(both)!r} is a text and a negative at once; leave it out of one"
            )
        if not isinstance(templates, (bool, np.bool_)):
            raise PromptError(f"templates: expected True or False, got {templates!r}")
        check_one_of(crops, get_args(CropStyle), "crops", PromptError)
        object.__setattr__(self, "texts", wanted)
        object.__setattr__(self, "threshold", as_share(threshold, "threshold"))
        object.__setattr__(self, "negatives", unwanted)
        object.__setattr__(self, "templates", bool(templates))
        object.__setattr__(self, "crops", crops)
        object.__setattr__(self, "names", called)

    @property
    def is_persistent(self) -> bool:
        """Whether it selects what comes into sight later: always."""
        return True


Where = Literal["leftmost", "rightmost", "topmost", "bottommost", "largest", "smallest", "centre", "center"]


@dataclass(frozen=True)
class Position(Prompt):
    """The masks at one end of an order: the leftmost, the two largest, the most central of the dogs.

    Args:
        where: ``"leftmost"``, ``"rightmost"``, ``"topmost"``, ``"bottommost"`` and ``"centre"`` (or
            ``"center"``) go by the middle of a mask's box, ``"largest"`` and ``"smallest"`` by its pixels.
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
        check_one_of(self.where, get_args(Where), "position", PromptError)
        if self.where == "center":  # one spelling inside, so that equal prompts are equal
            object.__setattr__(self, "where", "centre")
        if self.of is not None:
            prompts_in((self.of,), "position of")
        object.__setattr__(self, "count", _count(self.count))

    def children(self) -> tuple[Prompt, ...]:
        """Return the prompt that it chooses among, if any."""
        return () if self.of is None else (self.of,)

    def with_children(self, children: Sequence[Prompt]) -> Position:
        """Return the same position among what another prompt selects."""
        return replace(self, of=children[0]) if children else self


def class_names(prompt: Prompt | None) -> tuple[str, ...]:
    """Return the names of the texts in a prompt, each once, in their order; not of what is unwanted.

    >>> class_names(Text("person=a person", "car") - Text("a bus"))
    ('person', 'car')
    """
    if isinstance(prompt, Text):
        return tuple(dict.fromkeys(prompt.names))
    if prompt is None:
        return ()
    parts = (prompt.prompt,) if isinstance(prompt, ButNot) else prompt.children()
    return tuple(dict.fromkeys(name for part in parts for name in class_names(part)))


def _wanted(phrases: tuple[Any, ...], texts: Any) -> tuple[str, ...]:
    """Return the texts of a prompt, however they were given."""
    if texts is not None:
        if phrases:
            raise PromptError(f"text: expected the texts once, got {phrases!r:.60} and texts={texts!r:.60}")
        return _phrases(texts, "text")
    return _phrases(phrases[0] if len(phrases) == 1 else phrases, "text")


def _named(texts: tuple[str, ...], names: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what each text's masks are called, and the words to look for."""
    if names is not None:
        given = _phrases(names, "names")
        if len(given) != len(texts):
            raise PromptError(f"names: expected {len(texts)} names for {len(texts)} texts, got {len(given)}")
        return given, texts
    pairs = [name_and_phrase(text) for text in texts]
    return tuple(name for name, _ in pairs), tuple(phrase for _, phrase in pairs)


def _phrases(texts: Any, what: str) -> tuple[str, ...]:
    """Return one text or several, each without spaces around it."""
    given = [texts] if isinstance(texts, str) else texts
    if isinstance(given, Mapping) and all(isinstance(one, str) for pair in given.items() for one in pair):
        given = [f"{name}={text}" for name, text in given.items()]
    if not isinstance(given, (list, tuple)):
        raise PromptError(f"{what}: expected a text or a list of texts, got {short(texts)}")
    at_most(len(given), "texts", "texts", PromptError)
    for text in given:
        if not isinstance(text, str) or not text.strip():
            raise PromptError(f"{what}: expected words, such as 'a dog', got {short(text)}")
        at_most(len(text), "characters", "characters of a text", PromptError)
    return tuple(" ".join(text.split()) for text in given)


def _count(value: Any) -> int:
    """Return a number of masks, checked."""
    if not is_number(value) or not isinstance(value, numbers.Integral) or value < 1:
        raise PromptError(f"count: expected a whole number above 0, got {value!r}")
    return int(value)
