"""The commands that make weights: ``fastsam annotate``, ``train``, ``calibrate`` and ``mix``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from fastsam.cli.console import bar, fetched, talk
from fastsam.cli.flags import (
    INPUT,
    PROMPTS,
    Device,
    ModelFlags,
    Out,
    Weights,
    collect,
    with_flags,
    with_options,
)
from fastsam.config import AnnotateConfig, EvalConfig, TrainConfig
from fastsam.errors import ConfigError, FastSAMError

if TYPE_CHECKING:
    from fastsam.datasets import CocoDataset

__all__ = ["annotate", "calibrate", "mix", "train"]

_FIGURES = {
    "AR@1000": "recall of masks, mean over IoU .50:.95",
    "AP": "average precision, class-agnostic",
    "oracle_mIoU": "IoU of each object's best mask",
    "point_mIoU": "IoU of the answer to one click",
    "box_mIoU": "IoU of the answer to the tight box",
}

_Datasets = Annotated[
    list[Path], typer.Argument(help="COCO-format folders: instances.json, images/, heldout.txt.")
]
_Trained = Annotated[
    list[Path],
    typer.Argument(help="COCO folders (instances.json, images/, heldout.txt) or YOLO ones (data.yaml)."),
]
_Partial = Annotated[
    list[str] | None,
    typer.Option(help="Name of a folder in which only some objects are labelled; repeat for more."),
]


@with_options(AnnotateConfig)
@with_flags
def annotate(
    data: Annotated[list[Path], typer.Argument(help="COCO-format folders, or folders with images/ alone.")],
    models: ModelFlags,
    out: Annotated[Path, Out("Folder of the new datasets; each keeps its name.")],
    text: Annotated[
        list[str] | None,
        typer.Option(
            help="A class of new masks, such as 'person=a person'; repeat for more.", rich_help_panel=PROMPTS
        ),
    ] = None,
    vocabulary: Annotated[
        str | None,
        typer.Option(
            help="Classes of new masks: coco, everyday, stuff, or a file with one per line.",
            show_default="every mask is an object",
            rich_help_panel=PROMPTS,
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(help="Minimum probability of a class.", min=0.0, max=1.0, rich_help_panel=PROMPTS)
    ] = 0.3,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Keep masks of no class, as objects.", rich_help_panel=PROMPTS)
    ] = False,
    **options: Any,
) -> None:
    """Label what is not labelled yet: masks that the model is sure of join a dataset's own."""
    from fastsam.training.annotate import annotate as run

    if text and vocabulary is not None:
        raise ConfigError("annotate: expected --text or --vocabulary, got both")
    config = AnnotateConfig(**collect(AnnotateConfig, options))
    model = models.load()
    failed = 0

    def tell(name: str, error: FastSAMError) -> None:
        nonlocal failed
        failed += 1
        talk.print(f"[red]error:[/red] {escape(str(error))}", soft_wrap=True)

    for folder in data:
        with bar(f"annotating {folder.name}") as update:
            written = run(
                folder, model, out / folder.resolve().name, config, classes=text or vocabulary,
                threshold=threshold, unknown=unknown, on_progress=update, on_error=tell,
            )  # fmt: skip
        typer.echo(written)
    if failed:
        raise typer.Exit(1)


@with_options(TrainConfig)
def train(
    data: _Trained,
    weights: Weights = None,
    out: Annotated[Path, Out("Run folder.")] = Path("runs/train"),
    images: Annotated[
        Path | None,
        typer.Option(help="Where the images of the folders are, if not in them.", rich_help_panel=INPUT),
    ] = None,
    partial: _Partial = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the run folder's last checkpoint.")
    ] = False,
    figures: Annotated[
        int,
        typer.Option(
            help="Measure on at most this many images of each folder before and after; 0 does without.", min=0
        ),
    ] = 50,
    **options: Any,
) -> None:
    """Fine-tune a network to find every mask; images in heldout.txt are left out, and measured on."""
    from fastsam.training.folders import read_folder
    from fastsam.training.trainer import train as run

    config = TrainConfig(**collect(TrainConfig, options))
    start = fetched(weights)
    with bar("training", config.epochs) as update:

        def told(done: int, total: int, loss: str) -> None:
            update(done, total)
            talk.print(f"epoch {done} of {total}, {loss}")

        written = run(
            data,
            weights or "default",
            out,
            config,
            partial=partial or (),
            images=images,
            resume=resume,
            on_progress=told,
            on_note=talk.print,
        )
    typer.echo(written)
    if figures:
        held = [read_folder(folder, "heldout", images) for folder in data if _holds_out(folder)]
        measured = [one for one in held if one.images] or [read_folder(one, "train", images) for one in data]
        _compare(measured, start, written, config.imgsz, figures)


def _holds_out(folder: Path) -> bool:
    return (folder / "heldout.txt").is_file() or (folder / "data.yaml").is_file()


def _compare(datasets: Sequence[CocoDataset], before: Path, after: Path, imgsz: int, limit: int) -> None:
    """Measure both networks, print the figures side by side, and keep them beside the newer one."""
    from rich.table import Table

    from fastsam.evaluation.report import save_json
    from fastsam.evaluation.runner import evaluate
    from fastsam.model import FastSAM

    config = EvalConfig(imgsz=imgsz, used=False, quality=False)
    found: list[dict[str, Any]] = []
    for dataset in datasets:
        row: dict[str, Any] = {"dataset": dataset.name, "split": dataset.split}
        for when, weights in (("before", before), ("after", after)):
            with bar(f"measuring {dataset.name}, {when}") as update:
                results = evaluate(dataset, FastSAM(weights), config=config, limit=limit, on_progress=update)
            row["images"] = results["images"]
            row[when] = {name: results[name] for name in _FIGURES}
        found.append(row)
    save_json({"figures": found}, after.with_name("figures.json"))
    table = Table(box=None)
    for heading in ("", *(f"{when} {row['dataset']}" for row in found for when in ("before:", "after:"))):
        table.add_column(heading, justify="right" if heading else "left")
    for name, what in _FIGURES.items():
        values = [row[when][name] for row in found for when in ("before", "after")]
        table.add_row(what, *("-" if value is None else f"{value:.3f}" for value in values))
    talk.print(table)
    for row in found:
        seen = "held out" if row["split"] == "heldout" else "trained on; hold some out (heldout.txt)"
        talk.print(f"{row['dataset']}: {row['images']} images, {seen}")


def calibrate(
    data: _Datasets,
    out: Annotated[Path, Out("The checkpoint to write.")],
    weights: Weights = None,
    partial: _Partial = None,
    limit: Annotated[int | None, typer.Option(help="Maximum number of images per folder.", min=1)] = None,
    device: Device = "auto",
) -> None:
    """Fit the mask-quality score on training images and store it in the checkpoint."""
    from fastsam.training.calibrate import calibrate as run

    with bar("measuring masks") as update:
        start = fetched(weights)
        written = run(data, start, out, partial=partial or (), limit=limit, device=device, on_progress=update)
    typer.echo(written)


def mix(
    first: Annotated[str, typer.Argument(help="A checkpoint's path, or a name of `fastsam weights`.")],
    second: Annotated[
        str, typer.Argument(help="Another checkpoint of the same network, such as the first fine-tuned.")
    ],
    out: Annotated[Path, Out("The checkpoint to write.")],
    share: Annotated[float, typer.Option(help="Share of the second checkpoint.", min=0.0, max=1.0)] = 0.5,
) -> None:
    """Average the weights of two checkpoints of one network."""
    from fastsam.training.mix import mix as run

    typer.echo(run(fetched(first), fetched(second), out, share))
