"""Averaging two checkpoints of one network: what fine-tuning gained, with less of what it forgot.

The weights on the straight line between a network and its fine-tuned self keep most of both (WiSE-FT,
Wortsman et al., arXiv 2109.01903).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from fastsam.errors import CheckpointError, ConfigError
from fastsam.everything.carried import carried_by
from fastsam.weights.checkpoint import load_checkpoint, network_of, save_checkpoint, segmentation_model

__all__ = ["mix"]


def mix(first: str | Path, second: str | Path, out: str | Path, share: float) -> Path:
    """Write the checkpoint whose weights are ``(1 - share) * first + share * second``.

    Args:
        first: a YOLO segmentation checkpoint.
        second: another of the same network, such as the first one fine-tuned.
        out: the file to write. It carries the second one's defaults; a mask-quality calibration does not
            survive: fit it anew.
        share: 0 gives ``first``, 1 gives ``second``.

    Raises:
        ConfigError: ``share`` is not in 0..1.
        CheckpointError: a file cannot be used, or they are not of one network.
        ExportError: ``out`` cannot be written.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"share: expected a number from 0 to 1, got {share:g}")
    content = load_checkpoint(second)
    model: Any = network_of(content, Path(second))
    carried = replace(carried_by(content, Path(second)), quality=None)
    a, b = segmentation_model(first).state_dict(), model.state_dict()
    if {name: tuple(v.shape) for name, v in a.items()} != {name: tuple(v.shape) for name, v in b.items()}:
        raise CheckpointError(
            f"checkpoints {first} and {second}: expected two of one network, their layers differ; "
            "with another number of classes it is another network (`fastsam train` writes start.pt for this)"
        )
    mixed = {
        name: (1 - share) * a[name] + share * b[name] if b[name].is_floating_point() else b[name]
        for name in b
    }
    model.load_state_dict(mixed)
    model.half()
    for parameter in model.parameters():
        parameter.requires_grad = False
    about: dict[str, Any] = {
        "mixed": {"first": Path(first).name, "second": Path(second).name, "share": share},
        **carried.to_dict(),
    }
    save_checkpoint({"model": model, "epoch": -1, "train_args": {}, "fastsam": about}, Path(out))
    return Path(out)
