"""Fit the segmentation network: a long run at a constant learning rate, and cool-downs from any point of it.

python -m recipes.nano_seg.fit run --pack PACK --weights START.pt --out RUN
python -m recipes.nano_seg.fit cool --out RUN --images 12000
python -m recipes.nano_seg.fit average --out RUN

``run`` goes on from ``RUN/last.pt`` until it is stopped (warm-up, then constant: Hägele et al., arXiv
2405.18392). ``cool`` lets the rate of a copy fall to zero and writes ``RUN/cooled-STEP.pt``, which
``fastsam calibrate`` makes ready for use; the long run may go on afterwards as if nothing had been.
``average`` writes the moving average of the weights as it is now, ``RUN/average-STEP.pt``, to look at.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from ultralytics.utils.loss import v8SegmentationLoss

from fastsam.everything.carried import Carried
from fastsam.training.mask_loss import RING_WEIGHT, grown_mask_loss
from fastsam.weights.checkpoint import save_checkpoint, segmentation_model
from recipes.nano_seg.pack import read_filled, read_pack
from recipes.nano_seg.views import CELL, Draw

# Height and width of a step's views, and how often: mostly as photos lie, so that little is padding.
SHAPES = (
    ((480, 640), 0.46),
    ((640, 480), 0.28),
    ((640, 640), 0.12),
    ((384, 512), 0.05),
    ((768, 1024), 0.05),
    ((1024, 768), 0.04),
)
DEFAULTS: dict[str, Any] = {
    "imgsz": 640,
    "conf": 0.1,
    "iou": 0.7,
    "edge_radius": 0.75,
    "min_region_share": 0.1,
    "fill_conf": 0.003,
    "regions": 20,
}
_PIXELS = 480 * 640  # a step has ``batch`` views of this size, fewer of larger ones


@dataclass(frozen=True)
class Recipe:
    """The settings of a run; stored in its files.

    ``growth`` is how far the loss looks beyond true boxes, ``box_growth`` how far masks may reach beyond
    found ones, which are off by less.
    """

    batch: int = 8
    lr: float = 4e-4
    weight_decay: float = 5e-4
    warmup_steps: int = 100
    ema: float = 0.999
    freeze: int = 10
    growth: float = 0.4
    ring_weight: float = RING_WEIGHT
    box_growth: float = 0.2
    masks_per_image: int = 48
    clip: float = 10.0
    seed: int = 0


class Steps(torch.utils.data.IterableDataset[Any]):
    """Endless batches; a step's views depend on the seed and the step's number only."""

    def __init__(self, folder: Path, recipe: Recipe, first: int) -> None:
        self.folder, self.recipe, self.first = folder, recipe, first
        self.pictures = read_pack(folder)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        torch.set_num_threads(1)
        import cv2

        cv2.setNumThreads(1)
        info = torch.utils.data.get_worker_info()
        if info is not None and hasattr(os, "nice"):
            os.nice(3)
        offset, stride = (info.id, info.num_workers) if info is not None else (0, 1)
        draw = Draw(self.pictures)
        known = sum(picture.filled is not None for picture in self.pictures)
        for step in range(self.first + offset, 1 << 40, stride):
            if step % 50 == 0:
                found = read_filled(self.folder, self.pictures)
                if found > known:
                    known, draw = found, Draw(self.pictures)
            yield batch_of(draw, self.recipe, step)


def batch_of(draw: Draw, recipe: Recipe, step: int) -> dict[str, Tensor]:
    """Return a step's views as the loss takes them."""
    rng = np.random.default_rng([recipe.seed, step])
    shares = np.array([share for _, share in SHAPES])
    size_hw = SHAPES[int(rng.choice(len(SHAPES), p=shares / shares.sum()))][0]
    count = max(round(recipe.batch * _PIXELS / (size_hw[0] * size_hw[1])), 1)
    views = [draw.view(rng, size_hw) for _ in range(count)]
    boxes = np.concatenate([view.boxes_xyxy for view in views])
    scale = np.array([size_hw[1], size_hw[0]] * 2, np.float32)
    xywh = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1) / scale
    of = np.repeat(np.arange(count), [len(view.masks) for view in views])
    return {
        "img": torch.from_numpy(np.stack([view.image for view in views])),
        "masks": torch.from_numpy(np.concatenate([view.masks for view in views])),
        "bboxes": torch.from_numpy(xywh),
        "batch_idx": torch.from_numpy(of.astype(np.float32)),
        "cls": torch.zeros(len(of), 1),
        "background": torch.from_numpy(np.stack([view.background for view in views])),
    }


class WeightedBce(nn.BCEWithLogitsLoss):
    """Objectness that believes the background of each place by a weight."""

    weight_of_background: Tensor | None = None

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each anchor."""
        loss: Tensor = super().forward(logits, targets)
        if self.weight_of_background is None:
            return loss
        return torch.where(targets > 0, loss, loss * self.weight_of_background[..., None])


class Network:
    """The network in training: frozen layers fused and without gradients, batch norms as they are."""

    def __init__(self, weights: Path, recipe: Recipe, device: str) -> None:
        self.model: Any = segmentation_model(weights).float().to(device)
        if self.model.model[-1].nc != 1:
            raise SystemExit(
                f"{weights}: expected a one-class network; `fastsam train` writes start.pt for this"
            )
        self.freeze, self.device = recipe.freeze, device
        frozen = copy.deepcopy(self.model).eval().fuse(verbose=False)
        self.frozen = [layer.requires_grad_(False) for layer in frozen.model[: recipe.freeze]]
        self.model.train()
        for module in self.model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
        head = self.model.model[-1]
        self.named = [
            (name, parameter)
            for name, parameter in self.model.named_parameters()
            if int(name.split(".")[1]) >= recipe.freeze and ".dfl." not in name
        ]
        for _, parameter in self.named:
            parameter.requires_grad_(True)
        self.model.args = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5, overlap_mask=False)
        loss = grown_mask_loss(v8SegmentationLoss, recipe.growth, recipe.ring_weight, recipe.masks_per_image)
        self.loss = loss(self.model)
        self.loss.bce = WeightedBce(reduction="none")
        self.strides = [int(stride) for stride in head.stride]

    def forward(self, images: Tensor) -> dict[str, Any]:
        """Return the raw outputs for (B, 3, H, W) images in 0..1."""
        kept: list[Any] = []
        x: Any = images
        for k, layer in enumerate(self.model.model):
            source = layer.f
            if source != -1:
                x = kept[source] if isinstance(source, int) else [x if j == -1 else kept[j] for j in source]
            if k < self.freeze:
                with torch.no_grad():
                    x = self.frozen[k](x)
            else:
                x = layer(x)
            kept.append(x if k in self.model.save else None)
        return dict(x)

    def losses(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the box, mask, objectness and DFL losses, each multiplied by the number of images."""
        given = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
        images = given["img"].flip(-1).permute(0, 3, 1, 2).float() / 255
        on_cpu = self.device == "cpu"
        if not on_cpu:  # on one core it is a third slower
            images = images.contiguous(memory_format=torch.channels_last)
        at_anchors = [
            given["background"][:, step // 2 :: step, step // 2 :: step].flatten(1)
            for step in (stride // CELL for stride in self.strides)
        ]
        self.loss.bce.weight_of_background = torch.cat(at_anchors, dim=1)
        with torch.autocast("cpu" if on_cpu else "cuda", torch.bfloat16, enabled=not on_cpu):
            outputs = self.forward(images)
        full = {
            name: [level.float() for level in value] if isinstance(value, list) else value.float()
            for name, value in outputs.items()
        }
        found: Tensor = self.loss(full, given)[0]
        return found[:4]


class Run:
    """The state of a run, and its file."""

    def __init__(self, folder: Path, weights: Path, recipe: Recipe, device: str) -> None:
        self.folder, self.recipe = folder, recipe
        torch.manual_seed(recipe.seed)
        self.network = Network(weights, recipe, device)
        if device != "cpu":
            self.network.model.to(memory_format=torch.channels_last)
        named = self.network.named
        decayed = [p for _, p in named if p.ndim > 1]
        others = [p for _, p in named if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed}, {"params": others, "weight_decay": 0.0}],
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
        )
        self.average = {name: p.detach().clone() for name, p in named}
        self.step = self.images = 0

    def load(self, path: Path) -> None:
        """Go on from a file of :meth:`save`."""
        state = torch.load(path, map_location=self.network.device, weights_only=True)
        with torch.no_grad():
            for name, parameter in self.network.named:
                parameter.copy_(state["parameters"][name])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.images = state["step"], state["images"]

    def save(self, path: Path) -> None:
        """Write everything that going on needs, all at once or not at all."""
        state = {
            "parameters": {name: p.detach() for name, p in self.network.named},
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "images": self.images,
        }
        torch.save(state, path.with_suffix(".part"))
        os.replace(path.with_suffix(".part"), path)

    def advance(self, batch: dict[str, Tensor], rate: float) -> Tensor:
        """Make one step; returns the losses of a mean image."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        losses = self.network.losses(batch)
        self.optimizer.zero_grad(set_to_none=True)
        (losses.sum() / len(batch["img"]) * self.recipe.batch).backward()
        parameters = [p for _, p in self.network.named]
        norm = nn.utils.clip_grad_norm_(parameters, self.recipe.clip)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.step += 1
        self.images += len(batch["img"])
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, p in self.network.named:
                self.average[name].lerp_(p, 1 - decay)
        return losses.detach() / len(batch["img"])

    def write_checkpoint(self, path: Path) -> None:
        """Write the averaged weights as a plain checkpoint, in half precision."""
        model = copy.deepcopy(self.network.model).to("cpu", memory_format=torch.contiguous_format)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in self.average:
                    parameter.copy_(self.average[name])
                parameter.requires_grad_(False)
        model.args = {"task": "segment", "imgsz": 640}
        # Not the largest of SHAPES: views of 1024 px are too few for large things to hold together there.
        carried = Carried(None, self.recipe.box_growth, DEFAULTS["imgsz"], DEFAULTS)
        about = {"recipe": asdict(self.recipe), "step": self.step, "images": self.images, **carried.to_dict()}
        content = {"model": model.eval().half(), "epoch": -1, "train_args": {}, "fastsam": about}
        save_checkpoint(content, path)


def _batches(pack: Path, run: Run, workers: int) -> Iterator[dict[str, Tensor]]:
    steps = Steps(pack, run.recipe, run.step)
    ahead = 3 if workers else None
    loader = torch.utils.data.DataLoader(steps, batch_size=None, num_workers=workers, prefetch_factor=ahead)
    return iter(loader)


class _Log:
    """Mean losses since the last line, in a file that grows."""

    def __init__(self, path: Path) -> None:
        self.path, self.sum, self.count = path, torch.zeros(4), 0
        self.started, self.images = time.monotonic(), 0

    def add(self, losses: Tensor, images: int) -> None:
        self.sum += losses.cpu()
        self.count += 1
        self.images += images

    def write(self, run: Run, rate: float) -> None:
        speed = self.images / (time.monotonic() - self.started)
        box, mask, objectness, dfl = (self.sum / self.count).tolist()
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(
                f"{run.step},{run.images},{rate:.2e},{box:.4f},{mask:.4f},{objectness:.4f},{dfl:.4f},{speed:.2f}\n"
            )
        self.sum.zero_()
        self.count = self.images = 0
        self.started = time.monotonic()


def _open(args: argparse.Namespace) -> Run:
    """Return the run of a folder, made anew where there is none."""
    settings = args.out / "recipe.json"
    if settings.is_file():
        stored = json.loads(settings.read_text(encoding="utf-8"))
        recipe, weights, pack = Recipe(**stored["recipe"]), Path(stored["weights"]), Path(stored["pack"])
    else:
        if args.weights is None or args.pack is None:
            raise SystemExit("run: expected --weights and --pack, as this folder holds no run yet")
        recipe = Recipe(batch=args.batch, lr=args.lr, freeze=args.freeze, growth=args.growth, seed=args.seed)
        weights, pack = args.weights.resolve(), args.pack.resolve()
        args.out.mkdir(parents=True, exist_ok=True)
        stored = {"recipe": asdict(recipe), "weights": str(weights), "pack": str(pack)}
        settings.write_text(json.dumps(stored, indent=1), encoding="utf-8")
    args.pack = pack
    run = Run(args.out, weights, recipe, args.device)
    if (args.out / "last.pt").is_file():
        run.load(args.out / "last.pt")
    return run


def run_on(args: argparse.Namespace) -> None:
    """Train on at the constant rate."""
    run = _open(args)
    log, saved, started = _Log(args.out / "log.csv"), time.monotonic(), time.monotonic()
    for batch in _batches(args.pack, run, args.workers):
        rate = run.recipe.lr * min(1.0, (run.step + 1) / run.recipe.warmup_steps)
        log.add(run.advance(batch, rate), len(batch["img"]))
        over = args.minutes is not None and time.monotonic() - started > 60 * args.minutes
        if run.step % 20 == 0:
            log.write(run, rate)
        if over or time.monotonic() - saved > 240:
            run.save(args.out / "last.pt")
            saved = time.monotonic()
        if over or (args.images is not None and run.images >= args.images):
            break
    run.save(args.out / "last.pt")


def cool(args: argparse.Namespace) -> None:
    """Let the rate of a copy fall linearly to zero and write the checkpoint."""
    if not (args.images or args.minutes):
        raise SystemExit("cool: expected --images or --minutes, how long it takes")
    run = _open(args)
    first, step = run.images, run.step
    log, saved, started = _Log(args.out / f"cool-{step}.csv"), time.monotonic(), time.monotonic()
    partly = args.out / f"cooling-{step}.pt"
    if partly.is_file():
        run.load(partly)
    for batch in _batches(args.pack, run, args.workers):
        done = (run.images - first) / args.images if args.images else 0.0
        if args.minutes:
            done = max(done, (time.monotonic() - started) / (60 * args.minutes))
        if done >= 1:
            break
        rate = run.recipe.lr * (1 - done)
        log.add(run.advance(batch, rate), len(batch["img"]))
        if run.step % 20 == 0:
            log.write(run, rate)
        if time.monotonic() - saved > 240:
            run.save(partly)
            saved = time.monotonic()
    run.write_checkpoint(args.out / f"cooled-{step}.pt")
    partly.unlink(missing_ok=True)


def average(args: argparse.Namespace) -> None:
    """Write the averaged weights as they are now."""
    run = _open(args)
    run.write_checkpoint(args.out / f"average-{run.step}.pt")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("run", "cool", "average"))
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument("--pack", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument(
        "--images", type=int, help="stop after so many (run), the length of the cool-down (cool)"
    )
    parser.add_argument(
        "--minutes", type=float, help="stop after so many (run); how many the cool-down takes (cool)"
    )
    parser.add_argument("--batch", type=int, default=Recipe.batch)
    parser.add_argument("--lr", type=float, default=Recipe.lr)
    parser.add_argument("--freeze", type=int, default=Recipe.freeze)
    parser.add_argument("--growth", type=float, default=Recipe.growth)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    {"run": run_on, "cool": cool, "average": average}[args.what](args)


if __name__ == "__main__":
    main()
