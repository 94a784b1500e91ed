"""Decoding: every frame once, at its time, upright, in its colours; damage stepped over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastsam.errors import ImageError, VideoError
from fastsam.images.listing import open_frames
from fastsam.images.reading import DEFAULT_MAX_PIXELS
from fastsam.images.video_file import VideoFile, video_frames
from tests.video.clips import number_of, panned_clip, panned_frames, write_clip


def numbers(path: Path, start: int = 0) -> tuple[list[int | None], VideoFile]:
    """Return the number drawn in each frame, None for a lost one."""
    with VideoFile(path, max_pixels=DEFAULT_MAX_PIXELS) as video:
        return [p and number_of(p.rgb()) for p in video.pictures(start)], video


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("clip.mp4", "libx264"),
        ("clip.mp4", "mpeg4"),
        ("clip.mkv", "libx264"),
        ("clip.ts", "libx264"),
        ("clip.webm", "libvpx-vp9"),
        ("clip.avi", "mjpeg"),
        ("clip.avi", "mpeg4"),
        ("clip.gif", "gif"),
        ("clip.h264", "libx264"),  # carries no times at all
    ],
)
def test_every_container_gives_every_frame(tmp_path: Path, name: str, codec: str) -> None:
    path = panned_clip(tmp_path / name, 40, codec=codec, numbered=True, options={"g": "8"})
    with VideoFile(path, max_pixels=DEFAULT_MAX_PIXELS) as video:
        pictures = list(video.pictures())
    assert [p and (p.index, number_of(p.rgb())) for p in pictures] == [(k, k) for k in range(40)]
    assert [p and p.t_ms for p in pictures] == pytest.approx([40 * k for k in range(40)], abs=1)
    assert (video.fps, video.has_audio, video.trouble) == (25, False, "")
    assert video.frame_count == (None if name.endswith("h264") else 40)
    for start in (1, 7, 8, 23, 39, 40, 400):
        assert numbers(path, start)[0] == list(range(start, 40))


def test_a_late_start_decodes_from_the_key_frame_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = panned_clip(tmp_path / "clip.mp4", 100, numbered=True, options={"g": "10"})
    decoded = []
    original = VideoFile._decoded

    def counted(self: VideoFile) -> object:
        for raw in original(self):
            decoded.append(raw)
            yield raw

    monkeypatch.setattr(VideoFile, "_decoded", counted)
    assert numbers(path, 75)[0] == list(range(75, 100))
    assert 25 <= len(decoded) <= 30


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_variable_frame_rate(tmp_path: Path, name: str) -> None:
    path = write_clip(tmp_path / name, panned_frames(12, numbered=True), pts=lambda k: 10 * k * k)
    with VideoFile(path, max_pixels=DEFAULT_MAX_PIXELS) as video:
        assert [p and p.t_ms for p in video.pictures()] == pytest.approx(
            [10 * k * k for k in range(12)], abs=1
        )
    with VideoFile(path, max_pixels=DEFAULT_MAX_PIXELS) as video:
        later = [p and (p.index, p.t_ms, number_of(p.rgb())) for p in video.pictures(7)]
    assert later == [(k, pytest.approx(10 * k * k, abs=1), k) for k in range(7, 12)]


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_frames_are_upright(tmp_path: Path, rotation: int) -> None:
    (rgb,) = panned_frames(1, (64, 96))
    path = write_clip(tmp_path / "phone.mp4", [rgb], rotation=rotation, pix_fmt="yuv444p")
    (frame,) = open_frames(path)
    upright = np.rot90(rgb, rotation // 90)
    assert frame.rgb.shape == upright.shape
    assert np.abs(frame.rgb.astype(int) - upright).mean() < 4
    with VideoFile(path, max_pixels=DEFAULT_MAX_PIXELS) as video:
        (picture,) = video.pictures()
        assert picture is not None
        assert picture.size_hw == upright.shape[:2]


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "size_hw"),
    [
        ("odd.mp4", "libx264", "yuv444p", (121, 163)),
        ("odd.mkv", "mjpeg", "yuvj444p", (1, 1)),
        ("tiny.mkv", "ffv1", "bgr0", (3, 5)),
        ("grey.mkv", "ffv1", "gray", (60, 80)),
        ("deep.mkv", "ffv1", "yuv420p10le", (60, 80)),
    ],
)
def test_odd_sizes_and_pixels(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, size_hw: tuple[int, int]
) -> None:
    colour = (120, 120, 120) if pix_fmt == "gray" else (200, 40, 90)
    shot = np.full((*size_hw, 3), colour, np.uint8)
    path = write_clip(tmp_path / name, [shot] * 3, codec=codec, pix_fmt=pix_fmt)
    frames = list(open_frames(path))
    assert [frame.size_hw for frame in frames] == [size_hw] * 3
    assert np.abs(frames[1].rgb.astype(int) - colour).max() <= 12


def test_the_size_changes_in_the_middle(tmp_path: Path) -> None:
    parts = [
        panned_clip(tmp_path / f"{k}.ts", 10, size, numbered=True).read_bytes()
        for k, size in enumerate([(120, 160), (90, 120)])
    ]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(parts))
    frames = list(video_frames(path, DEFAULT_MAX_PIXELS))
    assert [number_of(frame.rgb) for frame in frames] == [*range(10), *range(10)]
    assert [frame.size_hw for frame in frames] == [(120, 160)] * 10 + [(90, 120)] * 10
    times = [frame.t_ms for frame in frames]
    assert times == sorted(set(times))  # they never run backwards, though the second part begins at 0


def chunks(content: bytes) -> list[int]:
    """Return where the frames of an AVI begin."""
    found, at = [], content.find(b"movi")
    while (at := content.find(b"00dc", at + 1)) > 0 and at < content.find(b"idx1"):
        found.append(at)
    return found


def test_a_damaged_frame_is_left_out_and_the_numbers_stay(tmp_path: Path) -> None:
    path = panned_clip(tmp_path / "clip.avi", 20, codec="mjpeg", numbered=True)
    content = bytearray(path.read_bytes())
    at = chunks(bytes(content))
    content[at[7] + 8 : at[8]] = bytes(at[8] - at[7] - 8)
    path.write_bytes(content)
    found, video = numbers(path)
    assert found == [*range(7), None, *range(8, 20)]
    assert video.trouble == ""
    assert numbers(path, 5)[0] == [5, 6, None, *range(8, 20)]
    frames = list(open_frames(path))
    assert [frame.index for frame in frames] == list(range(19))  # a photo's place in the list
    assert frames[7].name == "clip_000008"


@pytest.mark.parametrize(
    ("name", "codec"), [("clip.mp4", "libx264"), ("clip.mkv", "libx264"), ("clip.avi", "mjpeg")]
)
def test_a_file_that_is_cut_off_gives_what_it_has(tmp_path: Path, name: str, codec: str) -> None:
    path = write_clip(
        tmp_path / name,
        panned_frames(80, numbered=True),
        codec=codec,
        container_options={"movflags": "faststart"} if name.endswith("mp4") else {},
    )
    assert numbers(path)[1].trouble == ""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    found, video = numbers(path)
    assert 25 < len(found) < 60
    assert found[:20] == list(range(20))
    assert "cut off" in video.trouble


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Invalid data"),
        (b"RIFF" + bytes(200), "Invalid data|End of file"),
        (b"this is a text, not a video\n" * 40, "Invalid data"),
        (bytes(range(256)) * 20, "Invalid data"),
    ],
)
def test_no_frame_at_all(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "not a video.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=rf"not a video\.mp4'.*finds no frame in it \(({reason}).*ffmpeg -i"):
        numbers(path)
    with pytest.raises(ImageError, match="finds no frame"):
        list(open_frames(path))


def test_a_text_is_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary\n" * 100)
    with pytest.raises(VideoError, match="a text file"):
        numbers(path)


def test_sound_alone_has_no_frame(tmp_path: Path) -> None:
    clip = panned_clip(tmp_path / "clip.mp4", 10, audio=True)
    assert numbers(clip)[1].has_audio
    import av

    with av.open(str(clip)) as given, av.open(str(tmp_path / "sound.m4a"), "w") as only:
        track = only.add_stream_from_template(given.streams.audio[0])
        for packet in given.demux(given.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = track
                only.mux(packet)
    with pytest.raises(VideoError, match="no video track"):
        numbers(tmp_path / "sound.m4a")


def test_larger_than_allowed(tmp_path: Path) -> None:
    path = panned_clip(tmp_path / "clip.mp4", 3)
    with pytest.raises(
        VideoError, match=r"160x120 = 19,200 pixels a frame, the limit is 1,000; .*max_pixels"
    ):
        list(open_frames(path, max_pixels=1000))


def test_a_name_that_ffmpeg_would_take_for_a_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = panned_clip(tmp_path / "clip.mp4", 3).rename(tmp_path / "concat:a|b %03d.mp4")
    assert len(list(open_frames(path.name))) == 3
