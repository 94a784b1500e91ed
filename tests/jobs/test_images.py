"""Folder runs: what is written where, what is skipped, what is never overwritten."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastsam import FastSAM, Points, Reference, Text
from fastsam.errors import ConfigError, DownloadError, ExportError, PromptError
from fastsam.export import load_npz
from fastsam.jobs.images import BatchDone, BatchJob, run_batch
from fastsam.testing import ColourWordEncoder, FixedSegmenter

LOG = ".fastsam-done.jsonl"
Run = Callable[..., list[BatchDone]]


@pytest.fixture
def model() -> FastSAM:
    masks = np.zeros((3, 12, 16), bool)
    masks[0, 1:11, 1:15], masks[1, 2:6, 2:6], masks[2, 7:10, 8:14] = True, True, True
    return FastSAM(segmenter=FixedSegmenter(masks, [0.9, 0.8, 0.7]))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for folder, names in (("a", "xyz"), ("b", "x")):
        (tmp_path / folder).mkdir()
        for name in names:
            Image.new("RGB", (16, 12), (len(folder), ord(name), 9)).save(tmp_path / folder / f"{name}.png")
    return tmp_path


@pytest.fixture
def run(model: FastSAM, photos: Path) -> Run:
    def go(*sources: str, **options: Any) -> list[BatchDone]:
        chosen = {"out": photos / "out", "formats": ("overlay", "npz"), **options}
        return list(run_batch(model, BatchJob(tuple(str(photos / s) for s in sources), **chosen)))

    return go


def skipped(done: list[BatchDone]) -> list[bool]:
    return [one.skipped for one in done]


def test_a_finished_run_is_skipped_and_other_settings_are_not(run: Run, photos: Path) -> None:
    assert skipped(run("a")) == [False] * 3
    assert skipped(run("a")) == [True] * 3
    assert skipped(run("a", prompt=Points((3, 3)))) == [False] * 3
    assert skipped(run("a", resume=False, prompt=Points((3, 3)))) == [False] * 3
    Image.new("RGB", (16, 12), "red").save(photos / "a" / "y.png")
    assert skipped(run("a", prompt=Points((3, 3)))) == [True, False, True]


def test_results_that_another_run_has_replaced_are_not_done(run: Run, photos: Path) -> None:
    run("a/x.png")
    run("a/x.png", prompt=Points((3, 3)))
    assert len(load_npz(photos / "out" / "x.npz")) == 1
    assert skipped(run("a/x.png")) == [False]
    assert len(load_npz(photos / "out" / "x.npz")) == 3


def test_another_image_of_that_name_does_not_replace_results(run: Run, photos: Path) -> None:
    run("a/x.png")
    before = (photos / "out" / "x.npz").read_bytes()
    (one,) = run("b/x.png")
    assert "would overwrite those of" in one.error
    assert (photos / "out" / "x.npz").read_bytes() == before
    assert [done.error for done in run("a/x.png", "b/x.png", out=photos / "both")] == ["", ""]


@pytest.mark.parametrize("out", ["a", "."])
def test_an_output_folder_that_holds_the_images_is_refused(out: str, run: Run, photos: Path) -> None:
    before = (photos / "a" / "x.png").read_bytes()
    with pytest.raises(ExportError, match=r"holds the image .* itself.*choose another --out"):
        run("a/x.png", out=photos / out)
    assert (photos / "a" / "x.png").read_bytes() == before


def test_an_output_folder_that_is_a_file_is_refused_before_anything_runs(run: Run, photos: Path) -> None:
    (photos / "taken").write_text("mine")
    with pytest.raises(ExportError, match=r"cannot be made .*in the way"):
        run("a", out=photos / "taken")
    with pytest.raises(ExportError, match="cannot be made"):
        run("a", out=photos / "taken" / "below")


@pytest.mark.parametrize(
    "line",
    [b"[1]", b"5", b'{"key": 1}', b"\xff\xfe", b'{"key": "k", "name": "x", "source": "s", "files": 3}'],
)
def test_damaged_lines_of_the_log_are_passed_over(line: bytes, run: Run, photos: Path) -> None:
    run("a")
    log = photos / "out" / LOG
    log.write_bytes(line + b"\n" + log.read_bytes())
    assert skipped(run("a")) == [True] * 3


def test_a_line_that_a_crash_cut_costs_only_itself(run: Run, photos: Path) -> None:
    run("a")
    log = photos / "out" / LOG
    log.write_bytes(log.read_bytes()[:-30])
    assert skipped(run("a")) == [True, True, False]
    assert skipped(run("a")) == [True] * 3


def test_a_log_that_cannot_be_read_is_our_error(run: Run, photos: Path) -> None:
    (photos / "out" / LOG).mkdir(parents=True)
    with pytest.raises(ExportError, match="remove it to start over"):
        run("a")


def test_a_full_disk_stops_the_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise ExportError("disk full") from OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("fastsam.pictured.save_image", full)
    with pytest.raises(ExportError, match="disk full"):
        run("a")


def test_stdin_needs_its_bytes_and_levels_are_written(model: FastSAM, photos: Path) -> None:
    job = BatchJob(("-",), prompt=Points((3, 3), multimask=True), out=photos / "out", formats=("sam-json",))
    with pytest.raises(ConfigError, match="expected the bytes of an image on stdin"):
        list(run_batch(model, job))
    (done,) = run_batch(model, job, (photos / "a" / "x.png").read_bytes())
    written = json.loads(done.files[0].read_text())
    assert sorted(one["level"] for one in written["annotations"]) == ["part", "whole"]
    record = done.record()
    assert record["image"] == "-"
    assert sorted(mask["level"] for mask in record["masks"]) == ["part", "whole"]
    assert [mask["stability"] for mask in record["masks"]] == [1, 1]


def test_levels_of_everything_are_another_run(run: Run) -> None:
    (done,) = run("a/x.png", level="whole")
    assert set(done.result.levels) == {"whole"}
    assert done.record()["masks"][0].keys().isdisjoint({"stability"})
    assert skipped(run("a/x.png", level="whole")) == [True]
    assert skipped(run("a/x.png", disjoint=True)) == [False]
    assert skipped(run("a/x.png")) == [False]
    for options in ({"level": "whole"}, {"disjoint": True}):
        with pytest.raises(PromptError, match="expected no prompt beside them"):
            run("a/x.png", prompt=Points((1, 1)), **options)
    with pytest.raises(PromptError, match=r"level .*: expected one of whole, part, subpart"):
        run("a/x.png", level="auto")


def test_a_format_named_twice_is_written_once(run: Run) -> None:
    (done,) = run("a/x.png", formats=("npz", "npz"))
    assert len(done.files) == 1


def test_a_vocabulary_is_looked_for_before_anything_runs(run: Run, photos: Path) -> None:
    with pytest.raises(PromptError, match="vocabulary 'lvis'"):
        run("a", label={"vocabulary": "lvis"})
    assert not (photos / "out" / LOG).exists()


def test_labels_are_written_and_another_vocabulary_is_another_run(model: FastSAM, photos: Path) -> None:
    masks = model.segmenter.masks  # type: ignore[attr-defined]
    named = FastSAM(segmenter=FixedSegmenter(np.asarray(masks), masks.scores), text_model=ColourWordEncoder())
    words = photos / "words.txt"
    words.write_text("black hole\nred carpet\n")

    def go(model: FastSAM) -> list[BatchDone]:
        options = {"vocabulary": str(words), "threshold": 0.1}
        job = BatchJob((str(photos / "a"),), out=photos / "out", formats=("npz",), label=options)
        return list(run_batch(model, job))

    first = go(named)
    assert first[0].record()["masks"][0]["label"] in ("black hole", "red carpet")
    with np.load(first[0].files[0]) as kept:
        assert kept["labels"].tolist() == list(first[0].result.labels)
    assert skipped(go(named)) == [True] * 3
    words.write_text("black hole\n")
    assert skipped(go(named)) == [False] * 3


def test_a_text_model_that_cannot_be_had_ends_the_run(model: FastSAM, photos: Path) -> None:
    class Missing(ColourWordEncoder):
        def encode_images(self, pictures: Any) -> Any:
            raise DownloadError("not there")

    masks = model.segmenter.masks  # type: ignore[attr-defined]
    broken = FastSAM(segmenter=FixedSegmenter(np.asarray(masks)), text_model=Missing())
    with pytest.raises(DownloadError, match="not there"):
        list(run_batch(broken, BatchJob((str(photos / "a"),), prompt=Text("red"))))


def test_a_reference_counts_by_what_it_shows(model: FastSAM, photos: Path) -> None:
    """Its photo is segmented once for the folder; another photo under its name is another question."""
    colours = FastSAM(segmenter=model.segmenter, text_model=ColourWordEncoder())
    opened: list[str] = []
    real = colours.segmenter.segment
    colours.segmenter.segment = lambda f, c: opened.append(f.name) or real(f, c)  # type: ignore[method-assign]
    reference = photos / "ref.png"

    def go() -> list[BatchDone]:
        prompt = Reference(str(reference), Points((3, 3)), threshold=0.0)
        job = BatchJob((str(photos / "a"),), prompt, photos / "out", ("npz",))
        return list(run_batch(colours, job))

    for colour in ("red", "blue"):
        opened.clear()
        Image.new("RGB", (16, 12), colour).save(reference)
        first = go()
        assert skipped(first) == [False] * 3
        assert opened == ["ref", "x", "y", "z"]
        assert all(one.result is not None and len(one.result) > 0 for one in first)
        assert skipped(go()) == [True] * 3
