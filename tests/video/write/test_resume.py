"""A run that broke off goes on where it was; what is another run is told apart; bad input is named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsam.config import OutputConfig, RenderConfig
from fastsam.errors import ConfigError, ExportError
from fastsam.video.write.sinks import Sinks, load_last, open_sinks
from fastsam.video.write.spool import read_frames
from tests.video.runs import FPS, decoded, file_size_limit, run_of, tracked, write_source

EVERYTHING = ("video", "davis", "ytvis", "mot", "mots")
FRAMES = run_of(20)
SEGMENT = 6  # pictures


def opened(out: Path, formats: Sequence[str] = EVERYTHING, **options: Any) -> Sinks:
    config = OutputConfig(segment_s=0.2, trail=8)
    return open_sinks(out, formats, **{"fps": FPS, "config": config, **options})


def go_on(out: Path, formats: Sequence[str] = EVERYTHING, **options: Any) -> int:
    """Give the rest of the frames and return where it began."""
    with opened(out, formats, **options) as sinks:
        begin = sinks.next_index
        for frame in FRAMES[begin:]:
            sinks.append(frame)
    return begin


def break_off(out: Path, after: int, formats: Sequence[str] = EVERYTHING) -> None:
    def run() -> None:
        with opened(out, formats) as sinks:
            for frame in FRAMES[:after]:
                sinks.append(frame)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()


def content(out: Path) -> dict[str, Any]:
    """Everything in a folder: pictures of videos, bytes of other files."""
    found: dict[str, Any] = {}
    for path in sorted(out.rglob("*")):
        if path.is_file():
            name = str(path.relative_to(out))
            found[name] = decoded(path) if path.suffix == ".mp4" else path.read_bytes()
    return found


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("unbroken")
    assert go_on(out) == 0
    return content(out)


def assert_same(out: Path, unbroken: dict[str, Any]) -> None:
    found = content(out)
    assert set(found) == set(unbroken)
    for name, wanted in unbroken.items():
        if name.endswith(".mp4"):
            assert found[name][1] == wanted[1]
            assert np.array_equal(np.array(found[name][0]), np.array(wanted[0]))
        else:
            assert found[name] == wanted, name


@pytest.mark.parametrize(("after", "begin"), [(0, 0), (3, 0), (6, 6), (14, 12), (20, 18)])
def test_a_broken_run_ends_as_an_unbroken_one(
    after: int, begin: int, unbroken: dict[str, Any], tmp_path: Path
) -> None:
    break_off(tmp_path, after)
    assert not list(tmp_path.glob("segments/.*")), "a segment that is not whole"
    if after:
        assert load_last(tmp_path)[0] == begin
        assert not (tmp_path / "ytvis.json").exists()
    assert go_on(tmp_path) == begin
    assert_same(tmp_path, unbroken)


def test_without_a_video_no_frame_is_lost(tmp_path: Path) -> None:
    break_off(tmp_path, 14, ["mot"])
    next_index, last = load_last(tmp_path)
    assert next_index == 14
    assert last is not None
    assert last.ids.tolist() == FRAMES[13].ids.tolist()
    assert np.array_equal(np.asarray(last.masks()), np.asarray(FRAMES[13].masks))
    assert go_on(tmp_path, ["mot"]) == 14
    assert [line.index for line in read_frames(tmp_path)] == list(range(20))


def test_a_run_that_was_killed(unbroken: dict[str, Any], tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from tests.video.write import test_resume as t\n"
        "sinks = t.opened(Path(sys.argv[1]))\n"
        "for frame in t.FRAMES[:14]: sinks.append(frame)\n"
        "os._exit(9)"
    )
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=root).returncode == 9
    assert list(tmp_path.glob("segments/.*.part")), "the open segment was not there: this tests nothing"
    assert go_on(tmp_path) == 12
    assert_same(tmp_path, unbroken)


def test_a_torn_line_and_what_follows_it_do_not_count(unbroken: dict[str, Any], tmp_path: Path) -> None:
    break_off(tmp_path, 14)
    spool = tmp_path / "frames.jsonl"
    lines = spool.read_bytes().splitlines(keepends=True)
    spool.write_bytes(b"".join(lines[:11]) + lines[11][:40])
    assert load_last(tmp_path)[0] == 6, "the second segment has a picture more than there are lines"
    assert go_on(tmp_path) == 6
    assert_same(tmp_path, unbroken)


@pytest.mark.parametrize("damage", ["cut", "empty", "gone"])
def test_a_damaged_segment_is_made_again(damage: str, unbroken: dict[str, Any], tmp_path: Path) -> None:
    break_off(tmp_path, 19)
    path = tmp_path / "segments" / "000001.mp4"
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 200 if damage == "cut" else 0])
    assert go_on(tmp_path) == SEGMENT
    assert_same(tmp_path, unbroken)


def test_pngs_after_the_last_whole_frame_go(tmp_path: Path) -> None:
    break_off(tmp_path, 8)
    (tmp_path / "davis" / ".0123.part").write_bytes(b"torn")
    with opened(tmp_path) as sinks:
        assert sinks.next_index == 6
        assert len(list((tmp_path / "davis").iterdir())) == 6
    assert len(decoded(tmp_path / "overlay.mp4")[0]) == 6, "a run may end without another frame"


def test_an_error_in_a_frame_closes_the_run_and_it_goes_on(tmp_path: Path) -> None:
    sinks = opened(tmp_path)
    for frame in FRAMES[:7]:
        sinks.append(frame)
    with pytest.raises(ExportError, match="ids up to 65535, frame 7 has 70000"):
        sinks.append(tracked(7, ids=(70000,)))
    with pytest.raises(ExportError, match="frame 8 cannot be added, the run is closed"):
        sinks.append(FRAMES[8])
    assert go_on(tmp_path) == 6


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    assert go_on(tmp_path) == 0
    before = content(tmp_path)
    with opened(tmp_path) as sinks:
        assert sinks.finished
        assert sinks.next_index == 20
        assert sinks.last is not None
        with pytest.raises(ExportError, match="the run is finished; start over with overwrite"):
            sinks.append(tracked(20))
    assert sinks.close() == sinks.files
    assert set(content(tmp_path)) == set(before)
    assert load_last(tmp_path)[0] == 20
    with opened(tmp_path, overwrite=True) as sinks:
        assert not sinks.finished
        assert sinks.next_index == 0
        sinks.append(FRAMES[0])
    assert len(list(read_frames(tmp_path))) == len(list((tmp_path / "davis").iterdir())) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"settings": {"conf": 0.3}}, r"conf was 0\.4 there, is 0\.3 now"),
        ({"formats": ["mot"]}, r"formats was .*'davis'.* there, is \['mot', 'jsonl'\] now"),
        ({"config": OutputConfig(crf=9)}, r"crf was 20 there, is 9 now"),
        ({"render": RenderConfig(alpha=0.1)}, r"alpha was 0\.5 there, is 0\.1 now"),
        ({"source": "camera 1"}, r"source was none there, is 'camera 1' now"),
        ({"fps": 10.0}, r"fps was 29\.97\d* there, is 10\.0 now"),
    ],
)
@pytest.mark.parametrize("finished", [False, True])
def test_another_run_is_told_apart(change: dict[str, Any], said: str, finished: bool, tmp_path: Path) -> None:
    sinks = opened(tmp_path, settings={"conf": 0.4})
    sinks.append(FRAMES[0])
    sinks.close() if finished else sinks.abandon()
    with pytest.raises(ExportError, match=f"holds another run .*{said}.*overwrite"):
        opened(tmp_path, **{"formats": EVERYTHING, "settings": {"conf": 0.4}, **change})
    again = opened(tmp_path, settings={"conf": 0.4})
    assert again.finished == finished
    again.abandon()


def test_a_source_that_has_changed_is_another_one(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source.mp4", 5)
    sinks = opened(tmp_path / "run", ["mot"], source=source)
    sinks.append(FRAMES[0])
    sinks.abandon()
    opened(tmp_path / "run", ["mot"], source=source).abandon()
    write_source(source, 9)
    with pytest.raises(ExportError, match="source file was"):
        opened(tmp_path / "run", ["mot"], source=source)


# --- bad input --------------------------------------------------------------------------------------


def test_out_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(ExportError, match="is a file, not a folder; choose another"):
            opened(out)
    (tmp_path / "foreign" / "davis").mkdir(parents=True)
    for overwrite in (False, True):
        with pytest.raises(ExportError, match=r"holds .*davis and no run\.json"):
            opened(tmp_path / "foreign", overwrite=overwrite)
    (tmp_path / "old").mkdir()
    for text in ("{}", "[]", "torn", json.dumps({"version": 99})):
        (tmp_path / "old" / "run.json").write_text(text)
        with pytest.raises(ExportError, match=r"expected a video run of version 1, got"):
            opened(tmp_path / "old")


def test_the_source_is_not_overwritten(tmp_path: Path) -> None:
    source = write_source(tmp_path / "overlay.mp4", 3)
    before = source.read_bytes()
    for overwrite in (False, True):
        with pytest.raises(ExportError, match="would overwrite the source"):
            opened(tmp_path, source=source, overwrite=overwrite)
    assert source.read_bytes() == before


@pytest.mark.parametrize("formats", [["vidoe"], ["video", "png"], ["MOT"]])
def test_unknown_formats(formats: list[str], tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="expected one of video, davis, ytvis, mot, mots, jsonl"):
        opened(tmp_path, formats)


def test_settings_that_are_no_json(tmp_path: Path) -> None:
    for value in (object(), float("nan")):
        with pytest.raises(ConfigError, match="settings: expected JSON values"):
            opened(tmp_path, settings={"conf": value})


@pytest.mark.parametrize("index", [0, 4, 5])
def test_frames_in_the_wrong_order(index: int, tmp_path: Path) -> None:
    with opened(tmp_path) as sinks:
        sinks.append(tracked(5))
        with pytest.raises(ExportError, match=f"expected a frame from number 6 on, got {index}"):
            sinks.append(tracked(index))
        sinks.append(tracked(6))
    assert len(list(read_frames(tmp_path))) == 2


def test_no_frame_at_all(tmp_path: Path) -> None:
    sinks = opened(tmp_path / "run")
    with pytest.raises(ExportError, match="nothing was written, for no frame was given"):
        sinks.close()
    assert not (tmp_path / "run").exists()
    for wrong in (tmp_path / "run", tmp_path):
        with pytest.raises(ExportError, match="expected the output folder of a video run"):
            load_last(wrong)
    with pytest.raises(ExportError, match="expected the output folder of a video run"):
        list(read_frames(tmp_path))


def test_after_close(tmp_path: Path) -> None:
    sinks = opened(tmp_path)
    sinks.append(FRAMES[0])
    files = sinks.close()
    assert sinks.close() == files
    assert all(path.exists() for path in files)
    with pytest.raises(ExportError, match="frame 1 cannot be added"):
        sinks.append(FRAMES[1])


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit to set")
@pytest.mark.parametrize(("formats", "most"), [(["video"], 3000), (["davis"], 100), (["mot"], 2000)])
def test_a_disk_that_is_full(formats: list[str], most: int, tmp_path: Path) -> None:
    def fill() -> None:
        with opened(tmp_path / "run", formats) as sinks, file_size_limit(most):
            for frame in FRAMES:
                sinks.append(frame)

    with pytest.raises(ExportError, match="cannot be written"):
        fill()
    assert not list((tmp_path / "run").rglob(".*"))
    assert 0 <= go_on(tmp_path / "run", formats) < 20
    assert [line.index for line in read_frames(tmp_path / "run")] == list(range(20))


def test_segments_of_another_encoder_are_not_joined(tmp_path: Path) -> None:
    break_off(tmp_path / "a", 19)
    other = open_sinks(tmp_path / "b", ["video"], fps=FPS, config=OutputConfig(segment_s=0.2, suffix=".webm"))
    for frame in FRAMES[:7]:
        other.append(frame)
    other.abandon()
    shutil.copy(tmp_path / "b" / "segments" / "000000.mp4", tmp_path / "a" / "segments" / "000001.mp4")
    with pytest.raises(ExportError, match="encoded in another way than the first segment"):
        go_on(tmp_path / "a")
