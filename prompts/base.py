"""What all prompts have in common, and the prompts that are made of others.

A prompt tells what it is made of (:meth:`Prompt.children`), so whoever looks for something in a combination
uses :func:`walk` and knows none of the combinations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fastsam.errors import PromptError

__all__ = [
    "AllOf",
    "AnyOf",
    "ButNot",
    "Marks",
    "Prompt",
    "all_of",
    "any_of",
    "asks",
    "but_not",
    "prompts_in",
    "walk",
]


class Marks(NamedTuple):
    """What of a prompt can be drawn over the image.

    Attributes:
        clicks: ``(x, y, label)``, label 1 for foreground and 0 for background.
        boxes: ``(x1, y1, x2, y2)``.
    """

    clicks: tuple[tuple[float, float, int], ...] = ()
    boxes: tuple[tuple[float, ...], ...] = ()


class Prompt:
    """What is asked of an image. Prompts combine.

    ``a | b`` is :func:`any_of`, ``a & b`` is :func:`all_of`, ``a - b`` is :func:`but_not`. As in arithmetic,
    ``-`` binds first, then ``&``, then ``|``.
    """

    __slots__ = ()

    def children(self) -> tuple[Prompt, ...]:
        """Return the prompts that this one is made of; none for most."""
        return ()

    def with_children(self, children: Sequence[Prompt]) -> Prompt:
        """Return the same prompt made of others: one for each of :meth:`children`, in that order."""
        return self

    def marks(self) -> Marks:
        """Return what of it can be drawn: of a combination, the marks of its prompts."""
        parts = [child.marks() for child in self.children()]
        return Marks(
            tuple(click for part in parts for click in part.clicks),
            tuple(box for part in parts for box in part.boxes),
        )

    @property
    def is_persistent(self) -> bool:
        """Whether it says what things look like, so that it also selects what comes into sight later.

        Other prompts say where things are in one frame.
        """
        return False

    def __or__(self, other: Prompt) -> AnyOf:
        """Return :func:`any_of` both."""
        if not isinstance(other, Prompt):
            return NotImplemented
        return AnyOf((*_members_of(self, AnyOf), *_members_of(other, AnyOf)))

    def __and__(self, other: Prompt) -> AllOf:
        """Return :func:`all_of` both."""
        if not isinstance(other, Prompt):
            return NotImplemented
        return AllOf((*_members_of(self, AllOf), *_members_of(other, AllOf)))

    def __sub__(self, other: Prompt) -> ButNot:
        """Return :func:`but_not`: this one without what the other selects."""
        if not isinstance(other, Prompt):
            return NotImplemented
        return ButNot(self, other)


@dataclass(frozen=True)
class AnyOf(Prompt):
    """What any of the prompts selects."""

    prompts: tuple[Prompt, ...]

    def __post_init__(self) -> None:
        """Check that these are prompts."""
        object.__setattr__(self, "prompts", prompts_in(self.prompts, "any_of"))

    def children(self) -> tuple[Prompt, ...]:
        """Return the prompts."""
        return self.prompts

    def with_children(self, children: Sequence[Prompt]) -> AnyOf:
        """Return any of these."""
        return AnyOf(tuple(children))

    @property
    def is_persistent(self) -> bool:
        """Whether all of the prompts are."""
        return all(member.is_persistent for member in self.prompts)


@dataclass(frozen=True)
class AllOf(Prompt):
    """What satisfies all of the prompts."""

    prompts: tuple[Prompt, ...]

    def __post_init__(self) -> None:
        """Check that these are prompts."""
        object.__setattr__(self, "prompts", prompts_in(self.prompts, "all_of"))

    def children(self) -> tuple[Prompt, ...]:
        """Return the prompts."""
        return self.prompts

    def with_children(self, children: Sequence[Prompt]) -> AllOf:
        """Return all of these."""
        return AllOf(tuple(children))

    @property
    def is_persistent(self) -> bool:
        """Whether all of the prompts are."""
        return all(member.is_persistent for member in self.prompts)


@dataclass(frozen=True)
class ButNot(Prompt):
    """What ``prompt`` selects once the masks that ``unwanted`` selects are out of the race."""

    prompt: Prompt
    unwanted: Prompt

    def __post_init__(self) -> None:
        """Check that these are prompts."""
        prompts_in((self.prompt, self.unwanted), "but_not")

    def children(self) -> tuple[Prompt, ...]:
        """Return the prompt and the unwanted one."""
        return self.prompt, self.unwanted

    def with_children(self, children: Sequence[Prompt]) -> ButNot:
        """Return the first without the second."""
        prompt, unwanted = children
        return ButNot(prompt, unwanted)

    @property
    def is_persistent(self) -> bool:
        """Whether both prompts are."""
        return self.prompt.is_persistent and self.unwanted.is_persistent


def any_of(*prompts: Prompt) -> AnyOf:
    """Return a prompt that selects what any of the given ones selects; ``a | b`` for short."""
    return AnyOf(prompts)


def all_of(*prompts: Prompt) -> AllOf:
    """Return a prompt that selects what satisfies all of the given ones; ``a & b`` for short."""
    return AllOf(prompts)


def but_not(prompt: Prompt, unwanted: Prompt) -> ButNot:
    """Return a prompt that selects what ``prompt`` does, without what ``unwanted`` selects; ``a - b``."""
    return ButNot(prompt, unwanted)


def walk(prompt: Prompt | None) -> Iterator[Prompt]:
    """Yield a prompt and all that it is made of, from the outside in; nothing for None."""
    if prompt is not None:
        yield prompt
        for child in prompt.children():
            yield from walk(child)


def asks(prompt: Prompt | None, kind: type[Prompt]) -> bool:
    """Tell whether a prompt is of a kind or is made of one.

    >>> from fastsam.prompts import Position, Text
    >>> asks(Position("leftmost", of=Text("a dog")), Text)
    True
    """
    return any(isinstance(one, kind) for one in walk(prompt))


def prompts_in(prompts: Any, what: str) -> tuple[Prompt, ...]:
    """Return prompts as a tuple, or say what is given instead.

    Raises:
        PromptError: these are no prompts, or there is none.
    """
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


def _members_of(prompt: Prompt, kind: type[Prompt]) -> tuple[Prompt, ...]:
    """Return the members of a combination of this kind, so that ``a | b | c`` has three; else the prompt."""
    return prompt.children() if isinstance(prompt, kind) else (prompt,)
