"""Texts: probabilities, all instances, absent concepts, and each picture encoded once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastsam.errors import ConfigError, PromptError
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.prompts import Box, ImageFeatures, Points, Position, Text, all_of, any_of, but_not, select
from fastsam.prompts.text.matching import Embedder, mask_text_probabilities
from fastsam.prompts.text.vocabulary import background, share_a_word
from fastsam.testing import ColourWordEncoder
from tests.text_models import SIZE, scene, shapes

NAMES = list(shapes())


@pytest.fixture
def encoder() -> ColourWordEncoder:
    return ColourWordEncoder()


@pytest.fixture
def features(encoder: ColourWordEncoder) -> ImageFeatures:
    return ImageFeatures(*scene(), encoder)


def named(selection: Any) -> list[str]:
    return [NAMES[i] for i in selection.indices]


def test_all_instances_best_first(features: ImageFeatures) -> None:
    found = select(features.masks, Text("a red thing"), features)
    assert sorted(named(found)) == ["red left", "red right"]
    assert (np.diff(found.scores) <= 0).all()
    assert found.scores == pytest.approx(found.masks.scores, abs=0.01)  # surely red: the masks' own scores
    assert "2 masks, best score" in found.reason


def test_an_absent_concept_selects_nothing_and_says_so(features: ImageFeatures) -> None:
    found = select(features.masks, Text("a magenta hat"), features)
    assert len(found) == 0
    assert found.reason == "'a magenta hat': not found, the best score 0.00 is below 0.3"


def test_many_texts_in_one_pass_with_groups(features: ImageFeatures, encoder: ColourWordEncoder) -> None:
    found = select(features.masks, Text(["green", "a yellow lamp", "red or so"]), features)
    assert sorted(named(found.group(0))) == ["green"]
    assert len(found.group(1)) == 0
    assert sorted(named(found.group(2))) == ["red left", "red right"]
    assert "'a yellow lamp': not found" in found.reason
    assert (np.diff(found.scores) <= 0).all()
    assert encoder.calls["pictures"] == 4


def test_a_text_is_answered_as_if_alone(features: ImageFeatures) -> None:
    both = select(features.masks, Text(["red", "a red square"], threshold=0.1), features)
    for number, text in enumerate(["red", "a red square"]):
        alone = select(features.masks, Text(text, threshold=0.1), features)
        assert both.group(number).indices.tolist() == alone.indices.tolist()
        assert np.allclose(both.group(number).scores, alone.scores)


def test_pictures_are_encoded_once_and_texts_once(encoder: ColourWordEncoder) -> None:
    frame, masks = scene()
    embedder = Embedder(encoder)
    features = ImageFeatures(frame, masks, embedder)
    select(masks, Text("red"), features)
    first = dict(encoder.calls)
    assert first["pictures"] == 4  # neither the tiny nor the empty mask
    select(masks, Text("red", threshold=0.9), features)
    select(masks, but_not(Text("red"), Box((0, 0, 24, 26))), features)
    select(masks, all_of(Text("red"), Text("red", threshold=0.1)), features)
    assert encoder.calls == first
    select(masks, Text("blue"), features)
    assert encoder.calls["pictures"] == 4
    assert encoder.calls["texts"] == first["texts"] + 8  # sentences
    select(masks, Text("blue", crops="context"), features)
    assert encoder.calls["pictures"] == 8
    other = ImageFeatures(frame, masks, embedder)
    texts = encoder.calls["texts"]
    select(masks, Text("blue"), other)
    assert encoder.calls == {"pictures": 12, "texts": texts}


def test_tiny_and_empty_masks_are_never_it(features: ImageFeatures) -> None:
    values = mask_text_probabilities(features, ["black", "white"])
    assert values[:, NAMES.index("tiny")].tolist() == values[:, NAMES.index("empty")].tolist() == [0, 0]
    everything = select(features.masks, Text("black", threshold=0), features)
    assert set(named(everything)) == set(NAMES) - {"tiny", "empty"}


def test_probabilities_are_the_softmax_by_hand(features: ImageFeatures, encoder: ColourWordEncoder) -> None:
    text, negatives = "a red wall", ["an orange wall", "magenta"]
    values = mask_text_probabilities(features, [text], negatives=negatives, ensemble=False)[0]
    vectors, of = features.embeddings("masked")
    others = [*negatives, *[phrase for phrase in background() if not share_a_word(text, phrase)]]
    assert "a wall" not in others
    words = encoder.encode_texts([text, *others])
    for vector, i in zip(vectors, of, strict=True):
        weights = [np.exp(encoder.logit_scale * float(vector @ word)) for word in words]
        assert values[i] == pytest.approx(weights[0] / sum(weights), rel=1e-4)


def test_negatives_take_probability_away(features: ImageFeatures) -> None:
    alone = select(features.masks, Text("red"), features)
    against = select(features.masks, Text("red", 0.5, negatives=["a red brick", "red wine"]), features)
    assert len(alone) == 2
    assert len(against) == 0
    assert "best score 0.30 is below 0.5" in against.reason


def test_names_of_a_vocabulary_exclude_each_other(features: ImageFeatures) -> None:
    together = mask_text_probabilities(features, ["red", "a red thing", "blue"], together=True)
    assert (together.sum(axis=0) <= 1 + 1e-6).all()
    row = NAMES.index("red left")
    assert together[0, row] == pytest.approx(together[1, row], rel=1e-3)


class Small(ColourWordEncoder):
    """Says what size of pictures it takes."""

    image_px = 24

    def __init__(self) -> None:
        super().__init__()
        self.sides: list[int] = []

    def encode_images(self, pictures: Any) -> Any:
        self.sides += [len(picture) for picture in pictures]
        return super().encode_images(pictures)


def test_pictures_are_cut_to_what_the_encoder_takes(features: ImageFeatures) -> None:
    encoder = Small()
    smaller = ImageFeatures(*scene(), encoder)
    found = select(smaller.masks, Text("a red thing"), smaller)
    assert named(found) == named(select(features.masks, Text("a red thing"), features))
    assert max(encoder.sides) == 24


class Counting:
    """An encoder whose texts all differ: what the ensemble averages can be told."""

    location, logit_scale = "counting", 1.0

    def __init__(self, width: int = 3) -> None:
        self.width = width
        self.sentences: list[str] = []

    def encode_images(self, pictures: Any) -> Any:
        return np.ones((len(pictures), 3))

    def encode_texts(self, texts: Any) -> Any:
        self.sentences += texts
        return np.array([[len(t), len(set(t)), 1.0] for t in texts])[:, : self.width].reshape(-1, self.width)


def test_the_ensemble_is_the_mean_of_unit_vectors() -> None:
    encoder = Counting()
    (found,) = Embedder(encoder).texts(["{curly}"], True)
    assert "a photo of {curly}." in encoder.sentences
    rows = np.array([[len(t), len(set(t)), 1.0] for t in encoder.sentences])
    mean = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).mean(axis=0)
    assert np.allclose(found, mean / np.linalg.norm(mean), atol=1e-6)
    (bare,) = Embedder(Counting()).texts(["abc"], False)
    assert np.allclose(bare, np.array([3, 3, 1]) / np.sqrt(19), atol=1e-6)


def test_combinations(features: ImageFeatures) -> None:
    masks = features.masks
    red, left = Text("red"), Box((0, 0, 24, 26))
    assert named(select(masks, all_of(red, left), features)) == ["red left"]
    assert named(select(masks, all_of(left, red), features)) == ["red left"]
    assert len(select(masks, all_of(Text("blue"), left), features)) == 0
    assert named(select(masks, but_not(red, left), features)) == ["red right"]
    assert named(select(masks, but_not(Points([(99, 0)], [0]), red), features)) == [
        "blue", "tiny", "empty", "green",
    ]  # fmt: skip
    either = select(masks, any_of(Text("blue"), Text("red"), Points((10, 40))), features)
    assert set(named(either)) == {"blue", "red left", "red right", "green"}
    assert either.groups.tolist() == [0, 1, 1, 2]
    both = select(masks, all_of(red, Text(["red thing", "blue"])), features)
    assert sorted(named(both)) == ["red left", "red right"]
    assert (np.diff(both.scores) <= 0).all()
    nested = but_not(all_of(red, Text("red")), but_not(red, left))
    assert named(select(masks, nested, features)) == ["red left"]
    assert named(select(masks, Position("rightmost", of=red), features)) == ["red right"]


def test_the_order_of_masks_does_not_matter(encoder: ColourWordEncoder) -> None:
    frame, masks = scene()
    order = np.array([4, 2, 5, 0, 3, 1])
    turned = masks[order]
    first = select(masks, Text(["red", "green"]), ImageFeatures(frame, masks, encoder))
    again = select(turned, Text(["red", "green"]), ImageFeatures(frame, turned, encoder))
    assert order[again.indices].tolist() == first.indices.tolist()
    assert again.groups.tolist() == first.groups.tolist()


def test_other_prompts_need_no_features() -> None:
    _, masks = scene()
    assert named(select(masks, Points((10, 10)))) == ["red left"]


def test_texts_without_the_photo_say_how_to_ask() -> None:
    _, masks = scene()
    for prompt in (
        Text("a dog"),
        any_of(Points((1, 1)), Text("a dog")),
        Position("largest", of=Text("a dog")),
    ):
        with pytest.raises(PromptError, match=r"'a dog'.*open\(photo\).*ImageFeatures"):
            select(masks, prompt)


def test_features_of_other_masks_are_refused(features: ImageFeatures) -> None:
    with pytest.raises(PromptError, match="these 2 masks, got those of 6 other masks"):
        select(features.masks[:2], Text("red"), features)
    with pytest.raises(PromptError, match="photo's size"):
        ImageFeatures(Frame(np.zeros((3, 3, 3), np.uint8)), features.masks, ColourWordEncoder())


def test_features_of_some_masks(features: ImageFeatures, encoder: ColourWordEncoder) -> None:
    rows = np.array([5, 4, 2])
    some = features.take(rows)
    found = select(features.masks[rows], Text("red"), some)
    assert found.indices.tolist() == [2]
    assert len(some.take(np.array([2]))) == 1
    assert select(features.masks[[2]], Text("red"), some.take(np.array([2]))).indices.tolist() == [0]
    assert encoder.calls["pictures"] == 4


class Broken(ColourWordEncoder):
    """Gives what it is told to."""

    def __init__(self, vectors: Any) -> None:
        super().__init__()
        self.vectors = vectors

    def encode_images(self, pictures: Any) -> Any:
        return self.vectors


@pytest.mark.parametrize("vectors", [np.ones(4), np.ones((3, 4)), np.full((4, 4), np.nan), np.ones((4, 7))])
def test_encoders_that_give_something_else(vectors: Any) -> None:
    frame, masks = scene()
    with pytest.raises(ConfigError, match="text model"):
        select(masks, Text("red"), ImageFeatures(frame, masks, Broken(vectors)))


def test_what_is_no_encoder() -> None:
    with pytest.raises(ConfigError, match="encode_images and encode_texts, got dict"):
        ImageFeatures(*scene(), {})


def test_no_masks_at_all(encoder: ColourWordEncoder) -> None:
    frame, _ = scene()
    none = MaskSet.none(SIZE)
    features = ImageFeatures(frame, none, encoder)
    for prompt in (Text("red"), all_of(Text("red"), Text("blue")), but_not(Text("red"), Text("blue"))):
        found = select(none, prompt, features)
        assert len(found) == 0
        assert found.reason
    assert encoder.calls["pictures"] == 0
    assert mask_text_probabilities(features, ["red"]).shape == (1, 0)
    assert len(features.embeddings("masked")[1]) == 0
