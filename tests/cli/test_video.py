"""``fastsam video`` and ``fastsam camera``: here with a segmenter of colours, and as real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from fastsam import FastSAM
from fastsam.cli import main as cli
from fastsam.cli import video as cli_video
from fastsam.cli.prompt_flags import prompts_by_frame
from fastsam.config import OutputConfig, RenderConfig, SegmentConfig, VideoConfig
from fastsam.errors import ExportError, PromptError
from fastsam.images.frame import Frame
from fastsam.jobs.video import VideoJob, VideoRun
from fastsam.masks.letterbox import Letterbox
from fastsam.masks.maskset import MaskSet
from fastsam.masks.pyramid import Pyramid
from fastsam.prompts import Box, Points, Text
from fastsam.testing import ColourWordEncoder
from fastsam.video import window as window_module
from fastsam.video.window import CvWindow, Event, why_no_window
from fastsam.video.write.spool import SpooledFrame, read_frames
from tests.video.clips import panned_clip, panned_frames, write_clip
from tests.video.runs import decoded, packets
from tests.video.servers import jpegs, mjpeg_server

SIZE = (120, 160)
RED, BLUE, GREEN = (230, 20, 20), (20, 20, 230), (20, 200, 20)
Rgb = NDArray[np.uint8]


class ColourSegmenter:
    """Finds what is plainly red, blue or green, one mask each."""

    def __init__(self) -> None:
        self.times_ms: dict[str, float] = {"prepare": 0.1, "network": 1.0, "decode": 0.1}
        self.frames: list[int | None] = []

    def segment(self, frame: Frame, config: SegmentConfig) -> MaskSet:
        self.frames.append(frame.index)
        found = []
        for colour in (RED, BLUE, GREEN):
            far = np.abs(frame.rgb.astype(int) - colour).max(axis=2)
            mask = cv2.morphologyEx((far < 70).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
            if mask.sum() > 60:
                found.append(mask.astype(bool))
        stack = np.array(found, bool).reshape(len(found), *frame.size_hw)
        masks = MaskSet.from_dense(stack, np.linspace(0.9, 0.8, len(found)))
        return replace(masks, pyramid=self._seen(frame))

    def _seen(self, frame: Frame) -> Pyramid:
        """Return mean colours as what a network would see."""
        letterbox = Letterbox(frame.size_hw, (128, 160))
        padded = np.full((128, 160, 3), 128, np.uint8)
        padded[4:124] = frame.rgb
        cells = cv2.resize(padded, (20, 16), interpolation=cv2.INTER_AREA).astype(np.float32) - 128
        maps = (np.ascontiguousarray(cells.transpose(2, 0, 1)).astype(np.float16),)
        return Pyramid(maps, letterbox, "colours", maps)


def street(count: int, blue_from: int = 0, red_until: int = 10**6, green_from: int = 10**6) -> Iterator[Rgb]:
    """A panned street; a red disc goes right, a blue one left, a green one down."""
    for k, rgb in enumerate(panned_frames(count, SIZE, step=1)):
        grey = np.repeat(rgb.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
        if k < red_until:
            cv2.circle(grey, (30 + k, 40), 14, RED, -1)
        if k >= blue_from:
            cv2.circle(grey, (130 - k, 85), 14, BLUE, -1)
        if k >= green_from:
            cv2.circle(grey, (100, 20 + (k - green_from)), 10, GREEN, -1)
        yield grey


@pytest.fixture
def segmenter(monkeypatch: pytest.MonkeyPatch) -> ColourSegmenter:
    """The model of the commands knows colours."""
    made = ColourSegmenter()
    model = FastSAM(segmenter=made, text_model=ColourWordEncoder())
    monkeypatch.setattr(cli_video, "load_model", lambda *_: model)
    return made


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "street.mp4", street(24), 25, audio=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    made.mkdir()
    for k, rgb in enumerate(street(12)):
        Image.fromarray(rgb).save(made / f"{k:03d}.png")
    return made


def run(*arguments: object) -> Any:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def report(*arguments: object) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output + repr(done.exception)
    return dict(json.loads(done.stdout))


def rows(out: Path) -> list[SpooledFrame]:
    return list(read_frames(out))


def middle(frame: SpooledFrame, object_id: int) -> tuple[float, float]:
    (found,) = [one for one in frame.objects if one["id"] == object_id]
    x1, y1, x2, y2 = found["box_xyxy"]
    return (x1 + x2) / 2, (y1 + y2) / 2


def test_a_clicked_object_becomes_one_video_with_sound(
    segmenter: ColourSegmenter, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "made" / "red.mp4"
    told = report("video", clip, "--point", "30,40", "--out", out)
    assert told["out"] == [str(out)]
    assert (told["frames"], told["passes"], told["objects"], told["done_before"]) == (24, 24, 1, 0)
    assert {"read", "network", "track", "draw", "write"} <= told["stages"].keys()
    pictures, times = decoded(out)
    assert len(pictures) == 24
    assert times == pytest.approx([40.0 * k for k in range(24)], abs=0.1)
    assert packets(out)
    assert [path.name for path in out.parent.iterdir()] == ["red.mp4"]
    (before,), now = decoded(clip)[0][:1], pictures[0]
    changed = np.abs(now.astype(int) - before).max(axis=2) > 40
    assert changed[30:50, 20:40].mean() > 0.5
    assert changed[70:].mean() < 0.02  # the blue disc is not drawn on


def test_a_folder_gets_every_format(segmenter: ColourSegmenter, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flags = [flag for name in ("video", "davis", "ytvis", "mot", "mots") for flag in ("--format", name)]
    told = report("video", clip, "--box", "14,24,46,56", "--box", "115,70,145,100", "--out", out, *flags)
    assert {Path(path).name for path in told["out"]} == {
        "overlay.mp4", "davis", "ytvis.json", "mot.txt", "mots.txt", "frames.jsonl",
    }  # fmt: skip
    assert all(Path(path).exists() for path in told["out"])
    for k, frame in enumerate(rows(out)):
        assert frame.ids.tolist() == [1, 2]
        assert middle(frame, 1) == pytest.approx((30 + k, 40), abs=4)
        assert middle(frame, 2) == pytest.approx((130 - k, 85), abs=4)
    assert "video" in json.loads((out / "run.json").read_text())["formats"]


def test_everything_gets_ids_and_the_network_may_rest(
    segmenter: ColourSegmenter, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    told = report(
        "video", clip, "--out", out, "--format", "mot", "--every", "4", "--start", "2", "--frames", "9"
    )
    assert (told["frames"], told["passes"]) == (9, 3)
    assert segmenter.frames == [2, 6, 10]
    assert [frame.index for frame in rows(out)] == list(range(2, 11))
    assert all(len(frame.ids) == 2 for frame in rows(out))
    assert not (out / "overlay.mp4").exists()


@pytest.mark.parametrize(
    "flags",
    [("--at", "5", "--point", "35,40"), ("--point", "5:35,40"), ("--prompt", '5:{"points": [[35, 40]]}')],
)
def test_before_the_first_prompt_nothing_is_looked_for(
    segmenter: ColourSegmenter, clip: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    out = tmp_path / "out"
    told = report("video", clip, *flags, "--point", "8:122,85", "--out", out, "--frames", "12")
    assert [frame.ids.tolist() for frame in rows(out)] == [[]] * 5 + [[1]] * 3 + [[1, 2]] * 4
    assert middle(rows(out)[-1], 2) == pytest.approx((130 - 11, 85), abs=4)
    assert min(index for index in segmenter.frames if index is not None) == 5
    assert (told["frames"], told["passes"]) == (12, 7)


def test_texts_find_what_comes_into_sight_later(segmenter: ColourSegmenter, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "late.mp4", street(14, blue_from=6))
    out = tmp_path / "out"
    report("video", clip, "--text", "a blue disc", "--out", out, "--format", "jsonl")
    frames = rows(out)
    assert [len(frame.ids) for frame in frames] == [0] * 7 + [1] * 7  # tracks are believed when seen twice
    assert frames[-1].labels == ("a blue disc",)


def test_masks_and_references_mark_objects(
    segmenter: ColourSegmenter, clip: Path, folder: Path, tmp_path: Path
) -> None:
    drawn = np.zeros(SIZE, np.uint8)
    cv2.circle(drawn, (130, 85), 14, 255, -1)
    Image.fromarray(drawn).save(tmp_path / "drawn.png")
    report("video", clip, "--mask", tmp_path / "drawn.png", "--out", tmp_path / "a", "--frames", "3")
    assert middle(rows(tmp_path / "a")[-1], 1) == pytest.approx((128, 85), abs=4)
    region = ("--reference", folder / "000.png", "--reference-box", "14,24,46,56")
    report("video", clip, *region, "--out", tmp_path / "b", "--frames", "3")
    assert middle(rows(tmp_path / "b")[-1], 1) == pytest.approx((32, 40), abs=4)


def test_several_sources_get_a_folder_each_and_one_that_fails_stops_no_other(
    segmenter: ColourSegmenter, clip: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = run("video", clip, folder, "--out", out, "--frames", "3", "--json")
    assert done.exit_code == 0, done.output
    assert [json.loads(line)["frames"] for line in done.stdout.splitlines()] == [3, 3]
    assert sorted(path.name for path in out.iterdir()) == ["pictures", "street"]
    (tmp_path / "broken.mp4").write_bytes(b"nothing of the kind")
    done = run("video", tmp_path / "broken.mp4", clip, "--out", out, "--frames", "3")
    assert done.exit_code == 1
    assert "broken.mp4" in done.stderr
    assert "done before, skipped" in done.stderr


def test_seconds_are_the_sources_own(segmenter: ColourSegmenter, folder: Path, tmp_path: Path) -> None:
    told = report("video", folder, "--fps", "10", "--seconds", "0.5", "--out", tmp_path / "out")
    assert told["frames"] == 5
    assert decoded(tmp_path / "out" / "overlay.mp4")[1] == pytest.approx([0, 100, 200, 300, 400], abs=0.1)
    refused = run("video", folder, "--seconds", "0.5", "--out", tmp_path / "other")
    assert isinstance(refused.exception, Exception)
    assert "pass --frames, or --fps" in str(refused.exception)


def test_a_prompt_behind_the_end_is_told(segmenter: ColourSegmenter, clip: Path, tmp_path: Path) -> None:
    done = run("video", clip, "--point", "90:30,40", "--out", tmp_path / "out.mp4")
    assert done.exit_code == 0, done.output
    assert "frame 90 was not asked" in done.stderr
    assert segmenter.frames == []


# --- runs that broke off --------------------------------------------------------------------------


def broken(job: VideoJob, model: FastSAM, after: int) -> None:
    """Do so many frames of a job, then fail."""

    def go() -> None:
        with VideoRun(model, job) as first:
            for frame, _ in first:
                if frame.index == after - 1:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go()


@pytest.mark.parametrize(
    "prompts",
    [[], [(0, Points((30, 40))), (9, Box((115, 70, 145, 100)))], [(None, Text(["red", "green"]))]],
    ids=["everything", "points and a box later", "texts"],
)
def test_a_run_goes_on_as_if_it_had_not_broken_off(tmp_path: Path, prompts: Any) -> None:
    clip = write_clip(tmp_path / "street.mp4", street(20, green_from=14))
    model = FastSAM(segmenter=ColourSegmenter(), text_model=ColourWordEncoder())
    output = OutputConfig(segment_s=0.16)
    jobs = [
        VideoJob(str(clip), tmp_path / name, ("video", "mot"), prompts, output=output) for name in ("a", "b")
    ]
    for after in (7, 11):
        broken(jobs[0], model, after)
    for job, before in zip(jobs, (8, 0), strict=True):
        with VideoRun(model, job) as going:
            assert going.before == before
            assert going.total == 20
            assert [frame.index for frame, _ in going] == list(range(before, 20))
    ours, theirs = rows(tmp_path / "a"), rows(tmp_path / "b")
    assert [frame.index for frame in ours] == list(range(20))
    assert [frame.ids.tolist() for frame in ours] == [frame.ids.tolist() for frame in theirs]
    for a, b in zip(ours, theirs, strict=True):
        for object_id in a.ids.tolist():
            assert middle(a, object_id) == pytest.approx(middle(b, object_id), abs=2)
    assert len(decoded(tmp_path / "a" / "overlay.mp4")[0]) == 20
    assert (tmp_path / "a" / "mot.txt").exists()


def test_a_run_that_goes_on_gives_no_id_twice(tmp_path: Path) -> None:
    """The red disc has left before the run breaks off; the green one comes after."""
    clip = write_clip(tmp_path / "street.mp4", street(16, red_until=3, green_from=12))
    model = FastSAM(segmenter=ColourSegmenter())
    job = VideoJob(str(clip), tmp_path / "out", ("jsonl",), video=VideoConfig(forget_after_frames=2))
    broken(job, model, 9)
    with VideoRun(model, job) as going:
        assert [frame.index for frame, _ in going] == list(range(9, 16))
    frames = rows(tmp_path / "out")
    red, blue = (
        next(i for i in frames[0].ids.tolist() if abs(middle(frames[0], i)[1] - y) < 9) for y in (40, 85)
    )
    assert blue in frames[15].ids
    (green,) = set(frames[15].ids.tolist()) - {blue}
    assert green not in (red, blue)


def test_a_run_breaks_off_before_its_first_prompt(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "street.mp4", street(12))
    segmenter = ColourSegmenter()
    model = FastSAM(segmenter=segmenter)
    job = VideoJob(str(clip), tmp_path / "out", ("jsonl",), [(8, Points((38, 40)))])
    broken(job, model, 4)
    assert segmenter.frames == []
    with VideoRun(model, job) as going:
        assert [frame.index for frame, _ in going] == list(range(4, 12))
    assert [frame.ids.tolist() for frame in rows(tmp_path / "out")] == [[]] * 8 + [[1]] * 4


def test_what_is_finished_is_not_done_again_unless_asked(
    segmenter: ColourSegmenter, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    flags = ("video", clip, "--point", "30,40", "--out", out, "--frames", "4")
    report(*flags)
    assert report(*flags)["frames"] == 0
    assert "done before, skipped" in run(*flags).stderr
    assert report(*flags, "--no-resume")["frames"] == 4
    other = run(*flags, "--trail", "5")
    assert isinstance(other.exception, ExportError)
    assert "output.trail: 0 there, 5 now" in str(other.exception)
    moved = run("video", clip, "--point", "31,40", "--out", out, "--frames", "4")
    assert "another run (settings.prompts" in str(moved.exception)


def real(*arguments: object) -> subprocess.Popen[str]:
    """Start the real command with the real network."""
    command = [sys.executable, "-m", "fastsam", *(str(argument) for argument in arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_killed_command_goes_on(tmp_path: Path, embedded_weights: Path) -> None:
    clip = panned_clip(tmp_path / "street.mp4", 30, SIZE, 25, audio=True)
    out = tmp_path / "pan.mp4"
    flags = ("--imgsz", 128, "--segment-s", 0.2, "--trail", 5, "--weights", embedded_weights, "--out", out)
    first = real("video", clip, *flags)
    path, until = tmp_path / "pan.mp4.run" / "frames.jsonl", time.monotonic() + 120
    while not path.exists() or path.read_bytes().count(b"\n") < 8:
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)
    first.kill()
    first.communicate()
    assert not out.exists()
    told = report("video", clip, *flags)
    assert 5 <= told["done_before"] < 30
    assert told["done_before"] + told["frames"] == 30
    assert sorted(file.name for file in tmp_path.iterdir()) == ["pan.mp4", "street.mp4"]
    assert decoded(out)[1] == pytest.approx([40.0 * k for k in range(30)], abs=0.1)
    assert [data for _, data in packets(out)] == [data for _, data in packets(clip)]


def test_ctrl_c_says_how_to_go_on(
    segmenter: ColourSegmenter, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "red.mp4"
    flags = ("video", clip, "--point", "30,40", "--segment-s", "0.2", "--out", out)

    def interrupted(frame: Frame, config: SegmentConfig) -> MaskSet:
        if frame.index == 12:
            raise KeyboardInterrupt
        return ColourSegmenter.segment(segmenter, frame, config)

    with monkeypatch.context() as patched:
        patched.setattr(segmenter, "segment", interrupted)
        done = run(*flags)
    assert done.exit_code == 130, done.output
    assert "stopped after 12 frames; the same command goes on" in done.stderr
    assert not out.exists()
    told = report(*flags)
    assert (told["done_before"], told["frames"]) == (10, 14)
    assert len(decoded(out)[0]) == 24
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["nowhere.mp4"], "no such file or folder"),
        (["{clip}", "--out", "out.avi"], "video suffix '.avi': expected one of .mp4"),
        (["{clip}", "--out", "{clip}"], "would overwrite the source"),
        (["{clip}", "--out", "out.mp4", "--format", "mot"], "--format: expected a folder as --out"),
        (["{clip}", "--format", "motx"], "did you mean 'mot'?"),
        (["{clip}", "{clip}"], "2 times 'street'"),
        (["{clip}", "a.mp4", "--out", "b.mp4"], "expected a folder for 2 sources"),
        (["{clip}", "--at", "3"], "--at 3: expected a --point"),
        (["{clip}", "--at", "3", "--text", "dog"], "--at 3: expected a --point"),
        (["{clip}", "--point", "3:1"], "point '1': expected x,y"),
        (["{clip}", "--point", "3:5,5", "--start", "4"], "frame 3: expected one of the run, from 4 on"),
        (["{clip}", "--point", "9:5,5", "--frames", "4"], "frame 9: expected one of the run, from 0 to 3"),
        (["{clip}", "--point", "5,5"], "nothing to follow in frame 0"),
        (["{clip}", "--point", "500,5"], "outside the 160x120 image"),
        (["{clip}", "--threshold", "0.5"], "--threshold: expected a --text or --reference"),
        (["{clip}", "--reference-box", "1,1,5,5"], "--reference-box: expected a --reference"),
        (["{clip}", "--reference", "x.jpg"], "expected one of --reference-box that says where"),
        (["{clip}", "--mask", "nowhere.png"], "nowhere.png"),
    ],
)
def test_mistakes_of_video_are_ours(
    segmenter: ColourSegmenter, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    flags: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done = run("video", *[flag.format(clip=clip) for flag in flags])
    assert message in str(done.exception), done.output
    assert type(done.exception).__module__ == "fastsam.errors"
    assert not (tmp_path / "output" / "street" / "overlay.mp4").exists()


def test_a_mistake_is_one_line_and_exit_2(clip: Path, embedded_weights: Path) -> None:
    done = real("video", clip, "--point", "9", "--weights", embedded_weights)
    answer, talk = done.communicate(timeout=60)
    assert (done.returncode, answer) == (2, "")
    assert len(talk.strip().splitlines()) == 1


@pytest.mark.parametrize("command", ["video", "camera"])
def test_every_option_is_a_flag_once(command: str) -> None:
    flags = [flag for made in cli_parameters(command) for flag in made]
    assert len(flags) == len(set(flags))
    for config in (VideoConfig, OutputConfig, SegmentConfig, RenderConfig):
        for spec in config.options():
            assert "--" + spec.name.replace("_", "-") in flags


def cli_parameters(command: str) -> list[list[str]]:
    from typer.main import get_command

    found = get_command(cli.app).commands[command]  # type: ignore[attr-defined]
    return [[*one.opts, *one.secondary_opts] for one in found.params]


def test_prompts_by_frame() -> None:
    found = prompts_by_frame(["1,2", "3:5,6", "3:7,8,0"], ["3:1,2,9,9"], None, ['{"box": [1, 1, 4, 4]}'], 7)
    assert [(frame, type(prompt).__name__) for frame, prompt in found] == [
        (7, "Points"), (7, "Box"), (3, "Points"), (3, "Box"),
    ]  # fmt: skip
    clicks = found[2][1]
    assert isinstance(clicks, Points)
    assert clicks.objects[0].foreground == ((5.0, 6.0),)
    assert clicks.objects[0].background == ((7.0, 8.0),)
    assert prompts_by_frame(None, None, None, None, None) == []
    with pytest.raises(PromptError, match="expected JSON"):
        prompts_by_frame(None, None, None, ["3:{"], None)


# --- cameras --------------------------------------------------------------------------------------


class ScriptedWindow:
    """A window in which somebody does what the test says, a list for each picture."""

    def __init__(self, *steps: list[Event]) -> None:
        self.steps, self.pictures, self.closed = list(steps), list[Rgb](), 0

    def show(self, rgb: Rgb) -> list[Event]:
        self.pictures.append(rgb)
        return self.steps.pop(0) if self.steps else []

    def close(self) -> None:
        self.closed += 1


def live(count: int = 200) -> Callable[[], Iterator[bytes | float]]:
    """A street that waits a moment after each picture."""

    def visit() -> Iterator[bytes | float]:
        for picture in jpegs(street(count)):
            yield picture
            yield 0.04

    return visit


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ScriptedWindow]:
    def show(*steps: list[Event]) -> ScriptedWindow:
        made = ScriptedWindow(*steps)
        monkeypatch.setattr(cli_video, "open_window", lambda title: made)
        return made

    return show


def test_a_camera_is_recorded(segmenter: ColourSegmenter, tmp_path: Path) -> None:
    out = tmp_path / "cam.mp4"
    with mjpeg_server(live()) as url:
        told = report("camera", url, "--no-show", "--out", out, "--frames", "8", "--text", "red")
    assert told["objects"] == 1
    assert 1 <= told["frames"] <= 8
    assert len(decoded(out)[0]) == told["frames"]
    again = run("camera", "http://127.0.0.1:9/", "--no-show", "--out", out)
    assert again.exit_code != 0


def test_what_a_camera_has_recorded_is_not_lost(segmenter: ColourSegmenter, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flags = ("--no-show", "--out", out, "--seconds", "0.3", "--format", "mot")
    with mjpeg_server(live(), live(), live(), live()) as url:
        report("camera", url, *flags)
        before = (out / "mot.txt").read_bytes()
        refused = run("camera", url, *flags)
        assert "holds what was recorded of a live source" in str(refused.exception)
        assert (out / "mot.txt").read_bytes() == before
        assert report("camera", url, *flags, "--overwrite")["frames"] >= 1


def test_what_was_recorded_before_a_camera_was_lost_is_kept(
    segmenter: ColourSegmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = cli_video.load_model(None, "cpu")
    stream = model.stream
    monkeypatch.setattr(model, "stream", lambda *given, **options: stream(*given, reconnect_s=0.1, **options))
    out = tmp_path / "cam.mp4"
    with mjpeg_server(live(6)) as url:
        done = run("camera", url, "--no-show", "--out", out)
    assert done.exit_code == 1
    assert "did not come back within 0.1 s" in done.stderr
    assert "end to end" in done.stdout
    assert 1 <= len(decoded(out)[0]) <= 6


def test_clicks_follow_and_drop_objects(
    segmenter: ColourSegmenter, shown: Callable[..., ScriptedWindow], tmp_path: Path
) -> None:
    """Both discs have ids; a click picks one, another the other, a right click drops the first; then q."""
    frames = list(street(1)) * 60
    window = shown(
        [], [Event("add", 30, 40)], [Event("add", 130, 85)], [Event("add", 2, 2)], [Event("remove", 30, 40)],
        [Event("remove", 2, 2)], [Event("quit")],
    )  # fmt: skip
    out = tmp_path / "out"

    def still() -> Iterator[bytes | float]:
        for picture in jpegs(frames):
            yield picture
            yield 0.03

    with mjpeg_server(still) as url:
        done = run("camera", url, "--show", "--out", out, "--format", "jsonl")
    assert done.exit_code == 0, done.output + repr(done.exception)
    assert window.closed == 1
    ids = [frame.ids.tolist() for frame in rows(out)]
    assert ids == [[1, 2], [1, 2], [3], [3, 4], [3, 4], [4], [4]]
    assert middle(rows(out)[2], 3) == pytest.approx((30, 40), abs=4)
    assert "nothing to follow" in done.stderr
    assert "end to end" in done.stdout


def test_ctrl_c_ends_a_recording_in_peace(
    segmenter: ColourSegmenter, shown: Callable[..., ScriptedWindow], tmp_path: Path
) -> None:
    window = shown()

    def interrupted(rgb: Rgb) -> list[Event]:
        window.pictures.append(rgb)
        if len(window.pictures) == 3:
            raise KeyboardInterrupt
        return []

    window.show = interrupted  # type: ignore[method-assign]
    out = tmp_path / "cam.mkv"
    with mjpeg_server(live()) as url:
        done = run("camera", url, "--show", "--out", out)
    assert done.exit_code == 0, done.output
    assert len(decoded(out)[0]) == 3
    assert window.closed == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "expected --out, for no window can be shown: there is no display"),
        (["--show"], "window: cannot be opened, there is no display"),
        (["--no-show"], "--no-show: expected --out"),
        (["77", "--no-show", "--out", "x.mp4"], "camera 77: cannot be opened"),
        (["--no-show", "--out", "x.mp4", "--format", "mot"], "--format: expected a folder"),
    ],
)
def test_mistakes_of_camera_are_ours(
    segmenter: ColourSegmenter,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    flags: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(window_module.sys, "platform", "linux")
    done = run("camera", *flags)
    assert message in str(done.exception), done.output
    assert os.listdir(tmp_path) == []
    assert why_no_window().startswith("there is no display")


def test_an_opencv_window_tells_of_clicks_and_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Rgb] = []
    keys, heard = [-1, ord("q"), -1], {}
    visible = [1.0, 1.0, 0.0]
    monkeypatch.setattr(window_module, "why_no_window", lambda: "")
    fakes: dict[str, Any] = {
        "namedWindow": lambda *_: None,
        "resizeWindow": lambda *_: None,
        "setMouseCallback": lambda title, heed: heard.update(heed=heed),
        "imshow": lambda title, bgr: drawn.append(bgr),
        "waitKey": lambda wait: keys.pop(0),
        "getWindowProperty": lambda *_: visible.pop(0),
        "destroyWindow": lambda title: None,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(window_module.cv2, name, fake)
    with CvWindow("street") as opened:
        heard["heed"](cv2.EVENT_LBUTTONDOWN, 3, 4, 0, None)
        heard["heed"](cv2.EVENT_MOUSEMOVE, 5, 4, 0, None)
        heard["heed"](cv2.EVENT_RBUTTONDOWN, 6, 7, 0, None)
        (rgb,) = street(1)
        assert opened.show(rgb) == [Event("add", 3, 4), Event("remove", 6, 7)]
        assert opened.show(rgb) == [Event("quit")]
        assert opened.show(rgb) == [Event("quit")]
    np.testing.assert_array_equal(drawn[0][..., ::-1], rgb)
