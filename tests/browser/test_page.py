"""The page in a real browser: every tool on a real photo."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import SIZE
from tests.browser.window import Window

pytestmark = pytest.mark.browser

MAN, TROUSERS, LEG, OTHER_MAN, SKY = (150, 600), (160, 760), (185, 800), (300, 600), (420, 60)


def test_the_page_loads_without_complaints(new_window: Callable[..., Window]) -> None:
    window = new_window()
    assert window.driver.title == "FastSAM"
    assert all(image.get_attribute("alt") for image in window.all(".fs-examples img"))
    assert window.driver.execute_script(
        "return [...document.querySelectorAll('.fs-examples img')].every(image => image.naturalWidth > 50)"
    )
    assert window.log() == []


def test_an_example_opens(new_window: Callable[..., Window]) -> None:
    window = new_window()
    window.answered(lambda: window.press("[data-example=coffee]"))
    assert window.masks >= 1
    assert "coffee, 600 by 400 pixels" in window.find(".fs-stage").get_attribute("aria-label")
    assert window.log() == []


def test_an_upload_shows_everything(window: Window) -> None:
    assert window.masks > 10
    assert f"{window.masks} masks. Click an object" in window.texts(".fs-status")[0]
    canvas = window.find(".fs-canvas")
    assert canvas.size["width"] / canvas.size["height"] == pytest.approx(SIZE[0] / SIZE[1], rel=0.02)


def test_the_mask_under_the_pointer_lights_up(window: Window) -> None:
    before = window.colour_at(*MAN)
    window.hover(*MAN)
    assert "quality" in window.find(".fs-tip").text
    lit = window.colour_at(*MAN, leave=False)
    assert window.difference(before, lit) > 20
    assert window.colour_at(*MAN) == before


def test_a_click_selects_and_a_background_point_subtracts(window: Window) -> None:
    everywhere = window.masks
    window.click(*MAN)
    assert (window.masks, window.marks) == (1, ["click"])
    assert everywhere > 1
    legs = window.colour_at(*LEG)
    bare = window.colour_at(*SKY)
    window.click(*TROUSERS, right=True)
    assert window.marks == ["click", "remove click"]
    assert window.difference(legs, window.colour_at(*LEG)) > 20  # the trousers are not in it any more
    assert window.colour_at(*SKY) == bare
    window.answered(lambda: window.press("[data-do=undo]"))
    assert window.colour_at(*LEG) == legs


def test_the_toggle_subtracts_like_the_right_button(window: Window) -> None:
    window.click(*MAN)
    window.press(".fs-bar [data-sign=take]")
    window.click(*TROUSERS)
    assert window.marks == ["click", "remove click"]
    assert window.find(".fs-bar [data-sign=take]").get_attribute("aria-checked") == "true"


@pytest.mark.parametrize("tool", ["point", "box"])
def test_dragging_draws_a_box(window: Window, tool: str) -> None:
    window.press(f".fs-bar [data-tool={tool}]")
    window.drag((215, 390), (300, 700), (350, 870))
    assert (window.masks, window.marks) == (1, ["box"])
    inside = window.colour_at(290, 500)
    window.answered(lambda: window.press(".fs-chips li button"))
    assert window.marks == []
    assert window.difference(inside, window.colour_at(*MAN)) > 10


def test_scribbles_and_outlines_select(window: Window) -> None:
    window.press(".fs-bar [data-tool=scribble]")
    window.drag((270, 450), (300, 550), (280, 650), (300, 780))
    assert (window.masks, window.marks) == (1, ["scribble"])
    window.press(".fs-bar [data-tool=outline]")
    window.drag((50, 400), (240, 400), (250, 900), (40, 900))
    assert (window.masks, window.marks) == (2, ["scribble", "outline"])
    assert window.find(".fs-combine").is_displayed()
    window.answered(lambda: window.press("[data-combine=all]"))
    assert window.masks == 0
    window.answered(lambda: window.press("[data-combine=any]"))
    assert window.masks == 2


def test_a_text_selects(window: Window) -> None:
    words = window.find(".fs-ask input")
    window.answered(lambda: words.send_keys("something blue\n"))
    assert window.marks == ["“something blue”"]
    assert 1 <= window.masks < 30
    window.answered(lambda: window.press(".fs-chips li button"))
    assert window.marks == []


def test_levels_switch(window: Window) -> None:
    window.click(*MAN)
    levels = window.texts(".fs-levels button")
    assert len(levels) >= 2
    chosen = window.find(".fs-levels [aria-checked=true]").text
    shown = window.colour_at(*LEG)
    other = next(level for level in levels if level != chosen)
    window.answered(lambda: window.press(f"[data-level={other.lower()}]"))
    assert window.find(".fs-levels [aria-checked=true]").text == other
    assert window.difference(shown, window.colour_at(*LEG)) > 20  # the legs belong to one of the two only
    window.answered(lambda: window.keys(str(["Whole", "Part", "Subpart"].index(chosen) + 1)))
    assert window.colour_at(*LEG) == shown


def test_the_table_highlights_sorts_and_removes(window: Window) -> None:
    if not window.find(".fs-table").get_attribute("open"):
        window.press(".fs-table summary")
    everything = window.masks
    assert len(window.all(".fs-table tbody tr")) == everything
    window.press(".fs-table [data-sort=share]")
    shares = [float(text.removesuffix(" %")) for text in window.texts(".fs-table tbody td:nth-child(5)")]
    assert shares == sorted(shares, reverse=True)
    window.press(".fs-table tbody tr:nth-child(1) td:nth-child(2)")
    assert len(window.all(".fs-lit")) == 1
    row = window.find(".fs-table tbody tr:nth-child(1)").get_attribute("data-row")
    window.answered(lambda: window.press(f"[data-remove='{row}']"))
    assert window.masks == everything - 1
    assert window.marks == [f"without mask {row}"]
    window.press(".fs-table summary")


def test_the_keyboard_is_enough(window: Window) -> None:
    from selenium.webdriver.common.keys import Keys

    window.keys(Keys.ARROW_LEFT, Keys.ARROW_DOWN)
    window.answered(lambda: window.keys(Keys.ENTER))
    assert window.marks == ["click"]
    window.answered(lambda: window.keys(Keys.SHIFT + Keys.ARROW_UP + Keys.NULL, Keys.DELETE))
    assert window.marks == ["click", "remove click"]
    window.answered(lambda: window.keys(Keys.CONTROL + "z" + Keys.NULL))
    assert window.marks == ["click"]
    window.keys("b")
    assert window.find(".fs-bar [data-tool=box]").get_attribute("aria-checked") == "true"
    window.keys(Keys.ESCAPE)


def test_views_change_the_picture_and_are_downloaded_at_full_size(window: Window) -> None:
    window.click(*OTHER_MAN)
    background = window.colour_at(600, 500)
    views = window.all("#effect input")
    window.answered(views[1].click)  # the cut-out
    assert min(window.colour_at(600, 500)) > 200  # checkers
    window.press("button#save")
    with Image.open(window.downloaded("bus_cutout.png")) as picture:
        assert (picture.mode, picture.size) == ("RGBA", SIZE)
        pixels = np.asarray(picture)
        assert pixels[500, 290, 3] == 255
        assert pixels[500, 600, 3] == 0
    window.answered(views[0].click)
    assert window.colour_at(600, 500) == background


def test_masks_are_downloaded_in_a_chosen_format(window: Window) -> None:
    window.click(*MAN)
    window.press("#what input")
    option = "#what [role=option][aria-label='Masks, one PNG each']"
    window.wait(lambda: window.all(option), "the formats")
    window.find(option).click()
    window.press("button#save")
    with zipfile.ZipFile(window.downloaded("bus_png.zip")) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".png")]
        with Image.open(io.BytesIO(archive.read(name))) as mask:
            assert mask.size == SIZE
            assert np.asarray(mask)[MAN[1], MAN[0]] == 255


def test_options_find_again_draw_anew_and_name(window: Window) -> None:
    from selenium.webdriver.common.keys import Keys

    everywhere = window.masks
    for words in ("Names and texts", "Detection", "Drawing"):
        next(one for one in window.all("button.label-wrap") if words in one.text).click()
    window.wait(
        lambda: window.find("input[aria-label='number input for Minimum confidence']").is_displayed(),
        "the controls",
    )

    def type_in(label: str, value: str) -> None:
        box = window.find(f"input[aria-label='number input for {label}']")
        window.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", box)
        box.send_keys(Keys.CONTROL + "a" + Keys.NULL, value, Keys.TAB)

    before = window.colour_at(*MAN)
    type_in("Opacity of masks", "1")  # may be answered twice: on the way, and at the end
    window.wait(lambda: window.difference(before, window.colour_at(*MAN)) > 10, "full colours")
    type_in("Opacity of masks", "0.5")
    window.wait(lambda: window.difference(before, window.colour_at(*MAN)) < 5, "the colours as before")
    type_in("Minimum confidence", "0.6")
    window.wait(lambda: 0 < window.masks < everywhere / 3, "fewer masks")
    type_in("Minimum confidence", "0.15")
    window.wait(lambda: everywhere / 3 < window.masks < everywhere, "more masks again")
    window.press("input[aria-label='Name every mask']")
    option = "[role=option][aria-label='everyday things']"
    window.wait(lambda: window.all(option), "the vocabularies")
    window.answered(window.find(option).click)
    window.hover(*MAN)
    assert "quality" in window.find(".fs-tip").text


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("notes.jpg", b"not a photo at all", "“notes.jpg” is not an image"),
        ("letter.txt", b"dear friend", "“letter.txt” is not an image"),
        ("empty.png", b"", "“empty.png” is empty"),
        ("large.jpg", bytes(52 << 20), "“large.jpg” is larger than 50 MB"),
    ],
)
def test_what_is_no_photo_is_refused_politely(
    new_window: Callable[..., Window], tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    window = new_window()
    (tmp_path / name).write_bytes(content)
    window.find(".fs-file").send_keys(str(tmp_path / name))
    assert told in window.toast()
    assert window.find(".fs-empty").is_displayed()


def test_a_photo_is_pasted_and_dropped(new_window: Callable[..., Window]) -> None:
    window = new_window()
    script = """
        const done = arguments[arguments.length - 1], how = arguments[0];
        const drawn = document.createElement('canvas');
        drawn.width = 90; drawn.height = 60;
        const context = drawn.getContext('2d');
        context.fillStyle = '#36c'; context.fillRect(0, 0, 90, 60);
        context.fillStyle = '#fc3'; context.fillRect(20, 10, 30, 30);
        drawn.toBlob(blob => {
          const data = new DataTransfer();
          data.items.add(new File([blob], how + '.png', { type: 'image/png' }));
          if (how === 'paste') document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data }));
          else document.querySelector('.fs-empty').dispatchEvent(
            new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
          done();
        });
    """
    for how in ("paste", "drop"):
        window.answered(lambda how=how: window.driver.execute_async_script(script, how))
        window.wait(
            lambda how=how: f"Photo {how}, 90 by 60" in window.find(".fs-stage").get_attribute("aria-label")
        )


def test_the_camera_takes_a_photo(new_window: Callable[..., Window]) -> None:
    window = new_window()
    window.press("[data-do=camera]")
    window.wait(
        lambda: (
            window.driver.execute_script("return document.querySelector('.fs-camera video').videoWidth") > 0
        )
    )
    window.answered(lambda: window.press("[data-do=shoot]"))
    assert "Photo camera" in window.find(".fs-stage").get_attribute("aria-label")
    assert not window.find(".fs-camera").is_displayed()


def near(rgb: np.ndarray, x: int, y: int) -> tuple[int, ...]:
    """The mean colour around a pixel, as a smaller picture of it shows."""
    return tuple(int(value) for value in rgb[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).mean(axis=0))


def test_two_visitors_at_once(new_window: Callable[..., Window], photo: Path, tmp_path: Path) -> None:
    first, second = new_window(), new_window()
    with Image.open(photo) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mirrored.png")
    first.photo = second.photo = SIZE
    first.find(".fs-file").send_keys(str(photo))  # both before either is answered
    second.find(".fs-file").send_keys(str(tmp_path / "mirrored.png"))
    for window in (first, second):
        window.wait(lambda window=window: window.version >= 0, "everything")
    assert "Photo bus" in first.find(".fs-stage").get_attribute("aria-label")
    assert "Photo mirrored" in second.find(".fs-stage").get_attribute("aria-label")
    first.click(*MAN)
    assert (first.marks, second.marks) == (["click"], [])
    second.click(SIZE[0] - MAN[0], MAN[1])
    assert first.masks == second.masks == 1
    with Image.open(photo) as image:
        wanted = np.asarray(image.convert("RGB"))
    for x, y in ((600, 500), (420, 60)):  # nothing is selected there: the photo itself is seen
        assert first.difference(first.colour_at(x, y), near(wanted, x, y)) < 25
        assert second.difference(second.colour_at(x, y), near(wanted[:, ::-1], x, y)) < 25
    first.answered(lambda: first.press("[data-do=clear]"))
    assert second.marks == ["click"]


def test_a_phone_has_room_for_it(new_window: Callable[..., Window], photo: Path) -> None:
    window = new_window(size=(390, 844), phone=True)
    window.open(photo, SIZE)
    wide = window.driver.execute_script("return document.documentElement.scrollWidth")
    assert wide <= 390  # nothing to scroll sideways
    assert window.find(".fs-canvas").size["width"] > 250
    assert all(button.size["height"] >= 34 for button in window.all(".fs-bar button"))
    from selenium.webdriver.common.actions import interaction
    from selenium.webdriver.common.actions.action_builder import ActionBuilder
    from selenium.webdriver.common.actions.pointer_input import PointerInput

    canvas = window.find(".fs-canvas")
    window.driver.execute_script("arguments[0].scrollIntoView({block: 'start'})", canvas)
    box = window.driver.execute_script(
        "const b = arguments[0].getBoundingClientRect(); return [b.left, b.top, b.width, b.height]", canvas
    )
    at = (int(box[0] + box[2] * MAN[0] / SIZE[0]), int(box[1] + box[3] * MAN[1] / SIZE[1]))

    def tap() -> None:
        finger = ActionBuilder(window.driver, mouse=PointerInput(interaction.POINTER_TOUCH, "finger"))
        finger.pointer_action.move_to_location(*at).pointer_down().pointer_up()
        finger.perform()

    window.answered(tap)
    assert (window.masks, window.marks) == (1, ["click"])
