"""Prompts combine, and tell what they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastsam.errors import PromptError
from fastsam.prompts import (
    AllOf,
    AnyOf,
    Box,
    ButNot,
    Mask,
    Point,
    Points,
    Position,
    Prompt,
    Reference,
    Text,
    all_of,
    any_of,
    as_prompt,
    but_not,
    prompt_of,
)
from fastsam.prompts.base import asks, walk
from fastsam.prompts.selection import KINDS

A, B, C = Box(0, 0, 5, 5), Point(3, 4), Text("a dog")


def test_operators_are_the_combinations() -> None:
    assert any_of(A, B) == A | B
    assert all_of(A, B) == A & B
    assert but_not(A, B) == A - B
    assert any_of(A, B, C) == A | B | C, "one combination of three, so that groups count the three"
    assert all_of(A, B, C) == A & B & C
    assert any_of(A, all_of(B, but_not(C, A))) == A | B & C - A
    assert AnyOf((A, AllOf((B, C)))) == A | (B & C)


@pytest.mark.parametrize("other", ["a dog", (0, 0, 5, 5), None, 3])
def test_only_prompts_combine(other: Any) -> None:
    for combine in (lambda: A | other, lambda: A & other, lambda: A - other):
        with pytest.raises(TypeError, match="unsupported operand"):
            combine()


def test_a_prompt_is_walked_from_the_outside_in() -> None:
    nested = Position("largest", of=but_not(any_of(A, C), all_of(B)))
    kinds = [type(one).__name__ for one in walk(nested)]
    assert kinds == ["Position", "ButNot", "AnyOf", "Box", "Text", "AllOf", "Points"]
    assert asks(nested, Text)
    assert not asks(nested, Reference)
    assert list(walk(None)) == []


@pytest.mark.parametrize(
    "prompt",
    [A | B, A & B, A - B, Position("largest", of=A), Position("centre"), A, B, C, Mask(np.eye(3) > 0)],
)
def test_children_can_be_exchanged(prompt: Prompt) -> None:
    assert prompt.with_children(prompt.children()) == prompt
    other = prompt.with_children([C] * len(prompt.children()))
    assert set(other.children()) <= {C}
    assert type(other) is type(prompt)


def test_every_kind_is_in_the_table() -> None:
    assert set(KINDS) == set(Prompt.__subclasses__())


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("a dog", Text("a dog")),
        ((30, 40), Points((30, 40))),
        ([30.5, 40], Points((30.5, 40))),
        (np.array([30, 40]), Points((30, 40))),
        ((0, 0, 5, 5), A),
        (np.float32([0, 0, 5, 5]), A),
        ([A, B], A | B),
        (["a dog", A], C | A),
        ([C], any_of(C)),
        (A, A),
    ],
)
def test_what_means_a_prompt(value: Any, wanted: Prompt) -> None:
    assert as_prompt(value) == wanted


@pytest.mark.parametrize(
    "value",
    [
        None, 3, True, (), [], (1, 2, 3), (True, False), [(1, 2), (3, 4)], [A, 3], {"box": 1}, b"dog",
        np.ones((4, 4), bool), "",
    ],
)  # fmt: skip
def test_what_means_none(value: Any) -> None:
    with pytest.raises(PromptError, match="expected"):
        as_prompt(value)


def test_prompts_as_keywords() -> None:
    assert prompt_of(points=[(3, 4)], labels=[0]) == Points([(3, 4)], [0])
    assert prompt_of(boxes=[(0, 0, 5, 5), (1, 1, 2, 2)]) == Box([(0, 0, 5, 5), (1, 1, 2, 2)])
    assert prompt_of(text=["a dog", "a cat"]) == Text("a dog", "a cat")
    assert prompt_of(points=[(3, 4)], boxes=(0, 0, 5, 5), text="a dog") == B & A & C
    for wrong, said in (
        ({"labels": [1]}, "labels: expected the points"),
        ({"prompt": A, "text": "a dog"}, "a prompt or text, got both"),
        ({}, "expected one such as Box"),
    ):
        with pytest.raises(PromptError, match=said):
            prompt_of(**wrong)


def test_corners_words_and_clicks_without_lists() -> None:
    assert Box(0, 0, 5, 5) == Box((0, 0, 5, 5)) == Box(xyxy=[(0, 0, 5, 5)])
    assert Box(0, 0, 5, 5, iou_threshold=0.5).iou_threshold == 0.5
    assert Text("a dog", "a cat", threshold=0.2) == Text(["a dog", "a cat"], 0.2) == Text(
        texts=["a dog", "a cat"], threshold=0.2
    )  # fmt: skip
    assert Point(3, 4, level="part") == Points((3, 4), level="part")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Box(0, 0, 5), r"got shape \(3,\)"),
        (lambda: Box((0, 0, 5, 5), (1, 1, 2, 2)), "several boxes go into a list"),  # type: ignore[arg-type]
        (lambda: Box((0, 0, 5, 5), xyxy=(0, 0, 5, 5)), "corners once"),  # type: ignore[call-overload]
        (lambda: Points(150, 600), r"write Point\(150, 600\)"),
        (lambda: Point((150, 600), 1), "two numbers"),  # type: ignore[arg-type]
        (lambda: Point("1", "2"), "two numbers"),  # type: ignore[arg-type]
        (lambda: Text("a dog", 3, 4), "expected words, such as 'a dog', got 3"),  # type: ignore[call-overload]
        (lambda: Text("a dog", texts="a cat"), "the texts once"),  # type: ignore[call-overload]
        (lambda: Text(), "at least one text"),
    ],
)
def test_what_cannot_be_meant(make: Any, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        make()


def test_center_is_centre() -> None:
    assert Position("center") == Position("centre")


def test_masks_say_what_they_are() -> None:
    tall = np.zeros((40, 2), np.uint8)
    tall[3:9] = 1
    assert Mask.bitmap(tall).kind == Mask(tall).kind == "bitmap"
    assert np.array_equal(Mask.bitmap(tall.tolist()).value, tall > 0)
    ring = [(0, 0), (9, 0), (9, 9)]
    assert Mask.polygon(np.array(ring)).kind == Mask(ring).kind == Mask(np.array(ring)).kind == "polygon"
    assert Mask.polygon([(0, 0), (1, 0), (1, 1)]).kind == "polygon"
    assert Mask.rle({"size": [2, 2], "counts": [1, 3]}, group=False).group is False
    assert Mask.scribble([(0, 0)], width_px=3).width_px == 3
    with pytest.raises(PromptError, match=r"could be a bitmap or a polygon; say which: Mask\.bitmap"):
        Mask(np.array([(0, 0), (1, 0), (1, 1)]))
    for options in ({"kind": "polygon"}, {"width_px": 3}):
        with pytest.raises(TypeError):
            Mask(ring, **options)  # type: ignore[arg-type]
    with pytest.raises(PromptError, match="rle: expected a mapping"):
        Mask.rle(ring)  # type: ignore[arg-type]


def test_what_persists() -> None:
    assert C.is_persistent
    assert (C | C).is_persistent
    assert not (C & A).is_persistent
    assert not ButNot(C, A).is_persistent
    assert not Position("largest", of=C).is_persistent


def test_what_can_be_drawn() -> None:
    nested = Position("largest", of=(A | B) - Points([(7, 8), (1, 2)], [0, 1]))
    assert nested.marks() == (((3, 4, 1), (1, 2, 1), (7, 8, 0)), ((0, 0, 5, 5),))
    assert C.marks() == Mask(np.eye(3) > 0).marks() == ((), ())
