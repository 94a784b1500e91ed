"""Ultralytics' segmentation trainer with our loss, without its validation and its calls home."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from fastsam.config import TrainConfig
from fastsam.needed import needed
from fastsam.training.dataset import YoloDataset
from fastsam.training.mask_loss import RING_WEIGHT, grown_mask_loss

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PREVIOUS_NAME", "alone_and_quiet", "trainer_class"]

PREVIOUS_NAME = "previous.pt"  # the epoch before, while last.pt is written

OnEpoch = Callable[[int, int, str], None]


def trainer_class(
    config: TrainConfig,
    dataset: YoloDataset,
    growth: float,
    on_epoch: OnEpoch | None,
    on_last: Callable[[], None],
) -> type[Any]:
    """Return the class of the trainer.

    Args:
        config: the options.
        dataset: what to train on.
        growth: how far the mask loss looks beyond boxes; see
            :func:`fastsam.training.mask_loss.grown_mask_loss`.
        on_epoch: called after each epoch with (done, total, loss in words).
        on_last: called when the checkpoint of the last epoch is there.
    """
    with needed("torch", "train"):
        import torch
    with needed("ultralytics", "train"):
        from ultralytics.models.yolo.segment import SegmentationTrainer
    base: Any = SegmentationTrainer  # typed as if it were never set up
    threads = torch.get_num_threads()
    loss_class = _loss_class(config, dataset.partial, growth)

    class Trainer(base):  # type: ignore[misc]
        def __init__(self, overrides: dict[str, Any]) -> None:
            super().__init__(overrides=overrides)
            # On a CPU ultralytics forces 0 workers and leaves one core idle.
            self.args.workers = config.workers
            if self.device.type == "cpu":
                torch.set_num_threads(threads)

        def run_callbacks(self, event: str) -> None:
            """Tell how far it is; loggers, trackers and the maker's platform hear nothing of it."""
            if event == "on_fit_epoch_end" and on_epoch is not None:
                on_epoch(self.epoch + 1, self.epochs, f"loss {float(self.tloss_sum()):.2f}")

        def tloss_sum(self) -> Any:
            """Return the mean loss of the epoch; its parts added up."""
            mean = self.tloss
            values = mean.values() if isinstance(mean, dict) else mean.reshape(-1)
            return sum(float(value) for value in values)

        def get_dataset(self) -> dict[str, Any]:
            """Return what was written; ultralytics' own way looks for a font on the network."""
            root = dataset.description.parent
            return {
                "path": root,
                "train": str(root / "train.txt"),
                "val": str(root / "val.txt"),
                "names": dict(enumerate(dataset.names)),
                "nc": len(dataset.names),
                "channels": 3,
                "yaml_file": str(dataset.description),
            }

        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
            weights.args = self.args
            for parameter in weights.parameters():
                parameter.requires_grad_(parameter.is_floating_point())
            return weights  # its classes are set already; rebuilding from yaml would lose its head

        def _setup_train(self) -> None:
            super()._setup_train()
            self.model.criterion = loss_class(self.model)  # after the EMA copy, so checkpoints stay plain

        def validate(self) -> tuple[dict[str, float], float]:
            return {}, float(-self.loss.detach().cpu())  # measured by `fastsam eval`, not here

        def save_model(self) -> Any:
            """Write last.pt; ultralytics does so in place, so the one before stays until it is whole."""
            if self.last.exists():
                os.replace(self.last, self.last.with_name(PREVIOUS_NAME))
            done = super().save_model()
            if self.stop or self.epoch + 1 >= self.epochs:
                on_last()
            return done

        def final_eval(self) -> None:
            """Leave the files as they are; the caller writes the plain checkpoint."""

    return Trainer


def _loss_class(config: TrainConfig, partial: frozenset[str], growth: float) -> type[Any]:
    """Return the loss: masks looked at around their boxes, and less belief in unlabelled background."""
    with needed("torch", "train"):
        import torch
    with needed("ultralytics", "train"):
        from ultralytics.utils.loss import v8SegmentationLoss
    loss_base = grown_mask_loss(v8SegmentationLoss, growth, RING_WEIGHT, at_most=0)

    class PartialLabelBCE(torch.nn.BCEWithLogitsLoss):
        """BCE that believes the background of partly labelled images less."""

        image_weight: Tensor | None = None

        def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
            loss: Tensor = super().forward(logits, targets)
            if self.image_weight is None:
                return loss
            weighted: Tensor = torch.where(targets > 0, loss, loss * self.image_weight[:, None, None])
            return weighted

    class Loss(loss_base):  # type: ignore[misc,valid-type]
        def __init__(self, model: Any) -> None:
            super().__init__(model)
            self.bce = PartialLabelBCE(reduction="none")

        def loss(self, preds: Any, batch: Any) -> Any:
            weights = [
                config.negative_weight if Path(name).name in partial else 1.0 for name in batch["im_file"]
            ]
            self.bce.image_weight = torch.tensor(weights, device=self.device)
            return super().loss(preds, batch)

    return Loss


@contextmanager
def alone_and_quiet() -> Iterator[None]:
    """Let ultralytics train without a word, and without asking anybody for anything.

    On a GPU it compares half precision on a network that it downloads.
    """
    with needed("ultralytics", "train"):
        from ultralytics.engine import trainer as engine
        from ultralytics.utils import LOGGER
    level = LOGGER.level
    LOGGER.setLevel(logging.ERROR)
    with ExitStack() as stack:
        if hasattr(engine, "check_amp"):
            stack.enter_context(patch.object(engine, "check_amp", lambda model: True))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # of torch's schedulers, in the middle of a run
        try:
            yield
        finally:
            LOGGER.setLevel(level)
