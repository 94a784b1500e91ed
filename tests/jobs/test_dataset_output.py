"""What a run over folders calls photos and classes, and what it does where writing fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastsam import FastSAM, Text
from fastsam.errors import ExportError, PromptError
from fastsam.jobs.images import BatchDone, BatchJob, run_batch
from fastsam.testing import ColourWordEncoder, FixedSegmenter

Run = Callable[..., list[BatchDone]]


@pytest.fixture
def model() -> FastSAM:
    masks = np.zeros((2, 12, 16), bool)
    masks[0, 1:6, 1:15], masks[1, 7:11, 2:14] = True, True
    return FastSAM(segmenter=FixedSegmenter(masks, [1.0, 1.0]), text_model=ColourWordEncoder())


def photo(path: Path, above: str, below: str) -> Path:
    """A photo whose first mask has one colour, and the second another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", (16, 12), above)
    picture.paste(below, (0, 6, 16, 12))
    picture.save(path)
    return path


@pytest.fixture
def run(model: FastSAM, tmp_path: Path) -> Run:
    def go(*sources: Any, **options: Any) -> list[BatchDone]:
        job = BatchJob(tuple(str(one) for one in sources), **{"out": tmp_path / "out", **options})
        return list(run_batch(model, job))

    return go


# --- names ------------------------------------------------------------------------------------------


def test_photos_of_two_folders_have_two_names(run: Run, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        photo(tmp_path / "in" / folder / "img.png", "red", "blue")
    formats = ("coco", "csv", "sam-json")
    run(tmp_path / "in" / "a", tmp_path / "in" / "b", formats=formats)
    coco = json.loads((tmp_path / "out" / "instances.json").read_text())
    assert sorted(one["file_name"] for one in coco["images"]) == ["a/img.png", "b/img.png"]
    assert "a/img.png" in (tmp_path / "out" / "a_img.csv").read_text()
    assert json.loads((tmp_path / "out" / "b_img.json").read_text())["image"]["file_name"] == "b/img.png"
    run(tmp_path / "in" / "**" / "*.png", out=tmp_path / "more", formats=("coco",))
    coco = json.loads((tmp_path / "more" / "instances.json").read_text())
    assert sorted(one["file_name"] for one in coco["images"]) == ["a/img.png", "b/img.png"]
    run(tmp_path / "in" / "a", out=tmp_path / "one", formats=("coco",))
    assert (
        json.loads((tmp_path / "one" / "instances.json").read_text())["images"][0]["file_name"] == "img.png"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux")
def test_names_that_are_no_utf_8_end_no_batch(run: Run, tmp_path: Path) -> None:
    from fastsam.export import FORMATS

    folder = tmp_path / "latin"
    photo(folder / "a.png", "red", "blue")
    name = os.fsencode(folder) + b"/caf\xe9.png"
    os.rename(photo(folder / "b.png", "red", "blue"), name)
    for _ in range(2):  # the second time from the log
        done = run(folder, formats=("overlay", *FORMATS), prompt=Text("red"))
        assert [one.error for one in done] == ["", ""]
    assert all(one.skipped for one in done)
    coco = json.loads((tmp_path / "out" / "instances.json").read_text())
    names = [one["file_name"] for one in coco["images"]]
    assert os.fsencode(folder / names[1]) == name
    assert b"caf\\udce9.png" in (tmp_path / "out" / "caf_.csv").read_bytes()


def test_the_command_takes_names_that_are_no_utf_8(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "in")
    os.makedirs(folder)
    Image.new("RGB", (64, 48), "red").save(tmp_path / "a.png")
    os.rename(tmp_path / "a.png", folder + b"/caf\xe9.png")
    command = [sys.executable, "-m", "fastsam", "segment", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    done = subprocess.run([*command, "--format", "yolo", "--json"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["image"].endswith("caf\udce9.png")


# --- classes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("colours", [("red", "blue"), ("blue", "red"), ("white", "white")])
def test_ids_follow_the_order_asked_for(colours: tuple[str, str], run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.png", *colours)
    prompt = Text("sea=blue", "green", "car=red", threshold=0.1)
    run(tmp_path / "in", prompt=prompt, formats=("coco", "coco-polygons", "yolo", "labelme", "csv", "cvat"))
    out = tmp_path / "out"
    assert (out / "classes.txt").read_text() == "sea\ngreen\ncar\n"
    assert '  0: "sea"\n  1: "green"\n  2: "car"\n' in (out / "data.yaml").read_text()
    assert (out / "labelme" / "labels.txt").read_text() == "sea\ngreen\ncar\n"
    for name in ("instances.json", "instances_polygons.json"):
        coco = json.loads((out / name).read_text())
        names = {one["id"]: one["name"] for one in coco["categories"]}
        assert names == {1: "sea", 2: "green", 3: "car"}
        of = {one["bbox"][1]: names[one["category_id"]] for one in coco["annotations"]}
        called = {"red": "car", "blue": "sea"}
        assert of == {y: called[c] for y, c in zip((1, 7), colours, strict=True) if c in called}
    kinds = [line.split()[0] for line in (out / "labels" / "a.txt").read_text().splitlines()]
    assert sorted(kinds) == sorted({"red": "2", "blue": "0"}[c] for c in colours if c != "white")
    if "white" not in colours:
        shapes = json.loads((out / "labelme" / "a.json").read_text())["shapes"]
        assert {shape["label"] for shape in shapes} == {"sea", "car"}
        assert ",car," in (out / "a.csv").read_text()


@pytest.mark.parametrize("unknown", [False, True])
def test_unknown_is_a_class_only_if_asked_for(unknown: bool, run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.png", "red", "white")
    words = tmp_path / "words.txt"
    words.write_bytes("\ufeffsea=blue\nfire=red\n".encode())  # a byte-order mark
    label = {"vocabulary": str(words), "threshold": 0.6}
    run(tmp_path / "in", label=label, formats=("coco", "yolo", "csv"), unknown=unknown)
    coco = json.loads((tmp_path / "out" / "instances.json").read_text())
    names = ["sea", "fire"] + ["unknown"] * unknown
    assert [one["name"] for one in coco["categories"]] == names
    assert len(coco["annotations"]) == 1 + unknown
    assert (tmp_path / "out" / "classes.txt").read_text().split() == names
    assert len((tmp_path / "out" / "a.csv").read_text().splitlines()) == 2 + unknown


def test_a_result_exports_its_classes(model: FastSAM, tmp_path: Path) -> None:
    session = model.open(photo(tmp_path / "a.png", "red", "white"))
    result = session.select(Text({"sea": "blue", "car": "red"}, threshold=0.1))
    assert result.classes == ("sea", "car")
    assert [one["name"] for one in result.to_coco()["categories"]] == ["sea", "car"]
    result.export(tmp_path / "out", "yolo")
    assert (tmp_path / "out" / "classes.txt").read_text() == "sea\ncar\n"
    named = session.label(["sea=blue", "fire=red"], threshold=0.6).everything()
    assert sorted(named.labels or ()) == ["fire", "unknown"]
    assert len(named.to_coco()["annotations"]) == 1
    two = session.select(Text("thing=red", "thing=scarlet red", threshold=0.0))
    assert len(set(two.indices.tolist())) == len(two.indices)  # a mask has a name once


def test_a_name_needs_words(run: Run, tmp_path: Path) -> None:
    for text in ("=a person", "person="):
        with pytest.raises(PromptError, match="expected NAME=WORDS"):
            Text(text)


# --- disks and neighbours ---------------------------------------------------------------------------


def test_the_second_run_in_a_folder_is_told(model: FastSAM, tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.png", "red", "blue")
    job = BatchJob((str(tmp_path / "in"),), out=tmp_path / "out", formats=("yolo",))
    first = run_batch(model, job)
    next(first)
    with pytest.raises(ExportError, match="another run is writing to it"):
        list(run_batch(model, job))
    assert list(first) == []
    assert [one.skipped for one in run_batch(model, job)] == [True]
    assert not (tmp_path / "out" / ".lock").exists()


def test_another_process_is_told_too(model: FastSAM, tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.png", "red", "blue")
    first = run_batch(model, BatchJob((str(tmp_path / "in"),), out=tmp_path / "out"))
    next(first)
    code = (
        "import sys; from pathlib import Path; from fastsam.files import sole_writer\n"
        "with sole_writer(Path(sys.argv[1]), 'output folder'): pass"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "another run is writing to it" in done.stderr
    list(first)
    assert subprocess.run(command, check=False).returncode == 0


def test_what_a_killed_run_was_writing_goes(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "in" / "a.png", "red", "blue")
    out = tmp_path / "out"
    (out / "labels").mkdir(parents=True)
    (out / ".0123456789ab.part").mkdir()
    (out / "labels" / ".0123456789ab.part").write_bytes(b"half")
    (out / ".mine.part").write_bytes(b"kept")
    run(tmp_path / "in", formats=("yolo",))
    hidden = sorted(path.name for path in out.rglob(".*"))
    assert hidden == [".fastsam-done.jsonl", ".mine.part"]


@pytest.mark.skipif(sys.platform == "win32", reason="limits of processes are of Unix")
@pytest.mark.parametrize("form", ["overlay", "png", "yolo", "coco", "npz"])
def test_a_disk_that_takes_no_more_is_told_with_its_path(form: str, tmp_path: Path) -> None:
    """No file may have more than 300 bytes: writing fails as on a full disk, nothing half written stays."""
    (tmp_path / "in").mkdir()
    for seed in (0, 1):
        noise = np.random.default_rng(seed).integers(0, 255, (60, 80, 3)).astype(np.uint8)
        Image.fromarray(noise).save(tmp_path / "in" / f"{seed}.png")
    code = (
        "import resource, signal, sys, numpy as np\n"
        "from fastsam import FastSAM; from fastsam.testing import FixedSegmenter\n"
        "from fastsam.jobs.images import BatchJob, run_batch; from pathlib import Path\n"
        "masks = np.random.default_rng(0).random((40, 60, 80)) > .5\n"
        "model = FastSAM(segmenter=FixedSegmenter(masks))\n"
        "job = BatchJob((sys.argv[1],), out=Path(sys.argv[2]), formats=(sys.argv[3],))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))\n"
        "for done in run_batch(model, job): print(done.error)\n"
    )
    arguments = [str(tmp_path / "in"), str(tmp_path / "out"), form]
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "fastsam.errors.ExportError" in done.stderr.splitlines()[-1]
    assert str(tmp_path / "out") in done.stderr.splitlines()[-1]
    left = [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert set(left) <= {"classes.txt"}  # it is whole
