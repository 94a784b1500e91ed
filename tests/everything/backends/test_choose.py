"""Which runtime runs the network, and where converted networks are kept."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from fastsam import FastSAM
from fastsam.cli import main as cli
from fastsam.cli.demo import demo_photo
from fastsam.config import SegmentConfig
from fastsam.errors import CheckpointError, ConfigError, ExportError, MissingPackageError, UnknownWeightsError
from fastsam.everything.backends import convert
from fastsam.everything.backends.choose import BACKENDS, export_network, open_network
from fastsam.weights.resolve import resolve
from fastsam.weights.table import cache_folder

for package in ("onnx", "onnxruntime", "openvino"):
    pytest.importorskip(package)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default weights, exported by their name for OpenVINO with an input size of their own."""
    out = tmp_path_factory.mktemp("exported") / "nano.xml"
    assert export_network(None, out, "openvino", imgsz=320) == out
    return out


@pytest.fixture
def conversions(converted_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """An empty cache, and a conversion that copies what it would compute; lists what was converted."""
    monkeypatch.setenv("FASTSAM_HOME", str(tmp_path / "home"))
    done: list[Path] = []

    def copy(checkpoint: Path, target: Path, defaults: Any = None) -> None:
        time.sleep(0.05)  # long enough for the other threads to ask, too
        done.append(checkpoint)
        shutil.copy(converted_weights, target)

    monkeypatch.setattr(convert, "convert_apart", copy)
    return done


def test_a_checkpoint_is_converted_once(
    converted_weights: Path, embedded_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert converted_weights.parent == cache_folder().parent / "networks"
    monkeypatch.setattr(convert, "convert_apart", None)  # calling it would be an error
    for backend in ("onnx", "openvino"):
        opened = open_network(embedded_weights, backend=backend)
        assert opened.segmenter.checkpoint == converted_weights
        assert opened.location.startswith(f"{embedded_weights.resolve()}|")
        assert f"|{backend}" in opened.location


def test_the_weights_own_defaults_stay(converted_weights: Path) -> None:
    model = FastSAM(backend="onnx")
    assert model.defaults == SegmentConfig(**resolve(None).defaults)
    assert model.defaults.imgsz != SegmentConfig().imgsz  # else this test would see nothing
    assert model.location != FastSAM(backend="openvino").location


def test_threads_and_processes_wait_for_one_conversion(
    conversions: list[Path], embedded_weights: Path
) -> None:
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(open_network(embedded_weights, backend="onnx")))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert conversions == [embedded_weights]


def test_a_damaged_file_is_made_again(conversions: list[Path], embedded_weights: Path) -> None:
    kept = open_network(embedded_weights, backend="onnx").segmenter.checkpoint
    kept.write_bytes(kept.read_bytes()[:1000])
    assert open_network(embedded_weights, backend="onnx").segmenter.checkpoint == kept
    assert len(conversions) == 2


def test_the_oldest_go(conversions: list[Path], embedded_weights: Path) -> None:
    folder = cache_folder().parent / "networks"
    folder.mkdir(parents=True)
    for number in range(20):
        (folder / f"{number:02d}.onnx").write_bytes(b"")
        os.utime(folder / f"{number:02d}.onnx", (number, number))
    kept = open_network(embedded_weights, backend="onnx").segmenter.checkpoint
    assert sorted(folder.glob("*.onnx")) == sorted([kept, *(folder / f"{n:02d}.onnx" for n in range(9, 20))])


def test_no_place_for_a_converted_network(
    conversions: list[Path], embedded_weights: Path, tmp_path: Path
) -> None:
    (tmp_path / "home").write_bytes(b"")
    with pytest.raises(ExportError, match=r"cannot be kept there .*FASTSAM_HOME moves that folder"):
        open_network(embedded_weights, backend="onnx")


def test_exported_files_are_weights(pair: Path) -> None:
    for weights in (pair, str(pair), pair.parent):
        model = FastSAM(weights)
        assert type(model.segmenter).__name__ == "OpenVinoBackend"
        assert model.defaults == SegmentConfig(**resolve(None).defaults | {"imgsz": 320})
    shutil.copy(pair, pair.with_name("other.xml"))
    with pytest.raises(CheckpointError, match=r"expected a folder with one \.xml, found 2"):
        FastSAM(pair.parent)
    pair.with_name("other.xml").unlink()


def test_masks_and_prompts_of_an_exported_file(pair: Path) -> None:
    options = {"conf": 0.2, "imgsz": 640}
    ours, wanted = FastSAM(pair).open(demo_photo(), **options), FastSAM().open(demo_photo(), **options)
    assert len(ours.masks) == len(wanted.masks) > 5
    from fastsam import Box, Points

    for prompt in (Points((150, 600)), Box([50, 400, 250, 900])):
        one, two = ours.select(prompt), wanted.select(prompt)
        assert len(one) == len(two) == 1
        mine, other = one.masks.mask(0), two.masks.mask(0)
        assert (mine & other).sum() / (mine | other).sum() > 0.99


@pytest.mark.parametrize(
    ("weights", "backend", "kind", "said"),
    [
        (
            None,
            "tensorrt",
            ConfigError,
            "backend 'tensorrt': expected one of auto, torch, onnx, openvino",
        ),
        ("x.onnx", "auto", CheckpointError, r"network x\.onnx: expected an \.onnx file, found nothing"),
        ("~/no/such.onnx", "openvino", CheckpointError, r"such\.onnx: expected a file such\.onnx there"),
        ("x.xml", "auto", CheckpointError, r"network x\.xml: expected a file x\.xml there"),
        ("x.xml", "onnx", ConfigError, r"'onnx' cannot run x\.xml; expected auto, openvino, or a checkpoint"),
        (
            "x.onnx",
            "torch",
            ConfigError,
            r"'torch' cannot run x\.onnx; expected auto, onnx or openvino, or a",
        ),
        ("no-such-name", "openvino", UnknownWeightsError, "no such name in the table"),
        (".", "openvino", UnknownWeightsError, "got a folder"),
    ],
)
def test_what_cannot_be_opened(
    weights: Any,
    backend: str,
    kind: type[Exception],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind, match=said):
        FastSAM(weights, backend=backend)


@pytest.mark.parametrize(("backend", "package"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_a_missing_package_is_named_before_the_conversion(
    backend: str, package: str, conversions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match=f"pip install {package}"):
        open_network(backend=backend)  # networks that tests share are open already
    assert conversions == []


@pytest.mark.parametrize(
    ("out", "to", "imgsz", "said"),
    [
        ("x.onnx", "coreml", None, "to: expected onnx or openvino, got 'coreml'"),
        ("x.xml", "onnx", None, r"out: expected a file name that ends in \.onnx for onnx, got 'x\.xml'"),
        ("folder", "openvino", None, r"out: expected a file name that ends in \.xml for openvino"),
        ("x.onnx", "onnx", 7, "imgsz: expected a whole number from 32"),
    ],
)
def test_what_cannot_be_exported(
    out: str, to: str, imgsz: int | None, said: str, conversions: list[Path]
) -> None:
    with pytest.raises(ConfigError, match=said):
        export_network(None, out, to, imgsz=imgsz)
    assert conversions == []


def test_the_command_exports_and_segments(conversions: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "nano.onnx"
    done = CliRunner().invoke(cli.app, ["export-model", "default", "--to", "onnx", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{out}\n"
    assert len(conversions) == 1
    Image.open(demo_photo()).resize((405, 540)).save(tmp_path / "small.jpg")
    said = {}
    for backend in BACKENDS[1:]:
        arguments = [
            "segment",
            str(tmp_path / "small.jpg"),
            "--point",
            "75,300",
            "--json",
            "--backend",
            backend,
        ]
        weights = [] if backend == "torch" else ["--weights", str(out), "--imgsz", "640"]
        done = CliRunner().invoke(cli.app, [*arguments, *weights, "--conf", "0.2"])
        assert done.exit_code == 0, done.output
        said[backend] = done.stdout
    assert (
        said["onnx"].count('"box_xyxy"')
        == said["openvino"].count('"box_xyxy"')
        == said["torch"].count('"box_xyxy"')
        == 1
    )
