"""The mask loss looks around the true box as far as it is asked to."""

from __future__ import annotations

from typing import Any

import pytest

from fastsam.training.mask_loss import LEAST_GROWTH_CELLS, grown_mask_loss

torch = pytest.importorskip("torch")
GRID = 40


def plain() -> Any:
    return pytest.importorskip("ultralytics.utils.loss").v8SegmentationLoss


def loss_of(kind: Any, logits: Any, truth: Any, box: tuple[float, float, float, float]) -> Any:
    """The loss of one mask whose logits are the only prototype."""
    xyxy = torch.tensor([box])
    area = ((xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])) / GRID**2
    return kind.single_mask_loss(truth[None], torch.ones(1, 1), logits[None], xyxy, area)


def scene() -> tuple[Any, Any]:
    """A square of 10 cells at 15..25 and random logits."""
    truth = torch.zeros(GRID, GRID)
    truth[15:25, 15:25] = 1
    return torch.randn(GRID, GRID, generator=torch.Generator().manual_seed(0)), truth


def test_without_growth_it_is_ultralytics_own() -> None:
    logits, truth = scene()
    box = (15.0, 15.0, 25.0, 25.0)
    wanted = loss_of(plain(), logits, truth, box)
    assert torch.allclose(loss_of(grown_mask_loss(plain(), 0.0, 0.5, 0), logits, truth, box), wanted)
    assert torch.allclose(loss_of(grown_mask_loss(plain(), 0.4, 0.0, 0), logits, truth, box), wanted)


@pytest.mark.parametrize(("growth", "ring"), [(0.2, 0.5), (0.4, 1.0)])
def test_known_answer(growth: float, ring: float) -> None:
    logits, truth = scene()
    cells = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    low, high = 15 - round(10 * growth), 25 + round(10 * growth)
    inside = cells[15:25, 15:25].sum()
    around = cells[low:high, low:high].sum() - inside
    found = loss_of(grown_mask_loss(plain(), growth, ring, 0), logits, truth, (15.0, 15.0, 25.0, 25.0))
    assert found.item() == pytest.approx(float(inside + ring * around) / 100, rel=1e-4)


def test_what_is_beyond_the_growth_does_not_matter() -> None:
    logits, truth = scene()
    kind = grown_mask_loss(plain(), 0.4, 0.5, 0)
    box = (15.0, 15.0, 25.0, 25.0)
    before = loss_of(kind, logits, truth, box)
    logits[:10], logits[30:] = 9, 9
    assert torch.equal(loss_of(kind, logits, truth, box), before)
    logits[12, 20] = 9  # inside the grown box, outside the true one
    assert loss_of(kind, logits, truth, box) > before


def test_small_boxes_grow_by_two_cells() -> None:
    logits, truth = torch.zeros(GRID, GRID), torch.zeros(GRID, GRID)
    kind = grown_mask_loss(plain(), 0.1, 1.0, 0)
    side = 2 + 2 * LEAST_GROWTH_CELLS
    found = loss_of(kind, logits, truth, (20.0, 20.0, 22.0, 22.0))
    assert found.item() == pytest.approx(0.6931 * side**2 / 4, rel=1e-3)


def test_a_sample_of_the_anchors_is_enough() -> None:
    """Of many positive anchors some are drawn, of few all; the mask that comes in is left as it is."""
    seen: list[Any] = []

    class Watching:
        def calculate_segmentation_loss(self, fg_mask: Any, *args: Any) -> Any:
            seen.append(fg_mask)
            return torch.zeros(())

    given = torch.zeros(3, 50, dtype=torch.bool)
    given[0, :40], given[1, 10:14] = True, True
    before = given.clone()
    grown_mask_loss(Watching, 0.4, 0.5, 8)().calculate_segmentation_loss(given)
    assert torch.equal(given, before)
    assert seen[0].sum(dim=1).tolist() == [8, 4, 0]
    assert not (seen[0] & ~given).any()
    grown_mask_loss(Watching, 0.4, 0.5, 0)().calculate_segmentation_loss(given)
    assert torch.equal(seen[1], given)
