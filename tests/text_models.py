"""Text-image models for tests: a scene of coloured shapes, and a tiny open_clip model in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from tests.drawing import ellipse, rectangle

SIZE = (60, 100)
PAINT = {"red": (220, 20, 20), "blue": (20, 20, 220), "green": (20, 200, 20), "yellow": (230, 230, 20)}
TINY = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
}


def shapes() -> dict[str, NDArray[np.bool_]]:
    """Two red shapes, a blue and a green one, a tiny and an empty mask."""
    return {
        "red left": rectangle(SIZE, 2, 5, 22, 25),
        "blue": ellipse(SIZE, 25, 5, 55, 30),
        "red right": ellipse(SIZE, 60, 30, 98, 58),
        "tiny": rectangle(SIZE, 0, 57, 3, 60),
        "empty": np.zeros(SIZE, bool),
        "green": rectangle(SIZE, 5, 35, 40, 50),
    }


def scene() -> tuple[Frame, MaskSet]:
    """The photo, white between the shapes, and their masks, all of the same score but for the first."""
    rgb = np.full((*SIZE, 3), 255, np.uint8)
    masks = shapes()
    for name, mask in masks.items():
        rgb[mask] = PAINT.get(name.split()[0], (0, 0, 0))
    return Frame(rgb), MaskSet.from_dense(np.stack(list(masks.values())), [0.9, 0.8, 0.7, 0.6, 0.5, 0.4])


def tiny_model(config: dict[str, Any] = TINY) -> Any:
    """A randomly initialised model of open_clip, the same in every process."""
    import open_clip
    import torch

    torch.manual_seed(0)
    return open_clip.model.CLIP(**json.loads(json.dumps(config["model_cfg"]))).eval()


def tiny_folder(folder: Path, config: dict[str, Any] = TINY) -> Path:
    """Write a tiny model in open_clip's own format."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(
        {name: value.contiguous() for name, value in tiny_model(config).state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    return folder
