"""Fine-tune a YOLO segmentation network to find every mask: thin over ultralytics' trainer.

What everything-segmentation needs and ultralytics' own recipe lacks:

* one class, ``object``, whose head starts from the old classes' head instead of from noise; or the classes of
  the datasets, if asked for;
* nested labels (a dress inside a person): ``overlap_mask`` off;
* masks that are right beyond a box that is too small: the mask loss looks around the true box, too;
* sources that label only some objects: there, unlabelled is not background, so the objectness loss
  of background anchors is weighted down (``negative_weight``);
* checkpoints whose batch norm was folded away: its statistics are measured first.

Everything else (augmentation, optimiser, schedule, GPU) is ultralytics'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from fastsam.config import TrainConfig
from fastsam.datasets import CocoDataset
from fastsam.errors import FastSAMError, TrainingError, reason_of
from fastsam.everything.backends.torch_network import one_to_many, pick_device
from fastsam.everything.carried import Carried, carried_by
from fastsam.files import as_export_errors, file_sha256, sole_writer
from fastsam.needed import needed
from fastsam.training.dataset import YoloDataset, class_names, network_sample, write_yolo_dataset
from fastsam.training.folders import read_folder
from fastsam.training.loop import OnEpoch, alone_and_quiet, trainer_class
from fastsam.training.run_folder import RunFolder
from fastsam.training.surgery import settle_batch_norm, with_classes
from fastsam.weights.checkpoint import load_checkpoint, save_checkpoint, segmentation_model
from fastsam.weights.resolve import resolve

__all__ = ["train"]


def train(
    data: Sequence[str | Path],
    weights: str | Path = "default",
    out: str | Path = "runs/train",
    config: TrainConfig | None = None,
    *,
    partial: Sequence[str] = (),
    images: str | Path | None = None,
    resume: bool = False,
    on_progress: OnEpoch | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Path:
    """Fine-tune a network on the training split of folders in COCO or YOLO format.

    Args:
        data: dataset folders, see :func:`fastsam.training.folders.read_folder`; images that a folder's
            ``heldout.txt`` lists are never used.
        weights: any YOLO segmentation checkpoint, or a name of the weights table.
        out: run folder; one run at a time writes to it. Without ``resume``, an earlier run in it is replaced.
        config: the options.
        partial: names (last path part) of datasets that label only some of their objects.
        images: where the images of the folders are, if not in them.
        resume: go on from the last whole epoch of the run folder.
        on_progress: called after each epoch with (done, total, loss in words).
        on_note: called with what was left out of the data, in words.

    Returns:
        The finished checkpoint ``out/fastsam.pt``: float16, no optimiser state, loads in ultralytics.

    Raises:
        DatasetError, CheckpointError, ConfigError: an input is unusable.
        TrainingError: there is nothing to resume, the run has finished, or it was started otherwise; or the
            training broke off.
        ExportError: the run folder cannot be written to, or another run writes to it.
    """
    config = config or TrainConfig()
    config = replace(config, device=pick_device(config.device))
    found = resolve(weights)
    carried = _carried(weights, config)
    folder = RunFolder(Path(out).resolve())
    datasets = [read_folder(one, "train", images) for one in data]
    names = class_names(datasets) if config.classes else None
    settings = _settings(config, file_sha256(found.path), names)
    with sole_writer(folder.path, "run folder"):
        if resume:
            folder.check_resumable(settings)
        with as_export_errors(folder.path):
            dataset = write_yolo_dataset(datasets, folder.path / "dataset", partial, names)
        if on_note is not None:
            for note in dataset.notes:
                on_note(note)
        if not resume:
            folder.begin(settings)
            _prepare(found.path, dataset, config, folder.start)
        if not resume or not folder.trained:
            _run(folder, dataset, config, carried, on_progress)
        written = _write_final(folder, config, datasets, carried)
        folder.finish()
    return written


def _settings(config: TrainConfig, weights_sha256: str, names: Sequence[str] | None) -> dict[str, Any]:
    """Return what a run must have in common with the one that it goes on from."""
    options = asdict(config)
    for free in ("device", "workers"):  # where it runs is no part of what it does
        del options[free]
    return {**options, "weights": weights_sha256[:16], "names": list(names) if names else None}


def _run(
    folder: RunFolder,
    dataset: YoloDataset,
    config: TrainConfig,
    carried: Carried,
    on_progress: OnEpoch | None,
) -> None:
    """Train, or train on, until the last epoch."""
    resume = folder.epochs > 0
    start = folder.last if resume else folder.start
    overrides = {
        "model": str(start), "data": str(dataset.description), "epochs": config.epochs, "time": config.hours,
        "imgsz": config.imgsz, "batch": config.batch, "freeze": config.freeze, "lr0": config.lr0,
        "lrf": 0.02, "optimizer": "AdamW", "cos_lr": True, "warmup_epochs": 0.5, "warmup_bias_lr": config.lr0,
        "weight_decay": 5e-4, "nbs": config.batch, "overlap_mask": False, "mask_ratio": 4, "mosaic": 0.0,
        "scale": 0.4, "translate": 0.1, "fliplr": 0.5,
        "copy_paste": config.copy_paste, "device": config.device, "workers": config.workers,
        "seed": config.seed, "project": str(folder.path), "name": "run", "exist_ok": True, "val": False,
        "plots": False, "amp": config.device.startswith("cuda"), "patience": 0,
        "resume": str(start) if resume else False,
    }  # fmt: skip
    kind = trainer_class(config, dataset, carried.box_growth, on_progress, folder.mark_trained)
    try:
        with alone_and_quiet():
            kind(overrides=overrides).train()
    except FastSAMError:
        raise
    except OSError as error:
        with as_export_errors(folder.path):
            if error.errno is not None:
                raise
        raise _broken_off(error) from error
    except (RuntimeError, MemoryError) as error:
        raise _broken_off(error) from error


def _broken_off(error: Exception) -> TrainingError:
    said = reason_of(error).split("\n")[0]
    memory = isinstance(error, MemoryError) or "out of memory" in said
    return TrainingError(
        f"the training broke off ({said})",
        advice="go on with --resume" + (", with a smaller --batch or --imgsz" if memory else ""),
    )


def _carried(weights: str | Path, config: TrainConfig) -> Carried:
    """Return what the finished checkpoint carries: its start's defaults, and what this run adds to them.

    A calibration is not among it: it has to be fitted anew.
    """
    found = resolve(weights)
    start = carried_by(load_checkpoint(found.path), found.path)
    growth = start.box_growth if config.box_growth is None else config.box_growth
    defaults = {"imgsz": config.imgsz, **start.defaults, **found.defaults}
    return Carried(None, growth, max(config.imgsz, start.trained_imgsz), defaults)


def _prepare(weights: Path, dataset: YoloDataset, config: TrainConfig, target: Path) -> None:
    """Write the starting checkpoint: with its classes, one branch of boxes, and batch norms settled."""
    with needed("torch", "train"):
        import torch
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    listed = np.array([str(path) for path in dataset.images])
    chosen = rng.choice(listed, size=min(64, len(listed)), replace=False)
    samples = np.stack([network_sample(str(path), config.imgsz) for path in chosen])
    model: Any = segmentation_model(weights)
    one_to_many(model.model[-1])
    model = settle_batch_norm(with_classes(model, samples, dataset.names), samples)
    model.args = dict(vars(model.args)) if not isinstance(model.args, dict) else model.args
    save_checkpoint({"model": model, "epoch": -1, "train_args": {}}, target)


def _write_final(
    folder: RunFolder, config: TrainConfig, datasets: Sequence[CocoDataset], carried: Carried
) -> Path:
    """Write the averaged weights of the last epoch as a plain fp16 checkpoint."""
    model: Any = segmentation_model(folder.last).half()
    model.criterion, model.args = None, {"task": "segment", "imgsz": config.imgsz}
    for parameter in model.parameters():
        parameter.requires_grad = False
    trained_on = {d.name: len(d.images) for d in datasets}
    description = {"config": asdict(config), "data": trained_on, **carried.to_dict()}
    save_checkpoint({"model": model, "epoch": -1, "train_args": {}, "fastsam": description}, folder.final)
    return folder.final
