"""The files of a run: every format reads back as what was found, and a broken run ends as an unbroken one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from fastsam.config import OutputConfig
from fastsam.images.frame import Frame
from fastsam.video.track.tracked import Tracked
from fastsam.video.write.formats import FORMATS
from fastsam.video.write.sinks import Sinks, open_sinks
from fastsam.video.write.spool import SpooledFrame, read_frames
from tests.drawing import mask_set, scenes
from tests.oracles import Scene
from tests.video.runs import FPS, SIZE, decoded, run_of, tracked

TEXT = ["mot", "mots", "ytvis"]
# pycocotools' own decoder is not ready for NumPy 2's copies
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
EVERYTHING = ["video", "davis", *TEXT]


def opened(out: Path, formats: Sequence[str] = EVERYTHING, **options: Any) -> Sinks:
    """Open the files of a run with segments of six pictures."""
    config = OutputConfig(segment_s=0.2, trail=8)
    return open_sinks(out, formats, **{"fps": FPS, "config": config, **options})


def write(out: Path, frames: Sequence[Tracked], formats: Sequence[str] = EVERYTHING) -> Path:
    with opened(out, formats) as sinks:
        for frame in frames:
            sinks.append(frame)
    return out


def masks_by_id(frame: Tracked) -> dict[int, NDArray[np.bool_]]:
    return {int(i): frame.mask_of(int(i)) for i in frame.ids}


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


# --- the formats ------------------------------------------------------------------------------------


def test_all_files_are_named_and_nothing_else_is_there(tmp_path: Path) -> None:
    with opened(tmp_path / "run") as sinks:
        sinks.append(tracked(0))
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"overlay.mp4", "davis", "ytvis.json", "mot.txt", "mots.txt", "frames.jsonl", "run.json"}
    assert {path.name for path in sinks.files} == names - {"run.json"}
    assert {row.file.rstrip("/") for row in FORMATS.values()} == names - {"run.json"}
    assert set(sinks.times_ms) == {"decode", "draw", "video", "davis", "jsonl"}


def test_lines_read_back_as_what_was_found(tmp_path: Path) -> None:
    frames = [*run_of(7), tracked(9, ids=(4,), t_ms=None, lost=(1, 2))]
    lines = list(read_frames(write(tmp_path, frames, ["jsonl"])))
    for line, frame in zip(lines, frames, strict=True):
        assert (line.index, line.t_ms, line.lost) == (frame.frame.index, frame.frame.t_ms, frame.lost)
        assert line.size_hw == SIZE
        assert line.times_ms == {"network": 1.25}
        assert np.array_equal(line.ids, frame.ids)
        assert np.array_equal(line.scores, frame.scores)
        assert line.labels == (frame.labels or None)
        assert np.array_equal(np.asarray(line.masks()), np.asarray(frame.masks))
        assert np.array_equal(line.masks().scores, frame.masks.scores)
        boxes = np.array([found["box_xyxy"] for found in line.objects]).reshape(-1, 4)
        assert np.array_equal(boxes, frame.masks.tight_boxes())
        assert [found["area_px"] for found in line.objects] == frame.masks.areas_px.tolist()
        assert line.rles == [frame.masks.rle(i) for i in range(len(frame))]


@given(scenes(max_side=20))
def test_any_masks_survive_a_line(scene: Scene) -> None:
    masks = mask_set(scene)
    ids = np.arange(1, len(masks) + 1) * 3
    frame = Frame(np.zeros((*masks.size_hw, 3), np.uint8))
    line = SpooledFrame.from_tracked(Tracked(frame, masks, ids, masks.scores)).line()
    found = SpooledFrame.parse(line)
    assert found is not None
    assert np.array_equal(np.asarray(found.masks()), scene.masks)
    assert found.ids.tolist() == ids.tolist()
    assert all(SpooledFrame.parse(line[:cut]) is None for cut in range(0, len(line), 7))
    assert SpooledFrame.parse(line[:-1]) is None


def test_davis_pixels_are_ids_and_the_surer_is_in_front(tmp_path: Path) -> None:
    frames = run_of(8)
    folder = write(tmp_path, frames, ["davis"]) / "davis"
    assert sorted(path.name for path in folder.iterdir()) == [f"{i:05d}.png" for i in range(8)]
    for frame in frames:
        with Image.open(folder / f"{frame.frame.index:05d}.png") as image:
            assert image.mode == "P"
            assert image.getpalette()[:12] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]  # type: ignore[index]
            pixels = np.array(image)
        wanted = np.zeros(SIZE, int)
        for i in np.argsort(frame.scores):
            wanted[frame.masks.mask(int(i))] = frame.ids[i]
        assert np.array_equal(pixels, wanted)
        assert set(np.unique(pixels)) == {0, *frame.ids.tolist()}


@pytest.mark.parametrize(("top", "mode"), [(254, "P"), (255, "I;16"), (65535, "I;16")])
def test_davis_of_many_ids(top: int, mode: str, tmp_path: Path) -> None:
    path = write(tmp_path, [tracked(123456, ids=(1, top))], ["davis"]) / "davis" / "123456.png"
    with Image.open(path) as image:
        assert image.mode == mode
        assert set(np.unique(np.array(image))) == {0, 1, top}
    if mode != "P":
        assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED).max() == top


def test_ytvis_lists_an_rle_or_null_for_each_frame(tmp_path: Path) -> None:
    frames = run_of(8)
    content = read_json(write(tmp_path, frames, ["ytvis"]) / "ytvis.json")
    (video,) = content["videos"]
    assert (video["width"], video["height"], video["length"]) == (SIZE[1], SIZE[0], 8)
    assert video["file_names"][3] == "video/00003.jpg"
    assert [(c["id"], c["name"]) for c in content["categories"]] == [(1, "bus"), (2, "person")]
    tracks = {track["id"]: track for track in content["annotations"]}
    assert {i: track["category_id"] for i, track in tracks.items()} == {1: 2, 2: 1, 7: 2}
    for object_id, track in tracks.items():
        scores = [frame.scores[frame.ids == object_id][0] for frame in frames if object_id in frame.ids]
        assert track["score"] == pytest.approx(np.mean(scores), abs=1e-6)
        lists = (track["segmentations"], track["bboxes"], track["areas"], frames)
        for rle, box, area, frame in zip(*lists, strict=True):
            mask = frame.mask_of(object_id)
            assert (rle is None) == (box is None) == (area is None) == (not mask.any())
            if rle is not None:
                assert isinstance(rle["counts"], str)
                assert np.array_equal(coco_mask.decode(rle).astype(bool), mask)
                assert area == coco_mask.area(rle) == mask.sum()
                assert box == coco_mask.toBbox(rle).tolist()


def test_each_frame_of_ytvis_loads_with_pycocotools(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = read_json(write(tmp_path, run_of(8), ["ytvis"]) / "ytvis.json")
    coco = COCO()
    coco.dataset = {
        "images": [
            {"id": i, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
            for i, name in enumerate(content["videos"][0]["file_names"])
        ],
        "categories": content["categories"],
        "annotations": [
            {"id": 100 * track["id"] + i, "image_id": i, "category_id": track["category_id"],
             "segmentation": rle, "bbox": track["bboxes"][i], "area": track["areas"][i], "iscrowd": 0}
            for track in content["annotations"] for i, rle in enumerate(track["segmentations"]) if rle
        ],
    }  # fmt: skip
    coco.createIndex()
    capsys.readouterr()
    assert len(coco.getAnnIds(imgIds=[4])) == 3
    assert coco.getAnnIds(imgIds=[5]) == []
    assert all(coco.annToMask(ann).sum() == ann["area"] for ann in coco.loadAnns(coco.getAnnIds()))


def test_ytvis_in_parts_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (write(tmp_path / "a", run_of(8), ["ytvis"]) / "ytvis.json").read_bytes()
    monkeypatch.setattr("fastsam.video.write.formats._GROUP_BYTES", 1)
    assert (write(tmp_path / "b", run_of(8), ["ytvis"]) / "ytvis.json").read_bytes() == whole


def test_mot_columns(tmp_path: Path) -> None:
    frames = run_of(8)
    rows = np.loadtxt(write(tmp_path, frames, ["mot"]) / "mot.txt", delimiter=",")
    assert rows.shape == (sum(len(frame) for frame in frames), 10)
    wanted = [
        [frame.frame.index + 1, object_id, x1 + 1, y1 + 1, x2 - x1, y2 - y1, score, -1, -1, -1]
        for frame in frames
        for object_id, (x1, y1, x2, y2), score in zip(
            frame.ids, frame.masks.tight_boxes(), frame.scores, strict=True
        )
    ]
    assert rows == pytest.approx(np.array(wanted), abs=1e-6)


def test_mots_masks_do_not_overlap(tmp_path: Path) -> None:
    frames = run_of(8)
    found: dict[int, dict[int, Any]] = {}
    for line in (write(tmp_path, frames, ["mots"]) / "mots.txt").read_text().splitlines():
        frame, object_id, number, height, width, counts = line.split(" ")
        assert int(number) == {"1": 2, "2": 1, "7": 2}[object_id]
        rle = {"size": [int(height), int(width)], "counts": counts.encode()}
        found.setdefault(int(frame), {})[int(object_id)] = coco_mask.decode(rle).astype(bool)
    for frame in frames:
        masks = found.get(frame.frame.index, {})
        assert set(masks) == set(frame.ids.tolist())
        taken = np.zeros(SIZE, bool)
        for i in np.argsort(-frame.scores):
            mine = frame.masks.mask(int(i))
            assert np.array_equal(masks[int(frame.ids[i])], mine & ~taken)
            taken |= mine
    assert (np.asarray(frames[4].masks).sum(axis=0) > 1).any(), "nothing overlaps: the test tests nothing"


def test_a_mask_under_a_surer_one_has_no_line(tmp_path: Path) -> None:
    one = tracked(0, ids=(1,))
    stack = np.stack([one.masks.mask(0)] * 2)
    twins = Tracked(one.frame, type(one.masks).from_dense(stack), np.array([1, 2]), np.array([0.4, 0.8]))
    lines = (write(tmp_path, [twins], ["mots"]) / "mots.txt").read_text().splitlines()
    assert [line.split()[1] for line in lines] == ["2"]


def test_no_masks_at_all(tmp_path: Path) -> None:
    out = write(tmp_path, [Tracked.none(tracked(i).frame, lost=(3,)) for i in range(3)])
    assert read_json(out / "ytvis.json")["annotations"] == []
    assert read_json(out / "ytvis.json")["videos"][0]["length"] == 3
    assert (out / "mot.txt").read_bytes() == (out / "mots.txt").read_bytes() == b""
    assert [len(line.objects) for line in read_frames(out)] == [0, 0, 0]
    assert np.array(Image.open(out / "davis" / "00002.png")).max() == 0
    assert len(decoded(out / "overlay.mp4")[0]) == 3


def test_an_empty_mask_is_in_the_lines_only(tmp_path: Path) -> None:
    frame = tracked(0, ids=(1, 2))
    stack = np.asarray(frame.masks).copy()
    stack[1] = False
    hidden = Tracked(frame.frame, type(frame.masks).from_dense(stack), frame.ids, frame.scores)
    out = write(tmp_path, [hidden])
    assert [found["id"] for found in next(read_frames(out)).objects] == [1, 2]
    assert [track["id"] for track in read_json(out / "ytvis.json")["annotations"]] == [1]
    assert len((out / "mot.txt").read_text().splitlines()) == 1
    assert len((out / "mots.txt").read_text().splitlines()) == 1


def test_frames_that_were_skipped_keep_their_numbers(tmp_path: Path) -> None:
    out = write(tmp_path, [tracked(i) for i in (10, 15, 30)])
    assert sorted(path.name for path in (out / "davis").iterdir()) == ["00010.png", "00015.png", "00030.png"]
    assert {line.split(",")[0] for line in (out / "mot.txt").read_text().splitlines()} == {"11", "16", "31"}
    assert read_json(out / "ytvis.json")["videos"][0]["file_names"][1] == "video/00015.jpg"
