"""The commands that make weights: ``fastsam annotate``, ``train``, ``calibrate`` and ``mix``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from fastsam.cli.console import bar, fetched, talk
from fastsam.cli.flags import PROMPTS, Device, ModelFlags, Out, Weights, collect, with_flags, with_options
from fastsam.config import AnnotateConfig, TrainConfig
from fastsam.errors import ConfigError, FastSAMError

__all__ = ["annotate", "calibrate", "mix", "train"]

_Datasets = Annotated[
    list[Path], typer.Argument(help="COCO-format folders: instances.json, images/, heldout.txt.")
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
    data: _Datasets,
    weights: Weights = None,
    out: Annotated[Path, Out("Run folder.")] = Path("runs/train"),
    partial: _Partial = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the run folder's last checkpoint.")
    ] = False,
    **options: Any,
) -> None:
    """Fine-tune a network to find every mask (one class; images in heldout.txt are left out)."""
    from fastsam.training.trainer import train as run

    config = TrainConfig(**collect(TrainConfig, options))
    typer.echo(run(data, weights or "default", out, config, partial=partial or (), resume=resume))


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
