"""The commands that measure: ``fastsam eval`` and ``fastsam eval-texts``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from fastsam.cli.console import bar, load_text_models
from fastsam.cli.flags import NetworkFlags, Out, collect, with_flags, with_options
from fastsam.config import EvalConfig, SegmentConfig, TextEvalConfig
from fastsam.errors import ConfigError

__all__ = ["evaluate", "evaluate_texts"]


@with_options(EvalConfig)
@with_flags
def evaluate(
    dataset: Annotated[
        list[Path],
        typer.Argument(
            help="COCO-format folders: instances.json, images/, heldout.txt; for vos folders of clips."
        ),
    ],
    models: NetworkFlags,
    protocol: Annotated[
        Literal["everything", "vos"],
        typer.Option(help="Masks of photos, or objects followed through clips from their first masks."),
    ] = "everything",
    split: Annotated[
        Literal["heldout", "train", "all"], typer.Option(help="Images to measure on.")
    ] = "heldout",
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="vos: ours, box, track, botsort or oracle; repeat to compare.",
            show_default="box, track, oracle",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        Out("Keep the figures of each image or clip here, to continue from."),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Maximum number of images or clips.", min=1)] = None,
    worst: Annotated[
        int, typer.Option(help="Number of worst images to draw into the output folder.", min=0)
    ] = 0,
    pictures: Annotated[
        Path | None, typer.Option(help="vos: a folder for pictures of each clip with each method's masks.")
    ] = None,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print JSON on stdout, one object per dataset and method.")
    ] = False,
    **options: Any,
) -> None:
    """Measure recall, the selectors and the boundaries on annotated images, or following on clips."""
    from fastsam.evaluation.report import clip_table, table
    from fastsam.evaluation.runner import evaluate as run
    from fastsam.evaluation.vos import evaluate_vos
    from fastsam.evaluation.vos_methods import DEFAULT_METHODS

    given = collect(EvalConfig, options)
    config = EvalConfig(**given)
    _check_protocol(protocol, {"--method": method, "--pictures": pictures}, given, split, worst)
    model = models.load()
    figures: list[dict[str, Any]] = []
    for folder in dataset:
        with bar(f"measuring {folder.name}") as update:
            if protocol == "vos":
                results = evaluate_vos(
                    folder,
                    model,
                    methods=method or DEFAULT_METHODS,
                    out=out,
                    pictures=pictures,
                    limit=limit,
                    on_progress=update,
                )
            else:
                results = [
                    run(
                        folder,
                        model,
                        split=split,
                        config=config,
                        out=out,
                        limit=limit,
                        worst=worst,
                        on_progress=update,
                    )
                ]
        figures += results
        for result in results if json_lines else ():
            typer.echo(json.dumps(result))
    if not json_lines:
        console = Console(highlight=False)
        console.print(table(figures))
        if protocol == "vos":
            console.print(clip_table(figures))


def _check_protocol(
    protocol: str, of_vos: dict[str, Any], options: dict[str, Any], split: str, worst: int
) -> None:
    """Raise ConfigError for a flag that has no effect in the protocol."""
    if protocol == "vos":
        usual = EvalConfig()
        changed = [
            f"--{name.replace('_', '-')}" for name, value in options.items() if value != getattr(usual, name)
        ]
        changed += ["--split"] * (split != "heldout") + ["--worst"] * (worst > 0)
        where = "following uses the weights' own options and draws with --pictures"
    else:
        changed = [name for name, value in of_vos.items() if value]
        where = "it belongs to --protocol vos"
    if changed:
        raise ConfigError(f"{changed[0]}: has no effect with --protocol {protocol}: {where}; leave it out")


@with_options(TextEvalConfig)
@with_options(SegmentConfig, optional=True)
@with_flags
def evaluate_texts(
    dataset: Annotated[
        list[Path],
        typer.Argument(help="Folders with images/, heldout.txt, and instances.json, captions.json or both."),
    ],
    models: NetworkFlags,
    text_model: Annotated[
        list[str] | None,
        typer.Option(
            help="An open_clip folder, MODEL:TAG or MODEL:FILE; repeat to compare.",
            show_default="the embedded fastsam-nano-text",
        ),
    ] = None,
    crops: Annotated[
        list[str] | None,
        typer.Option(help="masked, blurred or context; repeat to compare.", show_default="masked"),
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(help="A file of lines CATEGORY = TEXT, the words to ask with."),
    ] = None,
    split: Annotated[
        Literal["heldout", "train", "all"], typer.Option(help="Images to measure on.")
    ] = "heldout",
    out: Annotated[Path | None, Out("Keep the figures of each image here, to continue from.")] = None,
    limit: Annotated[int | None, typer.Option(help="Maximum number of images.", min=1)] = None,
    json_lines: Annotated[
        bool,
        typer.Option("--json", help="Print JSON on stdout, one object per dataset, model and kind of crop."),
    ] = False,
    **options: Any,
) -> None:
    """Measure texts, labels and captions on annotated images."""
    from fastsam.evaluation.category_names import read_names
    from fastsam.evaluation.report import table
    from fastsam.evaluation.texts import evaluate_texts as run

    said = read_names(names, dataset) if names is not None else {}
    text_models = load_text_models(text_model or [], models.device)
    model = models.load()
    config, figures = TextEvalConfig(**collect(TextEvalConfig, options)), []
    for folder in dataset:
        with bar(f"measuring {folder.name}") as update:
            results = run(
                folder,
                model,
                text_models,
                crops=crops or ("masked",),
                split=split,
                config=config,
                names=said,
                segment=collect(SegmentConfig, options),
                out=out,
                limit=limit,
                on_progress=update,
            )
        figures += results
        for result in results if json_lines else ():
            typer.echo(json.dumps(result))
    if not json_lines:
        Console(highlight=False).print(table(figures))
