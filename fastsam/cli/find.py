"""``fastsam index`` and ``fastsam find``: things in many photos, by text or by a region of another photo."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fastsam.cli.console import bar, load_model, talk
from fastsam.cli.flags import Device, TextModel, Weights, collect, with_options
from fastsam.config import RenderConfig, SegmentConfig
from fastsam.errors import ConfigError, PromptError

if TYPE_CHECKING:
    from fastsam.model import FastSAM
    from fastsam.search import Hit, Indexed, MaskIndex

__all__ = ["find", "index"]

_SHOWN = 20  # lines of the table on a terminal; the files have all
_INDEX = "index"  # where an index is kept beside what was found


@with_options(SegmentConfig, optional=True)
def index(
    images: Annotated[list[str], typer.Argument(help="Image files, folders, patterns.")],
    out: Annotated[Path, typer.Option(help="Folder of the index; an earlier one is brought up to date.")],
    weights: Weights = None,
    text_model: TextModel = None,
    device: Device = "auto",
    **options: Any,
) -> None:
    """Index the masks of photos, so that `fastsam find` needs no network pass for them."""
    model = load_model(weights, device, text_model)
    built, failed = _index(model, images, out, collect(SegmentConfig, options))
    typer.echo(f"{out}: {len(built.files)} images, {len(built)} masks")
    if failed:
        raise typer.Exit(1)


@with_options(RenderConfig)
@with_options(SegmentConfig, optional=True)
def find(
    images: Annotated[
        list[str], typer.Argument(help="Image files, folders, patterns; or one index of `fastsam index`.")
    ],
    reference: Annotated[
        Path | None, typer.Option(help="A photo that shows what to look for; say where with a region.")
    ] = None,
    box: Annotated[list[str] | None, typer.Option(help="Region of the reference: x1,y1,x2,y2.")] = None,
    point: Annotated[
        list[str] | None, typer.Option(help="Region of the reference: x,y or x,y,label on one object.")
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(help="Region of the reference: an image of its size whose bright pixels mark it."),
    ] = None,
    not_box: Annotated[
        list[str] | None, typer.Option(help="In the reference, what is not looked for: x1,y1,x2,y2.")
    ] = None,
    text: Annotated[list[str] | None, typer.Option(help="What to look for in words instead.")] = None,
    prompt: Annotated[
        str | None, typer.Option(help="A text or a reference as JSON, such as one with several shots.")
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="Only the best mask of each photo.")] = False,
    threshold: Annotated[
        float | None,
        typer.Option(help="Least score (0.2 for references, 0.3 for texts if not given).", min=0.0, max=1.0),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many, the best.", min=1)] = None,
    out: Annotated[
        Path, typer.Option(help="Output folder: found.csv, found.jsonl, overlays/, crops/, index/.")
    ] = Path("found"),
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a mask on stdout.")
    ] = False,
    weights: Weights = None,
    text_model: TextModel = None,
    device: Device = "auto",
    **options: Any,
) -> None:
    """Find a thing in many photos: by a region of another photo that shows it, or by words.

    Photos are indexed first, into the output folder; another search there goes on from that.
    """
    from fastsam.search import write_found
    from fastsam.search.found import record

    wanted = _wanted(reference, box, point, mask, not_box, text, prompt, best, threshold)
    known = _known(images)
    segment = collect(SegmentConfig, options)
    if known is not None and segment:
        raise ConfigError(
            f"--{next(iter(segment)).replace('_', '-')}: an index has its own; index again with that option"
        )
    model = load_model(weights, device, text_model)
    # A mistake in the reference shows before the photos are read.
    looked = model.resolve(wanted, **(segment if known is None else known.segment))
    built, failed = (known, 0) if known is not None else _index(model, images, out / _INDEX, segment)
    hits = built.query(looked, model, limit=limit)
    written = write_found(hits, out, RenderConfig(**collect(RenderConfig, options)))
    if json_lines:
        for hit in hits:
            typer.echo(json.dumps(record(hit)))
    else:
        _show(hits)
    count = f"{len(hits)} masks in {len({hit.file for hit in hits})} of {len(built.files)} images"
    talk.print(escape(f"{count} -> {written[0]}"), soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _known(images: list[str]) -> MaskIndex | None:
    """Return the index that was named instead of photos, if it was."""
    from fastsam.search import MaskIndex
    from fastsam.search.store import HEADER

    if len(images) == 1 and (Path(images[0]) / HEADER).is_file():
        return MaskIndex.open(images[0])
    return None


def _index(model: FastSAM, images: list[str], out: Path, segment: dict[str, Any]) -> tuple[MaskIndex, int]:
    """Bring an index up to date with a bar; return it and how many images could not be read."""
    from fastsam.search import MaskIndex

    done, failed = 0, 0
    with bar("indexing") as update:

        def tell(one: Indexed, total: int) -> None:
            nonlocal done, failed
            done += 1
            update(done, total)
            if one.error:
                failed += 1
                talk.print(f"[red]error:[/red] {escape(one.error)}", soft_wrap=True)

        built = MaskIndex.build(model, images, out, on_image=tell, **segment)
    return built, failed


def _wanted(
    reference: Path | None,
    boxes: list[str] | None,
    points: list[str] | None,
    mask: Path | None,
    not_boxes: list[str] | None,
    texts: list[str] | None,
    raw: str | None,
    best: bool,
    threshold: float | None,
) -> Any:
    """Return the prompt that the flags ask for."""
    from fastsam.cli.prompt_flags import reference_prompt, text_prompt
    from fastsam.prompts import Reference, Text, prompt_from_json

    if sum(value is not None for value in (reference, texts or None, raw)) != 1:
        raise PromptError("find: expected one of --reference, --text and --prompt")
    if reference is None:
        for name, value in (("box", boxes), ("point", points), ("mask", mask), ("not-box", not_boxes)):
            if value:
                raise PromptError(f"--{name}: expected a --reference that it is a region of")
        if best:
            raise PromptError("--best: expected a --reference; a text means all that show it")
        if raw is None:
            return text_prompt(texts or (), threshold)
        if threshold is not None:
            raise PromptError("--threshold: expected within the JSON of --prompt, as its key threshold")
        found = prompt_from_json(raw)
        if not isinstance(found, (Text, Reference)):
            raise PromptError(f"--prompt: expected a text or a reference, got {type(found).__name__}")
        return found
    given = [] if mask is None else [mask]
    return reference_prompt(reference, points, boxes, given, not_boxes, best=best, threshold=threshold)


def _near(file: str) -> str:
    """Return a file's path from here, where that is shorter."""
    here = os.getcwd() + os.sep
    return file.removeprefix(here)


def _show(hits: list[Hit]) -> None:
    """Print the best hits as a table."""
    table = Table("score", "mask", "box")
    table.add_column("image", overflow="fold")
    for hit in hits[:_SHOWN]:
        box = ", ".join(f"{edge:.0f}" for edge in hit.box_xyxy)
        table.add_row(f"{hit.score:.2f}", str(hit.row), box, escape(_near(hit.file)))
    if len(hits) > _SHOWN:
        table.caption = f"and {len(hits) - _SHOWN} more in the files"
    if hits:
        Console(highlight=False).print(table)
