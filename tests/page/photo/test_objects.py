"""Several objects in one photo: kept, named, undone and redone, exported; and what a click would select."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastsam.errors import PromptError
from fastsam.masks.rle import decode_rle
from fastsam.page.photo import steps
from fastsam.page.photo.downloads import write_download
from fastsam.page.photo.effects import Effect
from tests.page.setting import MASKS, OTHER, PART, PHOTO, WHOLE, Page, colour_words, painted


def kept(page: Page, *names: str) -> dict[str, Any]:
    """Keep the part, then the other, under names."""
    page.mark("point", (22, 24))
    page.act("keep", name=names[0])
    page.mark("point", (60, 30))
    return page.act("keep", name=names[1])


def names_of(answer: dict[str, Any]) -> list[tuple[int, str]]:
    return [(one["id"], one["name"]) for one in answer["objects"]]


def test_objects_are_kept_and_named_one_after_the_other() -> None:
    page = Page()
    answer = kept(page, "  a  cup ", "")
    assert names_of(answer) == [(1, "a cup"), (2, "object")]
    assert (answer["marks"], answer["rows"]) == ([], [])  # the next one is to be marked
    assert answer["text"].startswith("2 objects kept.")
    assert answer["objects"][0]["rings"] == [[15, 15, 15, 35, 30, 35, 30, 15]]
    assert len({one["color"] for one in answer["objects"]}) == 2
    assert "2 objects kept" in answer["alt"]
    assert page.mark("point", (35, 45))["rows"] == [WHOLE]  # a new prompt leaves them alone
    assert names_of(page.last["answer"]) == [(1, "a cup"), (2, "object")]


def test_each_mask_of_a_selection_becomes_an_object_with_its_label() -> None:
    page = Page(painted(), colour_words())
    page.ask("something red")
    assert names_of(page.act("keep")) == [(1, "something red"), (2, "something red")]


def test_objects_are_renamed_and_removed() -> None:
    page = Page()
    kept(page, "cup", "spoon")
    assert names_of(page.act("rename", id=2, name=" table\nspoon "))[1] == (2, "table spoon")
    assert names_of(page.act("rename", id=2, name="x" * 500))[1] == (2, "x" * 60)
    assert names_of(page.act("drop-object", id=1)) == [(2, "x" * 60)]
    page.mark("point", (22, 24))
    assert [number for number, _ in names_of(page.act("keep"))] == [2, 3]  # numbers are not given twice


def test_all_of_it_is_undone_and_redone() -> None:
    page = Page()
    kept(page, "cup", "spoon")
    page.act("rename", id=1, name="mug")
    page.act("drop-object", id=2)
    seen = []
    while "undo" in page.last["answer"]["can"]:
        answer = page.act("undo")
        seen.append((names_of(answer), len(answer["marks"])))
    both = [(1, "cup"), (2, "spoon")]
    assert seen == [
        ([(1, "mug"), (2, "spoon")], 0), (both, 0), ([(1, "cup")], 1), ([(1, "cup")], 0), ([], 1), ([], 0),
    ]  # fmt: skip
    while "redo" in page.last["answer"]["can"]:
        answer = page.act("redo")
    assert names_of(answer) == [(1, "mug")]
    assert page.act("redo")["objects"] == answer["objects"]  # nothing to redo changes nothing


def test_a_new_step_after_undo_forgets_what_could_be_redone() -> None:
    page = Page()
    page.mark("point", (22, 24))
    page.act("undo")
    assert "redo" in page.last["answer"]["can"]
    assert "redo" not in page.mark("point", (60, 30))["can"]


def test_there_must_be_something_to_keep() -> None:
    page = Page()
    with pytest.raises(PromptError, match="Select an object first"):
        page.act("keep")
    for row in range(3):
        page.act("remove", row=row)
    with pytest.raises(PromptError, match="Select an object first"):
        page.act("keep")
    assert "keep" not in page.last["answer"]["can"]


def test_a_photo_has_200_objects_at_most() -> None:
    page = Page()
    page.mark("point", (22, 24))
    page.act("keep")
    full = page.visitor.state.objects * 200
    page.visitor.act(lambda state: replace(state, objects=full))
    page.mark("point", (22, 24))
    with pytest.raises(PromptError, match="200 objects"):
        page.act("keep")


def test_exports_have_the_objects_with_their_names(tmp_path: Path) -> None:
    page = Page()
    kept(page, "cup", "spoon")
    page.mark("point", (35, 45))  # not kept yet, but on show
    path = write_download(page.visitor.state, "coco", tmp_path)
    with zipfile.ZipFile(path) as archive:
        document = json.loads(archive.read("instances.json"))
    names = {category["id"]: category["name"] for category in document["categories"]}
    found = {names[row["category_id"]]: decode_rle(row["segmentation"]) for row in document["annotations"]}
    assert set(found) == {"cup", "spoon", "object"}
    np.testing.assert_array_equal(found["cup"], MASKS[PART])
    np.testing.assert_array_equal(found["spoon"], MASKS[OTHER])
    np.testing.assert_array_equal(found["object"], MASKS[WHOLE])


def test_cutouts_are_called_after_their_objects(tmp_path: Path) -> None:
    page = Page()
    kept(page, "cup", "tea/spoon")
    with zipfile.ZipFile(write_download(page.visitor.state, "cutout", tmp_path)) as archive:
        assert [Path(name).name for name in archive.namelist()] == ["000_cup.png", "001_tea_spoon.png"]


def test_an_effect_shows_all_objects(tmp_path: Path) -> None:
    page = Page()
    kept(page, "cup", "spoon")
    shown = json.loads(steps.set_up(page.visitor, effect=Effect("replace", soft=False)) or "")["answer"]
    assert shown["picture"].startswith("data:image/jpeg")
    with Image.open(write_download(page.visitor.state, "view", tmp_path)) as picture:
        pixels = np.asarray(picture)
    np.testing.assert_array_equal(
        (pixels == PHOTO).all(axis=2), MASKS[PART] | MASKS[OTHER] | (PHOTO == 255).all(axis=2)
    )


# ---- what a click would select -------------------------------------------------------------------------


def peeked(page: Page, x: float, y: float, sign: str = "add") -> dict[str, Any]:
    what = {"xy": [x, y], "sign": sign, "scene": page.visitor.state.scene}
    return json.loads(steps.peek(page.visitor, what) or "{}")


@pytest.mark.parametrize("before", [[], [(35, 45)]])
def test_what_lights_up_is_what_a_click_selects(before: list[tuple[float, float]]) -> None:
    for x, y in [(12, 12), (22, 24), (16, 16), (29, 20), (30, 20), (60, 30), (51, 6), (75, 2)]:
        page = Page()
        for point in before:
            page.mark("point", point)
        lit = peeked(page, x, y)
        answer = page.mark("point", (x, y))
        assert lit["rings"] == [ring for mask in answer["masks"] for ring in mask["rings"]], (x, y)


def test_looking_changes_nothing() -> None:
    page = Page()
    page.mark("point", (22, 24))
    before = page.visitor.state
    assert peeked(page, 60, 30)["version"] == before.version
    assert page.visitor.state is before


def test_nothing_is_said_of_another_photo_or_none() -> None:
    page = Page()
    assert steps.peek(page.visitor, {"xy": [1, 1], "scene": "an older one"}) is None
    page.visitor.put_away()
    assert steps.peek(page.visitor, {"xy": [1, 1], "scene": ""}) is None


# ---- ways out ------------------------------------------------------------------------------------------


def test_a_text_that_is_not_found_offers_its_best_match() -> None:
    page = Page(painted(), colour_words())
    steps.set_up(page.visitor, threshold=0.999)
    answer = page.ask("something red")
    assert answer["rows"] == []
    assert "“something red” was not found: the best match scores 0." in answer["text"]
    (way,) = answer["ways"]
    assert way["words"].startswith("Show the best match (")
    shown = page.act(way["do"], id=way["id"], value=way["value"])
    assert set(shown["rows"]) <= {PART, OTHER}
    assert shown["rows"]
    assert page.act("undo")["rows"] == []


@pytest.mark.parametrize("value", [-1, 2, "low", None])
def test_scores_from_the_browser_are_checked(value: Any) -> None:
    page = Page(painted(), colour_words())
    page.ask("something red")
    with pytest.raises(PromptError, match="a score from 0 to 1"):
        page.act("loosen", id=1, value=value)
