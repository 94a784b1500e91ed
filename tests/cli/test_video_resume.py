"""``fastsam video``: runs that were interrupted go on, also in a real process."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from fastsam import FastSAM
from fastsam.config import OutputConfig, SegmentConfig, VideoConfig
from fastsam.errors import ExportError
from fastsam.images.frame import Frame
from fastsam.jobs.video import VideoJob, VideoRun
from fastsam.masks.maskset import MaskSet
from fastsam.prompts import Box, Points, Text
from fastsam.testing import ColourWordEncoder
from tests.cli.colours import (
    SIZE,
    ColourSegmenter,
    middle,
    real,
    report,
    rows,
    run,
    street,
)
from tests.video.clips import panned_clip, write_clip
from tests.video.runs import decoded, packets


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
    assert "trail" in str(other.exception)
    moved = run("video", clip, "--point", "31,40", "--out", out, "--frames", "4")
    assert "another run (prompt" in str(moved.exception)


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
