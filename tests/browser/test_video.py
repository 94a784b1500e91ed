"""The video tab in a real browser: mark, follow, correct, take home; and references and levels of photos."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from tests.browser.conftest import SIZE
from tests.browser.window import Window
from tests.video.clips import panned_frames, write_clip

pytestmark = pytest.mark.browser
CLIP_HW = (320, 320)
COUNT = 8
FILES = ("davis.zip", "followed.mp4", "frames.jsonl", "mot.txt", "ytvis.json")
PLAY = """
    const video = document.querySelector('#video-result video');
    video.muted = true;
    return video.play().then(() => video.videoWidth, error => String(error));
"""
PERSON, OTHER = (62, 300), (160, 285)  # in the clip's first frame, and in its fifth


class VideoWindow(Window):
    """A window whose canvas is that of the video tab."""

    photo = (CLIP_HW[1], CLIP_HW[0])
    canvas = "#video-canvas "

    def find(self, selector: str) -> Any:
        return super().find(self._there(selector))

    def all(self, selector: str) -> list[Any]:
        return super().all(self._there(selector))

    def _there(self, selector: str) -> str:
        ours = selector.startswith((".fs", "[data-"))
        return self.canvas + selector if ours else selector

    def visit(self, address: str) -> None:
        self.driver.get(address)
        self.wait(lambda: self.all("button[role=tab]"), "the tabs")
        next(tab for tab in self.all("button[role=tab]") if tab.text == "Video").click()
        self.wait(lambda: self.all(".fs-examples button"), "the example")

    def to(self, frame: int) -> None:
        """Type a frame's number beside the slider."""
        number = self.find("#video-frame input[type=number]")
        self.answered(
            lambda: self.driver.execute_script(
                "arguments[0].value = arguments[1];"
                "for (const what of ['input', 'change', 'blur', 'pointerup'])"
                "  arguments[0].dispatchEvent(new Event(what, { bubbles: true }));",
                number,
                frame,
            )
        )

    def follow(self, button: str = "follow") -> str:
        """RunResult, and wait for the report."""
        before = self.find("#video-report").text
        self.press(f"#video-{button}")
        self.wait(
            lambda: (
                "frames" in self.find("#video-report").text != before
                and self.find("#video-follow").is_enabled()
            ),
            "the report",
        )
        return str(self.find("#video-report").text)

    def choose(self, number: int) -> None:
        """Choose the object that marks are about."""
        self.press("#video-target input")
        self.wait(lambda: len(self.all("#video-target [role=option]")) > 1, "the objects")
        option = next(o for o in self.all("#video-target [role=option]") if o.text.endswith(str(number)))
        self.answered(option.click)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clips") / "street.mp4"
    return write_clip(path, panned_frames(COUNT, CLIP_HW, step=4), 8)


@pytest.fixture
def window(address: str, tmp_path: Path) -> Iterator[VideoWindow]:
    made = VideoWindow(tmp_path / "visitor", size=(1280, 1300))
    made.visit(address)
    yield made
    made.close()


def opened(window: VideoWindow, clip: Path) -> None:
    window.answered(lambda: window.find(".fs-file").send_keys(str(clip)))


def test_a_person_is_followed_corrected_and_taken_home(window: VideoWindow, clip: Path) -> None:
    opened(window, clip)
    assert window.masks > 5
    assert f"Frame (0 to {COUNT - 1})" in window.find("#video-frame").text
    window.click(*PERSON)
    assert (window.masks, window.marks) == (1, ["click"])
    report = window.follow()
    assert report.startswith(f"{COUNT} frames")
    assert "network" in report
    assert window.texts("#video-requests label")[-1] == "1: click, frame 0"
    assert window.driver.execute_script(PLAY) == CLIP_HW[1]  # chromium plays it
    assert "Objects seen: 1" in window.find("#video-live").text
    links = {a.get_attribute("download"): a for a in window.all("#video-files a[download]")}
    assert sorted(links) == [f"street_{name}" for name in FILES]
    window.driver.execute_script("arguments[0].click()", links["street_mot.txt"])
    before = window.downloaded("street_mot.txt").read_text().splitlines()
    assert len(before) == COUNT
    # A correction: in frame 4, something else belongs to it, too.
    window.to(4)
    assert "Frame 4 of 8" in window.find("#video-live").text
    window.choose(1)
    assert window.masks == 1
    assert "Object 1; click what to add" in window.texts(".fs-status")[0]
    window.click(*OTHER)
    assert "corrected, frame 4" in window.follow("again") or window.texts("#video-requests label")[
        -1
    ].endswith("object 1 corrected, frame 4")
    window.wait(lambda: window.all("#video-files a[download$='frames.jsonl']"), "the files")
    link = window.find("#video-files a[download$='frames.jsonl']")
    window.driver.execute_script("arguments[0].click()", link)
    lines = [json.loads(line) for line in window.downloaded("street_frames.jsonl").read_text().splitlines()]
    areas = [sum(found["area_px"] for found in line["objects"]) for line in lines]
    assert len(areas) == COUNT
    assert areas[4] > 1.1 * areas[3]
    assert window.log() == []


def test_words_and_boxes_of_several_frames(window: VideoWindow, clip: Path) -> None:
    opened(window, clip)
    window.press(".fs-bar [data-tool=box]")
    window.drag((130, 235), (160, 300), (205, 318))
    window.press("#video-keep")
    window.wait(lambda: len(window.all("#video-requests label")) == 1, "the request")
    assert window.marks == []
    window.to(3)
    words = window.find(".fs-ask input")
    window.answered(lambda: words.send_keys("something blue\n"))
    report = window.follow()
    assert window.texts("#video-requests label") == [
        "1: box, frame 0",
        "2: “something blue”, frame 3",
    ]
    assert "something blue" in report
    assert window.log() == []


def test_a_run_is_cancelled(window: VideoWindow) -> None:
    window.photo = (540, 540)
    window.answered(lambda: window.press(".fs-examples button"))
    window.click(150, 220)
    window.press("#video-follow")
    window.wait(lambda: "Objects seen: 1" in window.find("#video-live").text, "a frame")
    assert not window.find("#video-follow").is_enabled()
    window.press("#video-cancel")
    window.wait(lambda: "Stopped after" in window.find("#video-report").text, "the note")
    assert window.find("#video-follow").is_enabled()
    window.wait(lambda: window.all("#video-result video"), "the video")


def test_what_cannot_be_done_is_said(window: VideoWindow, clip: Path, tmp_path: Path) -> None:
    window.press("#video-follow")
    assert "Open a video first" in window.toast()
    (tmp_path / "words.mp4").write_text("no video")
    window.find(".fs-file").send_keys(str(tmp_path / "words.mp4"))
    window.wait(lambda: any("“words.mp4” is not a video" in text for text in window.texts(".toast-body")))
    opened(window, clip)
    window.press("#video-follow")
    window.wait(lambda: any("Nothing is selected" in text for text in window.texts(".toast-body")))
    assert window.masks > 5  # the page stays as it is
    assert window.log() == []


# ---- the photo tab -------------------------------------------------------------------------------------


def test_the_same_is_found_in_another_photo(
    new_window: Callable[..., Window], photo: Path, tmp_path: Path
) -> None:
    window = new_window()
    with Image.open(photo) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mirrored.png")
    window.open(photo, SIZE)
    window.click(150, 600)
    window.answered(lambda: window.press("[data-do=carry]"))
    assert window.marks == ["click", "like in “bus” (next photo)"]
    assert "Now open another photo" in window.texts(".fs-status")[0]
    window.open(tmp_path / "mirrored.png", SIZE)
    window.wait(lambda: "Photo mirrored" in window.find(".fs-stage").get_attribute("aria-label"))
    assert window.marks == ["like in “bus”"]
    assert 1 <= window.masks < 20
    window.answered(lambda: window.press("[data-do=undo]"))
    assert window.marks == []
    assert window.masks > 20
    assert window.log() == []


def test_levels_and_the_partition(new_window: Callable[..., Window], photo: Path) -> None:
    window = new_window()
    window.open(photo, SIZE)
    everything = window.masks
    button = next(b for b in window.all("button") if b.text.startswith("Whole objects and parts"))
    button.click()
    window.wait(lambda: window.find("#of-level").is_displayed())
    counts = []
    for place in (1, 2, 3, 0):
        window.answered(window.all("#of-level input")[place].click)
        counts.append(window.masks)
    assert counts[3] == everything == sum(counts[:3])
    assert counts[0] < everything
    window.answered(window.find("#disjoint input").click)
    assert 0 < window.masks <= everything
    assert window.log() == []


def test_the_overlay_is_what_was_followed(window: VideoWindow, clip: Path) -> None:
    opened(window, clip)
    window.click(*PERSON)
    window.follow()
    link = window.find("#video-files a[download$='.mp4']")
    window.driver.execute_script("arguments[0].click()", link)
    with av.open(str(window.downloaded("street_followed.mp4"))) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        assert video.streams.video[0].codec_context.name == "h264"
    plain = list(panned_frames(COUNT, CLIP_HW, step=4))
    assert len(frames) == COUNT
    for drawn, bare in zip(frames, plain, strict=True):
        changed = abs(drawn.astype(int) - bare).max(axis=2) > 40
        assert 0.02 < changed.mean() < 0.6
