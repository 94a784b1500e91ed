"""Several objects in one photo in a real browser: kept, named, undone; zoom; outlines; what lights up."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastsam.masks.rle import decode_rle
from fastsam.page.shared.canvas import example_photos
from tests.browser.conftest import SIZE
from tests.browser.window import Window

pytestmark = pytest.mark.browser

MAN, OTHER_MAN, SKY = (150, 600), (300, 600), (420, 60)


def names(window: Window) -> list[str]:
    return [one.get_attribute("value") for one in window.all(".fs-objects input")]


def test_objects_are_kept_named_and_downloaded(new_window: Callable[..., Window], photo: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    window = new_window()
    window.open(photo, SIZE)
    window.click(*MAN)
    window.find(".fs-keep input").send_keys("man")
    window.answered(lambda: window.press("[data-do=keep]"))
    assert (names(window), window.marks, window.masks) == (["man"], [], 0)
    first, bare = window.colour_at(*MAN), window.colour_at(*SKY)  # only what is kept is shown
    window.click(*OTHER_MAN)
    assert window.colour_at(*MAN) == first  # the kept one stays as it is
    window.answered(lambda: window.press("[data-do=keep]"))
    assert names(window) == ["man", "man"]
    assert window.colour_at(*SKY) == bare
    second = window.all(".fs-objects input")[1]
    window.answered(lambda: second.send_keys(Keys.CONTROL + "a" + Keys.NULL, "other", Keys.TAB))
    window.press("#what input")
    window.wait(lambda: window.all("#what [role=option][aria-label='COCO (JSON)']"), "the formats")
    window.find("#what [role=option][aria-label='COCO (JSON)']").click()
    window.press("button#save")
    with zipfile.ZipFile(window.downloaded("bus_coco.zip")) as archive:
        document = json.loads(archive.read("instances.json"))
    classes = {category["id"]: category["name"] for category in document["categories"]}
    found = {classes[row["category_id"]]: decode_rle(row["segmentation"]) for row in document["annotations"]}
    assert found["man"][MAN[1], MAN[0]]
    assert found["other"][OTHER_MAN[1], OTHER_MAN[0]]
    window.answered(lambda: window.press("[data-forget='1']"))
    assert names(window) == ["other"]
    for _ in range(2):
        window.answered(lambda: window.press("[data-do=undo]"))
    assert names(window) == ["man", "man"]
    window.answered(lambda: window.press("[data-do=redo]"))
    assert names(window) == ["man", "other"]
    assert window.log() == []
    # What was saved of this photo is not offered with the next one.
    assert window.find("#saved").is_displayed()
    window.open(example_photos()["zidane"], (1280, 720))
    window.wait(lambda: not window.find("#saved").is_displayed(), "the saved file to go")
    assert names(window) == []


def test_a_closed_outline_is_an_outline(window: Window) -> None:
    window.press(".fs-bar [data-tool=outline]")
    window.drag((80, 400), (150, 385), (215, 440), (240, 900), (40, 910), (60, 600), (80, 401))
    assert window.marks == ["outline"]
    assert window.masks >= 1


def test_the_photo_is_zoomed_moved_and_still_clicked_where_it_seems(window: Window) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    canvas = window.find(".fs-canvas")
    before = window.colour_at(*SKY)
    for _ in range(3):
        window.press("[data-do=zoom-in]")
    assert window.colour_at(*SKY) != before  # the middle of the photo is shown, larger
    window.driver.execute_script("arguments[0].focus()", window.find(".fs-stage"))
    drag = ActionChains(window.driver, duration=50).key_down(" ")
    drag.move_to_element_with_offset(canvas, 0, 0).click_and_hold().move_by_offset(60, 0).release()
    drag.key_up(" ").perform()
    assert window.marks == []  # it has moved the photo, not drawn a box
    window.answered(ActionChains(window.driver, duration=20).move_to_element(canvas).click().perform)
    (mark,) = window.driver.execute_script(
        "return [...document.querySelectorAll('#canvas .fs-chips li')].map(one => one.textContent)"
    )
    assert mark.startswith("click")
    window.press("[data-do=zoom-fit]")
    window.answered(lambda: window.press("[data-do=clear]"))
    assert window.difference(before, window.colour_at(*SKY)) < 5


def test_what_lights_up_at_an_edge_is_what_a_click_selects(window: Window) -> None:
    for place in ((232, 520), (165, 700), (330, 480)):
        window.hover(*place)
        window.wait(lambda: window.find(".fs").get_attribute("data-peek"), "the exact answer")
        size = window.find(".fs").get_attribute("data-peek")
        window.click(*place)
        rings = window.find(".fs").get_attribute("data-rings")
        assert size == rings, place
        window.answered(lambda: window.press("[data-do=clear]"))


def test_a_text_that_is_not_found_offers_its_best_match(window: Window) -> None:
    words = window.find(".fs-ask input")
    window.answered(lambda: words.send_keys("something violet\n"))
    if window.masks:
        pytest.skip("this photo has something violet")
    assert "was not found: the best match scores" in window.texts(".fs-status")[0]
    window.answered(lambda: window.press(".fs-ways button"))
    assert window.masks >= 1


def test_soft_edges_are_downloaded(window: Window) -> None:
    window.click(*OTHER_MAN)
    window.answered(window.all("#effect input")[1].click)
    window.press("button#save")
    with Image.open(window.downloaded("bus_cutout.png")) as picture:
        alpha = np.asarray(picture)[..., 3]
    assert 0 < ((alpha > 0) & (alpha < 255)).mean() < 0.05
    window.answered(window.all("#effect input")[0].click)
