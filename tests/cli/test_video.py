"""``fastsam video``, with a segmenter of colours."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fastsam import FastSAM, Text
from fastsam.cli import main as cli
from fastsam.cli.parse_prompts import prompts_by_frame
from fastsam.config import OutputConfig, RenderConfig, SegmentConfig, VideoConfig
from fastsam.errors import ExportError, PromptError
from fastsam.jobs.video import VideoJob, VideoRun
from fastsam.prompts import Points
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
from tests.video.clips import write_clip
from tests.video.runs import decoded, packets


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


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["nowhere.mp4"], "no such file or folder"),
        (["{clip}", "--out", "out.avi"], "video suffix '.avi': expected one of .mp4"),
        (["{clip}", "--out", "{clip}"], "would overwrite the source"),
        (["{clip}", "--out", "out.mp4", "--format", "mot"], "--format: expected a folder as --out"),
        (["{clip}", "--format", "motx"], "did you mean mot"),
        (["{clip}", "{clip}"], "2 times 'street'"),
        (["{clip}", "a.mp4", "--out", "b.mp4"], "expected a folder for 2 sources"),
        (["{clip}", "--at", "3"], "--at 3: expected a --point"),
        (["{clip}", "--at", "3", "--text", "dog"], "--at 3: expected a --point"),
        (["{clip}", "--point", "3:1"], "point '1': expected x,y"),
        (["{clip}", "--point", "3:5,5", "--start", "4"], "frame 3: expected one of the run, from 4 on"),
        (["{clip}", "--point", "9:5,5", "--frames", "4"], "frame 9: expected one of the run, from 0 to 3"),
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


# --- what is refused, or not found ------------------------------------------------------------------


def test_a_refused_prompt_leaves_no_folder_behind(
    segmenter: ColourSegmenter, clip: Path, tmp_path: Path
) -> None:
    done = run("video", clip, "--point", "9999,40", "--out", tmp_path / "out" / "red.mp4")
    assert done.exit_code != 0
    assert list((tmp_path / "out").rglob("*")) == []
    (tmp_path / "mine").mkdir()
    run("video", clip, "--point", "9999,40", "--out", tmp_path / "mine")
    assert list((tmp_path / "mine").iterdir()) == []  # a folder of the user stays


def test_a_second_run_in_a_folder_is_told(segmenter: ColourSegmenter, clip: Path, tmp_path: Path) -> None:
    model, job = FastSAM(segmenter=segmenter), VideoJob(str(clip), tmp_path / "out", ("mot",))
    with VideoRun(model, job) as first:
        frames = iter(first)
        next(frames)
        with pytest.raises(ExportError, match="another run is writing to it"):
            VideoRun(model, job)
        for _ in frames:
            pass
    assert len(rows(tmp_path / "out")) == 24
    with VideoRun(model, job) as again:
        assert again.finished
    assert not (tmp_path / "out" / ".lock").exists()


def test_a_text_that_is_in_no_frame_is_told(segmenter: ColourSegmenter, clip: Path, tmp_path: Path) -> None:
    model = FastSAM(segmenter=segmenter, text_model=ColourWordEncoder())
    prompt = Text("sea=blue", "green", "car=red", threshold=0.3)
    job = VideoJob(str(clip), tmp_path / "out", ("ytvis",), prompts=[(None, prompt)])
    with VideoRun(model, job) as made:
        for _ in made:
            pass
    assert made.absent == ("green",)
    assert made.report()["absent"] == ["green"]
    content = json.loads((tmp_path / "out" / "ytvis.json").read_text())
    assert [one["name"] for one in content["categories"]] == ["sea", "green", "car"]
