"""Fine-tune a YOLO segmentation network to find every mask: thin over ultralytics' trainer.

What everything-segmentation needs and ultralytics' own recipe lacks:

* one class, ``object``, whose head starts from the old classes' head instead of from noise;
* nested labels (a dress inside a person): ``overlap_mask`` off;
* masks that are right beyond a box that is too small: the mask loss looks around the true box, too;
* sources that label only some objects: there, unlabelled is not background, so the objectness loss
  of background anchors is weighted down (``negative_weight``);
* checkpoints whose batch norm was folded away: its statistics are measured first.

Everything else (augmentation, optimiser, schedule, resume, GPU) is ultralytics'.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsam.config import TrainConfig
from fastsam.datasets import CocoDataset, read_coco
from fastsam.errors import TrainingError
from fastsam.everything.carried import Carried, carried_by
from fastsam.needed import needed
from fastsam.training.mask_loss import RING_WEIGHT, grown_mask_loss
from fastsam.weights.checkpoint import load_checkpoint, save_checkpoint, segmentation_model
from fastsam.weights.resolve import resolve

if TYPE_CHECKING:
    from torch import Tensor

from fastsam.training.dataset import PARTIAL_FILE, network_sample, write_yolo_dataset
from fastsam.training.surgery import class_agnostic, settle_batch_norm

__all__ = ["train"]


def _trainer_class(config: TrainConfig, partial: frozenset[str], growth: float) -> type[Any]:
    """Return ultralytics' segmentation trainer with our loss and without its validation."""
    with needed("torch", "train"):
        import torch
    with needed("ultralytics", "train"):
        from ultralytics.models.yolo.segment import SegmentationTrainer
        from ultralytics.utils.loss import v8SegmentationLoss
    base: Any = SegmentationTrainer  # typed as if it were never set up
    loss_base = grown_mask_loss(v8SegmentationLoss, growth, RING_WEIGHT, at_most=0)
    threads = torch.get_num_threads()

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

    class Trainer(base):  # type: ignore[misc]
        def __init__(self, overrides: dict[str, Any]) -> None:
            super().__init__(overrides=overrides)
            # On a CPU ultralytics forces 0 workers and leaves one core idle.
            self.args.workers = config.workers
            if self.device.type == "cpu":
                torch.set_num_threads(threads)

        def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
            weights.args = self.args
            return weights  # already class-agnostic; rebuilding from yaml would lose its head

        def _setup_train(self) -> None:
            super()._setup_train()
            self.model.criterion = Loss(self.model)  # after the EMA copy, so checkpoints stay plain

        def resume_training(self, ckpt: Any) -> None:
            done = ckpt.get("epoch", -1) + 1 if ckpt else 0
            if self.resume and not 0 < done < self.epochs:
                raise TrainingError(
                    f"resume: expected an interrupted run, got one that has finished ({done} of "
                    f"{self.epochs} epochs); start without resume"
                )
            super().resume_training(ckpt)

        def validate(self) -> tuple[dict[str, float], float]:
            return {}, float(-self.loss.detach().cpu())  # measured by `fastsam eval`, not here

        def final_eval(self) -> None:
            """Leave the files as they are; the caller writes the plain checkpoint."""

    return Trainer


def train(
    data: Sequence[str | Path],
    weights: str | Path,
    out: str | Path,
    config: TrainConfig | None = None,
    *,
    partial: Sequence[str] = (),
    resume: bool = False,
) -> Path:
    """Fine-tune ``weights`` on the training split of COCO-format folders.

    Args:
        data: dataset folders; images that a folder's ``heldout.txt`` lists are never used.
        weights: any YOLO segmentation checkpoint, or a name of the weights table.
        out: run folder; ``out/run/weights/last.pt`` is written after each epoch.
        config: the options.
        partial: names (last path part) of datasets that label only some of their objects.
        resume: go on from ``out/run/weights/last.pt``.

    Returns:
        The finished checkpoint ``out/fastsam.pt``: float16, no optimiser state, loads in ultralytics.

    Raises:
        DatasetError, CheckpointError, ConfigError: an input is unusable.
        TrainingError: resuming was asked for and there is nothing to resume, or the run has finished.
    """
    config = config or TrainConfig()
    carried = _carried(weights, config)
    out = Path(out).resolve()
    last = out / "run" / "weights" / "last.pt"
    datasets = [read_coco(folder, split="train") for folder in data]
    description = write_yolo_dataset(datasets, out / "dataset", partial)
    listed = (out / "dataset" / "train.txt").read_text(encoding="utf-8").splitlines()
    partly = frozenset(json.loads((out / "dataset" / PARTIAL_FILE).read_text(encoding="utf-8")))
    if resume:
        if not last.is_file():
            raise TrainingError(
                f"resume: expected {last} from an earlier run, found nothing; start without resume"
            )
        load_checkpoint(last)  # refuses anything unsafe before ultralytics opens the file
        start = last
    else:
        start = _prepare(resolve(weights).path, listed, config, out)
    overrides = {
        "model": str(start), "data": str(description), "epochs": config.epochs, "time": config.hours,
        "imgsz": config.imgsz, "batch": config.batch, "freeze": config.freeze, "lr0": config.lr0,
        "lrf": 0.02, "optimizer": "AdamW", "cos_lr": True, "warmup_epochs": 0.5, "warmup_bias_lr": config.lr0,
        "weight_decay": 5e-4, "nbs": config.batch, "overlap_mask": False, "mask_ratio": 4, "mosaic": 0.0,
        "scale": 0.4, "translate": 0.1, "fliplr": 0.5,
        "copy_paste": config.copy_paste, "device": config.device, "workers": config.workers,
        "seed": config.seed, "project": str(out), "name": "run", "exist_ok": True, "val": False,
        "plots": False, "amp": config.device != "cpu", "patience": 0,
        "resume": str(last) if resume else False,
    }  # fmt: skip
    trainer = _trainer_class(config, partly, carried.box_growth)(overrides=overrides)
    trainer.train()
    return _write_final(last, out / "fastsam.pt", config, datasets, carried)


def _carried(weights: str | Path, config: TrainConfig) -> Carried:
    """Return what the finished checkpoint carries: its start's defaults, and what this run adds to them.

    A calibration is not among it: it has to be fitted anew.
    """
    found = resolve(weights)
    start = carried_by(load_checkpoint(found.path), found.path)
    growth = start.box_growth if config.box_growth is None else config.box_growth
    defaults = {"imgsz": config.imgsz, **start.defaults, **found.defaults}
    return Carried(None, growth, max(config.imgsz, start.trained_imgsz), defaults)


def _prepare(weights: str | Path, listed: Sequence[str], config: TrainConfig, out: Path) -> Path:
    """Write the class-agnostic, settled starting checkpoint and return its path."""
    with needed("torch", "train"):
        import torch
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    chosen = rng.choice(np.array(listed), size=min(64, len(listed)), replace=False)
    samples = np.stack([network_sample(str(path), config.imgsz) for path in chosen])
    model = settle_batch_norm(class_agnostic(segmentation_model(weights), samples), samples)
    model.args = dict(vars(model.args)) if not isinstance(model.args, dict) else model.args  # type: ignore
    start = out / "start.pt"
    save_checkpoint({"model": model, "epoch": -1, "train_args": {}}, start)
    return start


def _write_final(
    last: Path, target: Path, config: TrainConfig, datasets: Sequence[CocoDataset], carried: Carried
) -> Path:
    """Write the averaged weights of ``last`` as a plain fp16 checkpoint."""
    model: Any = segmentation_model(last).half()
    model.criterion, model.args = None, {"task": "segment", "imgsz": config.imgsz}
    for parameter in model.parameters():
        parameter.requires_grad = False
    trained_on = {d.name: len(d.images) for d in datasets}
    description = {"config": asdict(config), "data": trained_on, **carried.to_dict()}
    save_checkpoint({"model": model, "epoch": -1, "train_args": {}, "fastsam": description}, target)
    return target
