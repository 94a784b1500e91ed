"""What a text model's folder says of itself, checked before open_clip acts on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastsam.errors import CheckpointError, InputError, check_one_of
from fastsam.untrusted import number, read_json, short, whole

__all__ = ["check_config"]

_LARGEST_IMAGE_PX = 4096
_INTERPOLATIONS = ("bicubic", "bilinear", "random")
_RESIZE_MODES = ("shortest", "longest", "squash")


def check_config(path: Path) -> None:
    """Refuse values that open_clip would trip over, and names that it would look up on a hub.

    Raises:
        CheckpointError: the file is no such configuration.
    """
    content = read_json(path, "text model", CheckpointError)
    try:
        model = _mapping(content, "model_cfg")
        for part in ("vision_cfg", "text_cfg"):
            _check_names(_mapping(model, part), part)
        sizes = model["vision_cfg"].get("image_size", 224)
        for size in sizes if isinstance(sizes, list) and len(sizes) == 2 else [sizes]:
            whole(size, "image_size", 1, _LARGEST_IMAGE_PX)
        _check_pictures(content.get("preprocess_cfg") or {})
    except InputError as error:
        raise CheckpointError(str(error), subject=f"text model {path}", path=path) from error


def _mapping(content: Any, name: str) -> dict[str, Any]:
    mapping = content.get(name) if isinstance(content, dict) else None
    if not isinstance(mapping, dict):
        raise InputError(f"{name}: expected a mapping, got {short(mapping)}")
    return mapping


def _check_names(part: dict[str, Any], what: str) -> None:
    """Refuse names of a hub: a folder is asked for so that nothing is looked up elsewhere."""
    for name, value in part.items():
        hub = isinstance(value, str) and (value.startswith("hf-hub:") or "://" in value)
        if hub or (name == "hf_model_name" and value):
            raise InputError(
                f"{what}.{name}: expected a network of open_clip or timm, got {short(value)}, which would be "
                "looked up on a hub"
            )


def _check_pictures(settings: Any) -> None:
    """Check how pictures are prepared."""
    if not isinstance(settings, dict):
        raise InputError(f"preprocess_cfg: expected a mapping, got {short(settings)}")
    for name, least in (("mean", -10.0), ("std", 1e-6)):
        values = settings.get(name, [0.5, 0.5, 0.5])
        if not isinstance(values, list) or len(values) != 3:
            raise InputError(f"{name}: expected three numbers, got {short(values)}")
        for value in values:
            number(value, name, least, 1_000)
    for name, known in (("interpolation", _INTERPOLATIONS), ("resize_mode", _RESIZE_MODES)):
        check_one_of(settings.get(name, known[0]), known, name, InputError)
