"""Averages of checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastsam.errors import CheckpointError, ConfigError
from fastsam.training.mix import mix
from fastsam.weights.checkpoint import load_checkpoint, save_checkpoint, segmentation_model
from fastsam.weights.resolve import resolve

torch = pytest.importorskip("torch")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The embedded network with every weight moved."""
    model = segmentation_model(resolve(None).path)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.25
    save_checkpoint({"model": model}, tmp_path / "other.pt")
    return tmp_path / "other.pt"


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_weights_lie_on_the_line(other: Path, tmp_path: Path, share: float) -> None:
    first = resolve(None).path
    out = mix(first, other, tmp_path / "mixed.pt", share)
    a, mixed = segmentation_model(first).state_dict(), segmentation_model(out).state_dict()
    moved = [name for name, _ in segmentation_model(first).named_parameters()]
    assert len(moved) > 100
    for name in moved:
        assert torch.allclose(mixed[name], a[name] + 0.25 * share, atol=2e-3, rtol=2e-3), name


def test_the_file_says_what_it_was_made_of(other: Path, tmp_path: Path) -> None:
    content = load_checkpoint(mix(resolve(None).path, other, tmp_path / "mixed.pt", 0.5))
    assert content["fastsam"]["mixed"] == {
        "first": resolve(None).path.name, "second": "other.pt", "share": 0.5,
    }  # fmt: skip


def test_networks_must_be_the_same(tmp_path: Path) -> None:
    ultralytics = pytest.importorskip("ultralytics")
    many = ultralytics.YOLO("yolov8n-seg.yaml").model
    save_checkpoint({"model": many}, tmp_path / "many.pt")
    with pytest.raises(CheckpointError, match="expected two of one network, their layers differ"):
        mix(resolve(None).path, tmp_path / "many.pt", tmp_path / "out.pt", 0.5)
    assert not (tmp_path / "out.pt").exists()


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_shares_outside_are_refused(tmp_path: Path, share: float) -> None:
    with pytest.raises(ConfigError, match="share: expected a number from 0 to 1"):
        mix(resolve(None).path, resolve(None).path, tmp_path / "out.pt", share)
