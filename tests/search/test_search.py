"""The index of masks: built, resumed, brought up to date, asked; and what a search writes."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastsam import Box, FastSAM, Points, Reference, Text
from fastsam.errors import ConfigError, ExportError, ImageError, PromptError
from fastsam.search import Hit, Indexed, MaskIndex, write_hits
from fastsam.search.store import IndexStore
from fastsam.testing import ColourWordEncoder, FixedSegmenter
from tests.text_models import PAINT, SIZE, shapes

NAMES = ("red left", "blue", "red right", "green", "tiny")
PHOTOS = {
    "a.png": {"red left": "red", "blue": "blue"},
    "b.png": {"red left": "green", "blue": "red"},
    "c.png": {"red right": "red", "green": "red"},
}
BLUE = Box((25, 5, 55, 30))


def paint(path: Path, colours: dict[str, str]) -> None:
    rgb = np.full((*SIZE, 3), 255, np.uint8)
    for name, colour in colours.items():
        rgb[shapes()[name]] = PAINT[colour]
    Image.fromarray(rgb).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colours in PHOTOS.items():
        paint(folder / name, colours)
    return folder


def colour_model() -> FastSAM:
    masks = np.stack([shapes()[name] for name in NAMES])
    return FastSAM(
        segmenter=FixedSegmenter(masks, [0.95, 0.9, 0.85, 0.8, 0.75]), text_model=ColourWordEncoder()
    )


def answers(hits: list[Hit]) -> list[tuple[str, int]]:
    return sorted((Path(hit.file).name, hit.row) for hit in hits)


RED = [("a.png", 0), ("b.png", 1), ("c.png", 2), ("c.png", 3)]


def test_texts_and_references_find_the_same_red_things(photos: Path, tmp_path: Path) -> None:
    model = colour_model()
    index = MaskIndex.build(model, photos, tmp_path / "index")
    assert (len(index.files), len(index)) == (3, 15)
    assert answers(index.query(Text("a red car"), model)) == RED
    asked = Reference(str(photos / "a.png"), Box((2, 5, 22, 25)))
    found = index.query(asked, model)
    assert answers(found) == RED
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    assert np.array_equal(found[0].mask(), shapes()[NAMES[found[0].row]])
    several = index.query(Text(["a red car", "a blue car"]), model)
    assert answers([hit for hit in several if hit.group == 1]) == [("a.png", 1)]


def test_scores_are_those_of_the_image_itself(photos: Path, tmp_path: Path) -> None:
    model = colour_model()
    index = MaskIndex.build(model, photos, tmp_path / "index")
    reference = model.reference(photos / "a.png", BLUE, negatives=Box((2, 5, 22, 25)), threshold=0.0)
    for prompt in (reference, Text("a red car", threshold=0.0)):
        for name in PHOTOS:
            direct = model.open(photos / name).select(prompt)
            stored = {h.row: h.score for h in index.query(prompt, model) if Path(h.file).name == name}
            assert set(stored) == set(direct.indices.tolist())
            for row, score in zip(direct.indices.tolist(), direct.scores, strict=True):
                assert stored[row] == pytest.approx(score, abs=2e-3)  # float16


def test_best_limit_and_threshold(photos: Path, tmp_path: Path) -> None:
    model = colour_model()
    index = MaskIndex.build(model, photos, tmp_path / "index")
    red = model.reference(photos / "a.png", Box((2, 5, 22, 25)))
    assert answers(index.query(Reference.of(red, mode="best"))) == RED[:3]
    assert len(index.query(red, limit=2)) == 2
    assert index.query(Reference.of(red, threshold=1.0)) == []
    for limit in (0, True, 1.5):
        with pytest.raises(ConfigError, match="limit: expected a whole number above 0"):
            index.query(red, limit=limit)  # type: ignore[arg-type]


def test_only_new_and_changed_files_are_read(photos: Path, tmp_path: Path) -> None:
    model = colour_model()
    out = tmp_path / "index"
    done: list[Indexed] = []

    def build() -> MaskIndex:
        done.clear()
        return MaskIndex.build(model, photos, out, on_image=lambda one, total: done.append(one))

    build()
    assert [one.skipped for one in done] == [False] * 3
    build()
    assert [(one.skipped, one.count) for one in done] == [(True, 5)] * 3
    paint(photos / "b.png", {"blue": "blue"})
    os.utime(photos / "b.png", ns=(1, 1))
    paint(photos / "d.png", {"green": "red"})
    (photos / "a.png").unlink()
    index = build()
    assert [Path(one.file).name for one in done if not one.skipped] == ["b.png", "d.png"]
    assert [Path(file).name for file in index.files] == ["c.png", "b.png", "d.png"]
    expected = [("c.png", 2), ("c.png", 3), ("d.png", 3)]
    assert answers(index.query(Text("a red car"), model)) == expected
    assert answers(MaskIndex.open(out).query(Text("a red car"), model)) == expected


def test_rows_of_no_use_are_cleared_away(photos: Path, tmp_path: Path) -> None:
    model, out = colour_model(), tmp_path / "index"
    before = MaskIndex.build(model, photos, out).query(Text("a red car"), model)
    size = (out / "vectors.f16").stat().st_size
    for turn in range(1, 4):
        for name in PHOTOS:
            os.utime(photos / name, ns=(turn, turn))
        after = MaskIndex.build(model, photos, out).query(Text("a red car"), model)
        assert (out / "vectors.f16").stat().st_size <= 2 * size
    assert [(hit.file, hit.row, hit.score) for hit in after] == [(h.file, h.row, h.score) for h in before]


@pytest.mark.parametrize("damage", ["half a line", "half a row", "line without rows", "garbage"])
def test_an_interrupted_run_goes_on(photos: Path, tmp_path: Path, damage: str) -> None:
    model, out = colour_model(), tmp_path / "index"
    MaskIndex.build(model, photos, out)
    table, vectors = out / "masks.jsonl", out / "vectors.f16"
    whole = table.read_text()
    if damage == "half a line":
        table.write_text(whole[:-40])
    elif damage == "half a row":
        vectors.write_bytes(vectors.read_bytes()[:-3])
    elif damage == "line without rows":
        vectors.write_bytes(vectors.read_bytes()[: -5 * 2 * 4])
    else:
        table.write_text(whole + "no JSON\n[]\n{}")
    done: list[Indexed] = []
    index = MaskIndex.build(model, photos, out, on_image=lambda one, total: done.append(one))
    assert sum(not one.skipped for one in done) == (0 if damage == "garbage" else 1)
    assert answers(index.query(Text("a red car"), model)) == RED
    assert answers(MaskIndex.open(out).query(Text("a red car"), model)) == RED


def test_a_bad_image_does_not_stop_the_rest(photos: Path, tmp_path: Path) -> None:
    (photos / "aa.jpg").write_text("no photo")
    done: list[Indexed] = []
    index = MaskIndex.build(
        colour_model(), photos, tmp_path / "index", on_image=lambda one, total: done.append(one)
    )
    assert [bool(one.error) for one in done] == [False, True, False, False]
    assert "aa.jpg" in done[1].error
    assert len(index.files) == 3


def test_nothing_readable_is_an_empty_index_that_can_grow(tmp_path: Path) -> None:
    folder, out, model = tmp_path / "photos", tmp_path / "index", colour_model()
    folder.mkdir()
    with pytest.raises(ImageError, match="photos"):
        MaskIndex.build(model, folder, out)
    (folder / "a.jpg").write_text("no photo")
    empty = MaskIndex.build(model, folder, out)
    assert (len(empty), empty.query(Text("a red car"), model)) == (0, [])
    paint(folder / "b.png", {"blue": "red"})
    assert answers(MaskIndex.build(model, folder, out).query(Text("a red car"), model)) == [("b.png", 1)]


def test_images_without_masks_are_remembered(photos: Path, tmp_path: Path) -> None:
    model, out = colour_model(), tmp_path / "index"
    assert len(MaskIndex.build(model, photos, out, conf=0.99)) == 0
    done: list[Indexed] = []
    index = MaskIndex.build(model, photos, out, conf=0.99, on_image=lambda one, total: done.append(one))
    assert all(one.skipped for one in done)
    assert index.query(Text("a red car"), model) == []
    assert index.query(model.reference(photos / "a.png", BLUE)) == []


def test_other_models_and_options_are_refused(photos: Path, tmp_path: Path) -> None:
    model, out = colour_model(), tmp_path / "index"
    index = MaskIndex.build(model, photos, out)
    with pytest.raises(ConfigError, match=r"made with conf = 0\.4, expected the same, got 0\.5"):
        MaskIndex.build(model, photos, out, conf=0.5)

    class Other(ColourWordEncoder):
        location = "other colours"

    other = FastSAM(segmenter=model.segmenter, text_model=Other())
    for call in (
        lambda: MaskIndex.build(other, photos, out),
        lambda: index.query(Text("a red car"), other),
        lambda: index.query(model.reference(photos / "a.png", BLUE), other),
    ):
        with pytest.raises(ConfigError, match=r"another text-image model \(colour words, this one is other"):
            call()
    with pytest.raises(PromptError, match="described by another text-image model"):
        index.query(other.reference(photos / "a.png", BLUE))


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (BLUE, "expected a Text or a Reference, got Box"),
        (Text("a dog"), "expected the model that made it"),
        (Reference("a.png", Points((5, 5))), "expected the model that made it"),
    ],
)
def test_what_an_index_cannot_answer(photos: Path, tmp_path: Path, prompt: Any, message: str) -> None:
    index = MaskIndex.build(colour_model(), photos, tmp_path / "index")
    with pytest.raises(PromptError, match=message):
        index.query(prompt)


def test_what_is_no_index(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"found no index\.json"):
        MaskIndex.open(tmp_path)
    for content in ("", "{}", '{"format": 99}', "[]"):
        (tmp_path / "index.json").write_text(content)
        with pytest.raises(ConfigError, match="cannot be read"):
            MaskIndex.open(tmp_path)
    (tmp_path / "file").touch()
    paint(tmp_path / "a.png", {})
    with pytest.raises(ExportError, match="file"):
        MaskIndex.build(colour_model(), tmp_path / "a.png", tmp_path / "file")


def test_the_matrix_is_mapped_not_read(photos: Path, tmp_path: Path) -> None:
    MaskIndex.build(colour_model(), photos, tmp_path / "index")
    matrix = IndexStore(tmp_path / "index").vectors()
    assert isinstance(matrix, np.memmap)
    assert (matrix.shape, matrix.dtype) == ((18, 4), np.float16)


def test_what_is_found_is_written(photos: Path, tmp_path: Path) -> None:
    model, out = colour_model(), tmp_path / "found"
    hits = MaskIndex.build(model, photos, tmp_path / "index").query(Text("a red car"), model)
    files = write_hits(hits, out)
    rows = list(csv.DictReader((out / "found.csv").read_text().splitlines()))
    lines = [json.loads(line) for line in (out / "found.jsonl").read_text().splitlines()]
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    assert [line["file"] for line in lines] == [row["file"] for row in rows] == [hit.file for hit in hits]
    for row, hit in zip(rows, hits, strict=True):
        assert [float(row[name]) for name in ("x1", "y1", "x2", "y2")] == list(hit.box_xyxy)
        with Image.open(out / row["crop"]) as crop, Image.open(out / row["overlay"]) as drawn:
            assert drawn.size == SIZE[::-1]
            assert np.count_nonzero(np.asarray(crop)[..., 3]) == hit.mask().sum()
    assert len(files) == 2 + 3 + 4
    assert all(path.is_file() for path in files)
    again = write_hits([replace(hits[0], score=0.5)], out)
    assert len(again) == 4


def test_nothing_found_is_a_table_without_rows(tmp_path: Path) -> None:
    written = write_hits([], tmp_path / "found")
    assert [path.name for path in written] == ["found.csv", "found.jsonl"]
    assert written[0].read_text().startswith("rank,file,row,score")
    assert written[1].read_text() == ""


def test_the_embedded_model_finds_the_cat(tmp_path: Path, photographs: dict[str, Any]) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("chelsea", "coffee, small", "bus, strip"):
        Image.fromarray(photographs[name]).save(folder / f"{name}.png")
    model = FastSAM(device="cpu")
    index = MaskIndex.build(model, folder, tmp_path / "index", imgsz=320)
    found = index.query(Text("a cat"), model)
    assert Path(found[0].file).name == "chelsea.png"
    again = index.query(Reference(str(folder / "chelsea.png"), Points((200, 150)), mode="best"), model)
    assert Path(again[0].file).name == "chelsea.png"
    assert again[0].score > 0.4


def test_one_process_writes_to_an_index(tmp_path: Path) -> None:
    """Two at once mixed up vectors: the second is told."""
    masks = np.ones((1, 12, 16), bool)
    model = FastSAM(segmenter=FixedSegmenter(masks), text_model=ColourWordEncoder())
    Image.new("RGB", (16, 12), "red").save(tmp_path / "a.png")

    def meanwhile(*_: Any) -> None:
        with pytest.raises(ExportError, match="another run is writing to it"):
            MaskIndex.build(model, [tmp_path / "a.png"], tmp_path / "index")

    built = MaskIndex.build(model, [tmp_path / "a.png"], tmp_path / "index", on_image=meanwhile)
    assert len(built) == 1
    assert not (tmp_path / "index" / ".lock").exists()
