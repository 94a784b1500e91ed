"""The mask loss of training: ultralytics' own looks inside the true box only, ours looks around it too.

A mask is cut to the box that the network found. Where that box is too small, the cut shows as a straight
edge, unless the logits beyond it are right, which they are only if the loss has looked there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastsam.needed import needed

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LEAST_GROWTH_CELLS", "RING_WEIGHT", "grown_mask_loss"]

RING_WEIGHT = 0.5  # of a cell outside the true box; those inside count 1
LEAST_GROWTH_CELLS = 2.0  # as in everything.grow: what was learnt is what is used


def grown_mask_loss(base: type[Any], growth: float, ring_weight: float, at_most: int) -> type[Any]:
    """Return a subclass of ultralytics' ``v8SegmentationLoss`` that looks at masks in grown boxes.

    The loss inside the true box is as in ``base``; what lies between the true box and the grown one is added
    with ``ring_weight``. Both are divided by the area of the true box.

    Args:
        base: ``v8SegmentationLoss`` or a subclass.
        growth: each side of a box moves out by this share of the box's width or height; 0 looks only inside.
        ring_weight: the weight of a cell outside the true box.
        at_most: of how many positive anchors an image's masks are compared, drawn at random; 0 takes all.
            A mean over a sample has the same expectation and costs less time.
    """
    with needed("torch", "train"):
        import torch
    with needed("ultralytics", "train"):
        from ultralytics.utils.ops import crop_mask

    class GrownMaskLoss(base):  # type: ignore[misc]
        def calculate_segmentation_loss(self, fg_mask: Tensor, *args: Any) -> Tensor:
            loss: Tensor = super().calculate_segmentation_loss(_thinned(fg_mask, at_most), *args)
            return loss

        @staticmethod
        def single_mask_loss(
            gt_mask: Tensor, pred: Tensor, proto: Tensor, xyxy: Tensor, area: Tensor
        ) -> Tensor:
            logits = torch.einsum("in,nhw->ihw", pred, proto)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, gt_mask, reduction="none")
            inside = crop_mask(loss.clone(), xyxy).mean(dim=(1, 2))
            if growth > 0:
                around = crop_mask(loss.clone(), _grown(xyxy)).mean(dim=(1, 2))
                inside = (1 - ring_weight) * inside + ring_weight * around
            total: Tensor = (inside / area).sum()
            return total

    def _grown(xyxy: Tensor) -> Tensor:
        sides = (xyxy[:, 2:] - xyxy[:, :2]) * growth
        margin = sides.clamp_min(LEAST_GROWTH_CELLS)
        return torch.cat([xyxy[:, :2] - margin, xyxy[:, 2:] + margin], dim=1)

    def _thinned(fg_mask: Tensor, most: int) -> Tensor:
        if most <= 0:
            return fg_mask
        kept = fg_mask.clone()
        for row in kept:
            found = row.nonzero()[:, 0]
            if len(found) > most:
                row[found[torch.randperm(len(found), device=found.device)[most:]]] = False
        return kept

    return GrownMaskLoss
