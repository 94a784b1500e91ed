"""The overlay video: what is in the file, when it is shown, and its sound."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from fastsam.config import OutputConfig, RenderConfig
from fastsam.errors import ConfigError, ExportError, MissingPackageError
from fastsam.video.track.tracked import Tracked
from fastsam.video.write.pictures import Trails
from fastsam.video.write.sinks import open_sinks
from fastsam.video.write.writers import Timeline
from tests.video.runs import (
    FPS,
    SIZE,
    decoded,
    halved,
    packets,
    pitch_at,
    psnr,
    resized,
    run_of,
    samples,
    tracked,
    write_source,
)


def write(out: Path, frames: Iterable[Tracked], source: Path | str = "", **options: Any) -> Path:
    """Write an overlay video and return it."""
    render = options.pop("render", None)
    config = OutputConfig(**{"segment_s": 0.2, **options})
    with open_sinks(out, ["video"], source=source, fps=FPS, config=config, render=render) as sinks:
        for frame in frames:
            sinks.append(frame)
    return sinks.files[0]


@pytest.mark.parametrize(
    ("suffix", "codec", "least_db", "off_ms"),
    [(".mp4", "h264", 36, 0.02), (".mov", "h264", 36, 0.02), (".mkv", "h264", 36, 1), (".webm", "vp9", 33, 1),
     (".gif", "gif", 22, 10)],
)  # fmt: skip
def test_the_file_shows_the_overlays_when_they_were(
    suffix: str, codec: str, least_db: float, off_ms: float, tmp_path: Path
) -> None:
    frames = run_of(20)
    path = write(tmp_path / "run", frames, suffix=suffix, crf=8)
    assert path == tmp_path / "run" / f"overlay{suffix}"
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert context.name == codec
        assert codec == "gif" or context.pix_fmt == "yuv420p"
        assert [stream.type for stream in container.streams] == ["video"]
    pictures, times = decoded(path)
    assert times == pytest.approx([frame.frame.t_ms for frame in frames], abs=off_ms)
    wrong = frames[0].plot()
    for picture, frame in zip(pictures, frames, strict=True):
        assert psnr(picture, halved(frame.plot())) > least_db
    assert psnr(pictures[-1], halved(wrong)) < 20
    assert not (tmp_path / "run" / "segments").exists()


def test_mp4_starts_to_play_before_it_is_there(tmp_path: Path) -> None:
    content = write(tmp_path, run_of(8)).read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize("size", [(63, 95), (64, 95), (1, 1), (2, 3)])
def test_odd_sides_repeat_the_last_row_and_column(size: tuple[int, int], tmp_path: Path) -> None:
    frames = [tracked(i, size, ids=()) for i in range(3)]
    pictures, _ = decoded(write(tmp_path, frames, crf=4))
    wanted = np.pad(frames[2].plot(), ((0, size[0] % 2), (0, size[1] % 2), (0, 0)), "edge")
    assert pictures[2].shape == wanted.shape
    assert psnr(pictures[2], wanted) > 24


def test_another_size_on_the_way_is_fitted_in(tmp_path: Path) -> None:
    frames = [tracked(0, ids=()), tracked(1, (64, 48), ids=()), tracked(2, (128, 192), ids=())]
    pictures, _ = decoded(write(tmp_path, frames, crf=4))
    assert {picture.shape for picture in pictures} == {(*SIZE, 3)}
    assert psnr(pictures[1][:, 24:72], halved(frames[1].frame.rgb)) > 36
    assert pictures[1][:, :20].max() < 12
    assert pictures[1][:, 76:].max() < 12
    assert psnr(pictures[2], halved(resized(frames[2].frame.rgb, SIZE))) > 36


@pytest.mark.parametrize(
    ("indices", "times", "shown"),
    [
        ([0, 1, 2], [None, None, None], [0, 1000 / FPS, 2000 / FPS]),
        ([10, 15, 30], [None, None, None], [0, 5000 / FPS, 20000 / FPS]),
        ([0, 1, 2, 3], [500.0, 510.0, 700.0, 5000.0], [0, 10, 200, 4500]),
        ([0, 1, 2, 3], [0.0, 40.0, 40.0, 80.0], [0, 40, 40 + 1000 / FPS, 80 + 1000 / FPS]),
        ([0, 1, 2], [9000.0, 0.0, 50.0], [0, 1000 / FPS, 50 + 1000 / FPS]),
    ],
)
def test_time_stamps(indices: list[int], times: list[Any], shown: list[float], tmp_path: Path) -> None:
    frames = [tracked(i, t_ms=t) for i, t in zip(indices, times, strict=True)]
    _, found = decoded(write(tmp_path, frames, segment_s=0.1))  # three pictures a segment
    assert found == pytest.approx(shown, abs=0.02)


def test_time_always_goes_on() -> None:
    line = Timeline(1000.0)
    ticks = [line.next(i, 1e-6 * i) for i in range(5)]
    assert ticks == [0, 1, 2, 3, 4]
    assert all(a < b for a, b in pairwise(ticks))


# --- sound ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "sound"), [(".mp4", "aac"), (".mkv", "aac"), (".mov", "aac"), (".mp4", "libmp3lame")]
)
def test_sound_is_copied_packet_by_packet(suffix: str, sound: str, tmp_path: Path) -> None:
    source = write_source(tmp_path / "source.mp4", 45, sound)
    path = write(tmp_path / "run", run_of(45), source, suffix=suffix)
    there, here = packets(source), packets(path)
    assert [content for _, content in here] == [content for _, content in there]
    offset = packets(path, "video")[0][0]  # Matroska knows no time before 0: all is moved by one packet
    assert [at - offset for at, _ in here] == pytest.approx([at for at, _ in there], abs=1.1)


def test_pictures_and_sound_lie_side_by_side_in_the_file(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source.mp4")
    with av.open(str(write(tmp_path / "run", run_of(45), source))) as container:
        places = [(packet.pos, packet.stream.type) for packet in container.demux() if packet.size]
    kinds = [kind for _, kind in sorted(places)]
    assert kinds.index("audio") < 10
    assert kinds[-20:].count("video") > 3


@pytest.mark.parametrize(
    ("suffix", "sound", "codec"),
    [(".mp4", "pcm_s16le", "aac"), (".webm", "aac", "opus"), (".mp4", "flac", "flac")],
)
def test_sound_that_the_container_does_not_take_is_encoded_again(
    suffix: str, sound: str, codec: str, tmp_path: Path
) -> None:
    source = write_source(tmp_path / "source.mkv", 45, sound)
    path = write(tmp_path / "run", run_of(45), source, suffix=suffix)
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.name == codec
    sound_there, rate = samples(source)
    sound_here, _ = samples(path)
    assert len(sound_here) == pytest.approx(len(sound_there), abs=0.06 * rate)
    for second in (0.2, 0.7, 1.2):
        assert pitch_at(sound_here, rate, second) == pytest.approx(
            pitch_at(sound_there, rate, second), abs=12
        )


@pytest.mark.parametrize(
    ("suffix", "container"),
    [(".mp4", "source.mp4"), (".webm", "source.mp4"), (".mkv", "source.mkv"), (".mp4", "source.ts")],
)
def test_sound_is_cut_to_the_part_that_was_processed(suffix: str, container: str, tmp_path: Path) -> None:
    source = write_source(tmp_path / container, 90)
    path = write(tmp_path / "run", run_of(60)[30:], source, suffix=suffix)
    _, times = decoded(path)
    sound, rate = samples(path)
    assert times[-1] + 1000 / FPS == pytest.approx(1001, abs=30)
    assert len(sound) / rate == pytest.approx(1.0, abs=0.06)
    for second in (0.2, 0.8):  # from 400 to 800 Hz in three seconds, and the part begins after one
        assert pitch_at(sound, rate, second) == pytest.approx(400 + 133.2 * (1 + second), abs=12)


@pytest.mark.parametrize("sound", [None, "aac"])
def test_no_sound_where_there_is_none_or_none_is_wanted(sound: str | None, tmp_path: Path) -> None:
    source = write_source(tmp_path / "source.mp4", 10, sound)
    path = write(tmp_path / "run", run_of(10), source, audio=not sound)
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video"]


@pytest.mark.parametrize("source", ["camera 0", "text.txt", "folder"])
def test_a_source_that_is_no_video_has_no_sound(source: str, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("no video")
    (tmp_path / "folder").mkdir()
    where = source if source.startswith("camera") else tmp_path / source
    pictures, _ = decoded(write(tmp_path / "run", run_of(3), where))
    assert len(pictures) == 3


# --- trails -----------------------------------------------------------------------------------------


def test_a_trail_fades_and_has_its_objects_colour(tmp_path: Path) -> None:
    def drawn(steps: int, length: int) -> Any:
        trails = Trails(length)
        for i in range(steps):
            trails.add({3: (10 * i, 20, 10 * i + 10, 30)})
        canvas = np.zeros((50, 200, 3), np.uint8)
        trails.draw(canvas, seed=0)
        return canvas

    canvas = drawn(15, 10)
    line = canvas[25].max(axis=1).astype(int)
    assert not canvas[:18].any()
    assert not canvas[32:].any()
    assert not line[:40].any(), "older than ten frames"
    assert line[60] < line[100] < line[140]
    assert line[140] > 100
    assert not drawn(15, 0).any()
    assert not drawn(1, 10).any()


def test_an_object_that_has_gone_leaves_no_trail_for_ever() -> None:
    trails = Trails(5)
    trails.add({1: (0, 0, 10, 10)})
    trails.add({1: (20, 20, 30, 30), 2: (0, 0, 0, 0)})
    canvases = []
    for _ in range(7):
        canvases.append(np.zeros((40, 40, 3), np.uint8))
        trails.draw(canvases[-1], 0)
        trails.add({})
    brightness = [int(canvas.max()) for canvas in canvases]
    assert brightness == sorted(brightness, reverse=True)
    assert brightness[0] > brightness[-1] == 0


def test_trails_are_in_the_video(tmp_path: Path) -> None:
    frames = [tracked(i, ids=(1,)) for i in range(12)]
    with_trail, _ = decoded(write(tmp_path / "a", frames, trail=10))
    without, _ = decoded(write(tmp_path / "b", frames))
    assert psnr(with_trail[0], without[0]) > 50
    assert psnr(with_trail[11], without[11]) < 45


def test_how_masks_are_drawn(tmp_path: Path) -> None:
    frames = run_of(4)
    render = RenderConfig(alpha=1.0, contours=False, seed=5)
    pictures, _ = decoded(write(tmp_path, frames, render=render, crf=8))
    assert psnr(pictures[3], halved(frames[3].plot(render))) > 36
    assert psnr(pictures[3], halved(frames[3].plot())) < 22


# --- what cannot be ---------------------------------------------------------------------------------


def test_pyav_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingPackageError, match="package 'av' is needed to write videos"):
        open_sinks(tmp_path / "run", ["video"])
    assert not (tmp_path / "run").exists()
    with open_sinks(tmp_path / "run", ["mot", "davis"]) as sinks:
        sinks.append(tracked(0))
    assert (tmp_path / "run" / "mot.txt").exists()


@pytest.mark.parametrize("suffix", [".avi", "mp4", "", ".MP4"])
def test_unknown_suffixes(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"expected one of \.mp4, \.mov, \.mkv, \.webm, \.gif"):
        open_sinks(tmp_path, ["video"], config=OutputConfig(suffix=suffix))


@pytest.mark.parametrize("fps", [0, -5.0, float("nan"), float("inf"), 1e6])
def test_frame_rates_that_are_none(fps: float, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fps: expected a number above 0"):
        open_sinks(tmp_path, ["video"], fps=fps)
