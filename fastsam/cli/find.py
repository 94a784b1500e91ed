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

from fastsam.cli.console import bar, talk
from fastsam.cli.flags import OUTPUT, Json, ModelFlags, Out, collect, with_flags, with_options
from fastsam.cli.prompt_flags import FindPrompts
from fastsam.config import RenderConfig, SegmentConfig
from fastsam.errors import ConfigError

if TYPE_CHECKING:
    from fastsam.model import FastSAM
    from fastsam.search import Hit, Indexed, MaskIndex

__all__ = ["find", "index"]

_SHOWN = 20  # lines of the table on a terminal; the files have all
_INDEX = "index"  # the folder of the index, beside the results


@with_options(SegmentConfig, optional=True)
@with_flags
def index(
    images: Annotated[list[str], typer.Argument(help="Photos, folders, patterns.")],
    models: ModelFlags,
    out: Annotated[Path, Out("Folder of the index; an earlier one is brought up to date.")],
    **options: Any,
) -> None:
    """Index the masks of photos, so that `fastsam find` needs no network pass for them."""
    model = models.load()
    built, failed = _index(model, images, out, collect(SegmentConfig, options))
    typer.echo(f"{out}: {len(built.files)} images, {len(built)} masks")
    if failed:
        raise typer.Exit(1)


@with_options(RenderConfig)
@with_options(SegmentConfig, optional=True)
@with_flags
def find(
    images: Annotated[
        list[str], typer.Argument(help="Photos, folders, patterns; or one folder of `fastsam index`.")
    ],
    models: ModelFlags,
    prompts: FindPrompts,
    out: Annotated[Path, Out("Output folder: found.csv, found.jsonl, overlays/, crops/, index/.")] = Path(
        "found"
    ),
    limit: Annotated[
        int | None,
        typer.Option(help="Maximum number of masks, best first.", min=1, rich_help_panel=OUTPUT),
    ] = None,
    json_lines: Json = False,
    **options: Any,
) -> None:
    """Find a thing in many photos: in words, or by a region of a photo that shows it.

    Photos are indexed first, into the output folder; the next search there starts from that.
    """
    from fastsam.prompts.wording import counted
    from fastsam.search import write_hits
    from fastsam.search.results import hit_record

    wanted = prompts.build()
    known = _known(images)
    segment = collect(SegmentConfig, options)
    if known is not None and segment:
        raise ConfigError(
            f"--{next(iter(segment)).replace('_', '-')}: an index has its own; index again with that option"
        )
    model = models.load()
    # A mistake in the reference shows before the photos are read.
    resolved = model.resolve(wanted, **(segment if known is None else known.segment))
    built, failed = (known, 0) if known is not None else _index(model, images, out / _INDEX, segment)
    hits = built.query(resolved, model, limit=limit)
    written = write_hits(hits, out, RenderConfig(**collect(RenderConfig, options)))
    if json_lines:
        for hit in hits:
            typer.echo(json.dumps(hit_record(hit)))
    else:
        _show(hits)
    among = f"{len({hit.file for hit in hits})} of {counted(len(built.files), 'image')}"
    count = f"{counted(len(hits), 'mask')} in {among}"
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
