"""Changes to a network before training: one class, and batch norms with statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsam.needed import needed

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["class_agnostic", "settle_batch_norm"]


def class_agnostic(model: nn.Module, samples: NDArray[np.float32]) -> nn.Module:
    """Give a many-class YOLO segmentation network the single class ``object``, in place.

    The new objectness row of each scale is the ridge regression, on the sample images, of the old
    classes' highest logit on the features below it: the network starts as good as it was.

    Args:
        model: network as :func:`fastsam.weights.checkpoint.segmentation_model` returns it.
        samples: (N, 3, H, W) images in 0..1.
    """
    with needed("torch", "train"):
        import torch
    head: Any = model.model[-1]  # type: ignore[index]
    if head.nc == 1:
        model.names = {0: "object"}  # type: ignore[assignment]
        return model
    seen: list[list[Tensor]] = [[] for _ in head.cv3]
    hooks = [
        branch[-1].register_forward_hook(lambda _m, args, _out, rows=rows: rows.append(args[0]))
        for branch, rows in zip(head.cv3, seen, strict=True)
    ]
    with torch.no_grad():
        for sample in samples:
            model(torch.from_numpy(sample)[None])
        for hook in hooks:
            hook.remove()
        for branch, rows in zip(head.cv3, seen, strict=True):
            old = branch[-1]
            features = torch.cat([row.flatten(2)[0].T for row in rows]).double()
            target = (features @ old.weight.flatten(1).T.double() + old.bias.double()).amax(1)
            weight = target.sigmoid().clamp_min(1e-3)[:, None]  # objects are rare: do not drown them
            design = torch.cat([features, torch.ones_like(features[:, :1])], 1)
            gram = design.T @ (design * weight) + 1e-3 * torch.eye(design.shape[1], dtype=torch.double)
            solution = torch.linalg.solve(gram, design.T @ (target[:, None] * weight)).float()[:, 0]
            new = torch.nn.Conv2d(old.in_channels, 1, 1)
            new.weight.copy_(solution[:-1].view(1, -1, 1, 1))
            bias: Any = new.bias
            bias.copy_(solution[-1:])
            branch[-1] = new
    head.nc, head.no = 1, 1 + head.reg_max * 4
    model.names, model.nc = {0: "object"}, 1  # type: ignore[assignment]
    model.yaml = {**model.yaml, "nc": 1}  # type: ignore[dict-item,assignment]
    return model


def settle_batch_norm(model: nn.Module, samples: NDArray[np.float32]) -> nn.Module:
    """Measure the statistics of batch norms that were folded to an identity, in place.

    Such a layer keeps its function (mean and variance move from the weights into the statistics), so
    that switching to training mode, where batches are normalised by themselves, changes little.
    Layers that carry statistics already are left alone.
    """
    with needed("torch", "train"):
        import torch
    norms: list[Any] = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    layers = [
        m
        for m in norms
        if bool((m.running_mean == 0).all()) and float(m.running_var.std(correction=0)) < 1e-3
    ]
    sums: dict[int, list[Any]] = {
        id(m): [torch.zeros(m.num_features).double() for _ in range(2)] + [0] for m in layers
    }

    def measure(layer: Any, args: tuple[Tensor, ...], _out: Tensor) -> None:
        values = args[0].transpose(0, 1).flatten(1).double()
        total = sums[id(layer)]
        total[0] += values.sum(1)
        total[1] += values.square().sum(1)
        total[2] += values.shape[1]

    hooks = [layer.register_forward_hook(measure) for layer in layers]
    with torch.no_grad():
        for sample in samples:
            model(torch.from_numpy(sample)[None])
        for hook in hooks:
            hook.remove()
        for layer in layers:
            first, second, count = sums[id(layer)]
            mean, var = (
                (first / count).float(),
                (second / count - (first / count) ** 2).clamp_min(1e-8).float(),
            )
            gain = layer.weight / (layer.running_var + layer.eps).sqrt()
            shift = layer.bias - layer.running_mean * gain
            layer.weight.copy_(gain * (var + layer.eps).sqrt())
            layer.bias.copy_(shift + mean * gain)
            layer.running_mean.copy_(mean)
            layer.running_var.copy_(var)
    return model
