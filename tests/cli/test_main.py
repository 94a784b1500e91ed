"""The command line, in this process through typer's runner, and once as a real process."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from fastsam import FastSAM
from fastsam.cli import main as cli
from fastsam.cli.demo import demo_photo
from fastsam.config import AnnotateConfig, RenderConfig, SegmentConfig, TrainConfig
from fastsam.masks.rle import decode_rle
from tests.text_models import tiny_folder

CLICK = "150,600"
pytestmark = pytest.mark.usefixtures("seen_once")
Command = Callable[..., tuple[int, str, str]]


def run(*arguments: str, stdin: bytes | None = None) -> Any:
    return CliRunner().invoke(cli.app, list(arguments), input=stdin)


@pytest.fixture
def fastsam(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command as the shell calls it, errors included, in this process."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fastsam", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        return (left.value.code or 0, *capsys.readouterr())  # type: ignore[return-value]

    return call


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    photo = Image.open(demo_photo())
    for number, size in enumerate([(405, 540), (300, 400)]):
        photo.resize(size).save(folder / f"street{number}.jpg")
    return folder


def test_click_writes_the_overlay_and_says_so(tmp_path: Path) -> None:
    done = run("segment", str(demo_photo()), "--point", CLICK, "--out", str(tmp_path), "--conf", "0.2")
    assert done.exit_code == 0, done.output
    assert "1 mask (" in done.stderr
    with Image.open(tmp_path / "bus.png") as overlay:
        assert overlay.size == (810, 1080)


def test_json_is_one_object_an_image_on_stdout(photos: Path, tmp_path: Path) -> None:
    done = run("segment", str(photos), "--json", "--box", "10,110,290,280")
    assert done.exit_code == 0, done.output
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(record["image"]).name for record in records] == ["street0.jpg", "street1.jpg"]
    assert [(record["width"], record["height"]) for record in records] == [(405, 540), (300, 400)]
    for record in records:
        assert record["masks"][0]["segmentation"]["size"] == [record["height"], record["width"]]
        assert record["files"] == []
    assert not (Path.cwd() / "output" / "street0.png").exists()


def test_stdin(tmp_path: Path) -> None:
    done = run("segment", "-", "--json", "--point", CLICK, stdin=demo_photo().read_bytes())
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["image"] == "-"


def test_a_folder_run_resumes(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run("segment", str(photos), "--out", str(out), "--format", "overlay", "--format", "coco")
    assert first.exit_code == 0, first.output
    written = {path: path.stat().st_mtime_ns for path in out.glob("*.png")}
    assert len(written) == 2
    (out / "street1.png").unlink()
    again = run("segment", str(photos), "--out", str(out), "--format", "overlay", "--format", "coco")
    assert "street0.jpg: done before, skipped" in again.stderr
    assert (out / "street1.png").is_file()
    assert (out / "street0.png").stat().st_mtime_ns == written[out / "street0.png"]
    coco = json.loads(next(out.glob("*.json")).read_text())
    assert len(coco["images"]) == 2
    other = run("segment", str(photos), "--out", str(out), "--conf", "0.9")
    assert "skipped" not in other.stderr
    fresh = run("segment", str(photos), "--out", str(out), "--conf", "0.9", "--no-resume")
    assert "skipped" not in fresh.stderr


def test_a_bad_image_does_not_stop_the_others(photos: Path, tmp_path: Path) -> None:
    (photos / "broken.jpg").write_bytes(b"not a photo")
    done = run("segment", str(photos), "--out", str(tmp_path / "out"))
    assert done.exit_code == 1
    assert "broken.jpg" in done.stderr
    assert len(list((tmp_path / "out").glob("street*.png"))) == 2


@pytest.mark.parametrize(
    "name", ["png", "npz", "coco", "sam-json", "yolo", "labelme", "csv", "labelmap", "geojson"]
)
def test_every_format_writes(name: str, photos: Path, tmp_path: Path) -> None:
    shutil.move(photos / "street1.jpg", tmp_path)
    done = run("segment", str(photos), "--out", str(tmp_path / "out"), "--format", name)
    assert done.exit_code == 0, done.output
    files = [
        path for path in (tmp_path / "out").rglob("*") if path.is_file() and not path.name.startswith(".")
    ]
    assert files
    if name == "csv":
        assert len(files[0].read_text().splitlines()) > 1


def test_mask_flag(tmp_path: Path) -> None:
    drawn = np.zeros((1080, 810), np.uint8)
    drawn[400:900, 50:240] = 255
    Image.fromarray(drawn).save(tmp_path / "drawn.png")
    done = run("segment", str(demo_photo()), "--json", "--mask", str(tmp_path / "drawn.png"))
    (found,) = json.loads(done.stdout)["masks"]
    assert found["score"] > 0.3


def test_combine_all_and_prompt_json() -> None:
    flags = ("--point", CLICK, "--prompt", '{"box": [30, 380, 260, 920]}', "--combine", "all")
    done = run("segment", str(demo_photo()), "--json", *flags)
    assert len(json.loads(done.stdout)["masks"]) == 1


def test_multimask_gives_named_levels() -> None:
    done = run("segment", str(demo_photo()), "--json", "--point", CLICK, "--multimask", "--conf", "0.05")
    levels = [mask["level"] for mask in json.loads(done.stdout)["masks"]]
    assert 1 <= len(levels) <= 3
    assert set(levels) <= {"whole", "part", "subpart"}


def test_a_level_of_a_click_and_of_everything() -> None:
    done = run("segment", str(demo_photo()), "--json", "--point", CLICK, "--level", "part", "--conf", "0.05")
    (found,) = json.loads(done.stdout)["masks"]
    assert found["level"] == "part"
    assert 0 < found["stability"] <= 1
    done = run("segment", str(demo_photo()), "--json", "--level", "whole", "--disjoint", "--conf", "0.2")
    masks = json.loads(done.stdout)["masks"]
    assert {mask["level"] for mask in masks} == {"whole"}
    stack = np.stack([decode_rle(mask["segmentation"]) for mask in masks])
    assert stack.sum(axis=0).max() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([".", "--level", "part", "--box", "1,1,9,9"], "--level: expected --point, or no prompt"),
        ([".", "--level", "part", "--point", "1,1", "--multimask"], "'auto' with multimask"),
        ([".", "--disjoint", "--point", "1,1"], "--disjoint: expected no prompt"),
        (["nowhere.jpg"], "nowhere.jpg"),
        ([".", "--point", "900"], "point '900': expected x,y or x,y,label"),
        ([".", "--point", "9,9,7"], "label 1 (foreground) or 0"),
        ([".", "--box", "1,2,3"], "four numbers"),
        ([".", "--box", "9,9,1,1"], "x1 < x2"),
        ([".", "--prompt", "{"], "expected JSON"),
        ([str(demo_photo()), "--format", "pdf"], "format 'pdf': expected one of overlay, png"),
        ([str(demo_photo()), "--weights", "FastSAM-z"], "FastSAM-z"),
        ([str(demo_photo()), "--device", "tpu9"], "device"),
        ([str(demo_photo()), "--point", "5000,1"], "outside the 810x1080 image"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(fastsam: Command, arguments: list[str], message: str) -> None:
    code, out, err = fastsam("segment", *arguments, "--json")
    assert code == 2, err
    assert out == ""
    assert message in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1


def test_out_of_range_flag_is_refused_by_its_config_range() -> None:
    done = run("segment", "x.jpg", "--conf", "2")
    assert done.exit_code == 2
    assert re.search(r"'--conf'.*\b1\b", done.stderr)


@pytest.mark.parametrize(
    ("command", "configs"),
    [("segment", (SegmentConfig, RenderConfig)), ("train", (TrainConfig,)), ("annotate", (AnnotateConfig,))],
)
def test_every_config_field_is_a_flag_with_its_help(command: str, configs: tuple[Any, ...]) -> None:
    flags = {flag: one for one in parameters(command) for flag in one.opts}
    for config in configs:
        for spec in config.options():
            shown = flags["--" + spec.name.replace("_", "-")]
            assert shown.help.lower().startswith(spec.metadata["help"].lower())
            assert shown.rich_help_panel == "Advanced"


def parameters(command: str) -> list[Any]:
    return list(get_command(cli.app).commands[command].params)  # type: ignore[attr-defined]


def shown_help(*command: str, width: int = 80) -> str:
    return str(CliRunner(env={"COLUMNS": str(width)}).invoke(cli.app, [*command, "--help"]).output)


def test_help_lists_first_what_people_need_first_and_cuts_no_summary() -> None:
    text = shown_help()
    names = re.findall(r"^│ ([a-z-]+)  +[A-Z]", text, re.MULTILINE)
    assert names[:5] == ["demo", "app", "segment", "video", "camera"]
    assert names.index("find") < names.index("train")
    assert {"train", "calibrate", "mix"} <= set(names)
    words = " ".join(re.sub(r"[│\s]+", " ", text).split())
    for command in get_command(cli.app).commands.values():  # type: ignore[attr-defined]
        assert (command.help or "").partition("\n")[0] in words


def test_help_of_segment_has_the_everyday_options_first() -> None:
    panels = re.findall(r"^╭─ (\w+) ─", shown_help("segment"), re.MULTILINE)
    assert panels == ["Arguments", "Options", "Input", "Prompts", "Output", "Advanced"]


def test_help_shows_the_default_in_force() -> None:
    flags = {flag: one.show_default for one in parameters("segment") for flag in one.opts}
    assert flags["--conf"] == "0.1 with the embedded weights"
    assert flags["--imgsz"] == "640 with the embedded weights"
    assert flags["--iou"] == "0.7 with the embedded weights"
    assert flags["--max-det"] == "300"
    config = FastSAM().segment_config()
    for name in ("conf", "imgsz", "iou", "edge_radius", "min_region_share"):
        value, _, of = flags["--" + name.replace("_", "-")].partition(" ")
        assert (float(value), of) == (getattr(config, name), "with the embedded weights")
    assert "weights' own" not in shown_help("segment")


def test_the_real_command() -> None:
    done = subprocess.run([sys.executable, "-m", "fastsam", "--version"], capture_output=True, check=True)
    assert re.fullmatch(r"fastsam \d+\.\d+\.\d+", done.stdout.decode().strip())
    bad = subprocess.run([sys.executable, "-m", "fastsam", "segment", "nowhere.jpg"], capture_output=True)
    assert (bad.returncode, bad.stdout) == (2, b"")
    assert len(bad.stderr.strip().splitlines()) == 1


def test_demo_prints_what_and_where(tmp_path: Path) -> None:
    done = run("demo", "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    for name in ("everything.png", "click.png", "add-subtract.png", "box.png", "text.png"):
        assert str(tmp_path / name) in done.stdout
        assert (tmp_path / name).is_file()
    assert len(list((tmp_path / "masks").rglob("*.png"))) > 3
    with Image.open(io.BytesIO((tmp_path / "everything.png").read_bytes())) as picture:
        assert picture.size == (810, 1080)


def test_annotate_then_eval_then_calibrate(fastsam: Command, photos: Path, tmp_path: Path) -> None:
    """The data engine's round on bare photographs: label them, measure, try to fit on too few."""
    root = tmp_path / "street"
    (root / "images").mkdir(parents=True)
    for photo in photos.iterdir():
        shutil.copy(photo, root / "images" / photo.name)
    done = run(
        "annotate", str(root), "--out", str(tmp_path / "labelled"), "--conf", "0.3", "--stability", "0.8"
    )
    assert done.exit_code == 0, done.output
    written = Path(done.stdout.strip())
    assert written == (tmp_path / "labelled" / "street").resolve()
    found = json.loads((written / "instances.json").read_text())
    assert len(found["images"]) == 2
    assert len(found["annotations"]) >= 6  # a bus and at least two people on each
    assert all(a["source"] == "model" and a["score"] >= 0.3 for a in found["annotations"])
    shown = run("eval", str(written), "--split", "all", "--json")
    assert shown.exit_code == 0, shown.output
    figures = json.loads(shown.stdout)
    assert figures["oracle_mIoU"] > 0.9  # the labels are the model's own masks
    assert figures["score_iou_spearman"] > 0
    few = fastsam(
        "calibrate",
        str(written),
        "--weights",
        "fastsam-nano",
        "--out",
        str(tmp_path / "new.pt"),
        "--limit",
        "1",
    )
    assert few[0] == 2
    assert "add images" in few[2]
    assert not (tmp_path / "new.pt").exists()


def test_annotating_a_folder_that_is_no_dataset_is_one_line(fastsam: Command, tmp_path: Path) -> None:
    code, out, err = fastsam("annotate", str(tmp_path), "--out", str(tmp_path / "labelled"))
    assert (code, out) == (2, "")
    assert "expected instances.json or a folder images/ in it, found neither" in re.sub(r"\s+", " ", err)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text-image model with random weights: what it answers means nothing, but goes all the way."""
    return tiny_folder(tmp_path_factory.mktemp("models") / "tiny")


def test_texts_and_their_threshold(photos: Path, tiny: Path) -> None:
    photo = str(photos / "street0.jpg")
    flags = ("--json", "--text-model", str(tiny), "--text", "a bus", "--text", "a red car")
    done = run("segment", photo, *flags, "--threshold", "0")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert {mask["label"] for mask in record["masks"]} == {"a bus", "a red car"}
    scores = [mask["score"] for mask in record["masks"]]
    assert scores == sorted(scores, reverse=True)
    none = json.loads(run("segment", photo, *flags, "--threshold", "1").stdout)
    assert none["masks"] == []
    assert "'a bus': not found, the best score" in none["reason"]


def test_labels_from_a_file(photos: Path, tiny: Path, tmp_path: Path) -> None:
    words, out = tmp_path / "words.txt", tmp_path / "out"
    words.write_text("bus\nperson\nshop\n")
    flags = ("--text-model", str(tiny), "--vocabulary", str(words), "--threshold", "0", "--json")
    done = run("segment", str(photos), *flags, "--out", str(out), "--format", "coco", "--format", "overlay")
    assert done.exit_code == 0, done.output
    for line in done.stdout.splitlines():
        for mask in json.loads(line)["masks"]:
            assert mask["label"] in {"bus", "person", "shop", "unknown"}
            assert 0 <= mask["label_score"] <= 1
    coco = json.loads(next(out.glob("*.json")).read_text())
    assert {row["name"] for row in coco["categories"]} <= {"bus", "person", "shop", "unknown"}
    again = run("segment", str(photos), *flags, "--out", str(out), "--format", "coco", "--format", "overlay")
    assert all(json.loads(line)["skipped"] for line in again.stdout.splitlines())
    words.write_text("bus\n")
    other = run("segment", str(photos), *flags, "--out", str(out), "--format", "coco", "--format", "overlay")
    assert "skipped" not in other.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--label", "--vocabulary", "lvis"], "expected one of coco, everyday, stuff"),
        (["--threshold", "0.5"], "expected a --text or --label"),
        (["--text", " "], "expected words"),
        (["--text", "a dog", "--text-model", "nowhere/tiny"], "no such folder"),
    ],
)
def test_mistakes_with_texts_are_one_line_and_exit_2(
    fastsam: Command, flags: list[str], message: str
) -> None:
    code, out, err = fastsam("segment", str(demo_photo()), "--json", *flags)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1


@pytest.fixture
def annotated(photos: Path, tmp_path: Path) -> Path:
    """A photo with an object of a category, and captions."""
    root = tmp_path / "annotated"
    root.mkdir()
    photos.rename(root / "images")
    content = {
        "images": [{"id": 1, "file_name": "street1.jpg", "height": 400, "width": 300}],
        "categories": [{"id": 1, "name": "bis"}, {"id": 2, "name": "giraffe"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[10, 90, 290, 90, 290, 280, 10, 280]]}
        ],
    }
    (root / "instances.json").write_text(json.dumps(content))
    (root / "captions.json").write_text(json.dumps({"street0.jpg": ["a bus"], "street1.jpg": ["a big bus"]}))
    return root


def test_eval_texts_prints_a_table_or_json(annotated: Path, tiny: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("bis = bus\n")
    flags = ["--text-model", str(tiny), "--split", "all", "--names", str(names), "--threshold", "0.3"]
    crops = ["--crops", "masked", "--crops", "context"]
    shown = run("eval-texts", str(annotated), *flags, *crops, "--conf", "0.3", "--json")
    assert shown.exit_code == 0, shown.output
    rows = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [row["crops"] for row in rows] == ["masked", "context"]
    assert (rows[0]["instances"], rows[0]["pairs"], rows[0]["captions"]) == (1, 2, 2)
    assert (rows[0]["protocol"]["threshold"], rows[0]["segment"]["conf"]) == (0.3, 0.3)
    (annotated / "instances.json").unlink()
    table = run("eval-texts", str(annotated), *flags[:4])
    assert table.exit_code == 0, table.output
    assert "caption_to_photo_R@5" in table.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--crops", "blured", "--text-model", "ViT-B-32:openai"], "expected some of masked, blurred"),
        (["--names", "nowhere.txt"], "nowhere.txt: cannot be read"),
    ],
)
def test_mistakes_with_eval_texts(fastsam: Command, annotated: Path, flags: list[str], message: str) -> None:
    code, out, err = fastsam("eval-texts", str(annotated), "--split", "all", *flags)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1
