"""The ``fastsam`` command. Answers go to stdout, talk to stderr; a user's mistake is one line and exit 2."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from fastsam import __version__
from fastsam.cli.console import bar, close_bars, fetched, load_model, talk, tiles_of
from fastsam.cli.convert import export_model
from fastsam.cli.evaluate import evaluate, evaluate_texts
from fastsam.cli.find import find, index
from fastsam.cli.flags import Backend, Device, TextModel, Weights, collect, with_options
from fastsam.cli.video import camera, video
from fastsam.config import AnnotateConfig, RenderConfig, SegmentConfig, TrainConfig
from fastsam.errors import ConfigError, FastSAMError

__all__ = ["app", "main"]

app = typer.Typer(
    name="fastsam",
    help="Find every mask of an image once, then select by box, point, mask or text.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command; our own errors become one line on stderr and exit code 2."""
    try:
        app()
    except FastSAMError as error:
        close_bars()
        talk.print(f"[red]error:[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        close_bars()
        talk.print("stopped; run the same command again to go on")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fastsam {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Find every mask of an image once, then select by box, point, mask or text."""


@app.command()
@with_options(RenderConfig)
@with_options(SegmentConfig, optional=True)
def segment(
    images: Annotated[list[str], typer.Argument(help="Image files, folders, patterns, or - for stdin.")],
    point: Annotated[
        list[str] | None,
        typer.Option(help="x,y or x,y,label (1 foreground, 0 background); all points are about one object."),
    ] = None,
    box: Annotated[list[str] | None, typer.Option(help="x1,y1,x2,y2; one answer for each box.")] = None,
    mask: Annotated[
        list[Path] | None,
        typer.Option(help="An image of the photo's size whose bright pixels mark the region."),
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="What to look for, such as 'a red car'; all that show it.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Least score of a text, or probability of a label (0.3 if not given).", min=0.0, max=1.0
        ),
    ] = None,
    label: Annotated[bool, typer.Option("--label", help="Name each mask from the vocabulary.")] = False,
    vocabulary: Annotated[
        str | None,
        typer.Option(help="coco, everyday, stuff or a file with a name a line; implies --label. [everyday]"),
    ] = None,
    prompt: Annotated[list[str] | None, typer.Option(help="A prompt as JSON (docs/prompts.md).")] = None,
    combine: Annotated[
        Literal["any", "all"], typer.Option(help="How prompts of several kinds combine.")
    ] = "any",
    multimask: Annotated[
        bool, typer.Option(help="Up to three answers for the points: whole, part, subpart.")
    ] = False,
    level: Annotated[
        Literal["auto", "whole", "part", "subpart"],
        typer.Option(help="Which answer to the points; without prompts, which masks of everything."),
    ] = "auto",
    disjoint: Annotated[
        bool, typer.Option(help="Cut everything so that each pixel has one mask at most, parts in front.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Output folder. [default: output; none with --json]", show_default=False),
    ] = None,
    format: Annotated[
        list[str] | None,
        typer.Option(help="overlay, png, npz, coco, sam-json, yolo, labelme, csv, labelmap, geojson."),
    ] = None,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print one JSON object an image on stdout.")
    ] = False,
    resume: Annotated[bool, typer.Option(help="Skip images that an earlier, equal run has finished.")] = True,
    weights: Weights = None,
    text_model: TextModel = None,
    backend: Backend = "auto",
    device: Device = "auto",
    **options: Any,
) -> None:
    """Segment images: everything, or what the prompts mean."""
    from fastsam.jobs.images import BatchJob, run_batch

    naming = _naming(label, vocabulary, threshold)
    if threshold is not None and naming is None and not text:
        raise ConfigError("--threshold: expected a --text or --label, whose probability it is about")
    wanted = _prompt(point, box, mask, text, threshold, prompt, combine, multimask, level)
    if wanted is not None and disjoint:
        raise ConfigError("--disjoint: expected no prompt beside it, it is about everything")
    formats = tuple(format or (() if json_lines and out is None else ("overlay",)))
    job = BatchJob(
        sources=tuple(images),
        prompt=wanted,
        out=None if not formats else Path("output") if out is None else out,
        formats=formats,
        segment=collect(SegmentConfig, options),
        render=collect(RenderConfig, options),
        resume=resume,
        label=naming,
        level=None if wanted is not None or level == "auto" else level,
        disjoint=disjoint,
    )
    stdin = sys.stdin.buffer.read() if "-" in images else None
    job.check()
    model = load_model(weights, device, text_model, backend=backend)
    failed = 0
    with bar("segmenting", job.count()) as update, tiles_of(model):
        for number, done in enumerate(run_batch(model, job, stdin), start=1):
            update(number)
            if done.error:
                failed += 1
                talk.print(f"[red]error:[/red] {escape(done.error)}", soft_wrap=True)
            elif json_lines:
                typer.echo(json.dumps(done.record()))
            else:
                talk.print(escape(done.line()), soft_wrap=True)
    if failed:
        raise typer.Exit(2 if failed == job.count() else 1)


def _prompt(
    points: list[str] | None,
    boxes: list[str] | None,
    masks: list[Path] | None,
    texts: list[str] | None,
    threshold: float | None,
    raw: list[str] | None,
    combine: str,
    multimask: bool,
    level: Literal["auto", "whole", "part", "subpart"],
) -> Any:
    """Return the prompt that the flags ask for, or None for everything."""
    from fastsam.cli.prompt_flags import region_prompts, text_prompt
    from fastsam.errors import PromptError
    from fastsam.prompts import all_of, any_of, prompt_from_json

    if multimask and not points:
        raise PromptError("--multimask: expected at least one --point, whose answers it is about")
    found: list[Any] = [*region_prompts(points, boxes, masks, multimask=multimask, level=level)]
    if texts:
        found.append(text_prompt(texts, threshold))
    found += [prompt_from_json(text) for text in raw or ()]
    if level != "auto" and found and not points:
        raise PromptError("--level: expected --point, or no prompt for a level of everything")
    if len(found) < 2:
        return found[0] if found else None
    return any_of(*found) if combine == "any" else all_of(*found)


def _naming(label: bool, vocabulary: str | None, threshold: float | None) -> dict[str, Any] | None:
    """Return the options of labelling that the flags ask for, or None for no labels."""
    if not label and vocabulary is None:
        return None
    given = {"vocabulary": vocabulary, "threshold": threshold}
    return {name: value for name, value in given.items() if value is not None}


@app.command()
@with_options(TrainConfig)
def train(
    data: Annotated[
        list[Path], typer.Argument(help="COCO-format folders: instances.json, images/, heldout.txt.")
    ],
    weights: Annotated[
        str, typer.Option(help="Checkpoint to start from: a path or a name of the weights table.")
    ],
    out: Annotated[Path, typer.Option(help="Run folder.")] = Path("runs/train"),
    partial: Annotated[
        list[str] | None, typer.Option(help="Name of a data folder that labels only some of its objects.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the run folder's last checkpoint.")
    ] = False,
    **options: Any,
) -> None:
    """Fine-tune a network to find every mask (one class, images in heldout.txt left out)."""
    from fastsam.training.trainer import train as run

    written = run(
        data, weights, out, TrainConfig(**collect(TrainConfig, options)), partial=partial or (), resume=resume
    )
    typer.echo(written)


@app.command()
def calibrate(
    data: Annotated[
        list[Path], typer.Argument(help="COCO-format folders: instances.json, images/, heldout.txt.")
    ],
    weights: Annotated[str, typer.Option(help="Checkpoint: a path or a name of the weights table.")],
    out: Annotated[Path, typer.Option(help="The checkpoint to write.")],
    partial: Annotated[
        list[str] | None, typer.Option(help="Name of a data folder that labels only some of its objects.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many images of each folder.", min=1)] = None,
    device: Device = "auto",
) -> None:
    """Fit what tells how well a mask fits, on training images; it travels in the checkpoint."""
    from fastsam.training.calibrate import calibrate as run

    with bar("measuring masks") as update:
        start = fetched(weights)
        written = run(data, start, out, partial=partial or (), limit=limit, device=device, on_progress=update)
    typer.echo(written)


@app.command()
def mix(
    first: Annotated[str, typer.Argument(help="Checkpoint: a path or a name of the weights table.")],
    second: Annotated[str, typer.Argument(help="Another of the same network, such as the first fine-tuned.")],
    out: Annotated[Path, typer.Option(help="The checkpoint to write.")],
    share: Annotated[float, typer.Option(help="How much of the second.", min=0.0, max=1.0)] = 0.5,
) -> None:
    """Average the weights of two checkpoints of one network."""
    from fastsam.training.mix import mix as run

    typer.echo(run(fetched(first), fetched(second), out, share))


@app.command()
@with_options(AnnotateConfig)
def annotate(
    data: Annotated[list[Path], typer.Argument(help="COCO-format folders, or folders with images/ alone.")],
    out: Annotated[Path, typer.Option(help="A dataset of the same name is written here for each.")],
    weights: Weights = None,
    device: Device = "auto",
    **options: Any,
) -> None:
    """Label what is not labelled yet: masks that the model is sure of join the datasets' own."""
    from fastsam.training.annotate import annotate as run

    config = AnnotateConfig(**collect(AnnotateConfig, options))
    model = load_model(weights, device)
    for folder in data:
        with bar(f"annotating {folder.name}") as update:
            typer.echo(run(folder, model.segmenter, out / folder.resolve().name, config, on_progress=update))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("output"),
    weights: Weights = None,
    device: Device = "auto",
) -> None:
    """Segment a photo that comes with an installed package, and show what a click and a box select."""
    from fastsam.cli.demo import run_demo

    for line in run_demo(out, weights, device):
        typer.echo(line)


@app.command("app")
def page(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 7860,
    memory_mb: Annotated[
        int, typer.Option(help="Bound on the photos and masks of all visitors together, MB.", min=64)
    ] = 1024,
    video_s: Annotated[
        float, typer.Option(help="Longest video that a visitor may follow, seconds.", min=1)
    ] = 60.0,
    weights: Weights = None,
    text_model: TextModel = None,
    device: Device = "auto",
) -> None:
    """Serve the page: open a photo in the browser, click, draw or type, take the masks home; or a video."""
    from fastsam.page import run_page

    run_page(
        host,
        port,
        memory_mb=memory_mb,
        video_s=video_s,
        weights=weights,
        text_model=text_model,
        device=device,
    )


app.command("eval")(evaluate)
app.command("eval-texts")(evaluate_texts)


app.command("export-model")(export_model)


@app.command("weights")
def weights_table(
    get: Annotated[str | None, typer.Option(help="Download the checkpoint of this name.")] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the checkpoints that have a name, and where they are; or download one."""
    from fastsam.weights.table import local_path, table

    if get is not None:
        typer.echo(fetched(get))
        return
    rows = [
        {"name": entry.name, "here": local_path(entry).is_file(), "path": str(local_path(entry)),
         "imgsz": entry.imgsz, "licence": entry.licence, "description": entry.description, "url": entry.url}
        for entry in table()
    ]  # fmt: skip
    if json_lines:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        typer.echo(f"{'*' if row['here'] else ' '} {row['name']:<14} {row['description']}")
    typer.echo("* is on this machine")


app.command("index")(index)
app.command("find")(find)
app.command("video")(video)
app.command("camera")(camera)
