"""fastsam index and fastsam find, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from fastsam.cli import main as cli
from fastsam.cli.flags import ModelFlags
from fastsam.errors import ConfigError, FastSAMError, ImageError, PromptError
from tests.search.test_search import RED, colour_model, paint, photos  # noqa: F401 - a fixture

REFERENCE = ("--box", "2,5,22,25")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run the command with the model of colours, in a folder of its own."""
    monkeypatch.setattr(ModelFlags, "load", lambda self: colour_model())
    monkeypatch.chdir(tmp_path)

    def call(*arguments: Any) -> Result:
        result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
        if isinstance(result.exception, FastSAMError):
            raise result.exception
        return result

    return call


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "found.jsonl").read_text().splitlines()]


def names(found: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return sorted((Path(row["file"]).name, row["row"]) for row in found)


def test_find_by_a_reference(run: Any, photos: Path, tmp_path: Path) -> None:  # noqa: F811
    result = run("find", photos, "--reference", photos / "a.png", *REFERENCE)
    assert result.exit_code == 0
    assert names(rows(tmp_path / "found")) == RED
    assert "photos/c.png" in result.stdout
    assert "4 masks in 3 of 3 images" in result.stderr
    drawn = (tmp_path / "found" / "overlays").iterdir()
    assert sorted(path.name for path in drawn) == ["a.jpg", "b.jpg", "c.jpg"]
    clicks = ("--point", "80,45", "--point", "5,5,0")
    best = run("find", photos, "--reference", photos / "a.png", *clicks, "--best")
    assert best.exit_code == 0
    mask = np.zeros((60, 100), np.uint8)
    mask[5:25, 2:22] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    marked = run("find", photos, "--reference", photos / "a.png", "--mask", "mask.png", "--best", "--json")
    assert names([json.loads(line) for line in marked.stdout.splitlines()]) == RED[:3]


def test_an_index_is_asked_again(run: Any, photos: Path, tmp_path: Path) -> None:  # noqa: F811
    made = run("index", photos, "--out", "photos.index")
    assert (made.exit_code, made.stdout) == (0, "photos.index: 3 images, 15 masks\n")
    found = run("find", "photos.index", "--text", "a red car", "--limit", 2, "--json", "--out", "red")
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    assert len(lines) == 2
    assert names(lines) == names(rows(tmp_path / "red"))
    assert not (tmp_path / "red" / "index").exists()
    prompt = {"reference": [{"image": str(photos / "a.png"), "box": [2, 5, 22, 25]}], "mode": "best"}
    many = run("find", "photos.index", "--prompt", json.dumps(prompt))
    assert many.exit_code == 0
    assert names(rows(tmp_path / "found")) == RED[:3]


def test_what_is_not_looked_for(run: Any, photos: Path, tmp_path: Path) -> None:  # noqa: F811
    asked = ("find", photos, "--reference", photos / "a.png", *REFERENCE)
    run(*asked, "--not-box", "25,5,55,30", "--threshold", 0.1)
    assert names(rows(tmp_path / "found")) == RED


def test_a_bad_photo_is_told_and_the_rest_is_searched(run: Any, photos: Path, tmp_path: Path) -> None:  # noqa: F811
    (photos / "bad.jpg").write_text("no photo")
    result = run("find", photos, "--text", "a red car")
    assert result.exit_code == 1
    assert "bad.jpg" in result.stderr
    assert names(rows(tmp_path / "found")) == RED


def test_nothing_found_is_no_failure(run: Any, photos: Path, tmp_path: Path) -> None:  # noqa: F811
    result = run("find", photos, "--text", "a cyan car")
    assert (result.exit_code, result.stdout) == (0, "")
    assert rows(tmp_path / "found") == []


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((), PromptError, "expected one of --reference, --text and --prompt"),
        (("--text", "a dog", "--reference", "a.png"), PromptError, "expected one of --reference"),
        (("--text", "a dog", *REFERENCE), PromptError, "--box: expected a --reference"),
        (("--text", "a dog", "--best"), PromptError, "--best: expected a --reference"),
        (("--prompt", '{"text": "a dog"}', "--threshold", "0.1"), PromptError, "within the JSON"),
        (
            ("--prompt", '{"box": [0, 0, 5, 5]}'),
            PromptError,
            "--prompt: expected a text or a reference, got Box",
        ),
        (("--reference", "photos/a.png"), PromptError, "says where in it, got 0"),
        (
            ("--reference", "photos/a.png", *REFERENCE, "--point", "5,5"),
            PromptError,
            "says where in it, got 2",
        ),
        (("--reference", "photos/a.png", "--box", "0,0,500,5"), PromptError, "leaves the 100x60 image"),
        (("--reference", "photos/a.png", "--point", "99,0"), PromptError, "the region selects nothing"),
        (("--reference", "nothing.png", *REFERENCE), ImageError, "nothing.png"),
    ],
)
def test_mistakes(
    run: Any,
    photos: Path,  # noqa: F811
    arguments: tuple[str, ...],
    kind: type[Exception],
    message: str,
) -> None:
    with pytest.raises(kind, match=message):
        run("find", "photos", *arguments)


def test_folders_that_are_none(run: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for command in (("index", "empty", "--out", "i"), ("find", "empty", "--text", "a dog")):
        with pytest.raises(ImageError, match="empty"):
            run(*command)


def test_an_index_keeps_its_options(run: Any, photos: Path) -> None:  # noqa: F811
    run("index", photos, "--out", "i", "--conf", "0.5")
    with pytest.raises(ConfigError, match="--conf: an index has its own"):
        run("find", "i", "--text", "a red car", "--conf", "0.3")
    with pytest.raises(ConfigError, match="made with conf"):
        run("index", photos, "--out", "i")


def test_reference_photos_are_outside_the_search(run: Any, photos: Path, tmp_path: Path) -> None:  # noqa: F811
    paint(tmp_path / "ref.png", {"green": "red"})
    run("find", photos, "--reference", "ref.png", "--point", "20,40")
    assert names(rows(tmp_path / "found")) == RED
