"""Checkpoints: real ones load and compute the same; damaged ones and other files say what they are."""

from __future__ import annotations

import pathlib
import pickle
import random
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn
from ultralytics.cfg import get_cfg
from ultralytics.nn.modules import Detect
from ultralytics.utils import IterableSimpleNamespace

from fastsam.errors import CheckpointError
from fastsam.weights.checkpoint import load_checkpoint, segmentation_model
from tests.weights.networks import _built, contents, network, output, rewrite, saved, torch

# --- good ones -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["yolov8n-seg.yaml", "yolo11n-seg.yaml", "yolo26n-seg.yaml"])
def test_a_fresh_checkpoint_computes_the_same(tmp_path: Path, name: str) -> None:
    model: Any = segmentation_model(saved({"model": network(name), "train_args": {}}, tmp_path))
    assert not model.training
    ours, theirs = output(model), output(_built(name))
    assert torch.equal(ours[0], theirs[0])
    assert torch.equal(ours[1], theirs[1])
    assert model.names == _built(name).names
    assert [type(m) for m in model.modules()] == [type(m) for m in _built(name).modules()]
    model.fuse(verbose=False)  # as the torch backend does
    assert torch.allclose(output(model)[0], theirs[0], rtol=1e-3, atol=1e-2)


def test_everything_that_a_trainer_stores(tmp_path: Path) -> None:
    half = network().half()
    half.args = get_cfg(overrides={"imgsz": 320})
    half.criterion = half.init_criterion()  # a checkpoint of the middle of a training
    content = {
        "epoch": 3,
        "best_fitness": np.float64(0.25),
        "model": None,
        "ema": half,
        "optimizer": torch.optim.AdamW(network().parameters()).state_dict(),
        "train_args": {"project": pathlib.PurePosixPath("runs/a"), "device": torch.device("cpu"), "lr": 1e-3},
        "train_metrics": {"f4": np.float32(0.5), "n": np.int64(-7), "ok": np.bool_(True), "raw": b"\x00\xff"},
        "big": 2**70,
        "kinds": {torch.float16.__str__(): torch.float16, "shape": torch.Size([2, 3])},
        "ordered": OrderedDict(a=1),
        "set": {"x"},
        "empty": torch.zeros(0, 3),
        "view": torch.arange(12).view(3, 4).T[1:],
        "flags": torch.tensor([True, False]),
    }
    loaded = load_checkpoint(saved(content, tmp_path))
    assert loaded["best_fitness"] == 0.25
    assert loaded["train_metrics"] == {"f4": 0.5, "n": -7, "ok": True, "raw": b"\x00\xff"}
    assert loaded["train_args"] == content["train_args"]
    for same in ("big", "kinds", "ordered", "set", "epoch"):
        assert loaded[same] == content[same]
    for tensor in ("empty", "view", "flags"):
        assert torch.equal(loaded[tensor], content[tensor])
    model: Any = segmentation_model(tmp_path / "net.pt")
    assert next(model.parameters()).dtype == torch.float32
    assert type(model.args) is IterableSimpleNamespace
    assert vars(model.args) == vars(half.args)
    assert not hasattr(model, "criterion")
    assert torch.equal(output(model)[0], output(network().half().float())[0])


def test_heads_that_keep_a_method(tmp_path: Path) -> None:
    model = network()
    model.model[-1].detect = Detect.forward  # ultralytics < 8.1, and with it FastSAM's own checkpoints
    loaded: Any = segmentation_model(saved({"model": model}, tmp_path))
    assert loaded.model[-1].detect is Detect.forward
    assert torch.equal(output(loaded)[0], output(_built())[0])


def test_a_fused_network(tmp_path: Path) -> None:
    fused = network().fuse(verbose=False)
    loaded = segmentation_model(saved({"model": fused}, tmp_path))
    assert torch.equal(output(loaded)[0], output(fused)[0])


@pytest.mark.parametrize(
    ("today", "then"),
    [
        ("ultralytics.nn.modules.conv\nConv\n", "ultralytics.nn.modules\nConv\n"),
        ("ultralytics.utils\nIterable", "ultralytics.yolo.utils\nIterable"),
    ],
)
def test_names_of_early_2023(tmp_path: Path, today: str, then: str) -> None:
    model = network()
    model.args = IterableSimpleNamespace(imgsz=640)
    path = saved({"model": model}, tmp_path)
    before = contents(path)
    assert today.encode() in before["net/data.pkl"]
    rewrite(path, {**before, "net/data.pkl": before["net/data.pkl"].replace(today.encode(), then.encode())})
    assert torch.equal(output(segmentation_model(path))[0], output(_built())[0])


# --- files that are something else -----------------------------------------------------------------


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"expected a \.pt file, found nothing"):
        load_checkpoint(tmp_path / "none.pt")
    with pytest.raises(CheckpointError, match="found a folder"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "empty"),
        (b"just some text", "14 bytes that are something else"),
        (b'\x10\0\0\0\0\0\0\0{"a":1}      ', "safetensors format.*reads the .pt checkpoint"),
        (b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
        (b"\x08\x08\x12\x07pytorch", "an ONNX network; give it the suffix .onnx"),
        (b"\x89HDF\r\n", "Keras"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"PK\x03\x04", "truncated"),
        (b"PK\x05\x06" + bytes(18), "truncated"),
        (pickle.dumps({"model": 1}, protocol=2), "bare pickle"),
    ],
)
def test_other_files(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=what) as caught:
        segmentation_model(path)
    said = str(caught.value)
    assert said.count(str(path)) == 1, "said twice"
    assert ("download it again" in said) == ("truncated" in said or "empty" in said)


def test_the_format_of_before_torch_1_6(tmp_path: Path) -> None:
    path = saved({"model": network()}, tmp_path, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"before 1\.6.*convert it"):
        segmentation_model(path)


@pytest.mark.parametrize("keep", [10, 5000, 0.5, 0.99, -1])
def test_truncated(tmp_path: Path, keep: float) -> None:
    path = saved({"model": network()}, tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if 0 < keep < 1 else int(keep)])
    with pytest.raises(CheckpointError, match="truncated"):
        segmentation_model(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (lambda: dict(nn.Conv2d(3, 4, 1).state_dict()), r"keys \['weight', 'bias'\].*state_dict"),
        (lambda: {"model": nn.Conv2d(3, 4, 1).state_dict()}, "found OrderedDict there"),
        (lambda: {"model": torch.ones(3), "ema": torch.ones(3)}, "found Tensor there"),
        (lambda: {"model": nn.Sequential(nn.Conv2d(3, 4, 1))}, "found Sequential there"),
        (dict, "found NoneType there"),
        (list, "dictionary, got list"),
        (lambda: network(), "dictionary, got SegmentationModel"),
        (lambda: {"model": network("yolov8n.yaml")}, "whose head is Detect"),
    ],
)
def test_not_a_segmentation_network(tmp_path: Path, content: Callable[[], Any], what: str) -> None:
    with pytest.raises(CheckpointError, match=what):
        segmentation_model(saved(content(), tmp_path))


def test_a_network_without_layers_or_stride(tmp_path: Path) -> None:
    model = network()
    model.stride = None
    with pytest.raises(CheckpointError, match="stride"):
        segmentation_model(saved({"model": model}, tmp_path))
    model.model = nn.Sequential()
    with pytest.raises(CheckpointError, match="whole YOLO network"):
        segmentation_model(saved({"model": model}, tmp_path))


def test_archives_that_torch_save_does_not_write(tmp_path: Path) -> None:
    path = saved({"epoch": 1}, tmp_path)
    good = contents(path)
    assert load_checkpoint(rewrite(path, good)) == {"epoch": 1}
    bomb = {**good, "net/data/0": bytes(50_000_000)}
    for records, what in (
        ({**good, "net/DATA.pkl": b""}, "same name"),
        ({**good, "other/data.pkl": good["net/data.pkl"]}, "2 folders"),
        ({**good, "net/constants.pkl": b""}, "TorchScript"),
        ({"net/version": b"3"}, r"without data\.pkl"),
        ({**good, "net/byteorder": b"big" if sys.byteorder == "little" else b"little"}, "endian"),
        ({**good, "net/data.pkl": b""}, "cannot be used"),
    ):
        with pytest.raises(CheckpointError, match=what):
            load_checkpoint(rewrite(path, records))
    assert rewrite(path, bomb, zipfile.ZIP_DEFLATED).stat().st_size < 100_000
    with pytest.raises(CheckpointError, match="compressed"):
        load_checkpoint(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", good["net/data.pkl"])
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("net/data.pkl", b"what another reader may take")
    with pytest.raises(CheckpointError, match="same name"):
        load_checkpoint(path)


def test_flipped_bytes_are_noticed(tmp_path: Path) -> None:
    """One flipped byte in a record fails its CRC; elsewhere it may not matter, but never escapes."""
    path = saved({"model": nn.Conv2d(8, 8, 3)}, tmp_path)
    data, rng, noticed = path.read_bytes(), random.Random(0), 0
    for _ in range(200):
        broken = bytearray(data)
        broken[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(broken)
        try:
            load_checkpoint(path)
        except CheckpointError:
            noticed += 1
    assert noticed > 100
