"""Prompts in the current frame: selected, corrected, removed, found again; no source and no thread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastsam.config import VideoConfig
from fastsam.errors import PromptError
from fastsam.images.frame import Frame
from fastsam.prompts import Box, MaskLike, Points, Prompt, Text, but_not
from fastsam.video.track.persistent import PersistentPrompt
from fastsam.video.track.tracked import Tracked
from fastsam.video.track.tracking import Tracking
from tests.video.drawn import SIZE_HW, Drawn, Shape, iou, model_of, names, still, walk

MAPS = pytest.mark.parametrize("channels", [0, 32])
TWO = Drawn(Shape("red", walk(30, 30, 2)), Shape("blue", walk(95, 70, -2)))


class Clip:
    """A drawn clip that is told frame by frame."""

    def __init__(self, drawn: Drawn, channels: int = 32, **options: Any) -> None:
        self.drawn, self.model = drawn, model_of(drawn, channels=channels)
        self.tracking = Tracking(VideoConfig(**options))
        self.index = -1

    def frame(self) -> Frame:
        self.index += 1
        return Frame(self.drawn.rgb(self.index), index=self.index)

    def step(self, times: int = 1) -> Tracked:
        for _ in range(times):
            tracked = self.tracking.step(self.model.open(self.frame(), conf=0.1))
        return tracked

    def move(self) -> Tracked:
        return self.tracking.move(self.frame())

    def now(self) -> Tracked:
        assert self.tracking.current is not None
        return self.tracking.current

    def names(self) -> dict[str, int]:
        return names(self.drawn, self.now())


@MAPS
@pytest.mark.parametrize(
    "prompt",
    [
        Points((30, 30)),
        Box([18, 20, 42, 40]),
        MaskLike(TWO.masks(0)[0]),
        Text("red"),
        but_not(Text("red"), Text("blue")),
        but_not(Box([18, 20, 42, 40]), Text("blue")),
    ],
    ids=lambda prompt: type(prompt).__name__,
)
def test_every_prompt_starts_an_object(prompt: Prompt, channels: int) -> None:
    clip = Clip(TWO, channels)
    clip.step()
    assert clip.tracking.select(prompt) == (1,)
    assert clip.names() == {"red": 1}
    for _ in range(4):
        clip.step()
        assert clip.names() == {"red": 1}
        assert clip.now().lost == ()


@pytest.mark.parametrize("mode", ["all", "best"])
def test_a_reference_to_another_photo(mode: Any) -> None:
    other = Drawn(Shape("blue", still(50, 50), (40, 36)))
    # Colours alone are a weak look: real models have thresholds of their own.
    region = model_of(other).reference(other.rgb(0), Points((50, 50)), mode=mode, threshold=0.02)
    late = Drawn(
        Shape("red", walk(30, 30, 2)),
        Shape("blue", walk(95, 70, -2, 0, range(0 if mode == "best" else 2, 9))),
    )
    clip = Clip(late)
    clip.step()
    assert clip.tracking.select(region) == ((1,) if mode == "best" else ())
    clip.step(4)
    assert clip.names() == {"blue": 1}


def test_several_objects_in_one_prompt() -> None:
    clip = Clip(TWO)
    clip.step()
    assert clip.tracking.select(Points([[(30, 30)], [(95, 70)]])) == (1, 2)
    clip.step()
    assert clip.names() == {"red": 1, "blue": 2}
    with pytest.raises(PromptError, match="object 5: expected a prompt with one answer, got 2"):
        clip.tracking.select(Points([[(34, 30)], [(91, 70)]]), 5)


def test_labels_and_numbers_of_the_callers_own() -> None:
    clip = Clip(TWO)
    clip.step()
    assert clip.tracking.select(Points((30, 30)), 7, "the ball") == (7,)
    assert clip.tracking.select(Points((95, 70))) == (8,)
    clip.step()
    assert clip.now().labels == ("the ball", "")
    assert clip.tracking.log.objects[7].label == "the ball"


def test_numbers_of_prompts_are_not_those_of_everything() -> None:
    """Object 1 of everything was red; the first prompt's object, which is blue, has a life of its own."""
    clip = Clip(TWO)
    clip.step(3)
    assert set(clip.tracking.log.objects) == {1, 2}
    clip.tracking.select(Points((95 - 4, 70)))
    assert set(clip.tracking.log.objects) == {1}
    assert clip.tracking.log.objects[1].birth == 2
    clip.step()
    assert [place[0] for place in clip.tracking.log.objects[1].trail] == [2, 3]
    assert clip.tracking.log.objects[1].trail[0][1] == pytest.approx(91, abs=2)


def halves() -> Drawn:
    """Two halves that touch: a body and its head."""
    return Drawn(
        Shape("red", walk(40, 40, 1), (20, 20), round=False),
        Shape("yellow", walk(60, 40, 1), (20, 20), round=False),
        Shape("blue", still(100, 80)),
    )


@MAPS
def test_points_add_to_a_mask_and_take_away(channels: int) -> None:
    drawn = halves()
    clip = Clip(drawn, channels)
    clip.step()
    clip.tracking.select(Points((40, 40)))
    clip.step()
    red, yellow, _ = drawn.masks(1)
    assert iou(clip.now().mask_of(1), red) > 0.9
    assert clip.tracking.select(Points((61, 40)), 1) == (1,)
    assert iou(clip.now().mask_of(1), red | yellow) > 0.95
    clip.step(3)
    red, yellow, _ = drawn.masks(4)
    assert iou(clip.now().mask_of(1), red | yellow) > 0.8, "it is followed as corrected"
    clip.tracking.select(Points([(44, 40), (64, 40)], [1, 0]), 1)
    assert iou(clip.now().mask_of(1), red) > 0.8
    clip.step(3)
    red, yellow, _ = drawn.masks(7)
    assert iou(clip.now().mask_of(1), red) > iou(clip.now().mask_of(1), red | yellow)
    assert list(clip.tracking.log.objects) == [1]


@MAPS
def test_an_object_that_is_lost_can_be_pointed_at_again(channels: int) -> None:
    drawn = Drawn(Shape("red", lambda i: (30, 30) if i < 2 else None), Shape("green", still(95, 70)))
    clip = Clip(drawn, channels)
    clip.step()
    clip.tracking.select(Points((30, 30)), label="it")
    clip.step(2)
    assert (clip.now().ids.tolist(), clip.now().lost) == ([], (1,))
    assert clip.tracking.log.objects[1].state == "lost"
    clip.tracking.select(Points((95, 70)), 1)
    assert (clip.now().ids.tolist(), clip.now().lost, clip.now().labels) == ([1], (), ("it",))
    clip.step()
    assert clip.names() == {"green": 1}


def test_what_was_removed_stays_away() -> None:
    """Also where a text selected it, which would look again after a while."""
    clip = Clip(Drawn(Shape("red", still(30, 30)), Shape("blue", still(95, 70))))
    clip.step()
    assert clip.tracking.select(Text("red")) == (1,)
    clip.tracking.select(Points((95, 70)))
    clip.tracking.remove(1)
    assert clip.names() == {"blue": 2}
    assert clip.now().lost == ()
    assert clip.tracking.log.objects[1].state == "ended"
    clip.step(36)
    assert clip.names() == {"blue": 2}
    clip.tracking.remove(2)
    clip.step()
    assert len(clip.now()) == 0, "everything does not come back by itself"


def test_a_text_finds_what_comes_later_and_what_comes_back() -> None:
    drawn = Drawn(
        Shape("red", lambda i: (30, 30) if 3 <= i < 7 or i >= 10 else None),
        Shape("blue", still(95, 70)),
    )
    clip = Clip(drawn)
    clip.step()
    assert clip.tracking.select(Text("a red ball")) == ()
    assert len(clip.now()) == 0
    clip.step(6)
    assert clip.names() == {"red": 1}
    assert clip.now().labels == ("a red ball",)
    clip.step(2)
    assert (clip.now().ids.tolist(), clip.now().lost) == ([], (1,))
    clip.step(4)
    assert clip.names() == {"red": 1}


def test_two_texts_name_what_they_find() -> None:
    clip = Clip(TWO)
    clip.step()
    assert clip.tracking.select(Text(["red", "blue"])) == (1, 2)
    clip.step()
    found = {clip.now().labels[k]: int(i) for k, i in enumerate(clip.now().ids)}  # type: ignore[index]
    assert found == clip.names()


def test_the_labels_of_an_hour_are_forgotten() -> None:
    """A text finds another object every few frames; what it knew of those that left goes."""
    path = lambda k: lambda i: (20 + 10 * (k % 9), 20 + 7 * (k % 9)) if 4 * k <= i < 4 * k + 3 else None  # noqa: E731
    drawn = Drawn(*[Shape("red", path(k), (10 + 4 * (k % 2), 18 - 6 * (k % 2))) for k in range(12)])
    clip = Clip(drawn, 0, forget_after_frames=2)
    clip.step()
    clip.tracking.select(Text("red"))
    clip.step(47)
    assert len(clip.tracking._labels) <= 3
    assert len(clip.tracking._follower.objects) <= 3
    assert len(clip.tracking.log.objects) >= 1


@MAPS
def test_motion_between_the_frames_that_are_looked_at(channels: int) -> None:
    clip = Clip(TWO, channels)
    clip.step(2)
    for _ in range(3):
        clip.move()
        assert clip.names() == {"red": 1, "blue": 2}
    clip.step()
    assert clip.names() == {"red": 1, "blue": 2}
    clip.tracking.select(Points((30 + 10, 30)))
    for _ in range(3):
        assert clip.move().lost == ()
        assert clip.names() == {"red": 1}
    clip.tracking.remove(1)
    assert clip.now().frame.index == 8, "the current frame is the one that was moved to"
    assert len(clip.now()) == 0


def test_a_frame_that_was_not_looked_at_answers_no_prompt() -> None:
    clip = Clip(TWO)
    clip.step()
    clip.move()
    for ask in (
        lambda: clip.tracking.select(Points((30, 30))),
        lambda: clip.tracking.follow(TWO.masks(1)[0]),
    ):
        with pytest.raises(PromptError, match="whose masks are known"):
            ask()


def test_exactly_these_pixels() -> None:
    clip = Clip(TWO)
    clip.step()
    square = np.zeros(SIZE_HW, bool)
    square[20:40, 40:80] = True
    assert clip.tracking.follow(square, label="mine") == 1
    assert np.array_equal(clip.now().mask_of(1), square)
    for bad in (np.zeros(SIZE_HW, bool), np.ones((4, 4), bool)):
        with pytest.raises(PromptError, match=r"follow: expected pixels of a \(96, 128\) mask, got shape"):
            clip.tracking.follow(bad)


def test_nothing_there() -> None:
    clip = Clip(Drawn())
    assert len(clip.step()) == 0
    with pytest.raises(PromptError, match="nothing to follow in frame 0"):
        clip.tracking.select(MaskLike(np.eye(*SIZE_HW, dtype=bool)))
    assert clip.tracking.select(Text("red")) == ()
    assert len(clip.step()) == 0
    assert len(clip.move()) == 0
    assert clip.tracking.log.objects == {}


@pytest.mark.parametrize("object_id", [0, -1, True, 1.5, "1", [1], np.array([1, 2])])
def test_numbers_that_no_object_has(object_id: Any) -> None:
    clip = Clip(TWO)
    clip.step()
    for ask in (
        lambda: clip.tracking.select(Points((30, 30)), object_id),
        lambda: clip.tracking.follow(TWO.masks(0)[0], object_id),
        lambda: clip.tracking.remove(object_id),
    ):
        with pytest.raises(PromptError, match="object_id: expected a whole number above 0, got"):
            ask()
    assert clip.tracking.log.objects.keys() == {1, 2}


def test_prompts_that_do_not_fit() -> None:
    clip = Clip(TWO)
    with pytest.raises(PromptError, match="select: expected a current frame"):
        clip.tracking.select(Points((30, 30)))
    with pytest.raises(PromptError, match="expected a first frame with its masks"):
        clip.tracking.move(Frame(TWO.rgb(0)))
    with pytest.raises(PromptError, match="adopt: expected the last frame"):
        clip.tracking.adopt(clip.model.open(TWO.rgb(0)).masks, np.array([1, 2]), prompted=False)
    clip.step()
    with pytest.raises(PromptError, match=r"outside|inside"):
        clip.tracking.select(Points((500, 30)))
    with pytest.raises(PromptError, match="object_id 3: a text or reference"):
        clip.tracking.select(Text("red"), 3)
    with pytest.raises(PromptError, match=r"object 9: .*followed \(none is followed\)"):
        clip.tracking.remove(9)
    clip.tracking.select(Points((30, 30)))
    with pytest.raises(PromptError, match=r"object 9: expected the id of an object that is followed \(1\)"):
        clip.tracking.remove(9)


@MAPS
def test_going_on_from_an_earlier_run(channels: int) -> None:
    for prompted in (False, True):
        first = Clip(TWO, channels)
        first.step()
        if prompted:
            first.tracking.select(Points((95, 70)), 31, "ball")
        first.step(2)
        then = first.now()
        again = Clip(TWO, channels)
        again.index = 1
        again.step()
        ids = then.ids + (0 if prompted else 20)
        again.tracking.adopt(then.masks, ids, then.labels, prompted=prompted)
        wanted = {"blue": 31} if prompted else {"red": 21, "blue": 22}
        assert again.names() == wanted
        assert set(again.tracking.log.objects) == set(wanted.values())
        for _ in range(4):
            again.step()
            assert again.names() == wanted
            assert again.now().labels == then.labels
        assert {known.birth for known in again.tracking.log.objects.values()} == {2}


def test_going_on_with_a_text() -> None:
    again = Clip(TWO)
    again.step()
    masks = again.model.open(TWO.rgb(0)).masks
    text = Text(["red", "blue"])
    again.tracking.adopt(masks[[0]], np.array([9]), ("red",), prompted=True, prompts=[text])
    again.step(3)
    assert again.names() == {"red": 9, "blue": 10}, "what it had found, and what it finds now"


def test_going_on_with_nothing() -> None:
    again = Clip(TWO)
    again.step()
    none = again.model.open(TWO.rgb(0)).masks[:0]
    again.tracking.adopt(none, np.zeros(0, np.int64), prompted=True)
    assert len(again.now()) == 0
    assert len(again.step()) == 0


def test_a_text_that_is_refused_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = Clip(Drawn(Shape("red", still(30, 30)), Shape("blue", still(90, 70))))
    clip.step()
    before = clip.now().ids.tolist()

    def refuses(*_: Any) -> None:
        raise PromptError("no text model")

    with monkeypatch.context() as patch:
        patch.setattr(PersistentPrompt, "look", refuses)
        with pytest.raises(PromptError, match="no text model"):
            clip.tracking.select(Text("red"))
    assert clip.tracking.not_found == {}
    clip.step()
    assert clip.now().ids.tolist() == before, "everything is tracked on"
