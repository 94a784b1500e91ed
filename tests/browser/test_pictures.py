"""The pictures of the page in its docs: each tool on a real photo.

``FASTSAM_WRITE_DOCS=1 python -m pytest -m browser tests/browser/test_pictures.py`` takes them anew, with the
text model that ``FASTSAM_TEST_TEXT_MODEL`` names.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from fastsam.page.shared.canvas import example_photos
from tests.browser.conftest import SIZE
from tests.browser.test_video import VideoWindow
from tests.browser.window import Window
from tests.page.server import ROOT

pytestmark = pytest.mark.browser
# Of the cup on its saucer: (x, y) of a click, whether it is wanted there, and a place that changes with it.
CORRECTIONS = (
    (150, 250, True, (150, 230)),
    (365, 280, False, (360, 262)),
    (290, 150, False, (250, 150)),
    (222, 268, False, (218, 255)),
)
MAN = (150, 220)  # in the first frame of the example
LOADED = "return document.querySelector('#video-result video')?.readyState >= 2"
SEEK = "const v = document.querySelector('#video-result video'); v.pause(); v.currentTime = 0.3"
FOLDER = ROOT / "docs" / "page"
# The colour words of conftest.py know no people.
WORDS = "a person" if os.environ.get("FASTSAM_TEST_TEXT_MODEL") else "something blue"


def take(window: Window, name: str, width: int, leave: bool = True) -> None:
    """Take a picture of the window for the docs."""
    if leave:
        window.driver.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
        window.leave()
    with Image.open(io.BytesIO(window.driver.get_screenshot_as_png())) as shot:
        high = round(shot.height * width / shot.width)
        picture = shot.convert("RGB").resize((width, high), Image.Resampling.LANCZOS)
    keep(picture, name)


def keep(picture: Image.Image, name: str) -> None:
    """Write a picture where that is asked for; else see that the docs have one."""
    assert len(picture.getcolors(1 << 24) or ()) > 1000  # a photo is in it
    if os.environ.get("FASTSAM_WRITE_DOCS"):
        FOLDER.mkdir(exist_ok=True)
        picture.save(FOLDER / f"{name}.jpg", quality=80, optimize=True)
    with Image.open(FOLDER / f"{name}.jpg") as kept:
        assert kept.size == picture.size


def test_pictures_of_the_tools(new_window: Callable[..., Window], photo: Path) -> None:
    window = new_window(size=(1240, 1080))
    take(window, "start", 720)
    window.open(photo, SIZE)
    window.hover(300, 600)
    take(window, "everything", 720, leave=False)
    window.click(150, 600)
    window.click(160, 760, right=True)
    take(window, "points", 720)
    window.answered(lambda: window.press("[data-do=clear]"))
    for x, name in ((150, "man in beige"), (300, "man in black")):
        window.click(x, 600)
        field = window.find(".fs-keep input")
        field.clear()
        field.send_keys(name)
        window.answered(lambda: window.press("[data-do=keep]"))
    take(window, "objects", 720)
    for number in (1, 2):
        window.answered(lambda number=number: window.press(f"[data-forget='{number}']"))
    window.click(150, 600)
    window.answered(lambda: window.press(".fs-levels [aria-checked=false]"))
    take(window, "levels", 720)
    window.answered(lambda: window.press("[data-do=clear]"))
    window.drag((660, 385), (700, 700), (808, 878))
    window.press(".fs-bar [data-tool=scribble]")
    window.drag((270, 450), (300, 550), (280, 650), (300, 780))
    window.press(".fs-bar [data-tool=outline]")
    window.drag((80, 400), (150, 385), (215, 440), (240, 900), (40, 910), (60, 600))
    take(window, "drawn", 720)
    window.answered(lambda: window.press("[data-do=clear]"))
    window.answered(lambda: window.find(".fs-ask input").send_keys(f"{WORDS}\n"))
    take(window, "words", 720)
    window.answered(lambda: window.press("[data-do=clear]"))
    window.press(".fs-bar [data-tool=point]")
    window.press(".fs-table summary")
    window.press(".fs-table tbody tr:nth-child(2) td:nth-child(2)")
    window.find(".fs-table").location_once_scrolled_into_view  # noqa: B018
    take(window, "table", 720, leave=False)
    window.press(".fs-table tbody tr:nth-child(2) td:nth-child(2)")
    window.press(".fs-table summary")
    window.click(150, 600)
    for place, name in enumerate(("cutout", "blur", "replace"), start=1):
        window.answered(window.all("#effect input")[place].click)
        take(window, name, 720)


def test_pictures_of_corrections(new_window: Callable[..., Window]) -> None:
    """A first click on a cup with its saucer, then three corrections: each takes away what it means."""
    window = new_window(size=(1240, 1080))
    window.open(example_photos()["coffee"], (600, 400))
    strip = Image.new("RGB", (4 * 300, 200))
    for number, (x, y, wanted, beside) in enumerate(CORRECTIONS):
        before = window.colour_at(*beside)
        window.click(x, y, right=not wanted)
        assert window.masks == 1
        assert window.difference(before, window.colour_at(*beside)) > 15
        window.leave()
        with Image.open(io.BytesIO(window.find(".fs-canvas").screenshot_as_png)) as shot:
            strip.paste(shot.convert("RGB").resize((300, 200), Image.Resampling.LANCZOS), (300 * number, 0))
    keep(strip, "corrections")


def test_pictures_of_references_and_levels(
    new_window: Callable[..., Window], photo: Path, tmp_path: Path
) -> None:
    window = new_window(size=(1240, 1080))
    window.open(example_photos()["zidane"], (1280, 720))
    window.click(880, 500)
    window.answered(lambda: window.press("[data-do=carry]"))
    window.open(photo, SIZE)
    take(window, "reference", 720)
    window.answered(lambda: window.press("[data-do=undo]"))
    next(
        button for button in window.all("button") if button.text.startswith("Whole objects and parts")
    ).click()
    window.wait(lambda: window.find("#disjoint").is_displayed())
    window.answered(window.find("#disjoint input").click)
    take(window, "partition", 720)


def test_pictures_of_a_video(address: str, tmp_path: Path) -> None:
    window = VideoWindow(tmp_path / "visitor", size=(1240, 1240))
    try:
        window.visit(address)
        window.photo = (540, 540)
        window.answered(lambda: window.press(".fs-examples button"))
        window.click(*MAN)
        take(window, "video-mark", 720)
        window.follow()
        window.wait(lambda: window.driver.execute_script(LOADED), "the video")
        window.driver.execute_script(SEEK)
        window.driver.set_window_size(1240, 1900)  # down to the report
        take(window, "video-followed", 720)
        window.driver.set_window_size(1240, 1240)
        window.to(3)
        window.choose(1)
        take(window, "video-correct", 720)
    finally:
        window.close()


def test_pictures_on_a_phone(new_window: Callable[..., Window], photo: Path) -> None:
    window = new_window(size=(390, 844), phone=True)
    window.open(photo, SIZE)
    window.click(150, 600)
    take(window, "phone", 390)
