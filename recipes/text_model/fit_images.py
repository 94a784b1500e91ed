"""Teach the image tower to see masks where the text tower places their names.

python -m recipes.text_model.fit_images --data DATA --pictures PICTURES.pkl --text TOWER
    --imagenet MOBILENETV2 --out OUT

The text tower is locked (LiT, Zhai et al. 2022), so that words that no mask was named with stay where the
sentence-embedding model placed them; what the ImageNet classifier knows of its 1,000 names is distilled on
every row. A run that was broken goes on from OUT/last.pt.
"""

from __future__ import annotations

import argparse
import pickle
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax, normalize

from fastsam import read_frame
from fastsam.datasets import read_coco
from recipes.text_model import bank as banks
from recipes.text_model import sources, tower, views
from recipes.text_model.pictures import Picture

FROZEN = ("conv_stem", "bn1", "blocks.0", "blocks.1", "blocks.2")
PHOTOS = 12  # with captions, a step


class Rows(torch.utils.data.IterableDataset[Any]):
    """Endless batches: views, what is known of them, photos with a caption each."""

    def __init__(
        self,
        rows: list[Picture],
        photos: list[tuple[Path, list[int]]],
        bank: banks.Bank,
        batch: int,
        size: int,
    ) -> None:
        self.rows, self.batch, self.size = rows, batch, size
        self.place = {name: k for k, name in enumerate(bank.names)}
        counts: dict[tuple[str, str], int] = {}
        for row in rows:
            counts[row.name, row.source] = counts.get((row.name, row.source), 0) + 1
        weights = [
            1 / counts[row.name, row.source] ** 0.6 if row.name else 0.25 / counts["", row.source] ** 0.4
            for row in rows
        ]
        self.weights = np.cumsum(weights)
        self.photos = [(read_small(path), captions) for path, captions in photos]
        self.seed = 0

    def __iter__(self) -> Any:
        info = torch.utils.data.get_worker_info()
        rng = random.Random(self.seed * 1000 + (info.id if info else 0) + int(time.time()))
        while True:
            chosen = [
                self.rows[i]
                for i in rng.choices(range(len(self.rows)), cum_weights=self.weights, k=self.batch)
            ]
            pictures = [views.random_view(row, rng.choice(self.rows), self.size, rng) for row in chosen]
            photos = rng.sample(self.photos, PHOTOS)
            pictures += [views.photo_view(rgb, self.size, rng) for rgb, _ in photos]
            yield (
                torch.from_numpy(np.stack(pictures)),
                torch.tensor([self.place.get(row.name, -1) for row in chosen]),
                torch.tensor([self.place.get(row.inside, -1) for row in chosen]),
                torch.tensor([row.absent for row in chosen]),
                torch.from_numpy(np.stack([row.colour for row in chosen])),
                torch.from_numpy(np.stack([row.imagenet for row in chosen]).astype(np.float32)),
                torch.tensor([rng.choice(captions) for _, captions in photos]),
            )


def read_small(path: Path) -> np.ndarray:
    """Return a photo at no more than 256 px on its shorter side."""
    import cv2

    rgb = read_frame(path).rgb
    scale = min(256 / min(rgb.shape[:2]), 1.0)
    return cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else rgb


def start(args: argparse.Namespace) -> Any:
    """Return the model: the text tower as it was taught, the image tower as ImageNet taught it."""
    from safetensors.torch import load_file

    model = tower.build()
    if args.text:
        known = load_file(str(args.text / "open_clip_model.safetensors"))
        model.load_state_dict({k: v for k, v in known.items() if not k.startswith("visual.")}, strict=False)
    trunk = load_file(str(args.imagenet))
    missing, extra = model.visual.trunk.load_state_dict(trunk, strict=False)
    if missing or set(extra) - {"classifier.weight", "classifier.bias"}:
        raise SystemExit(f"{args.imagenet}: not the weights of mobilenetv2_100 ({missing}, {extra})")
    return model


def project(model: Any, bank: banks.Bank, imagenet: Path) -> None:
    """Start the projection where ImageNet's own classifier agrees with its names, by least squares."""
    from safetensors.torch import load_file

    weight = load_file(str(imagenet))["classifier.weight"].float()
    names = bank.forms[0, : len(weight)]
    centred = names - names.mean(dim=0)
    gram = centred.T @ centred + 0.5 * torch.eye(centred.shape[1])
    solution = torch.linalg.solve(gram, centred.T @ (weight - weight.mean(dim=0)))
    with torch.no_grad():
        model.visual.head.proj.weight.copy_(solution)


def see(model: Any, pictures: Tensor) -> Tensor:
    """Return unit vectors of (N, S, S, 3) uint8 pictures."""
    x = pictures.permute(0, 3, 1, 2).float() / 127.5 - 1  # in memory: channels last, which is faster
    return normalize(model.visual(x), dim=-1)


def loss_of(
    model: Any, batch: Any, bank: banks.Bank, groups: dict[str, Tensor], captions: Tensor
) -> dict[str, Tensor]:
    """Return the parts of the loss by name."""
    pictures, name, inside, absent, colour, imagenet, said = batch
    rows = len(name)
    vectors = see(model, pictures)
    masks, photos = vectors[:rows], vectors[rows:]
    scale = model.logit_scale.exp().clamp(max=100)
    form = bank.forms[random.randrange(len(bank.forms))]
    logits = scale * masks @ torch.cat([form, bank.background, bank.parts[inside.clamp(min=0)]]).T
    parts: dict[str, Tensor] = {}
    known = len(form) + len(bank.background)
    named = name >= 0
    candidates = logits[:, :known].clone()
    near = torch.zeros_like(candidates, dtype=torch.bool)
    near[named, : len(form)] = bank.near[name[named]]
    near[named, len(form) :] = bank.background_near[name[named]]
    candidates = candidates.masked_fill(near, -1e4)
    parts["name"] = cross_entropy(candidates[named], name[named])
    among = groups["coco"]
    if absent.any():
        shares = logits[absent, :known].softmax(dim=-1)
        parts["absent"] = -0.3 * torch.log1p(-shares[:, among].sum(dim=-1).clamp(max=0.999)).mean()
    part = inside >= 0
    if part.any():
        own = logits[part].gather(1, (known + torch.arange(rows)[part])[:, None])
        whole = logits[part].gather(1, inside[part][:, None])
        rest = logits[part][:, len(form) : known]
        joint = torch.cat([own, whole, rest], dim=1).softmax(dim=-1)
        parts["part"] = -0.3 * torch.log1p(-joint[:, 1].clamp(max=0.999)).mean()
    teacher = (imagenet / 1.5).softmax(dim=-1)
    student = log_softmax(logits[:, :1000] / 1.5, dim=-1)
    parts["imagenet"] = 0.5 * (teacher * (teacher.clamp(min=1e-8).log() - student)).sum(dim=-1).mean()
    clear = named & (colour.max(dim=1).values > 0.5)
    if clear.any():
        tinted = bank.coloured[name[clear]]
        found = log_softmax(scale * torch.einsum("nd,ncd->nc", masks[clear], tinted), dim=-1)
        parts["colour"] = -0.2 * (colour[clear] * found).sum(dim=-1).mean()
    others = torch.randint(len(captions), (240,))
    against = scale * photos @ torch.cat([captions[said], captions[others]]).T
    back = scale * captions[said] @ photos.T
    target = torch.arange(len(photos))
    parts["caption"] = 0.15 * (cross_entropy(against, target) + cross_entropy(back, target))
    return parts


@torch.no_grad()
def measure(model: Any, rows: list[Picture], bank: banks.Bank, groups: dict[str, Tensor], look: str) -> str:
    """Return how many of the tuning photos' drawn masks are named right, by source and colour."""
    model.eval()
    place = {name: k for k, name in enumerate(bank.names)}
    said = []
    for source, group in groups.items():
        chosen = [
            r
            for r in rows
            if r.name and r.source == {"coco": "coco_mix"}.get(source, source) and place[r.name] in group
        ][:600]
        if not chosen:
            continue
        vectors = vectors_of(model, chosen, look)
        right = group[(vectors @ bank.forms[0][group].T).argmax(dim=1)] == torch.tensor(
            [place[r.name] for r in chosen]
        )
        kinds = sorted({r.name for r in chosen})
        macro = np.mean([right[[r.name == kind for r in chosen]].float().mean().item() for kind in kinds])
        said.append(f"{source} {right.float().mean():.3f}/{macro:.3f}")
        if source == "coco":
            tinted = torch.einsum("nd,ncd->nc", vectors, bank.coloured[[place[r.name] for r in chosen]])
            clear = torch.tensor([r.colour.max() > 0.5 for r in chosen])
            truth = torch.tensor([int(r.colour.argmax()) for r in chosen])
            said.append(f"colour {(tinted.argmax(dim=1) == truth)[clear].float().mean():.3f}")
            wide = torch.tensor([place[r.name] for r in chosen])
            first = (vectors @ bank.forms[0].T).masked_fill(bank.near[wide], -1).topk(5, dim=1).indices
            hits = first == wide[:, None]
            said.append(f"wide top1 {hits[:, 0].float().mean():.3f} top5 {hits.any(1).float().mean():.3f}")
    return ", ".join(said)


def vectors_of(model: Any, rows: list[Picture], look: str = "masked") -> Tensor:
    """Return (N, D) unit vectors of rows as prompts/text/crops.py would show them."""
    found = []
    for first in range(0, len(rows), 64):
        pictures = np.stack([views.plain(row, tower.IMAGE_SIZE, look) for row in rows[first : first + 64]])
        found.append(see(model, torch.from_numpy(pictures)))
    return torch.cat(found)


def main() -> None:
    """Fit, measure every now and then, save the moving average."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--pictures", required=True, type=Path, nargs="+")
    parser.add_argument("--text", type=Path, help="the taught text tower")
    parser.add_argument("--teacher", type=Path, help="the sentence-embedding model, instead of the tower")
    parser.add_argument("--axes", type=Path, help="teacher.npz of distil_text.py")
    parser.add_argument("--imagenet", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=52)
    parser.add_argument("--size", type=int, default=128, help="of the pictures in training; measured at 160")
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    rows = [Picture(**row) for path in args.pictures for row in pickle.loads(path.read_bytes())]
    fit(rows, args)


def fit(rows: list[Picture], args: argparse.Namespace) -> None:
    """Run the steps."""
    model = start(args)
    model.visual.to(memory_format=torch.channels_last)
    encode = banks.by_teacher(args.teacher, args.axes) if args.teacher else banks.by_tower(model)
    bank, groups = prepared(encode, args.data)
    project(model, bank, args.imagenet)
    photos = [
        (path, said) for path, said in sources.captioned(args.data) if not sources.for_tuning(path.name)
    ]
    sentences = [caption for _, said in photos for caption in said]
    captions = encode(sentences)
    place = iter(range(len(sentences)))
    numbered = [(path, [next(place) for _ in said]) for path, said in photos]
    tuning = [row for row in rows if sources.for_tuning(row.photo)]
    learned = [row for row in rows if not sources.for_tuning(row.photo)]
    print(f"{len(learned)} rows, {len(tuning)} for tuning, {len(photos)} photos with captions", flush=True)
    data = torch.utils.data.DataLoader(
        Rows(learned, numbered, bank, args.batch, args.size),
        batch_size=None,
        num_workers=1,
        prefetch_factor=4,
    )
    head, rest = split(model)
    model.logit_scale.data.fill_(np.log(30.0))
    optimiser = torch.optim.AdamW(
        [
            {"params": rest, "lr": args.rate, "weight_decay": 0.02},
            {"params": head, "lr": 5 * args.rate, "weight_decay": 0.01},
            {"params": [model.logit_scale], "lr": 2 * args.rate, "weight_decay": 0.0},
        ]
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        [group["lr"] for group in optimiser.param_groups],
        total_steps=args.steps + 1,
        pct_start=0.08,
    )
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998)
    )
    first = resume(args.out / "last.pt", model, average, optimiser, schedule)
    sums: dict[str, float] = {}
    begun = time.time()
    for step, batch in enumerate(data, first + 1):
        model.eval()  # the batch norms are folded: their statistics stay as they are
        parts = loss_of(model, batch, bank, groups, captions)
        loss = sum(parts.values())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(rest + head, 1.0)
        optimiser.step()
        schedule.step()
        average.update_parameters(model)
        for key, value in parts.items():
            sums[key] = 0.98 * sums.get(key, value.item()) + 0.02 * value.item()
        if step % 50 == 0:
            said = " ".join(f"{key} {value:.3f}" for key, value in sums.items())
            print(
                f"{step}/{args.steps} {said} scale {model.logit_scale.exp():.1f} {time.time() - begun:.0f}s",
                flush=True,
            )
        if step % 400 == 0 or step == args.steps:
            for look in ("masked", "blurred", "context"):
                print(f"  {look}: {measure(average.module, tuning, bank, groups, look)}", flush=True)
            tower.save(average.module, args.out / "model")
            state = [part.state_dict() for part in (model, average, optimiser, schedule)]
            torch.save({"step": step, "state": state}, args.out / "last.pt.partial")
            (args.out / "last.pt.partial").replace(args.out / "last.pt")
        if step >= args.steps:
            break


def prepared(encode: banks.Encode, data: Path) -> tuple[banks.Bank, dict[str, Tensor]]:
    """Return the bank, and which of its names each source chooses from."""
    lists = {}
    for source in sources.SOURCES:
        found = read_coco(data / source, "train").categories.values()
        lists["coco" if source == "coco_mix" else source] = list(dict.fromkeys(map(sources.spoken, found)))
    bank = banks.build(encode, list(lists.values()))
    place = {name: k for k, name in enumerate(bank.names)}
    return bank, {source: torch.tensor([place[name] for name in names]) for source, names in lists.items()}


def split(model: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Return the parameters of the projection and of the image tower's later blocks; freeze the others."""
    head, rest = [], []
    for name, parameter in model.named_parameters():
        if name.startswith("visual.head"):
            head.append(parameter)
        elif name.startswith("visual.trunk.") and not name.removeprefix("visual.trunk.").startswith(FROZEN):
            rest.append(parameter)
        elif name != "logit_scale":
            parameter.requires_grad_(False)
    return head, rest


def resume(path: Path, *parts: Any) -> int:
    """Load what a broken run left; return its step."""
    if not path.is_file():
        return 0
    saved = torch.load(path, weights_only=False)
    for part, state in zip(parts, saved["state"], strict=True):
        part.load_state_dict(state)
    return int(saved["step"])


if __name__ == "__main__":
    main()
