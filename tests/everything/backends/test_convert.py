"""Checkpoints become networks of other runtimes, whole or not at all."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsam.errors import CheckpointError, ExportError, MissingPackageError, UnsafeCheckpointError
from fastsam.everything.backends import convert as module
from fastsam.everything.backends.convert import convert, convert_apart
from fastsam.everything.backends.onnx_network import OnnxBackend
from fastsam.everything.backends.torch_network import TorchBackend
from fastsam.weights.checkpoint import save_checkpoint

for package in ("onnx", "onnxruntime"):
    pytest.importorskip(package)


REFUSAL = "noise\n" + json.dumps({"error": "UnsafeCheckpointError", "message": "none of it ran"})


def untrained(name: str, path: Path) -> Path:
    """Write a checkpoint of an architecture, with three classes and drawn weights."""
    import torch
    from ultralytics.nn.tasks import SegmentationModel

    torch.manual_seed(0)
    model = SegmentationModel(f"{name}.yaml", nc=3, verbose=False)
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):  # so that there is something to fuse
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
    save_checkpoint({"model": model.eval()}, path)
    return path


@pytest.mark.parametrize("name", ["yolo26n-seg", pytest.param("yolo11n-seg", marks=pytest.mark.slow)])
def test_other_architectures(name: str, tmp_path: Path) -> None:
    checkpoint, target = untrained(name, tmp_path / "a.pt"), tmp_path / "deeper" / "a.onnx"
    convert(checkpoint, target, {"imgsz": 320})
    assert [file.name for file in target.parent.iterdir()] == ["a.onnx"]
    ours, wanted = OnnxBackend(target), TorchBackend(checkpoint, "cpu")
    assert (ours.card.classes, ours.card.maps, ours.card.stride) == (3, 3, 32)
    assert (ours.carried.quality, ours.carried.defaults) == (None, {"imgsz": 320})
    for net_hw in ((64, 96), (160, 64)):  # one as it was traced, one not
        image = np.random.default_rng(0).random((1, 3, *net_hw), dtype=np.float32)
        mine, other = ours.forward(image), wanted.forward(image)
        for one, two in zip([*mine[:2], *mine[2]], [*other[:2], *other[2]], strict=True):
            assert np.allclose(one.astype(np.float32), two.astype(np.float32), rtol=1e-3, atol=1e-3)


def test_errors_come_over_from_the_other_process(tmp_path: Path) -> None:
    (tmp_path / "page.pt").write_bytes(b"<html>")
    with pytest.raises(CheckpointError, match="a web page, so a download went wrong"):
        convert_apart(tmp_path / "page.pt", tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


@pytest.mark.parametrize(
    ("code", "stdout", "kind", "said"),
    [
        (3, REFUSAL, UnsafeCheckpointError, "none of it ran"),
        (-9, "", CheckpointError, r"exit code -9: Killed\); use the torch backend"),
    ],
)
def test_what_the_other_process_says(
    code: int, stdout: str, kind: type[Exception], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def answer(command: list[str], **options: Any) -> Any:
        asked.append((command, options))
        return module.subprocess.CompletedProcess(command, code, stdout, "\nKilled\n")

    monkeypatch.setattr(module.subprocess, "run", answer)
    with pytest.raises(kind, match=said) as caught:
        convert_apart(tmp_path / "a.pt", tmp_path / "x.onnx", {"imgsz": 64})
    assert type(caught.value) is kind
    (command, options), *_ = asked
    assert command[0] == sys.executable
    assert json.loads(command[-1]) == {"imgsz": 64}
    assert Path(options["env"]["PYTHONPATH"].split(os.pathsep)[0], "fastsam").is_dir()


def test_a_target_that_cannot_be_written(
    embedded_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_exported", lambda *_: b"network")  # its seconds are spent elsewhere
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ExportError, match=r"x\.onnx: cannot be written"):
        convert(embedded_weights, tmp_path / "file" / "x.onnx")
    convert(embedded_weights, tmp_path / "y.onnx")
    assert (tmp_path / "y.onnx").read_bytes() == b"network"
    assert {file.name for file in tmp_path.iterdir()} == {"file", "y.onnx"}


def test_layers_that_cannot_be_converted(
    embedded_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def refuse(*_: Any, **__: Any) -> None:
        raise torch.onnx.errors.UnsupportedOperatorError("aten::strange", 17, None)

    monkeypatch.setattr(torch.onnx, "export", refuse)
    with pytest.raises(
        CheckpointError, match=r"cannot convert it to ONNX .*aten::strange.*use the torch backend"
    ):
        convert(embedded_weights, tmp_path / "x.onnx")


def test_the_package_is_named_where_it_is_missing(
    embedded_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingPackageError, match="pip install onnx"):
        convert(embedded_weights, tmp_path / "x.onnx")
