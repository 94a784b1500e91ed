"""The text-image model that comes with the package, on real photographs, without a network."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fastsam import FastSAM, Session, Text, but_not
from fastsam.errors import ChecksumError, WeightsError
from fastsam.prompts.text.models import open_text_model
from fastsam.weights import table as weights

BUS = (3, 234, 797, 755)
PERSONS = ((42, 402, 240, 903), (225, 412, 343, 859), (668, 381, 810, 881))


@pytest.fixture(scope="module")
def street() -> Iterator[Session]:
    """ultralytics' photo of a bus stop; whoever calls the network fails."""
    from ultralytics.utils import ASSETS

    def refuse(*args: object) -> None:
        raise AssertionError(f"the network was called: {args}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        yield FastSAM(device="cpu").open(ASSETS / "bus.jpg")


def box_iou(boxes: np.ndarray, box: tuple[int, ...]) -> np.ndarray:
    """Return the IoU of (N, 4) boxes with one."""
    corners = [np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])]
    shared = (corners[1] - corners[0]).clip(min=0).prod(axis=1)
    whole = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2] - box[0]) * (box[3] - box[1])
    return shared / (whole - shared)


def overlaps(session: Session, text: str, box: tuple[int, ...]) -> float:
    """Return the best box IoU of the answers to a text with a box."""
    return float(box_iou(session.select(Text(text)).masks.boxes_xyxy, box).max(initial=0))


def test_bus_selects_the_bus(street: Session) -> None:
    assert overlaps(street, "bus", BUS) > 0.9


@pytest.mark.parametrize("box", PERSONS)
def test_person_selects_every_person(street: Session, box: tuple[int, ...]) -> None:
    assert overlaps(street, "person", box) > 0.8


@pytest.mark.parametrize("text", ["elephant", "a pizza", "a giraffe", "an airplane", "a laptop"])
def test_what_is_not_there_selects_nothing(street: Session, text: str) -> None:
    answer = street.select(Text(text))
    assert len(answer) == 0
    assert "not found" in answer.reason


def test_labels_say_what_the_largest_masks_are(street: Session) -> None:
    everything = street.label("coco").everything()
    assert everything.labels is not None
    for box, name in ((BUS, "bus"), (PERSONS[0], "person"), (PERSONS[1], "person")):
        nearest = int(box_iou(everything.masks.boxes_xyxy, box).argmax())
        assert everything.labels[nearest] == name


def test_texts_combine_with_what_they_are_not(street: Session) -> None:
    people = street.select(Text("person"))
    assert len(people) >= 3
    assert len(street.select(but_not(Text("person"), Text("person")))) == 0


def test_open_clip_loads_the_folder_by_itself() -> None:
    import open_clip

    folder = weights.local_path(weights.text_model()).parent
    model = open_clip.create_model(f"local-dir:{folder}")
    assert model.visual.image_size == (weights.text_model().imgsz,) * 2


def test_it_is_small() -> None:
    folder = weights.local_path(weights.text_model()).parent
    assert sum(file.stat().st_size for file in folder.iterdir()) < 30e6


def test_a_damaged_or_missing_file_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = weights.local_path(weights.text_model()).parent
    shutil.copytree(folder, tmp_path / folder.name)
    monkeypatch.setattr(weights, "_embedded_folder", lambda: tmp_path)
    file = weights.local_path(weights.text_model())
    with file.open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"\0\1\2\3")
    with pytest.raises(ChecksumError, match=r"fastsam-nano-text.*reinstall"):
        open_text_model(None).pictures([np.zeros((9, 9, 3), np.uint8)])
    file.unlink()
    with pytest.raises(WeightsError, match=r"fastsam-nano-text.*missing.*reinstall"):
        open_text_model(None).texts(["a dog"], False)


def test_a_segmenter_of_ones_own_answers_texts_too() -> None:
    from fastsam.testing import FixedSegmenter

    photo = np.zeros((40, 60, 3), np.uint8)
    session = FastSAM(segmenter=FixedSegmenter(np.ones((1, 40, 60), bool))).open(photo)
    assert session.select(Text("an elephant", threshold=0.0)).scores.shape == (1,)
