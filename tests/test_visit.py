"""One visitor of the page: clicks, prompts, pictures, files; no browser, no server."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image

import fastsam
from fastsam import visit as visits
from fastsam.errors import ConfigError, ExportError, ImageError, PromptError, WeightsError
from fastsam.masks import decode_rle
from fastsam.testing import FixedSegmenter
from fastsam.visit import Click, SharedModel, Visit
from prompts import AllOf, Box, Points

PHOTO = np.ascontiguousarray(skimage.data.astronaut()[100:160, 200:280])  # 60 x 80
MASKS = np.zeros((3, 60, 80), bool)
MASKS[0, 10:50, 10:40] = MASKS[1, 15:35, 15:30] = MASKS[2, 5:55, 50:70] = True  # whole, its part, another
BARE: dict[str, Any] = {"alpha": 0.0, "contours": False}


def fixed(masks: np.ndarray = MASKS) -> fastsam.FastSAM:
    return fastsam.FastSAM(segmenter=FixedSegmenter(masks, np.array([0.9, 0.8, 0.7])[: len(masks)]))


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photo as a file, as an upload leaves it."""
    path = tmp_path_factory.mktemp("uploads") / "astro.png"
    Image.fromarray(PHOTO).save(path)
    return path


def opened(photo: Path) -> Visit:
    return visits.open_photo(SharedModel(model=fixed()), photo, {}, {})[0]


def shown(visit: Visit) -> np.ndarray:
    """The pixels that are painted over."""
    picture = visits.show(Visit(visit.session), BARE)[1]
    assert picture is not None
    np.testing.assert_array_equal(picture, PHOTO)  # nothing else changes the photo
    _, filled, _ = visits.show(visit, {"alpha": 1.0, "contours": False})
    _, plain, _ = visits.show(visit, BARE)
    assert filled is not None
    assert plain is not None
    return (filled != plain).any(axis=2)


# ---- from clicks to prompts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clicks", "wanted"),
    [
        ([], None),
        ([Click(3, 4)], Points([(3, 4)])),
        ([Click(3, 4), Click(9, 9, "background")], Points([(3, 4), (9, 9)], [1, 0])),
        ([Click(3, 4, "corner")], None),
        ([Click(30, 4, "corner"), Click(10, 40, "corner")], Box([10, 4, 31, 41])),
        ([Click(5, 5, "corner"), Click(5, 5, "corner")], Box([5, 5, 6, 6])),
        (
            [Click(1, 1, "corner"), Click(4, 4, "corner"), Click(9, 9, "corner")],
            Box([1, 1, 5, 5]),
        ),
        (
            [Click(x, x, "corner") for x in (1, 4, 6, 8)],
            Box([[1, 1, 5, 5], [6, 6, 9, 9]]),
        ),
        (
            [Click(1, 1, "corner"), Click(2, 2), Click(4, 4, "corner")],
            AllOf((Box([1, 1, 5, 5]), Points([(2, 2)]))),
        ),
    ],
)
def test_clicks_become_a_prompt(clicks: list[Click], wanted: Any) -> None:
    assert visits.prompt_of(clicks) == wanted


# ---- what a visitor can do -----------------------------------------------------------------------------


def test_opening_a_photo_shows_everything_at_its_own_size(photo: Path) -> None:
    visit, picture, text = visits.open_photo(SharedModel(model=fixed()), photo, {}, {})
    assert picture is not None
    assert picture.shape == PHOTO.shape
    assert visit.clicks == ()
    assert "**3 masks** in 80 x 60 px" in text
    for step in ("read", "network", "answer", "draw"):
        assert f"{step} " in text
    np.testing.assert_array_equal(shown(visit), MASKS.any(axis=0))


def test_closing_the_photo_forgets_it(photo: Path) -> None:
    visit, picture, text = visits.open_photo(SharedModel(model=fixed()), None, {}, {})
    assert (visit, picture) == (Visit(), None)
    assert "Open a photo" in text


def test_bad_photo_and_options_are_our_errors(tmp_path: Path, photo: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    model = SharedModel(model=fixed())
    with pytest.raises(ImageError, match="'broken'") as told:
        visits.open_photo(model, str(broken), {}, {})
    assert str(tmp_path) not in str(told.value)  # where uploads lie is nobody's business
    with pytest.raises(ImageError, match=r"'gone.jpg' is not there any more"):
        visits.open_photo(model, tmp_path / "gone.jpg", {}, {})
    with pytest.raises(ConfigError, match="conf"):
        visits.open_photo(model, photo, {"conf": 3}, {})


def test_clicks_add_subtract_and_are_taken_back(photo: Path) -> None:
    visit = opened(photo)
    part, _, text = visits.add_click(visit, 22, 24, "foreground", {})
    assert "**1 mask**" in text
    dots = np.zeros(PHOTO.shape[:2], bool)  # a dot covers a few pixels around its click
    dots[19:30, 17:28] = True
    np.testing.assert_array_equal(shown(part) | dots, MASKS[1] | dots)
    both, _, _ = visits.add_click(part, 60, 30, "foreground", {})
    dots[25:36, 55:66] = True
    np.testing.assert_array_equal(shown(both) | dots, MASKS[1] | MASKS[2] | dots)
    assert visits.undo(both, {})[0] == part
    assert visits.undo(visits.undo(visits.undo(both, {})[0], {})[0], {})[0] == visit
    assert visits.clear(both, {})[0] == visit
    assert visit.clicks == ()  # a visit is a value
    cut, _, _ = visits.add_click(
        visits.add_click(visit, 35, 45, "foreground", {})[0], 22, 24, "background", {}
    )
    dots = np.zeros(PHOTO.shape[:2], bool)
    dots[19:30, 17:28] = dots[40:51, 30:41] = True
    np.testing.assert_array_equal(shown(cut) | dots, (MASKS[0] & ~MASKS[1]) | dots)


def test_two_corners_make_a_box(photo: Path) -> None:
    first, _, text = visits.add_click(opened(photo), 49, 4, "corner", {})
    assert "opposite corner" in text
    assert "**3 masks**" in text
    second, _, text = visits.add_click(first, 70, 55, "corner", {})
    assert "**1 mask**" in text
    assert not (shown(second) & MASKS[0]).any()
    assert (shown(second) & MASKS[2]).sum() > 0.7 * MASKS[2].sum()  # the frame of the box hides the rest


def test_a_click_on_nothing_says_so_and_shows_nothing(photo: Path) -> None:
    visit, _, text = visits.add_click(opened(photo), 75, 2, "foreground", {})
    assert "**0 masks**" in text
    assert "no mask under" in text
    assert not shown(visit).any()


@pytest.mark.parametrize(("x", "y"), [(80, 60), (79.6, 59.9), (-1, -0.2)])
def test_clicks_on_the_edge_stay_inside(x: float, y: float, photo: Path) -> None:
    visit, _, _ = visits.add_click(opened(photo), x, y, "foreground", {})
    click = visit.clicks[0]
    assert (click.x, click.y) == ((79, 59) if x > 0 else (0, 0))


def test_without_a_photo_there_is_nothing_to_click_or_save(tmp_path: Path, photo: Path) -> None:
    with pytest.raises(PromptError, match="Open a photo first"):
        visits.add_click(Visit(), 1, 1, "foreground", {})
    with pytest.raises(PromptError, match="Open a photo first"):
        visits.save_masks(Visit(), "png", tmp_path)
    model = SharedModel(model=fixed())
    for view in (
        visits.undo(Visit(), {}),
        visits.clear(Visit(), {}),
        visits.segment_again(model, Visit(), {}, {}),
    ):
        assert view[:2] == (Visit(), None)


def test_other_options_find_again_and_keep_the_clicks(photo: Path) -> None:
    model = SharedModel(model=fixed())
    visit = visits.open_photo(model, photo, {}, {})[0]
    clicked = visits.add_click(visit, 60, 30, "foreground", {})[0]
    again, _, text = visits.segment_again(model, clicked, {"conf": 0.75}, {})
    assert again.clicks == clicked.clicks
    assert "**0 masks**" in text  # the mask under the click has 0.7
    assert "**2 masks**" in visits.clear(again, {})[2]


def test_a_photo_without_masks_is_shown_bare(photo: Path) -> None:
    _, picture, text = visits.open_photo(SharedModel(model=fixed(np.zeros((0, 60, 80), bool))), photo, {}, {})
    assert picture is not None
    np.testing.assert_array_equal(picture, PHOTO)
    assert "**0 masks**" in text
    assert "Lower conf" in text


# ---- saving --------------------------------------------------------------------------------------------


def test_png_zip_holds_the_masks_that_are_shown(tmp_path: Path, photo: Path) -> None:
    visit, _, _ = visits.add_click(opened(photo), 60, 30, "foreground", {})
    path = visits.save_masks(visit, "png", tmp_path)
    assert path == tmp_path / "astro_png.zip"
    with zipfile.ZipFile(path) as archive:
        pictures = [name for name in archive.namelist() if name.endswith(".png")]
        assert len(pictures) == 1
        pixels = np.asarray(Image.open(io.BytesIO(archive.read(pictures[0]))))
    np.testing.assert_array_equal(pixels > 0, MASKS[2])


def test_coco_zip_holds_everything(tmp_path: Path, photo: Path) -> None:
    with zipfile.ZipFile(visits.save_masks(opened(photo), "coco", tmp_path)) as archive:
        names = [name for name in archive.namelist() if name.endswith(".json")]
        assert names
        documents = [json.loads(archive.read(name)) for name in names]
    for document in documents:
        found = np.stack([decode_rle(row["segmentation"]) for row in document["annotations"]])
        np.testing.assert_array_equal(found, MASKS)


def test_saving_says_what_is_wrong(tmp_path: Path, photo: Path) -> None:
    nothing, _, _ = visits.add_click(opened(photo), 75, 2, "foreground", {})
    with pytest.raises(PromptError, match="no mask to save"):
        visits.save_masks(nothing, "png", tmp_path)
    with pytest.raises(ExportError, match="gif"):
        visits.save_masks(opened(photo), "gif", tmp_path)


# ---- the model -----------------------------------------------------------------------------------------


def test_the_model_is_loaded_once_at_the_first_photo_and_used_by_one_at_a_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, photo: Path
) -> None:
    loaded: list[Any] = []
    inside = threading.Semaphore(1)
    crowded: list[bool] = []

    class Slow(FixedSegmenter):
        def segment(self, frame: Any, config: Any) -> Any:
            crowded.append(not inside.acquire(blocking=False))
            time.sleep(0.02)
            found = super().segment(frame, config)
            inside.release()
            return found

    def load(weights: Any, device: str) -> fastsam.FastSAM:
        loaded.append((weights, device))
        return fastsam.FastSAM(segmenter=Slow(MASKS))

    monkeypatch.setattr(visits, "FastSAM", load)
    path = tmp_path / "own.pt"
    path.write_bytes(b"not looked into before the first photo")
    shared = SharedModel(str(path), "cpu")
    assert loaded == []
    threads = [threading.Thread(target=shared.open, args=(PHOTO, {})) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loaded == [(str(path), "cpu")]
    assert crowded == [False] * 4


def test_unknown_weights_are_told_at_once() -> None:
    with pytest.raises(WeightsError, match="no-such-weights"):
        SharedModel("no-such-weights")
