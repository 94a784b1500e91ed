"""The examples do what they say, on photos and clips that come with installed packages."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from fastsam.cli.demo import demo_photo
from tests.video.clips import panned_clip

EXAMPLES = Path(__file__).parent.parent / "examples"
pytestmark = pytest.mark.usefixtures("seen_once")


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_every_example_has_a_test() -> None:
    named = Path(__file__).read_text(encoding="utf-8")
    assert [path.stem for path in EXAMPLES.glob("*.py") if f'example("{path.stem}")' not in named] == []


def test_click(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody clicks on a man, takes a part away, saves and quits; the window is a fake."""
    heard: dict[str, Any] = {}
    shown: list[np.ndarray] = []
    target = tmp_path / "man.png"

    def keys() -> Iterator[int]:
        yield -1
        heard["mouse"](cv2.EVENT_LBUTTONDOWN, 150, 600, 0, None)
        yield -1
        yield ord("s")
        heard["mouse"](cv2.EVENT_RBUTTONDOWN, 160, 760, 0, None)
        yield ord("c")
        yield ord("q")

    pressed = keys()
    monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
    monkeypatch.setattr(cv2, "setMouseCallback", lambda _, heed: heard.update(mouse=heed))
    monkeypatch.setattr(cv2, "imshow", lambda _, bgr: shown.append(bgr))
    monkeypatch.setattr(cv2, "waitKey", lambda _: next(pressed))
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
    example("click").main(str(demo_photo()), str(target))
    with Image.open(target) as picture:
        assert picture.mode == "RGBA"
        assert 200 < picture.height < 700  # the man, not the street
    assert not np.array_equal(shown[0], shown[1])  # the click is drawn


def test_folder_to_coco(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(demo_photo(), photos)
    (photos / "notes.txt").write_text("no photo")
    example("folder_to_coco").main(str(photos), str(tmp_path / "out"), "a person", "a bus")
    found = json.loads((tmp_path / "out" / "instances.json").read_text())
    assert [image["file_name"] for image in found["images"]] == ["bus.jpg"]
    assert {"a person", "a bus"} == {category["name"] for category in found["categories"]}
    assert len(found["annotations"]) >= 3


def test_count_in_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    panned_clip(tmp_path / "street.mp4", frames=6, size_hw=(240, 320))
    example("count_in_video").main(str(tmp_path / "street.mp4"), "a bus")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("a bus: ")
    assert len(lines) == 1 + int(lines[0].split()[2])


def test_cutouts(tmp_path: Path) -> None:
    example("cutouts").main(str(demo_photo()), "a person", str(tmp_path / "people"))
    files = sorted((tmp_path / "people").iterdir())
    assert len(files) >= 2
    with Image.open(files[0]) as picture:
        alpha = np.asarray(picture)[..., 3]
    assert set(np.unique(alpha)) >= {0, 255}


def test_with_supervision(tmp_path: Path) -> None:
    pytest.importorskip("supervision")
    example("with_supervision").main(str(demo_photo()), str(tmp_path / "drawn.jpg"))
    with Image.open(tmp_path / "drawn.jpg") as drawn, Image.open(demo_photo()) as photo:
        assert drawn.size == photo.size
        assert np.abs(np.asarray(drawn, float) - np.asarray(photo.convert("RGB"), float)).mean() > 5


def test_page_client() -> None:
    """It is run against a served page in tests/page; here: it can be imported."""
    assert callable(example("page_client").main)
