"""Batch norms become part of the convolutions before them. Torch is handed in, not imported."""

from __future__ import annotations

import collections
import itertools
from typing import Any

__all__ = ["fold_norms"]


def fold_norms(torch: Any, tower: Any) -> bool:
    """Make the batch norms of an image tower part of the convolutions before them; tell whether it was done.

    They scale each channel by a constant once training is over; on a CPU a pass without them takes half the
    time. What the tower gives for a picture is compared: one that is built otherwise stays as it was.

    Args:
        torch: the package.
        tower: open_clip's image tower, with ``image_size``; for inference only.
    """
    convolution, norm = torch.nn.Conv2d, torch.nn.BatchNorm2d
    if not any(isinstance(layer, norm) for layer in tower.modules()):
        return False
    size = tower.image_size
    height, width = size if isinstance(size, (tuple, list)) else (size, size)
    picture = torch.linspace(-1, 1, 3 * height * width).reshape(1, 3, height, width)
    picture = picture.to(next(tower.parameters()))
    was, steps = _watched(torch, tower, picture, (convolution, norm))
    counts = collections.Counter(layer for layer, *_ in steps)
    pairs = [
        (first, second)
        for (first, _, made), (second, given, _) in itertools.pairwise(steps)
        if isinstance(first, convolution) and isinstance(second, norm) and given is made
        if counts[first] == counts[second] == 1
    ]
    undo = _fold(torch, tower, pairs)
    with torch.inference_mode():
        now = tower(picture)
    if torch.allclose(was, now, rtol=1e-3, atol=1e-4 * float(was.abs().max())):
        return True
    for owner, name, value in undo:
        setattr(owner, name, value)
    return False


def _watched(torch: Any, tower: Any, picture: Any, kinds: Any) -> tuple[Any, list[tuple[Any, Any, Any]]]:
    """Return what a tower gives for a picture, and what its layers of some kinds took and gave, in order."""
    steps: list[tuple[Any, Any, Any]] = []

    def note(layer: Any, given: Any, made: Any) -> None:
        steps.append((layer, given[0], made))

    hooks = [layer.register_forward_hook(note) for layer in tower.modules() if isinstance(layer, kinds)]
    with torch.inference_mode():
        given = tower(picture)
    for hook in hooks:
        hook.remove()
    return given, steps


def _fold(torch: Any, tower: Any, pairs: list[tuple[Any, Any]]) -> list[tuple[Any, str, Any]]:
    """Fold each norm into its convolution; return what was there: owner, name, value."""
    undo: list[tuple[Any, str, Any]] = []
    left: dict[Any, Any] = {}
    for first, norm in pairs:
        undo += [(first, "weight", first.weight), (first, "bias", first.bias)]
        weights = torch.nn.utils.fusion.fuse_conv_bn_weights(
            first.weight, first.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        first.weight, first.bias = (values.requires_grad_(False) for values in weights)
        left[norm] = getattr(norm, "act", None) or torch.nn.Identity()  # timm's norms have it built in
    for parent in list(tower.modules()):
        for name, layer in list(parent.named_children()):
            if layer in left:
                undo.append((parent, name, layer))
                setattr(parent, name, left[layer])
    return undo
