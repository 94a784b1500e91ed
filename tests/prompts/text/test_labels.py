"""A name for every mask, and where the names go: pictures, files, the command line's JSON."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsam import FastSAM, Points, Session, Text, any_of, select
from fastsam.errors import PromptError, RecordError
from fastsam.masks.maskset import MaskSet
from fastsam.prompts import ImageFeatures
from fastsam.prompts.text.labels import UNKNOWN, Labels, label
from fastsam.testing import ColourWordEncoder, FixedSegmenter
from tests.text_models import SIZE, scene, shapes

NAMES = ["green lawn", "red brick", "blue sea", "magenta"]
WANTED = ("red brick", "blue sea", "red brick", UNKNOWN, UNKNOWN, "green lawn")


@pytest.fixture
def session() -> Session:
    frame, masks = scene()
    model = FastSAM(segmenter=FixedSegmenter(np.asarray(masks), masks.scores), text_model=ColourWordEncoder())
    return model.open(frame, conf=0.0)


def test_each_mask_gets_its_name(session: Session) -> None:
    labelled = session.label(NAMES)
    assert session.labels is None
    assert labelled.labels is not None
    assert labelled.labels.names == WANTED
    assert labelled.everything().labels == WANTED
    assert labelled.labels.vocabulary == tuple(NAMES)
    known = [name != UNKNOWN for name in WANTED]
    assert (labelled.labels.scores[known] > 0.9).all()
    assert labelled.labels.scores[3:5].tolist() == [0, 0]


def test_what_is_none_of_the_names_is_unknown(session: Session) -> None:
    assert set(session.label(["magenta", "white paint"]).everything().labels or ()) == {UNKNOWN}
    halves = ["red brick", "red wine"]  # as probable as each other
    assert set(session.label(halves, threshold=0.6).everything().labels or ()) == {UNKNOWN}
    assert (session.label(halves, threshold=0.4).everything().labels or ())[0] in halves


def test_names_do_not_cost_the_pictures_again() -> None:
    encoder = ColourWordEncoder()
    frame, masks = scene()
    features = ImageFeatures(frame, masks, encoder)
    label(features, NAMES)
    first = dict(encoder.calls)
    label(features, NAMES, 0.9)
    assert encoder.calls == first
    assert first["pictures"] == 4


def test_results_carry_the_names_of_their_own_masks(session: Session) -> None:
    labelled = session.label(NAMES)
    found = labelled.select(any_of(Points((10, 40)), Points((10, 10))))
    assert found.labels == ("green lawn", "red brick")
    assert found[1].labels == ("red brick",)
    assert labelled.select(Text("blue")).labels == ("blue sea",)
    assert len(labelled.select(Text("cyan")).labels or ()) == 0
    assert session.everything().labels is None


def test_texts_are_the_labels_of_what_they_select(session: Session) -> None:
    found = session.select(Text(["blue", "a red thing"]))
    assert found.labels == tuple(["blue", "a red thing"][g] for g in found.groups)
    assert sorted(found.labels) == ["a red thing", "a red thing", "blue"]


def test_names_are_drawn(session: Session) -> None:
    plain, named = session.everything().plot(), session.label(NAMES).everything().plot()
    assert (plain != named).any()


def test_names_go_into_files(session: Session, tmp_path: Path) -> None:
    everything = session.label(NAMES).everything()
    coco = json.loads(everything.export(tmp_path / "coco", "coco")[-1].read_text())
    by_id = {row["id"]: row["name"] for row in coco["categories"]}
    assert list(by_id.values()) == list(NAMES)  # in the order asked for, found or not
    known = [name for name in WANTED if name != UNKNOWN]
    kept = [name for name, mask in zip(WANTED, shapes().values(), strict=True) if mask.any()]
    assert [by_id[row["category_id"]] for row in coco["annotations"]] == [n for n in kept if n != UNKNOWN]
    (table,) = everything.export(tmp_path / "csv", "csv")
    assert [row["label"] for row in csv.DictReader(table.read_text().splitlines())] == known
    shaped = everything.export(tmp_path / "labelme", "labelme")[0]
    assert {shape["label"] for shape in json.loads(shaped.read_text())["shapes"]} == set(known)
    everything.export(tmp_path / "yolo", "yolo")
    assert (tmp_path / "yolo" / "classes.txt").read_text().splitlines() == list(NAMES)
    all_of_them = everything.export(tmp_path / "all", "csv", labels=everything.labels)[0]
    assert [row["label"] for row in csv.DictReader(all_of_them.read_text().splitlines())] == list(WANTED)
    mine = everything.export(tmp_path / "mine", "csv", labels=["x"] * len(everything))[0]
    assert "red brick" not in mine.read_text()


def test_without_the_photo_the_message_names_the_way_out() -> None:
    _, masks = scene()
    with pytest.raises(PromptError, match=r"labels: the photo of the masks is needed.*ImageFeatures"):
        label(None, "coco")
    with pytest.raises(PromptError, match=r"'a dog': the photo of the masks is needed.*open\(photo\)"):
        select(masks, Text("a dog"))


@pytest.mark.parametrize(
    ("vocabulary", "threshold", "said"),
    [
        ("words", 0.3, "expected one of coco"),
        (NAMES, 1.5, "threshold: .* got 1.5"),
        (NAMES, None, "got None"),
    ],
)
def test_what_is_no_vocabulary_and_no_threshold(
    session: Session, vocabulary: Any, threshold: Any, said: str
) -> None:
    with pytest.raises(PromptError, match=said):
        session.label(vocabulary, threshold)


def test_no_masks_at_all() -> None:
    frame, _ = scene()
    found = label(ImageFeatures(frame, MaskSet.none(SIZE), ColourWordEncoder()), "coco")
    assert (len(found), found.scores.shape, len(found.vocabulary)) == (0, (0,), 80)


def test_names_and_scores_go_together() -> None:
    with pytest.raises(RecordError, match=r"expected scores of shape \(1,\) for 1 names, got \(2,\)"):
        Labels(("a",), np.zeros(2, np.float32), ("a",))
