"""Models, sessions and results on their way to another process."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fastsam import Box, FastSAM, Points, Reference, Text
from fastsam.session import Session

pytest.importorskip("ultralytics")


def sent(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


@pytest.fixture(scope="module")
def photo(photographs: dict[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(photographs["bus"]).resize((240, 320)))


@pytest.fixture(scope="module")
def session(photo: NDArray[np.uint8], embedded_weights: Path) -> Session:
    return FastSAM(embedded_weights).open(photo, imgsz=160)


def test_a_model_is_sent_by_name_and_options(
    photo: NDArray[np.uint8], embedded_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(embedded_weights.parent)
    model = FastSAM(embedded_weights.name, device="cpu")
    raw = pickle.dumps(model)
    assert len(raw) < 1_000
    monkeypatch.chdir("/")  # a path that was relative still means the same file
    again: FastSAM = pickle.loads(raw)
    assert again.location == model.location
    assert again.defaults == model.defaults
    before, after = (one.open(photo, imgsz=160).masks for one in (model, again))
    assert np.array_equal(before.boxes_xyxy, after.boxes_xyxy)


def test_a_model_of_another_class_stays_one() -> None:
    class Nothing:
        times_ms: ClassVar[dict[str, float]] = {}

        def segment(self, *_: Any) -> Any:
            raise NotImplementedError

    model = FastSAM(segmenter=Nothing())
    with pytest.raises((AttributeError, pickle.PicklingError), match="Nothing"):
        pickle.dumps(model)  # a segmenter of one's own goes along, so it has to be something that can


def test_a_session_answers_as_before(session: Session) -> None:
    again: Session = sent(session)
    questions: Sequence[Any] = (Points([(120, 150)]), Box((10, 80, 200, 250)), Text("a bus", threshold=0.01))
    for prompt in questions:
        before, after = session.select(prompt), again.select(prompt)
        assert np.array_equal(before.scores, after.scores)
        assert all(np.array_equal(before.masks.mask(i), after.masks.mask(i)) for i in range(len(before)))
    assert len(session.select(questions[-1]))


def test_a_session_that_was_sent_opens_other_images(session: Session, photo: NDArray[np.uint8]) -> None:
    elsewhere = Reference(photo[:, ::-1], Points([(120, 150)]))
    assert np.array_equal(session.select(elsewhere).scores, sent(session).select(elsewhere).scores)
    assert np.array_equal(session.select(elsewhere).scores, sent(sent(session)).select(elsewhere).scores)


def test_a_result_is_sent_whole(session: Session) -> None:
    result = session.label().select(Points([(120, 150)]))
    again = sent(result)
    assert np.array_equal(again.masks.mask(0), result.masks.mask(0))
    assert again.labels == result.labels
    assert again.prompt == result.prompt
    assert np.array_equal(again.plot(), result.plot())
