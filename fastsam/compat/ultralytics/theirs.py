"""ultralytics' own model around a checkpoint that was read safely, for what ultralytics does best itself."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastsam.needed import needed

__all__ = ["exported", "their_model"]


@contextmanager
def their_model(checkpoint: Path) -> Iterator[Any]:
    """Yield ultralytics' ``FastSAM`` of a checkpoint.

    ultralytics runs what is pickled in the files that it loads. It gets a copy that this process wrote, of
    the network alone; nothing else of the file reaches it.

    Raises:
        CheckpointError: the file is no usable checkpoint.
    """
    import torch

    with needed("ultralytics", "run its own FastSAM"):
        from ultralytics.models.fastsam import FastSAM

    from fastsam.weights.checkpoint import load_checkpoint, network_of

    network: Any = network_of(load_checkpoint(checkpoint), checkpoint)
    with tempfile.TemporaryDirectory(prefix="fastsam-") as folder:
        copy = Path(folder) / f"{checkpoint.stem}.pt"
        torch.save({"model": network, "train_args": {"task": "segment"}, "epoch": -1}, copy)
        yield FastSAM(str(copy))


def exported(checkpoint: Path, folder: Path, options: dict[str, Any]) -> str:
    """Export a checkpoint with ultralytics' own code into a folder, and return the path."""
    with their_model(checkpoint) as model:
        made = Path(model.export(**options))
        target = folder / made.name
        if made.is_dir() and target.is_dir():
            shutil.rmtree(target)
        shutil.move(made, target)
    return str(target)
