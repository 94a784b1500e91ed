"""What can be asked for: prompts check themselves, and parse from text and JSON."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsam.errors import PromptError
from fastsam.prompts import (
    AllOf,
    AnyOf,
    Box,
    ButNot,
    MaskLike,
    Points,
    Position,
    Text,
    all_of,
    any_of,
    but_not,
    parse_box,
    parse_point,
    prompt_from_json,
)

NAN, INF = float("nan"), float("inf")
OK = Box((0, 0, 5, 5))


@pytest.mark.parametrize(
    "xyxy",
    [
        (1, 2, 3, 4),
        [1, 2, 3, 4],
        [[1, 2, 3, 4]],
        ((1.0, 2.0, 3.0, 4.0),),
        np.array([1, 2, 3, 4]),
        np.float32([[1, 2, 3, 4]]),
    ],
)
def test_a_box_in_any_form(xyxy: Any) -> None:
    assert Box(xyxy).xyxy == ((1.0, 2.0, 3.0, 4.0),)
    assert Box(xyxy) == Box(xyxy)
    assert hash(Box(xyxy)) == hash(Box((1, 2, 3, 4)))


@pytest.mark.parametrize(
    ("xyxy", "said"),
    [
        ((5, 5, 5, 9), r"box \(5, 5, 5, 9\): expected x1 < x2"),
        ((5, 9, 8, 9), "y1 < y2"),
        ((9, 5, 2, 9), "xyxy, not xywh"),
        ([(0, 0, 1, 1), (3, 3, 2, 4)], r"box \(3, 3, 2, 4\)"),
        ((0, 0, NAN, 5), "finite"),
        ((0, 0, INF, 5), r"\(0, 0, inf, 5\).*finite"),
        ((-INF, 0, 1, 5), "finite"),
        ((0, 0, 10**400, 5), "expected"),
        ((1, 2, 3), r"got shape \(3,\)"),
        ([1, 2, 3, 4, 5], r"got shape \(5,\)"),
        ([[[1, 2, 3, 4]]], r"got shape \(1, 1, 4\)"),
        ([], r"got shape \(0,\)"),
        (np.zeros((0, 4)), r"got shape \(0, 4\)"),
        ([(0, 0, 1, 1), (0, 0, 1)], r"got \[\(0, 0, 1, 1\), \(0, 0, 1\)\]"),
        ("box", "got 'box'"),
        (["a", "b", "c", "d"], "expected"),
        (None, "expected"),
        ((None, 0, 1, 1), "finite"),
        ({"x1": 0}, "expected"),
        (7, r"got shape \(\)"),
        (1j, "expected"),
    ],
)
def test_what_is_no_box(xyxy: Any, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        Box(xyxy)


@pytest.mark.parametrize("value", [-0.01, 1.01, NAN, INF, "0.5", None, True, [0.5], 1j])
def test_thresholds_are_shares(value: Any) -> None:
    with pytest.raises(PromptError, match="iou_threshold: expected a number from 0 to 1"):
        Box((0, 0, 1, 1), iou_threshold=value)
    with pytest.raises(PromptError, match="threshold: expected a number from 0 to 1"):
        MaskLike(np.ones((2, 3), bool), value)
    with pytest.raises(PromptError, match="threshold: expected a number from 0 to 1"):
        MaskLike.scribble([(0, 0)], threshold=value)


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.5), np.float64(0.5), np.int64(1)])
def test_thresholds_may_be_any_number(value: Any) -> None:
    assert Box((0, 0, 1, 1), iou_threshold=value).iou_threshold == value
    assert isinstance(Box((0, 0, 1, 1), iou_threshold=value).iou_threshold, float)


@pytest.mark.parametrize(
    ("points", "labels", "objects"),
    [
        ((3, 4), None, [([(3, 4)], [])]),
        ([3, 4], 0, [([], [(3, 4)])]),
        ((3, 4), [1], [([(3, 4)], [])]),
        ([(3, 4)], [1], [([(3, 4)], [])]),
        ([(5, 6), (3, 4)], None, [([(3, 4), (5, 6)], [])]),
        ([(5, 6), (3, 4), (1, 1)], [0, 1, -1], [([(3, 4)], [(5, 6)])]),
        (np.array([[5, 6], [3, 4]]), np.array([True, False]), [([(5, 6)], [(3, 4)])]),
        ([[(5, 6), (3, 4)], [(1, 2)]], [[0, 1], [1]], [([(3, 4)], [(5, 6)]), ([(1, 2)], [])]),
        ([[(5, 6), (3, 4)], [(1, 2)]], None, [([(3, 4), (5, 6)], []), ([(1, 2)], [])]),
        (np.arange(8).reshape(2, 2, 2), np.ones((2, 2)), [([(0, 1), (2, 3)], []), ([(4, 5), (6, 7)], [])]),
    ],
)
def test_points_in_any_form(points: Any, labels: Any, objects: Any) -> None:
    found = [(list(one.foreground), list(one.background)) for one in Points(points, labels).objects]
    assert found == objects
    assert Points(points, labels) == Points(points, labels)


@pytest.mark.parametrize(
    ("points", "labels", "said"),
    [
        ([], None, "at least one point"),
        ([[]], None, "point"),
        ([[], [(1, 2)]], None, "got"),
        ([[(1, 2)], []], None, r"shape \(0,\)"),
        (np.zeros((0, 2)), None, "at least one point"),
        ((1, 2, 3), None, r"got an object of shape \(1, 3\)"),
        ([(1, 2, 3)], None, r"\(1, 3\)"),
        ([(1, 2), (3,)], None, "expected"),
        ([[[[1, 2]]]], None, "expected"),
        ("1,2", None, "got '1,2'"),
        (["a", "b"], None, "expected"),
        (None, None, "got None"),
        (5, None, "got 5"),
        ({"x": 1}, None, "expected"),
        ((NAN, 2), None, r"point \(nan, 2\)"),
        ([(1, 2), (3, INF)], None, r"point \(3, inf\)"),
        ((None, 2), None, "finite"),
        ((10**400, 2), None, "expected"),
        ((1, 2), [2], "got 2"),
        ((1, 2), [0.5], r"got 0\.5"),
        ((1, 2), [-2], "got -2"),
        ((1, 2), [NAN], "got nan"),
        ((1, 2), ["fg"], "got"),
        ((1, 2), [1, 0], "expected 1, one for each point, got 2"),
        ([(1, 2), (3, 4)], [1], "expected 2, one for each point, got 1"),
        ([(1, 2), (3, 4)], [], "expected 2, one for each point, got 0"),
        ([(1, 2), (3, 4)], [[1, 0], [1]], "labels"),
        ([[(1, 2)], [(3, 4)]], [1, 0, 1], "expected 2 objects as in points, got 3"),
        ([[(1, 2)], [(3, 4)]], 1, "one list of numbers per object"),
        ([[(1, 2)], [(3, 4), (5, 6)]], [[1], [1]], "labels of object 1: expected 2"),
    ],
)
def test_what_are_no_points(points: Any, labels: Any, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        Points(points, labels)


@pytest.mark.parametrize("value", ["false", "yes", 1, 0, None])
def test_multimask_is_true_or_false(value: Any) -> None:
    with pytest.raises(PromptError, match="multimask: expected True or False"):
        Points((1, 2), multimask=value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.ones((3, 4)) * 0.5, "other values"),
        (np.full((3, 4), 2, np.uint8), "other values"),
        (np.full((3, 4), NAN), "other values"),
        (np.array([["a", "b", "c"]]), "other values"),
        (np.ones((2, 3, 4), bool), r"\(2, 3, 4\)"),
        (np.ones(4, bool), r"\(4,\)"),
        (np.array(True), r"\(\)"),
        (np.ones((2, 3, 4)), r"\(2, 3, 4\)"),
        ([(0, 0), (1, 1)], r"at least 3 finite \(x, y\) points"),
        ([(0, 0), (1, 1), (NAN, 3)], "finite"),
        ([], r"shape \(0,\)"),
        ("mask.png", r"got 'mask\.png'"),
        (None, r"shape \(\)"),
        (5, r"shape \(\)"),
        ([(0, 0), (10**400, 1), (2, 2)], "expected"),
    ],
)
def test_what_is_no_mask(value: Any, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        MaskLike(value)


def test_the_kind_of_a_mask_is_what_was_given() -> None:
    assert MaskLike(np.ones((3, 4), bool)).kind == "bitmap"
    assert MaskLike(np.ones((3, 2), bool)).kind == "bitmap"
    assert MaskLike({"size": [1, 1], "counts": [1]}).kind == "rle"
    assert MaskLike.scribble([(0, 0)]).kind == "scribble"


@pytest.mark.parametrize(
    ("points", "width", "said"),
    [
        ([], 1, r"got \(0,\)"),
        ([(1, 2, 3)], 1, r"got \(1, 3\)"),
        ((1, 2), 1, r"got \(2,\)"),
        ([(1, NAN)], 1, "finite"),
        ("line", 1, "got 'line'"),
        (None, 1, "scribble"),
        ([(1, 2)], 0, "width_px above 0 and at most 10000, got 0"),
        ([(1, 2)], -3, "got -3"),
        ([(1, 2)], NAN, "got nan"),
        ([(1, 2)], INF, "got inf"),
        ([(1, 2)], 10_001, "at most 10000, got 10001"),
        ([(1, 2)], "thick", "got 'thick'"),
        ([(1, 2)], None, "got None"),
    ],
)
def test_what_is_no_scribble(points: Any, width: Any, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        MaskLike.scribble(points, width)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: any_of(), "any_of: expected at least one prompt"),
        (lambda: all_of(), "all_of: expected at least one prompt"),
        (lambda: any_of(OK, "box"), "got str"),  # type: ignore[arg-type]
        (lambda: all_of([OK]), "got list"),  # type: ignore[arg-type]
        (lambda: but_not(OK, None), "but_not: .* got NoneType"),  # type: ignore[arg-type]
        (lambda: but_not((0, 0, 5, 5), OK), "got tuple"),  # type: ignore[arg-type]
        (lambda: AnyOf(()), "at least one"),
        (lambda: AllOf(("x",)), "got str"),  # type: ignore[arg-type]
        (lambda: AnyOf(OK), "expected a tuple of prompts, got Box"),  # type: ignore[arg-type]
        (lambda: ButNot(OK, 3), "got int"),  # type: ignore[arg-type]
    ],
)
def test_combinations_take_prompts(make: Any, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        make()


def test_combinations_nest() -> None:
    combined = any_of(all_of(OK, OK), but_not(OK, any_of(OK)))
    assert combined == AnyOf((AllOf((OK, OK)), ButNot(OK, AnyOf((OK,)))))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1,2", (1, 2, 1)),
        ("1.5, 2.5 ,0", (1.5, 2.5, 0)),
        (" 1,2,1 ", (1, 2, 1)),
        ("-1,2", (-1, 2, 1)),
        ("1e2,0", (100, 0, 1)),
    ],
)
def test_points_from_text(text: str, wanted: tuple[float, float, int]) -> None:
    assert parse_point(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "1", "1,2,3", "1,2,0,0", "a,b", "1;2", "1,2,", "[1,2]", "1,2,-1", "1,2,0.5"]
)
def test_what_is_no_point_as_text(text: str) -> None:
    with pytest.raises(PromptError, match="expected x,y or x,y,label") as caught:
        parse_point(text)
    assert repr(text) in str(caught.value)


def test_boxes_from_text() -> None:
    assert parse_box("1,2,30,40") == (1, 2, 30, 40)
    assert parse_box(" 1.5, 2,30 ,40") == (1.5, 2, 30, 40)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected x1,y1,x2,y2"),
        ("1,2,3", "got 3"),
        ("1,2,3,4,5", "got 5"),
        ("a,2,3,4", "'a,2,3,4'"),
        ("5,5,2,9", "x1 < x2"),
        ("nan,0,2,9", "finite"),
    ],
)
def test_what_is_no_box_as_text(text: str, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        parse_box(text)


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ({"box": [0, 0, 5, 5]}, OK),
        (
            {"box": [[0, 0, 5, 5], [1, 1, 2, 2]], "iou_threshold": 0.5},
            Box([(0, 0, 5, 5), (1, 1, 2, 2)], iou_threshold=0.5),
        ),
        ({"points": [3, 4]}, Points((3, 4))),
        (
            {"points": [[3, 4], [5, 6]], "labels": [1, 0], "multimask": True},
            Points([(3, 4), (5, 6)], [1, 0], True),
        ),
        ({"points": [3, 4], "level": "part", "previous": None}, Points((3, 4), level="part")),
        ({"text": " a  dog "}, Text("a dog")),
        (
            {
                "text": ["a dog", "a cat"],
                "threshold": 0.2,
                "negatives": "a wolf",
                "templates": False,
                "crops": "context",
            },
            Text(["a dog", "a cat"], threshold=0.2, negatives=["a wolf"], templates=False, crops="context"),
        ),
        ({"position": "leftmost"}, Position("leftmost")),
        (
            {
                "position": "largest",
                "of": {"but_not": [{"text": "a dog"}, {"box": [0, 0, 5, 5]}]},
                "count": 3,
            },
            Position("largest", but_not(Text("a dog"), OK), 3),
        ),
        ({"any_of": [{"box": [0, 0, 5, 5]}, {"points": [3, 4]}]}, any_of(OK, Points((3, 4)))),
        ({"all_of": [{"box": [0, 0, 5, 5]}]}, all_of(OK)),
        ({"but_not": [{"box": [0, 0, 5, 5]}, {"points": [3, 4]}]}, but_not(OK, Points((3, 4)))),
    ],
)
def test_prompts_from_json(data: Any, wanted: Any) -> None:
    assert prompt_from_json(json.dumps(data)) == wanted


def test_an_earlier_answer_from_json() -> None:
    rle = {"size": [2, 2], "counts": [1, 3]}
    found = prompt_from_json(json.dumps({"points": [0, 1], "labels": 0, "previous": {"rle": rle}}))
    assert isinstance(found, Points)
    assert (found.objects, found.previous.kind, found.previous.value) == (  # type: ignore[union-attr]
        Points((0, 1), 0).objects, "rle", rle,
    )  # fmt: skip
    drawn = prompt_from_json(json.dumps({"rle": rle, "group": False}))
    assert isinstance(drawn, MaskLike)
    assert not drawn.group


@pytest.mark.parametrize(
    ("data", "kind", "threshold", "width"),
    [
        ({"polygon": [[0, 0], [5, 0], [5, 5]], "threshold": 0.3}, "polygon", 0.3, 1),
        ({"rle": {"size": [2, 2], "counts": [4]}}, "rle", 0.1, 1),
        ({"scribble": [[0, 0], [5, 0]], "width_px": 3, "threshold": 0.7}, "scribble", 0.7, 3),
    ],
)
def test_mask_prompts_from_json(data: Any, kind: str, threshold: float, width: float) -> None:
    found = prompt_from_json(json.dumps(data))
    assert isinstance(found, MaskLike)
    assert (found.kind, found.threshold, found.width_px) == (kind, threshold, width)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected JSON"),
        ("{", "expected JSON"),
        ("box", "expected JSON"),
        (None, "expected JSON"),
        (b"\xff\xfe\xfd", "expected JSON"),
        ("[]", "expected a JSON object"),
        ("null", "got None"),
        ("5", "got 5"),
        ("{}", "exactly one of"),
        ('{"boxes": [0, 0, 1, 1]}', r"got keys \['boxes'\]"),
        ('{"box": [0, 0, 1, 1], "points": [1, 1]}', "exactly one of"),
        ('{"box": null}', "box"),
        ('{"box": [0, 0, 1]}', "shape"),
        ('{"box": [0, 0, NaN, 1]}', "no number of JSON"),
        ('{"box": [0, 0, 1e999, 1]}', "too large a number"),
        ('{"box": [0, 0, 1, 1], "iou": 0.5}', "unknown option 'iou'"),
        ('{"box": [0, 0, 1, 1], "iou_threshold": "0.5"}', "from 0 to 1"),
        ('{"box": [0, 0, 1, 1], "xyxy": 1}', "unknown option 'xyxy'"),
        ('{"points": [[1, 1]], "labels": "fg"}', "labels"),
        ('{"points": [[1, 1]], "multimask": "no"}', "multimask"),
        ('{"points": {"x": 1}}', "points"),
        ('{"points": [1, 1], "level": "half"}', "level 'half': expected one of auto, whole, part, subpart"),
        ('{"points": [1, 1], "level": "part", "multimask": true}', "'auto' with multimask"),
        ('{"points": [1, 1], "previous": {"box": [0, 0, 1, 1]}}', "previous: expected a mask such as"),
        ('{"points": [1, 1], "previous": [[0, 0], [5, 0], [5, 5]]}', "expected a JSON object"),
        ('{"rle": {"size": [1, 1], "counts": [1]}, "group": "yes"}', "group: expected True or False"),
        ('{"polygon": [[0, 0], [5, 0], [5, 5]], "kind": "scribble"}', "unknown option 'kind'"),
        ('{"polygon": {"size": [1, 1], "counts": [1]}}', "polygon"),
        ('{"rle": [[0, 0], [5, 0], [5, 5]]}', "rle: expected a mapping"),
        ('{"scribble": [[0, 0]], "width_px": "3"}', "width_px"),
        ('{"text": []}', "at least one text"),
        ('{"text": ["a", ""]}', "expected words, such as 'a dog', got ''"),
        ('{"text": {"a": 1}}', "a list of texts"),
        ('{"text": "a", "threshold": 2}', "threshold"),
        ('{"text": "a", "negatives": ["A"]}', "'a' is a text and a negative at once"),
        ('{"text": "a", "negatives": 4}', "negatives: expected a text or a list of texts, got 4"),
        ('{"text": "a", "templates": 1}', "templates"),
        ('{"text": "a", "crops": "bare"}', "crops 'bare': expected one of masked, blurred, context"),
        ('{"text": "a", "texts": "b"}', "unknown option 'texts'"),
        ('{"position": "up"}', "position .*: expected one of leftmost"),
        ('{"position": ["leftmost"]}', "position .*: expected one of leftmost"),
        ('{"position": "leftmost", "of": "a dog"}', "expected a JSON object"),
        ('{"position": "leftmost", "count": -1}', "count"),
        ('{"any_of": []}', "at least one prompt"),
        ('{"any_of": {"box": [0, 0, 1, 1]}}', "expected only a list"),
        ('{"any_of": [{"box": [0, 0, 1, 1]}], "threshold": 1}', "expected only a list"),
        ('{"any_of": [3]}', "got 3"),
        ('{"but_not": [{"box": [0, 0, 1, 1]}]}', r"expected \[wanted, unwanted\], got 1"),
        ('{"but_not": [{"box": [0, 0, 1, 1]}, {"box": [0, 0, 1, 1]}, {"box": [0, 0, 1, 1]}]}', "got 3"),
        ('{"any_of": [' * 5000, "nested|expected JSON"),
        ('{"any_of": [' * 5000 + '{"box": [0, 0, 1, 1]}' + "]}" * 5000, "nested"),
    ],
)
def test_what_is_no_prompt_as_json(text: Any, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        prompt_from_json(text)


KEYS = [
    "box", "points", "labels", "polygon", "rle", "scribble", "text", "position", "of", "any_of", "but_not",
    "size", "counts",
]  # fmt: skip


def json_values(depth: int) -> st.SearchStrategy[Any]:
    """Any JSON, nested up to a depth, with a liking for the keys of prompts."""
    plain = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5)
    if depth == 0:
        return plain
    inner = json_values(depth - 1)
    return plain | st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)


@given(json_values(4))
def test_any_json_is_a_prompt_or_a_prompt_error(data: Any) -> None:
    with suppress(PromptError):
        made = prompt_from_json(json.dumps(data))
        assert isinstance(made, (Box, Points, MaskLike, Text, Position, AnyOf, AllOf, ButNot))
