"""Changes to a network before training: its classes, one branch of boxes, batch norms with statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastsam.needed import needed

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["class_agnostic", "settle_batch_norm", "with_classes"]


def class_agnostic(model: nn.Module, samples: NDArray[np.float32]) -> nn.Module:
    """Give a many-class YOLO segmentation network the single class ``object``, in place.

    The new objectness row of each scale is the ridge regression, on the sample images, of the old
    classes' highest logit on the features below it: the network starts as good as it was.

    Args:
        model: network as :func:`fastsam.weights.checkpoint.segmentation_model` returns it.
        samples: (N, 3, H, W) images in 0..1.
    """
    return with_classes(model, samples, ("object",))


def with_classes(model: nn.Module, samples: NDArray[np.float32], names: Sequence[str]) -> nn.Module:
    """Give a YOLO segmentation network the classes ``names``, in place.

    A class that the network knows by that name keeps its row. Others start as the objectness of
    :func:`class_agnostic`, so that the network finds from the start what it found before.

    Args:
        model: as :func:`class_agnostic`.
        samples: (N, 3, H, W) images in 0..1.
        names: of the classes, in the order of their ids.
    """
    with needed("torch", "train"):
        import torch
    head: Any = model.model[-1]  # type: ignore[index]
    if not (head.nc == 1 == len(names)):
        known = {str(name).lower(): int(i) for i, name in dict(getattr(model, "names", {})).items()}
        rows = [known.get(name.lower()) if len(names) > 1 else None for name in names]
        seen = _seen_by_classes(model, head, samples)
        with torch.no_grad():
            for branch, features in zip(head.cv3, seen, strict=True):
                old = branch[-1]
                found = _objectness(old, features)
                new = torch.nn.Conv2d(old.in_channels, len(names), 1)
                bias: Any = new.bias
                for i, row in enumerate(rows):
                    weight = found[:-1] if row is None else old.weight[row].flatten()
                    new.weight[i].copy_(weight.view(-1, 1, 1))
                    bias[i] = found[-1] if row is None else old.bias[row]
                branch[-1] = new
        semantic = getattr(head.proto, "semseg", None)  # of YOLO26, seen by the loss only
        if semantic is not None:
            semantic[-1] = torch.nn.Conv2d(semantic[-1].in_channels, len(names), 1)
        head.nc, head.no = len(names), len(names) + head.reg_max * 4
        model.nc = len(names)  # type: ignore[assignment]
        model.yaml = {**model.yaml, "nc": len(names)}  # type: ignore[dict-item,assignment]
    model.names = dict(enumerate(names))  # type: ignore[assignment]
    return model


def _seen_by_classes(model: nn.Module, head: Any, samples: NDArray[np.float32]) -> list[Tensor]:
    """Return what the last layer of each scale's class branch gets on the sample images, (K, C) each."""
    with needed("torch", "train"):
        import torch
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
    return [torch.cat([row.flatten(2)[0].T for row in rows]).double() for rows in seen]


def _objectness(old: Any, features: Tensor) -> Tensor:
    """Return the row (weights, then bias) that gives the highest logit of a layer of classes, about."""
    with needed("torch", "train"):
        import torch
    target = (features @ old.weight.flatten(1).T.double() + old.bias.double()).amax(1)
    weight = target.sigmoid().clamp_min(1e-3)[:, None]  # objects are rare: do not drown them
    design = torch.cat([features, torch.ones_like(features[:, :1])], 1)
    gram = design.T @ (design * weight) + 1e-3 * torch.eye(design.shape[1], dtype=torch.double)
    row: Tensor = torch.linalg.solve(gram, design.T @ (target[:, None] * weight)).float()[:, 0]
    return row


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
