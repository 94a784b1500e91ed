"""What a visitor asks for, and what the browser is told; no browser, no server."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsam.config import RenderConfig
from fastsam.errors import PromptError
from fastsam.images.frame import Frame
from fastsam.page.photo import steps
from fastsam.page.photo.answer import answer_of, prompt_of
from fastsam.page.photo.effects import Effect
from fastsam.page.photo.state import Mark, PhotoState
from fastsam.page.shared.memory import MemoryBudget
from fastsam.page.shared.model import SharedModel
from fastsam.page.shared.sessions import PageSession
from fastsam.prompts import AllOf, AnyOf, Box, ButNot, Points, Text
from fastsam.session import Session
from fastsam.testing import ColourWordEncoder
from tests.page.setting import MASKS, OTHER, PART, PHOTO, WHOLE, Page, colour_words, fixed, painted


def point(x: float, y: float, sign: Any = "add") -> Mark:
    return Mark("point", sign, ((x, y),))


BOX = Mark("box", xy=((30, 4), (10, 40)))


@pytest.mark.parametrize(
    ("marks", "wanted"),
    [
        ((), None),
        ((Mark("remove", "take", row=1),), None),
        ((point(3, 4),), Points([(3, 4)], multimask=True)),
        ((point(3, 4), point(9, 9, "take")), Points([(3, 4), (9, 9)], [1, 0])),
        ((point(9, 9, "take"),), Points([(9, 9)], [0])),
        ((BOX,), Box([10, 4, 30, 40])),
        ((BOX, BOX), Box([[10, 4, 30, 40]] * 2)),
        ((BOX, point(1, 2)), AnyOf((Points([(1, 2)]), Box([10, 4, 30, 40])))),
        ((BOX, point(1, 2, "take")), AllOf((Box([10, 4, 30, 40]), Points([(1, 2)], [0])))),
        ((Mark("text", text="a dog"), Mark("text", text="a cat")), Text(["a dog", "a cat"])),
        (
            (BOX, Mark("text", "take", text="a dog")),
            ButNot(Box([10, 4, 30, 40]), AnyOf((Text("a dog"),))),
        ),
    ],
)
def test_marks_become_a_prompt(marks: tuple[Mark, ...], wanted: Any) -> None:
    assert prompt_of(PhotoState(marks=marks)) == wanted


def test_prompts_combine_as_the_visitor_says() -> None:
    marks = (BOX, Mark("text", text="a dog"))
    both = (Box([10, 4, 30, 40]), Text("a dog"))
    assert prompt_of(PhotoState(marks=marks, combine="any")) == AnyOf(both)
    assert prompt_of(PhotoState(marks=marks, combine="all")) == AllOf(both)


# ---- a photo -------------------------------------------------------------------------------------------


def test_opening_a_photo_shows_everything() -> None:
    page = Page()
    scene, answer = page.scene, page.last["answer"]
    assert (scene["width"], scene["height"], scene["name"]) == (80, 60, "astro")
    assert [mask["row"] for mask in scene["masks"]] == answer["rows"] == [0, 1, 2]
    assert [mask["score"] for mask in scene["masks"]] == pytest.approx([0.9, 0.8, 0.7])
    assert [mask["share"] for mask in scene["masks"]] == pytest.approx(MASKS.mean(axis=(1, 2)), abs=1e-5)
    assert scene["masks"][PART]["rings"] == [[15, 15, 15, 35, 30, 35, 30, 15]]
    assert answer["text"].startswith("3 masks. Click an object")
    assert "80 by 60 pixels, 3 masks" in answer["alt"]
    assert len(page.last["render"]["colors"]) == 3


def test_a_photo_without_masks_says_so() -> None:
    model, visitor = SharedModel(model=fixed(np.zeros((0, 60, 80), bool))), PageSession(MemoryBudget(1 << 30))
    message = steps.open_photo(visitor, model, Frame(PHOTO), {})
    assert "Lower the minimum confidence" in message


def test_another_photo_forgets_the_prompts_of_the_first() -> None:
    page = Page()
    page.mark("point", (60, 30))
    before = page.visitor.state.scene
    page.opened(PHOTO)
    assert page.last["answer"]["marks"] == []
    assert page.visitor.state.scene != before


def test_what_was_meant_for_another_photo_is_answered_with_the_whole_scene() -> None:
    page = Page()
    steps.act(page.visitor, {"do": "mark", "kind": "point", "xy": [[1, 1]], "scene": "an older one"})
    assert page.visitor.state.marks == ()
    page.act("mark", scene="an older one", kind="point", xy=[[1, 1]])
    assert page.last["kind"] == "scene"


# ---- prompts -------------------------------------------------------------------------------------------


def test_clicks_add_and_subtract_and_are_taken_back() -> None:
    page = Page()
    answer = page.mark("point", (22, 24))
    assert answer["rows"] == [PART]
    assert [mark["words"] for mark in answer["marks"]] == ["click"]
    cut = page.mark("point", (35, 45)), page.mark("point", (22, 24), sign="take")
    assert cut[1]["marks"][-1]["words"] == "remove click"
    assert page.act("undo")["marks"] == cut[0]["marks"]
    page.act("clear")
    both = page.mark("point", (35, 45)), page.mark("point", (22, 24), sign="take")
    pixels = answer_of(page.visitor.state).result.masks.union()
    assert pixels[45, 35]
    assert not pixels[24, 22]
    assert both[1]["masks"][0]["share"] == pytest.approx(pixels.mean(), abs=1e-5)
    cleared = page.act("clear")
    assert (cleared["marks"], cleared["rows"]) == ([], [0, 1, 2])
    assert page.act("undo")["marks"] == both[1]["marks"]  # clearing can be undone, too


def test_each_prompt_can_be_removed_by_itself() -> None:
    page = Page()
    page.mark("box", (10, 10), (40, 50))
    answer = page.mark("box", (50, 5), (70, 55))
    assert answer["rows"] == [WHOLE, OTHER]
    first = answer["marks"][0]["id"]
    assert page.act("drop", id=first)["rows"] == [OTHER]
    again = page.mark("point", (22, 24))
    assert len({mark["id"] for mark in again["marks"]}) == 2


def test_an_ambiguous_click_offers_its_levels() -> None:
    page = Page()
    answer = page.mark("point", (22, 24))
    assert answer["levels"] == ["whole", "part"] or answer["levels"] == ["part", "subpart"]
    larger, smaller = answer["levels"]
    assert answer["level"] == smaller
    chosen = page.act("level", level=larger)
    assert (chosen["rows"], chosen["level"]) == ([WHOLE], larger)
    assert page.act("level", level=smaller)["rows"] == [PART]
    assert page.act("level", level="none of them")["rows"] == [PART]  # the best
    assert page.mark("box", (50, 5), (70, 55))["levels"] == []


@pytest.mark.parametrize(
    ("kind", "xy"),
    [
        ("box", [(50, 5), (70, 55)]),
        ("box", [(70, 55), (50, 5)]),
        ("scribble", [(60, 8), (60, 50)]),
        ("outline", [(50, 5), (70, 5), (70, 55), (50, 55)]),
    ],
)
def test_drawing_selects(kind: str, xy: list[tuple[float, float]]) -> None:
    page = Page()
    assert page.mark(kind, *xy)["rows"] == [OTHER]
    page.act("clear")
    assert page.mark(kind, *xy, sign="take")["rows"] == [WHOLE, PART]


def test_kinds_combine_and_say_that_they_can() -> None:
    page = Page()
    assert not page.mark("point", (22, 24))["combinable"]
    answer = page.mark("box", (10, 10), (40, 50))
    assert answer["combinable"]
    assert sorted(answer["rows"]) == [WHOLE, PART]
    assert page.act("combine", combine="all")["rows"] == [WHOLE]  # fits the box, and is under the click
    assert not page.act("clear")["combinable"]


def test_clicks_after_a_box_correct_its_mask() -> None:
    page = Page()
    page.mark("box", (10, 10), (40, 50))
    assert page.mark("point", (12, 45))["rows"] == [WHOLE]  # it suits the click
    answer = page.mark("point", (22, 24), sign="take")
    assert answer["text"] == "1 mask. Made from 2 masks and 2 clicks."
    (mask,) = answer["masks"]
    assert mask["share"] == pytest.approx((MASKS[WHOLE] & ~MASKS[PART]).mean(), abs=1e-4)


def test_removed_masks_stay_away_until_that_is_undone() -> None:
    page = Page()
    answer = page.act("remove", row=PART)
    assert (answer["rows"], answer["marks"][0]["words"]) == ([WHOLE, OTHER], "without mask 1")
    assert page.mark("point", (22, 24))["rows"] == []
    page.act("undo")
    assert page.act("undo")["rows"] == [0, 1, 2]


def test_a_click_on_nothing_says_so() -> None:
    answer = Page().mark("point", (75, 2))
    assert answer["rows"] == [-1]  # made from the click
    assert "No mask was found here; this one is made from your click" in answer["text"]
    assert [way["tool"] for way in answer["ways"]] == ["outline", "box"]


@pytest.mark.parametrize(("x", "y"), [(80, 60), (79.6, 59.9), (-1, -0.2), (1e9, 1e9)])
def test_clicks_on_the_edge_stay_inside(x: float, y: float) -> None:
    page = Page()
    page.mark("point", (x, y))
    (mark,) = page.visitor.state.marks
    assert tuple(int(value) for value in mark.xy[0]) == ((79, 59) if x > 0 else (0, 0))


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"do": "mark", "kind": "point", "xy": "here"}, "expected points"),
        ({"do": "mark", "kind": "point", "xy": [[float("nan"), 1]]}, "expected points"),
        ({"do": "mark", "kind": "spell", "xy": [[1, 1]]}, "no such tool"),
        ({"do": "mark", "kind": "box", "xy": [[1, 1]]}, "too small"),
        ({"do": "mark", "kind": "box", "xy": [[1, 1], [1, 1]]}, "box"),
        ({"do": "mark", "kind": "scribble", "xy": [[1, 1]] * 501}, "scribble"),
        ({"do": "mark", "kind": "outline", "xy": [[1, 1], [2, 2]]}, "too small"),
        ({"do": "remove", "row": 99}, "no mask 99"),
        ({"do": "remove", "row": "1"}, "whole number"),
        ({"do": "combine", "combine": "none"}, "any or all"),
        ({"do": "format the disk"}, "no such action"),
        ({}, "no such action"),
    ],
)
def test_what_the_browser_sends_is_checked(sent: dict[str, Any], told: str) -> None:
    page = Page()
    page.mark("point", (22, 24))
    before = page.visitor.state
    with pytest.raises(PromptError, match=told):
        steps.act(page.visitor, {"scene": before.scene, **sent})
    assert page.visitor.state is before  # what is refused leaves no trace


def test_a_visit_has_at_most_so_many_prompts() -> None:
    page = Page()
    marks = tuple(point(1, 1) for _ in range(200))
    page.visitor.act(lambda state: PhotoState(session=state.session, scene=state.scene, marks=marks))
    with pytest.raises(PromptError, match="200 prompts already"):
        page.mark("point", (1, 1))


def test_without_a_photo_there_is_nothing_to_do() -> None:
    visitor = PageSession(MemoryBudget(1 << 30))
    for do in ("mark", "undo", "clear", "level"):
        with pytest.raises(PromptError, match="Open a photo first"):
            steps.act(visitor, {"do": do, "scene": ""})
    with pytest.raises(PromptError, match="Open a photo first"):
        steps.ask(visitor, {"text": "a dog"})
    assert '"closed"' in steps.act(visitor, {"do": "sync"})


# ---- words ---------------------------------------------------------------------------------------------


def test_texts_select_all_that_show_them() -> None:
    page = Page(painted(), colour_words())
    answer = page.ask("  something   red ")
    assert sorted(answer["rows"]) == [PART, OTHER]
    assert answer["marks"][0]["words"] == "“something red”"
    assert {mask["label"] for mask in answer["masks"]} == {"something red"}
    assert page.ask("something blue")["text"].startswith("3 masks")
    page.act("clear")
    assert page.ask("something red", "take")["rows"] == [WHOLE]
    with pytest.raises(PromptError, match="Type what to look for"):
        page.ask("  ")


def test_texts_combine_with_clicks() -> None:
    page = Page(painted(), colour_words())
    page.ask("something red")
    page.mark("box", (50, 5), (70, 55))
    assert page.act("combine", combine="all")["rows"] == [OTHER]


def test_every_mask_gets_a_name_and_loses_it(tmp_path: Path) -> None:
    page = Page(painted(), colour_words())
    names = tmp_path / "names.txt"
    names.write_text("something red\nsomething blue\n")
    import json

    answer = json.loads(steps.name_masks(page.visitor, str(names)))["answer"]
    assert answer["labels"] == ["something blue", "something red", "something red"]
    assert page.mark("point", (60, 30))["masks"][0]["label"] == "something red"
    assert json.loads(steps.name_masks(page.visitor, ""))["answer"]["labels"] is None


def test_clicks_do_not_wait_for_a_text_that_takes_its_time() -> None:
    inside, go_on = threading.Event(), threading.Event()

    class Slow(ColourWordEncoder):
        def encode_texts(self, texts: Any) -> Any:
            inside.set()
            assert go_on.wait(30)
            return super().encode_texts(texts)

    page = Page(painted(), Slow())
    asking = threading.Thread(target=page.ask, args=("something red",))
    asking.start()
    assert inside.wait(30)
    assert page.mark("box", (50, 5), (70, 55))["rows"] == [OTHER]
    go_on.set()
    asking.join()
    assert [mark.kind for mark in page.visitor.state.marks] == ["box", "text"]


def test_names_for_a_photo_that_was_closed_meanwhile_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    page = Page(painted(), colour_words())
    slow = Session.label

    def label(session: Session, *given: Any) -> Session:
        page.opened(painted())
        return slow(session, *given)

    monkeypatch.setattr(Session, "label", label)
    with pytest.raises(PromptError, match="Another photo is open now"):
        steps.name_masks(page.visitor, "everyday")
    assert page.visitor.state.opened.labels is None


# ---- options and views ---------------------------------------------------------------------------------


def test_other_options_find_again_and_keep_the_prompts() -> None:
    import json

    page = Page()
    page.mark("point", (60, 30))
    page.act("remove", row=PART)
    message = json.loads(steps.segment_again(page.visitor, page.model, {"conf": 0.75}))
    assert len(message["scene"]["masks"]) == 2
    assert message["answer"]["rows"] == [-1]  # the mask under the click has 0.7
    assert [mark["kind"] for mark in message["answer"]["marks"]] == ["point"]  # rows have other numbers now


def test_settings_are_kept_for_the_next_photo_and_before_the_first() -> None:
    visitor = PageSession(MemoryBudget(1 << 30))
    assert steps.set_up(visitor, threshold=0.7) is None
    page = Page()
    changed = steps.set_up(page.visitor, render=RenderConfig(alpha=0.2, seed=3))
    assert changed is not None
    assert '"alpha":0.2' in changed
    page.mark("point", (22, 24))
    assert page.last["render"]["alpha"] == 0.2


@pytest.mark.parametrize("kind", ["cutout", "blur", "replace"])
def test_an_effect_is_shown_once_something_is_selected(kind: Any) -> None:
    page = Page()
    shown = steps.set_up(page.visitor, effect=Effect(kind))
    assert shown is not None
    assert '"picture":null' in shown
    picture = page.mark("point", (60, 30))["picture"]
    assert picture.startswith("data:image/webp" if kind == "cutout" else "data:image/jpeg")
    assert page.mark("point", (75, 2), sign="take")["picture"]
    assert page.act("clear")["picture"] is None


@pytest.mark.parametrize(
    ("color", "wanted"),
    [("#102030", (16, 32, 48)), ("rgba(16.4, 32, 300, 1)", (16, 32, 255)), ("rgb(1, 2, 3)", (1, 2, 3))],
)
def test_colors_of_the_picker(color: str, wanted: tuple[int, int, int]) -> None:
    assert steps.effect_of("replace", True, 3, color, None).color == wanted


@pytest.mark.parametrize("color", ["red", "#12", "rgb(1, 2)", ""])
def test_bad_colors_are_refused(color: str) -> None:
    with pytest.raises(PromptError, match="color: expected"):
        steps.effect_of("replace", True, 3, color, None)


# ---- the same in another photo, levels -------------------------------------------------------------------


ENOUGH = 0.2  # the default of references


def test_a_selection_is_found_in_the_next_photo() -> None:
    page = Page(painted(), colour_words())
    page.mark("point", (60, 30))  # a red one
    answer = json.loads(steps.carry(page.visitor, threshold=ENOUGH))["answer"]
    assert (answer["carried"], answer["rows"]) == (["like in “astro”"], [OTHER])
    assert "Now open another photo" in answer["text"]
    page.opened(painted())
    assert sorted(page.last["answer"]["rows"]) == [PART, OTHER]  # the blue one is none
    assert [mark["words"] for mark in page.last["answer"]["marks"]] == ["like in “astro”"]
    page.opened(255 - painted())
    assert page.last["answer"]["rows"] == []
    page.opened(painted())
    assert sorted(page.last["answer"]["rows"]) == [PART, OTHER]
    assert page.act("undo")["rows"] == [0, 1, 2]
    page.opened(painted())
    assert page.last["answer"]["marks"] == []  # what was taken back does not come again


def test_what_is_carried_along_combines_and_is_left_behind() -> None:
    page = Page(painted(), colour_words())
    page.mark("point", (60, 30))
    steps.carry(page.visitor, "take", ENOUGH)
    page.opened(painted())
    assert page.last["answer"]["marks"][0]["words"] == "not like in “astro”"
    assert page.last["answer"]["rows"] == [WHOLE]  # all that is not red
    page.act("clear")
    page.mark("point", (22, 24))
    for _ in range(2):
        steps.ask(page.visitor, {"carry": True})
    assert len(page.act("undo")["carried"]) == 1
    assert page.act("leave")["carried"] == []


@pytest.mark.parametrize("removed", [0, 3])
def test_nothing_is_carried_without_a_selection(removed: int) -> None:
    page = Page(painted(), colour_words())
    for row in range(removed):
        page.act("remove", row=row)
    with pytest.raises(PromptError, match="Select an object first"):
        steps.ask(page.visitor, {"carry": True})


def test_everything_is_shown_by_level_and_cut_apart() -> None:
    page = Page()
    shown = {}
    for level in ("whole", "part", "subpart", ""):
        answer = json.loads(steps.set_up(page.visitor, of_level=level) or "")["answer"]
        shown[level] = sorted(answer["rows"])
        if level == "subpart":
            assert "has no parts of parts" in answer["text"]
    assert shown == {"whole": [WHOLE, OTHER], "part": [PART], "subpart": [], "": [0, 1, 2]}
    apart = json.loads(steps.set_up(page.visitor, disjoint=True) or "")["answer"]
    areas = {mask["row"]: mask["share"] for mask in apart["masks"]}
    assert areas[WHOLE] == pytest.approx((MASKS[WHOLE] & ~MASKS[PART]).mean(), abs=1e-4)
    page.opened(PHOTO)
    assert page.visitor.state.disjoint  # as other settings, it stays for the next photo


def test_the_level_of_a_click_also_counts_beside_other_prompts() -> None:
    page = Page()
    page.mark("point", (22, 24))
    page.act("level", level="whole")
    assert page.mark("box", (50, 5), (70, 55))["rows"] == [WHOLE, OTHER]
