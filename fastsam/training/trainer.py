"""Fine-tune a YOLO segmentation network to find every mask: thin over ultralytics' trainer.

What everything-segmentation needs and ultralytics' own recipe lacks:

* one class, ``object``, whose head starts from the old classes' head instead of from noise;
* nested labels (a dress inside a person): ``overlap_mask`` off;
* sources that label only some objects: there, unlabelled is not background, so the objectness loss
  of background anchors is weighted down (``negative_weight``);
* checkpoints whose batch norm was folded away: its statistics are measured first.

Everything else (augmentation, optimiser, schedule, resume, GPU) is ultralytics'.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam.config import TrainConfig
from fastsam.datasets import CocoDataset, CocoImage, check_partial, read_coco
from fastsam.errors import DatasetError, TrainingError
from fastsam.everything.network_input import network_input
from fastsam.masks.dense import yolo_polygon
from fastsam.masks.letterbox import Letterbox
from fastsam.needed import require
from fastsam.weights.checkpoint import load_checkpoint, save_checkpoint, segmentation_model

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["class_agnostic", "settle_batch_norm", "train", "write_yolo_dataset"]

_PARTIAL_FILE = "partial.json"


def _write_image(image: CocoImage, images: Path, labels: Path, stem: str) -> Path:
    """Link one image under ``images`` and write its label file; returns the link."""
    link = images / f"{stem}{image.path.suffix}"
    if not image.path.is_file():
        raise DatasetError(f"image {image.path}: instances.json lists it, but there is no such file")
    if not link.exists():
        link.symlink_to(image.path.resolve())
    label = labels / f"{stem}.txt"
    if not label.exists():
        found = [yolo_polygon(mask) for mask in image.masks()]
        partial = label.with_suffix(".part")
        partial.write_text("\n".join(f"0 {line}" for line in found if line), encoding="utf-8")
        os.replace(partial, label)
    return link


def write_yolo_dataset(datasets: Sequence[CocoDataset], out: str | Path, partial: Sequence[str] = ()) -> Path:
    """Write COCO datasets as one class-agnostic YOLO segmentation dataset; returns its data.yaml.

    Images are linked, not copied; a second call goes on where the first one stopped.

    Args:
        datasets: what to train on, each already cut to its training split.
        out: folder to write into.
        partial: names of datasets that label only some of their objects.

    Raises:
        DatasetError: no image at all, one that is missing, two that would share a label file, or a name
            in ``partial`` that is no dataset's.
    """
    out = Path(out).resolve()
    check_partial(partial, datasets)
    images, labels = out / "images", out / "labels"
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    listed: list[str] = []
    partly: list[str] = []
    owners: dict[str, Path] = {}
    for dataset in datasets:
        for image in dataset.images:
            stem = f"{dataset.name}__{image.path.stem}"
            if owners.setdefault(stem, image.path) != image.path:
                raise DatasetError(
                    f"image {image.path}: its label file would be that of {owners[stem]}; "
                    "rename one of the images, or one of the dataset folders"
                )
            link = _write_image(image, images, labels, stem)
            listed.append(str(link))
            if dataset.name in partial:
                partly.append(link.name)
    if not listed:
        raise DatasetError(f"datasets {[d.name for d in datasets]}: expected at least one training image")
    (out / "train.txt").write_text("\n".join(listed) + "\n", encoding="utf-8")
    (out / _PARTIAL_FILE).write_text(json.dumps(partly), encoding="utf-8")
    description = out / "data.yaml"
    # ultralytics wants a validation set; quality is measured by `fastsam eval`, so this one stays tiny.
    (out / "val.txt").write_text("\n".join(listed[:2]) + "\n", encoding="utf-8")
    description.write_text(
        f"path: {json.dumps(str(out))}\ntrain: train.txt\nval: val.txt\nnames:\n  0: object\n",
        encoding="utf-8",
    )
    return description


def _sample(path: str, imgsz: int) -> NDArray[np.float32]:
    """Return an image as a (3, imgsz, imgsz) array in 0..1, letterboxed."""
    bgr = cv2.imread(path)
    if bgr is None:
        raise DatasetError(f"image {path}: cannot be read")
    rgb = np.ascontiguousarray(bgr[..., ::-1], np.uint8)
    letterbox = Letterbox.fit((rgb.shape[0], rgb.shape[1]), imgsz, square=True)
    return np.asarray(network_input(rgb, letterbox)[0])


def class_agnostic(model: nn.Module, samples: NDArray[np.float32]) -> nn.Module:
    """Give a many-class YOLO segmentation network the single class ``object``, in place.

    The new objectness row of each scale is the ridge regression, on the sample images, of the old
    classes' highest logit on the features below it: the network starts as good as it was.

    Args:
        model: network as :func:`fastsam.weights.checkpoint.segmentation_model` returns it.
        samples: (N, 3, H, W) images in 0..1.
    """
    torch = require("torch", "train")
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
            new.bias.copy_(solution[-1:])
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
    torch = require("torch", "train")
    layers = [
        m
        for m in model.modules()
        if isinstance(m, torch.nn.BatchNorm2d)
        and bool((m.running_mean == 0).all())
        and float(m.running_var.std(correction=0)) < 1e-3
    ]
    sums = {id(m): [torch.zeros(m.num_features).double() for _ in range(2)] + [0] for m in layers}

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


def _trainer_class(config: TrainConfig, partial: frozenset[str]) -> type[Any]:
    """Return ultralytics' segmentation trainer with our loss and without its validation."""
    torch = require("torch", "train")
    base = require("ultralytics.models.yolo.segment", "train").SegmentationTrainer
    loss_base = require("ultralytics.utils.loss", "train").v8SegmentationLoss
    threads = torch.get_num_threads()

    class PartialLabelBCE(torch.nn.BCEWithLogitsLoss):  # type: ignore[misc,name-defined]
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

    class Trainer(base):  # type: ignore[misc,valid-type]
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
        weights: any YOLO segmentation checkpoint.
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
    out = Path(out).resolve()
    last = out / "run" / "weights" / "last.pt"
    datasets = [read_coco(folder, split="train") for folder in data]
    description = write_yolo_dataset(datasets, out / "dataset", partial)
    listed = (out / "dataset" / "train.txt").read_text(encoding="utf-8").splitlines()
    partly = frozenset(json.loads((out / "dataset" / _PARTIAL_FILE).read_text(encoding="utf-8")))
    if resume:
        if not last.is_file():
            raise TrainingError(
                f"resume: expected {last} from an earlier run, found nothing; start without resume"
            )
        load_checkpoint(last)  # refuses anything unsafe before ultralytics opens the file
        start = last
    else:
        start = _prepare(weights, listed, config, out)
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
    trainer = _trainer_class(config, partly)(overrides=overrides)
    trainer.train()
    return _write_final(last, out / "fastsam.pt", config, datasets)


def _prepare(weights: str | Path, listed: Sequence[str], config: TrainConfig, out: Path) -> Path:
    """Write the class-agnostic, settled starting checkpoint and return its path."""
    torch = require("torch", "train")
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    chosen = rng.choice(np.array(listed), size=min(64, len(listed)), replace=False)
    samples = np.stack([_sample(str(path), config.imgsz) for path in chosen])
    model = settle_batch_norm(class_agnostic(segmentation_model(weights), samples), samples)
    model.args = dict(vars(model.args)) if not isinstance(model.args, dict) else model.args  # type: ignore
    start = out / "start.pt"
    save_checkpoint({"model": model, "epoch": -1, "train_args": {}}, start)
    return start


def _write_final(last: Path, target: Path, config: TrainConfig, datasets: Sequence[CocoDataset]) -> Path:
    """Write the averaged weights of ``last`` as a plain fp16 checkpoint."""
    model: Any = segmentation_model(last).half()
    model.criterion, model.args = None, {"task": "segment", "imgsz": config.imgsz}
    for parameter in model.parameters():
        parameter.requires_grad = False
    description = {"config": asdict(config), "data": {d.name: len(d.images) for d in datasets}}
    save_checkpoint({"model": model, "epoch": -1, "train_args": {}, "fastsam": description}, target)
    return target
