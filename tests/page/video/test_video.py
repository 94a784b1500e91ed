"""Following things through a video on the page; no browser, no server."""

from __future__ import annotations

import copy
import gc
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
import pytest
from PIL import Image

import fastsam
from fastsam.config import SegmentConfig
from fastsam.errors import PromptError, VideoError
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.page.photo import steps
from fastsam.page.photo.state import Mark
from fastsam.page.shared.memory import MemoryBudget
from fastsam.page.shared.model import SharedModel
from fastsam.page.shared.sessions import PageSession
from fastsam.page.video.clip import Limits, example_clip, new_folder, read_still, sweep
from fastsam.page.video.figures import report_of
from fastsam.page.video.frame_objects import objects_in_frame
from fastsam.page.video.run import Finished, Progress, RunOptions, follow, report_rows
from fastsam.page.video.state import VideoSession, requests_of, result_at
from fastsam.prompts import Box, MaskLike, Points, Text
from fastsam.testing import ColourWordEncoder
from fastsam.video.write.spool import read_frames
from tests.page.setting import painted
from tests.video.clips import panned_frames, write_clip

SIZE = (96, 128)
COUNT = 12
RED, BLUE = (225, 15, 15), (15, 15, 225)
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/hostname\n#EXT-X-ENDLIST\n"


class ColourBoxes:
    """Finds the red and the blue box, and the upper half of each."""

    times_ms: ClassVar = {"network": 0.0}

    def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
        rgb, masks = frame.rgb.astype(int), []
        for channel in (0, 2):
            mask = rgb[..., channel] - rgb[..., 1] > 110
            if mask.sum() > 60:
                rows = np.flatnonzero(mask.any(axis=1))
                half = mask.copy()
                half[(rows[0] + rows[-1]) // 2 :] = False
                masks += [mask, half]
        scores = [0.9, 0.5, 0.8, 0.45][: len(masks)]
        return MaskSet.from_dense(np.array(masks).reshape(-1, *frame.size_hw), scores)


def box_at(index: int) -> tuple[int, int]:
    """Where the red box is, and where the blue one: it leaves in the middle of the clip."""
    return 10 + 4 * index, 200 if index in (5, 6, 7) else 90


def pictures() -> Iterator[np.ndarray]:
    for index, rgb in enumerate(panned_frames(COUNT, SIZE, step=0)):
        red, blue = box_at(index)
        rgb = (rgb // 2 + 60).astype(np.uint8)
        rgb[20:60, red : red + 24] = RED
        rgb[50:90, blue : blue + 24] = BLUE
        yield rgb


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "boxes.mp4"
    return write_clip(path, pictures(), 10, options={"crf": "10"}, audio=True)


class Tab:
    """One visitor's video tab."""

    def __init__(self, clip: Path, budget: MemoryBudget | None = None) -> None:
        model = fastsam.FastSAM(segmenter=ColourBoxes(), text_model=ColourWordEncoder())
        self.model, self.limits = SharedModel(model=model), Limits(60)
        self.visitor = VideoSession(budget or MemoryBudget(1 << 30))
        frame = self.visitor.open(clip, "boxes.mp4", self.limits)
        steps.open_photo(self.visitor.frame, self.model, frame, {})

    def to(self, index: int) -> None:
        self.visitor.keep_marks()
        frame = read_still(self.visitor.opened, index)
        steps.open_photo(self.visitor.frame, self.model, frame, {})
        self.visitor.index = index

    def act(self, do: str, **what: Any) -> dict[str, Any]:
        sent = {"do": do, "scene": self.visitor.frame.state.scene, **what}
        return dict(json.loads(steps.act(self.visitor.frame, sent))["answer"])

    def mark(self, kind: str, *xy: tuple[float, float], sign: str = "add") -> dict[str, Any]:
        return self.act("mark", kind=kind, xy=[list(point) for point in xy], sign=sign)

    def run(self, **wanted: Any) -> Finished:
        self.visitor.keep_marks()
        numbers = frozenset(request.number for request in self.visitor.requests)
        *frames, last = follow(self.visitor, self.model, self.limits, RunOptions(numbers=numbers, **wanted))
        assert all(isinstance(one, Progress) for one in frames)
        assert isinstance(last, Finished)
        assert len(frames) == last.frames
        return last

    def areas(self) -> list[dict[int, int]]:
        assert self.visitor.run is not None
        return [
            {found["id"]: found["area_px"] for found in line.objects}
            for line in read_frames(self.visitor.run.folder)
        ]


@pytest.fixture
def tab(clip: Path) -> Iterator[Tab]:
    made = Tab(clip)
    yield made
    made.visitor.leave()


# ---- what is opened ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", r"“film.mp4” is empty"),
        (b"no video at all, but words", r"“film.mp4” is not a video. Choose one"),
        (PLAYLIST, r"“film.mp4” is not a video"),
        (b"ffconcat version 1.0\nfile /etc/hostname\n", r"“film.mp4” is not a video"),
        (b"\x00\x00\x00\x18ftypmp42" + bytes(400), r"“film.mp4” has no frame that can be read"),
        (bytes(3_000_000), r"“film.mp4” is larger than 2 MB"),
    ],
)
def test_what_is_no_video_is_refused_in_plain_words(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a").write_bytes(content)
    visitor = VideoSession(MemoryBudget(1 << 30))
    with pytest.raises(VideoError, match=words) as caught:
        visitor.open(tmp_path / "a", "film.mp4", Limits(most_bytes=2 << 20))
    assert str(tmp_path) not in str(caught.value)
    assert visitor.clip is None


@pytest.mark.parametrize("limits", [Limits(0.5), Limits(0.1)])
def test_a_long_video_is_refused_and_the_one_before_stays(tab: Tab, clip: Path, limits: Limits) -> None:
    before = tab.visitor.opened
    with pytest.raises(VideoError, match=r"too long: 1 seconds, 12 frames. Up to 0.\d seconds or \d+ frames"):
        tab.visitor.open(clip, "boxes.mp4", limits)
    assert tab.visitor.opened is before
    assert before.path.exists()


def test_a_still_picture_is_no_video(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "a.jpg")
    with pytest.raises(VideoError, match=r"“a.jpg” is not a video"):
        VideoSession(MemoryBudget(1)).open(tmp_path / "a.jpg", "a.jpg", Limits())


def test_the_example_is_a_video_of_two_people() -> None:
    visitor = VideoSession(MemoryBudget(1))
    assert visitor.open(example_clip(), "street.mp4", Limits()).size_hw == (540, 540)
    assert visitor.opened.frames == 40


# ---- marks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("marks", "wanted"),
    [
        ([], []),
        ([Mark("point", xy=((20, 50),))], [("click", Points)]),
        (
            [Mark("box", xy=((8, 18), (36, 62))), Mark("box", xy=((88, 48), (116, 92)))],
            [("box", Box), ("box", Box)],
        ),
        ([Mark("text", text="a red box"), Mark("text", text="a blue box")],
         [("“a red box”", Text), ("“a blue box”", Text)]),
        ([Mark("scribble", xy=((15, 30), (28, 55)))], [("drawing", MaskLike)]),
        ([Mark("point", xy=((20, 50),)), Mark("box", xy=((88, 48), (116, 92)))],
         [("click", Points), ("box", Box)]),
        ([Mark("text", text="a red box"), Mark("box", "take", xy=((8, 18), (36, 40)))],
         [("“a red box”", MaskLike)]),
    ],
)  # fmt: skip
def test_marks_become_requests(tab: Tab, marks: list[Mark], wanted: list[tuple[str, type]]) -> None:
    state = replace(tab.visitor.frame.state, marks=tuple(marks))
    made = requests_of(state, 3)
    assert [(request.words, type(request.prompt)) for request in made] == wanted
    assert all(request.object_id is None for request in made)


def test_a_click_is_followed_at_the_level_that_is_seen(tab: Tab) -> None:
    tab.mark("point", (20, 30))
    tab.act("level", level="part")
    tab.visitor.keep_marks()
    (request,) = tab.visitor.requests
    assert isinstance(request.prompt, Points)
    assert request.prompt.level == "part"


def test_what_selects_nothing_is_refused(tab: Tab) -> None:
    row = tab.mark("point", (20, 50))["rows"][0]
    tab.act("remove", row=row)
    with pytest.raises(PromptError, match="Nothing is selected in this frame"):
        tab.visitor.keep_marks()


def test_what_is_to_be_followed_stays_in_sight(tab: Tab) -> None:
    tab.mark("point", (20, 50))
    tab.visitor.keep_marks()
    tab.mark("box", (88, 48), (116, 92))
    tab.visitor.keep_marks()
    kept = objects_in_frame(tab.visitor)
    assert [(one.number, one.name) for one in kept] == [(1, "click"), (2, "box")]
    assert [one.masks.union()[80, 100] for one in kept] == [False, True]
    tab.to(3)
    assert objects_in_frame(tab.visitor) == ()  # they were marked in another frame
    tab.run()
    found = objects_in_frame(tab.visitor)
    assert [one.number for one in found] == [1, 2]
    assert found[0].masks.union()[50, box_at(3)[0] + 12]
    tab.visitor.target = 1
    assert [one.number for one in objects_in_frame(tab.visitor)] == [2]  # the other is being corrected


# ---- runs ----------------------------------------------------------------------------------------------


def test_a_run_follows_each_thing_and_gives_every_file(tab: Tab) -> None:
    tab.mark("point", (20, 50))
    tab.visitor.keep_marks()
    tab.mark("box", (88, 48), (116, 92))
    done = tab.run()
    assert (done.frames, sorted(done.objects), done.note) == (COUNT, [1, 2], "")
    assert done.objects[1].frames == COUNT
    assert done.objects[2].frames in range(COUNT - 3, COUNT)  # it was away for three frames
    assert done.objects[2].last == COUNT - 1
    assert tab.visitor.run is not None
    away = result_at(tab.visitor.run, 6)
    assert away is not None
    assert away.lost == (2,)
    names = [path.name.removeprefix("boxes_") for path in done.files]
    assert names == ["followed.mp4", "davis.zip", "ytvis.json", "mot.txt", "frames.jsonl"]
    with av.open(str(done.video)) as video:
        assert video.streams.video[0].codec_context.name == "h264"
        assert len(video.streams.audio) == 1
        assert sum(1 for _ in video.decode(video=0)) == COUNT
    with zipfile.ZipFile(done.files[1]) as archive:
        assert archive.namelist() == [f"{index:05d}.png" for index in range(COUNT)]
    assert len(json.loads(done.files[2].read_text())["annotations"]) == 2
    assert len(done.files[3].read_text().splitlines()) == sum(map(len, tab.areas()))
    assert {row[0] for row in report_rows(done.report)} >= {"read", "network", "track", "write"}


def test_a_thing_marked_later_is_followed_from_there(tab: Tab) -> None:
    tab.to(4)
    tab.mark("point", (box_at(4)[0] + 12, 50))
    done = tab.run()
    assert done.frames == COUNT
    assert [len(found) for found in tab.areas()] == [0] * 4 + [1] * (COUNT - 4)


def test_texts_also_find_what_comes_later(tab: Tab) -> None:
    steps.ask(tab.visitor.frame, {"text": "something blue"})
    done = tab.run()
    assert len(done.objects) >= 1
    assert all("blue" in seen.label for seen in done.objects.values())


def test_a_text_that_is_never_found_is_reported(tab: Tab) -> None:
    for text in ("something red", "something green"):
        steps.ask(tab.visitor.frame, {"text": text})
    done = tab.run()
    assert done.absent == ("something green",)
    assert "“something green” was not found in any frame." in report_of(done)
    assert tab.visitor.run is not None


def test_everything_is_followed_without_marks(tab: Tab) -> None:
    done = tab.run(everything=True)
    assert len(done.objects) >= 2
    with pytest.raises(PromptError, match="Follow an object first"):
        tab.run(again=True)


def test_a_correction_changes_what_comes_after_it_and_nothing_before(tab: Tab) -> None:
    tab.mark("point", (20, 50))
    tab.run()
    before = tab.areas()
    tab.to(9)
    run = tab.visitor.run
    line = result_at(run, 9)
    assert line is not None
    mask = line.masks().mask(0)
    steps.set_up(tab.visitor.frame, previous=mask, about="object 1")
    tab.visitor.target = 1
    shown = json.loads(steps.resend(tab.visitor.frame))["answer"]
    assert shown["text"].startswith("1 mask. Object 1; click what to add")
    tab.mark("point", (100, 80))  # the blue box belongs to it, too
    tab.visitor.keep_marks()
    assert tab.visitor.requests[-1].words == "object 1 corrected"
    assert tab.visitor.requests[-1].title.endswith(": object 1 corrected, frame 9")
    done = tab.run(again=True)
    after = tab.areas()
    assert done.frames == COUNT
    assert after[:9] == before[:9]
    assert sorted(done.objects) == [1]
    assert after[9:] != before[9:]
    corrected = result_at(tab.visitor.run, 9)
    assert corrected is not None
    mask = corrected.masks().mask(0)
    assert mask[80, 100]  # where the click was
    assert mask[40, box_at(9)[0] + 12]  # what was right before stays
    with pytest.raises(PromptError, match="Nothing has changed"):
        tab.run(again=True)
    assert run is not None
    assert not run.folder.exists()  # one run a visitor
    tab.run()  # from the beginning, without the correction
    assert tab.areas() == before


def test_what_is_lost_before_a_correction_is_found_after_it(tab: Tab) -> None:
    tab.mark("point", (20, 50))
    tab.visitor.keep_marks()
    tab.mark("point", (100, 80))
    first = tab.run()
    tab.to(6)  # the blue box is out of sight
    tab.visitor.target = 1
    tab.mark("box", (box_at(6)[0] - 2, 18), (box_at(6)[0] + 26, 62))
    second = tab.run(again=True)
    assert second.objects[2].last == first.objects[2].last == COUNT - 1


def test_words_correct_nothing(tab: Tab) -> None:
    tab.visitor.target = 1
    steps.ask(tab.visitor.frame, {"text": "something red"})
    with pytest.raises(PromptError, match="A text cannot correct an object"):
        tab.visitor.keep_marks()


def test_a_run_is_cancelled_and_keeps_what_it_has(tab: Tab) -> None:
    tab.mark("point", (20, 50))
    tab.visitor.keep_marks()
    frames = follow(tab.visitor, tab.model, tab.limits, RunOptions(numbers=frozenset({1})))
    next(frames)
    with pytest.raises(PromptError, match="A run is in progress; wait"):
        next(follow(tab.visitor, tab.model, tab.limits, RunOptions(numbers=frozenset({1}))))
    with pytest.raises(PromptError, match="A run is in progress; cancel"):
        tab.visitor.open(tab.visitor.opened.path, "again.mp4", Limits())
    next(frames)
    tab.visitor.stop.set()
    (done,) = frames
    assert isinstance(done, Finished)
    assert done.note.startswith("Stopped after 2 frames")
    assert [done.frames, len(tab.areas())] == [2, 2]
    assert tab.run().frames == COUNT


def test_a_run_that_is_left_alone_frees_everything(tab: Tab) -> None:
    before = tab.visitor.budget.used_bytes
    tab.mark("point", (20, 50))
    tab.visitor.keep_marks()
    frames = follow(tab.visitor, tab.model, tab.limits, RunOptions(numbers=frozenset({1})))
    next(frames)
    assert tab.visitor.budget.used_bytes == before + 12 * 3 * SIZE[0] * SIZE[1]
    frames.close()  # the visitor has closed the page
    assert tab.visitor.budget.used_bytes == before
    assert not tab.visitor.running.locked()
    assert [path.name for path in tab.visitor.folder.iterdir()] == ["video.mp4"]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda tab: tab.run(), "Nothing is selected: click an object"),
        (lambda tab: tab.run(again=True), "Follow an object first"),
        (lambda tab: (tab.visitor.leave(), tab.run()), "Open a video first"),
    ],
)
def test_what_cannot_be_followed_is_said(tab: Tab, step: Callable[[Tab], Any], words: str) -> None:
    with pytest.raises(PromptError, match=words):
        step(tab)
    assert not tab.visitor.running.locked()


def test_a_video_that_says_nothing_of_its_length_ends_at_the_limit(tab: Tab) -> None:
    tab.limits = Limits(0.2)
    tab.mark("point", (20, 50))
    done = tab.run()
    assert (done.frames, done.note) == (5, "The video is longer; 0.2 seconds or 5 frames are followed here.")


def test_files_are_gone_with_the_visitor(clip: Path) -> None:
    tab = Tab(clip)
    first = tab.visitor.folder
    tab.visitor.open(clip, "again.mp4", Limits())
    second = tab.visitor.folder
    assert not first.exists()
    assert second.exists()
    other = copy.deepcopy(tab.visitor)
    assert other.clip is None
    del tab
    gc.collect()
    assert not second.exists()


def test_folders_of_a_killed_page_are_swept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    kept = [new_folder(), tmp_path / "fastsam-page-1", tmp_path / "something"]
    for folder in (gone := tmp_path / f"fastsam-page-{ended.pid}-abc", *kept[1:]):
        folder.mkdir()
    sweep()
    assert not gone.exists()
    assert all(folder.exists() for folder in kept)


def test_a_run_makes_room_for_itself() -> None:
    budget = MemoryBudget(1 << 30)
    model = SharedModel(model=fastsam.FastSAM(segmenter=ColourBoxes()))
    visitor = PageSession(budget)
    steps.open_photo(visitor, model, Frame(painted()), {})
    budget.limit_bytes = budget.used_bytes + 10
    with budget.reserved(100):
        assert visitor.state.put_away
    assert budget.used_bytes == 0
