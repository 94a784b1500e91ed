"""References: regions of one image as prompts for others, on coloured shapes and on real photos."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fastsam import (
    Box,
    FastSAM,
    MaskLike,
    Points,
    Position,
    Reference,
    Session,
    Text,
    any_of,
    but_not,
    select,
)
from fastsam.errors import ImageError, PromptError
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.prompts import Appearance, Example, ImageFeatures, prompt_from_json
from fastsam.prompts.appearance import appearances_of, mean_vector, without_common_part
from fastsam.prompts.reference import asks_reference, describe_region, reference_probabilities, resolve
from fastsam.testing import ColourWordEncoder, FixedSegmenter
from tests.text_models import PAINT, SIZE, scene, shapes

RED, BLUE, GREEN = Box((2, 5, 22, 25)), Box((25, 5, 55, 30)), Box((5, 35, 40, 50))


def colour_model() -> FastSAM:
    """A model of the coloured shapes: masks 0 and 2 are red, 1 is blue, 5 is green."""
    names = [name for name in shapes() if name not in ("tiny", "empty")]
    return FastSAM(
        segmenter=FixedSegmenter(np.stack([shapes()[name] for name in names]), [0.9, 0.8, 0.7, 0.6]),
        text_model=ColourWordEncoder(),
    )


@pytest.fixture
def session() -> Session:
    return colour_model().open(scene()[0], conf=0.0)


def vector(*values: float) -> NDArray[np.float32]:
    return np.asarray(np.array(values, np.float32) / np.linalg.norm(values), np.float32)


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        (RED, [0, 2]),
        (BLUE, [1]),
        (GREEN, [3]),
        (Points((40, 15)), [1]),
        (MaskLike(shapes()["green"]), [3]),
        (MaskLike([(25, 5), (55, 5), (55, 30), (25, 30)]), [1]),
        (MaskLike.scribble([(6, 40), (30, 40)], 3), [3]),
    ],
)
def test_all_that_look_like_a_region_answer(session: Session, region: Any, expected: list[int]) -> None:
    found = session.select(session.reference(region))
    assert found.indices.tolist() == expected
    assert (found.scores > 0.2).all()
    assert (np.diff(found.scores) <= 0).all()
    assert "1 shot" in found.reason


def test_the_best_is_one(session: Session) -> None:
    found = session.select(session.reference(RED, mode="best"))
    assert found.indices.tolist() == [0]
    assert "best of 4 masks" in found.reason


def test_an_image_and_a_region_are_looked_at_when_asked(session: Session) -> None:
    rgb = np.full((*SIZE, 3), 255, np.uint8)
    rgb[shapes()["blue"]] = PAINT["red"]  # another photo, where the red thing is elsewhere
    found = session.select(Reference(rgb, BLUE))
    assert found.indices.tolist() == [0, 2]
    assert session.select(Reference(session.frame, BLUE)).indices.tolist() == [1]


def test_an_example_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = colour_model()
    calls: list[str] = []
    real = model.segmenter.segment
    monkeypatch.setattr(model.segmenter, "segment", lambda f, c: calls.append(f.name) or real(f, c))
    asked = Reference(scene()[0], RED)
    other = np.array(scene()[0].rgb)
    for _ in range(3):
        assert model.open(other, conf=0.0).select(asked).indices.tolist() == [0, 2]
    assert len(calls) == 3 + 1


def test_a_drawn_region_stands_for_its_own_pixels(session: Session) -> None:
    half = shapes()["blue"] | shapes()["green"]
    exact = session.reference(MaskLike(half)).shots[0]
    nearest = session.reference(BLUE).shots[0]
    assert isinstance(exact, Appearance)
    assert isinstance(nearest, Appearance)
    assert not exact.same_as(nearest)


def test_negatives_take_their_kind_out(session: Session) -> None:
    purple = np.full((*SIZE, 3), 255, np.uint8)
    purple[shapes()["red left"]] = (150, 20, 150)
    model_reference = colour_model().reference(purple, RED, threshold=0.05, conf=0.0)
    alone = session.select(model_reference)
    assert {0, 1, 2} <= set(alone.indices.tolist())  # purple is a little of both
    without = session.select(
        Reference.of(model_reference, negatives=session.reference(BLUE), threshold=alone.scores[0] * 0.5)
    )
    assert set(without.indices.tolist()) == {0, 2}
    in_one = session.reference(RED, negatives=[BLUE, GREEN])
    assert len(in_one.negatives) == 2
    assert session.select(in_one).indices.tolist() == [0, 2]


def test_several_shots_are_one_kind(session: Session) -> None:
    both = Reference.of(session.reference(RED), session.reference(Box((60, 30, 98, 58))), mode="best")
    assert repr(both) == "Reference(2 shots, 0 negatives, 'best')"
    assert session.select(both).indices.tolist() == [0]
    two = session.reference(Box([(2, 5, 22, 25), (60, 30, 98, 58)]))
    assert len(two.shots) == 2


def test_scores_are_probabilities_times_the_masks_own(session: Session) -> None:
    reference = session.reference(RED, threshold=0.0)
    assert session.features is not None
    likely = reference_probabilities(appearances_of(session.features), reference)
    found = session.select(reference)
    np.testing.assert_allclose(found.scores, (likely * session.masks.scores)[found.indices], rtol=1e-5)
    assert likely[0] == pytest.approx(likely[2], abs=1e-3)  # of one colour
    assert 0.5 < likely[0] < 1


def test_more_alike_is_more_probable_and_a_negative_takes_away() -> None:
    """The odds of the shots are averaged; the nearest negative counts."""
    rows = np.stack([vector(1, t) for t in (0, 0.5, 1, 2, 8)])
    session = colour_model().open(scene()[0], conf=0.0)
    assert session.features is not None
    looks = replace(appearances_of(session.features), seen=np.zeros((5, 0), np.float32), pictures=rows)
    shot = Appearance(np.zeros(0), vector(1, 0), looks.network, looks.text_model)
    against = Appearance(np.zeros(0), vector(0, 1), looks.network, looks.text_model)
    alone = reference_probabilities(looks, Reference.made([shot]))
    assert (np.diff(alone) < 0).all()
    less = reference_probabilities(looks, Reference.made([shot], [against]))
    assert (less < alone).all()
    assert less[-1] / alone[-1] < less[0] / alone[0]
    far = Appearance(np.zeros(0), vector(-1, -1), looks.network, looks.text_model)
    np.testing.assert_allclose(
        reference_probabilities(looks, Reference.made([shot], [against, far])), less, rtol=1e-12
    )


def test_combined_with_other_prompts(session: Session) -> None:
    red = session.reference(RED)
    assert session.select(any_of(red, Points((40, 15)))).indices.tolist() == [0, 2, 1]
    assert session.select(Position("rightmost", of=red)).indices.tolist() == [2]
    assert session.select(but_not(red, RED)).indices.tolist() == [2]
    assert session.select(but_not(Points((0, 0), 0), red)).indices.tolist() == [1, 3]
    literal = Reference(session.frame, RED)
    assert asks_reference(any_of(BLUE, but_not(BLUE, literal)))
    assert not asks_reference(any_of(BLUE, Text("a dog")))
    assert session.select(any_of(BLUE, but_not(literal, RED))).indices.tolist() == [1, 2]
    assert session.select(Position("leftmost", of=any_of(literal))).indices.tolist() == [0]


def test_json(tmp_path: Path, session: Session) -> None:
    Image.fromarray(session.frame.rgb).save(tmp_path / "ref.png")
    name = str(tmp_path / "ref.png")
    shot = {"image": name, "box": [2, 5, 22, 25]}
    found = prompt_from_json(json.dumps({"reference": shot, "negatives": {"box": [25, 5, 55, 30]}}))
    assert isinstance(found, Reference)
    assert (len(found.shots), len(found.negatives)) == (1, 1)
    assert session.select(found).indices.tolist() == [0, 2]
    shots = [{"image": name, "points": [[10, 10]]}, {"image": name, "points": [[80, 45]]}]
    many = json.dumps({"reference": shots, "mode": "best", "threshold": 0.1})
    assert session.select(prompt_from_json(many)).indices.tolist() == [0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"reference": "ref.jpg"}', "expected {'image': 'ref.jpg'"),
        ('{"reference": []}', "at least one object"),
        ('{"reference": {"box": [0, 0, 1, 1]}}', "expected {'image'"),
        ('{"reference": {"image": "a.jpg", "text": "a dog"}}', "expected a region as Box"),
        (
            '{"reference": {"image": "a.jpg", "box": [0, 0, 1, 1]}, "mode": "some"}',
            "expected one of all, best",
        ),
    ],
)
def test_bad_json(text: str, message: str) -> None:
    with pytest.raises(PromptError, match=message.replace("{", r"\{")):
        prompt_from_json(text)


def test_nothing_to_compare_with_is_an_empty_answer(session: Session) -> None:
    reference = session.reference(RED)
    nothing = colour_model().open(scene()[0], conf=1.0)
    assert len(nothing.masks) == 0
    found = nothing.select(reference)
    assert (len(found), found.reason) == (0, "reference of 1 shot: no masks to choose from")
    grey = Frame(np.full((*SIZE, 3), 120, np.uint8))
    absent = colour_model().open(grey, conf=0.0).select(reference)
    assert len(absent) == 0
    assert "not found, the best score 0." in absent.reason


def test_bad_references(session: Session, tmp_path: Path) -> None:
    for call, message in (
        (lambda: Reference(None, RED), "expected an image"),
        (lambda: Reference("a.jpg", Text("a dog")), "expected a region as Box.*got Text"),
        (lambda: Reference("a.jpg", Points((5, 5), 0)), "expected a foreground point"),
        (lambda: Reference("a.jpg", RED, mode="some"), "mode 'some': expected one of all, best"),
        (lambda: Reference("a.jpg", RED, threshold=2), "threshold"),
        (lambda: Reference("a.jpg", RED, negatives=RED), "negative 0 is also a shot"),
        (lambda: Reference("a.jpg", RED, negatives="blue"), "negatives: expected regions"),
        (lambda: Reference.of(), "at least one Reference"),
        (lambda: Reference.of(Reference("a.jpg", RED), negatives=BLUE), "know their image"),
        (lambda: session.reference(RED, negatives=MaskLike(session.masks[0])), "negative 0 is also a shot"),
        (lambda: session.reference(Points((99, 0))), "selects nothing.*no mask under"),
        (lambda: session.reference(Points((300, 0))), "outside the 100x60 image"),
        (
            lambda: session.reference(MaskLike(np.eye(60, 100, dtype=bool) & (np.arange(100) < 5))),
            "too small to describe",
        ),
    ):
        with pytest.raises(PromptError, match=message):
            call()
    (tmp_path / "text.jpg").write_text("no photo")
    for missing in ("text.jpg", "nothing.jpg"):
        with pytest.raises(ImageError, match=missing):
            session.select(Reference(str(tmp_path / missing), RED))


def test_other_models_vectors_are_not_compared(session: Session) -> None:
    reference = session.reference(RED)
    shot = reference.shots[0]
    assert isinstance(shot, Appearance)
    for changed, message in (
        (replace(shot, text_model="another"), r"another text-image model .*another instead of colour words"),
        (replace(shot, network="f00"), "another segmenter .*f00 instead of none"),
    ):
        with pytest.raises(PromptError, match=message):
            session.select(Reference.made([changed]))


def test_who_cannot_look_says_so(session: Session) -> None:
    literal = Reference(scene()[0], RED)
    with pytest.raises(PromptError, match="is not: ask a Session"):
        select(session.masks, literal, session.features)
    with pytest.raises(PromptError, match="the photo of the masks is needed"):
        select(session.masks, session.reference(RED))
    with pytest.raises(PromptError, match="expected the features of these 2 masks"):
        select(session.masks[:2], session.reference(RED), session.features)
    with pytest.raises(PromptError, match="this session cannot open other images"):
        replace(session, describe=None).select(literal)
    with pytest.raises(PromptError, match="the photo of the masks is needed"):
        describe_region(session.masks, None, Example(scene()[0], RED))


def test_a_reference_is_plain_numbers(session: Session) -> None:
    reference = session.reference(RED, negatives=BLUE)
    again = pickle.loads(pickle.dumps(reference))
    assert again.is_described
    assert session.select(again).scores.tolist() == session.select(reference).scores.tolist()
    assert resolve(reference, lambda example: pytest.fail("looked again")) is reference
    assert len(repr(reference)) < 60
    assert not reference.shots[0].picture.flags.writeable  # type: ignore[union-attr]


def test_half_of_what_masks_share_is_taken_off() -> None:
    vectors = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
    common = mean_vector(vectors, np.array([0.5, 0.5, 0.9], np.float32), 2)
    np.testing.assert_allclose(common, [0.5, 0.5])
    np.testing.assert_allclose(
        without_common_part(vectors, common), [vector(0.75, -0.25), vector(-0.25, 0.75), (0, 0)], atol=1e-6
    )
    # A mask of low score says little of what the photo shows.
    np.testing.assert_allclose(
        mean_vector(vectors, np.array([0.9, 0.1, 0.5], np.float32), 2), [0.9, 0.1], atol=1e-6
    )
    assert without_common_part(vectors[:0], common).shape == (0, 2)
    assert mean_vector(vectors[:0], np.zeros(0, np.float32), 2).tolist() == [0, 0]


def test_looks_of_no_masks() -> None:
    frame, _ = scene()
    nothing = appearances_of(ImageFeatures(frame, MaskSet.none(SIZE), ColourWordEncoder()))
    assert len(nothing) == 0


@pytest.fixture(scope="module")
def model() -> FastSAM:
    return FastSAM(device="cpu")


def test_a_person_of_one_photo_finds_a_person_of_another(
    model: FastSAM, photographs: dict[str, NDArray[np.uint8]]
) -> None:
    """And not a cat's photo, nor a cup's: their best is less alike."""
    person = model.reference(photographs["bus"], Box((48, 398, 245, 903)), mode="best", threshold=0.0)
    best = {name: model.open(photographs[name]).select(person) for name in ("zidane", "coffee", "chelsea")}
    x1, y1, x2, y2 = best["zidane"].boxes_xyxy[0]  # two men, from head to the photo's lower edge
    assert y2 > 650
    assert y1 < 260
    assert x2 - x1 > 250
    assert best["zidane"].scores[0] > 0.2 > max(best["coffee"].scores[0], best["chelsea"].scores[0])


def test_the_same_photo_smaller_shows_the_same_thing(
    model: FastSAM, photographs: dict[str, NDArray[np.uint8]]
) -> None:
    bus = photographs["bus"]
    small = np.asarray(Image.fromarray(bus).resize((bus.shape[1] // 2, bus.shape[0] // 2)))
    reference = model.reference(bus, Points((400, 400)), mode="best")
    found = model.open(small).select(reference)
    x1, y1, x2, y2 = found.boxes_xyxy[0] * 2
    assert x2 - x1 > 700
    assert 150 < y1 < 300 < 700 < y2 < 830
    assert found.scores[0] > 0.5
