"""``fastsam segment``: the masks of photos, all or those that prompts select."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.markup import escape

from fastsam.cli.console import bar, talk, tile_bar
from fastsam.cli.flags import OUTPUT, Json, ModelFlags, Out, collect, with_flags, with_options
from fastsam.cli.prompt_flags import SegmentPrompts
from fastsam.config import RenderConfig, SegmentConfig

if TYPE_CHECKING:
    from fastsam.options import RenderOptions, SegmentOptions

__all__ = ["segment"]


@with_options(RenderConfig)
@with_options(SegmentConfig, optional=True)
@with_flags
def segment(
    images: Annotated[list[str], typer.Argument(help="Photos, folders, patterns, or - for stdin.")],
    models: ModelFlags,
    prompts: SegmentPrompts,
    out: Annotated[Path | None, Out("Output folder.", show_default="output; none with --json")] = None,
    format: Annotated[
        list[str] | None,
        typer.Option(
            help="overlay, png, npz, coco, coco-polygons, sam-json, yolo, roboflow, labelme, cvat, "
            "label-studio, csv, labelmap, cutout, geojson; repeat for more.",
            show_default="overlay",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json_lines: Json = False,
    resume: Annotated[
        bool, typer.Option(help="Skip photos that an equal run has finished.", rich_help_panel=OUTPUT)
    ] = True,
    **options: Any,
) -> None:
    """Segment photos: everything, or what prompts select."""
    from fastsam.jobs.images import BatchJob, run_batch

    prompt = prompts.build()
    formats = tuple(format or (() if json_lines and out is None else ("overlay",)))
    job = BatchJob(
        sources=tuple(images),
        prompt=prompt,
        out=None if not formats else Path("output") if out is None else out,
        formats=formats,
        segment=cast("SegmentOptions", collect(SegmentConfig, options)),
        render=cast("RenderOptions", collect(RenderConfig, options)),
        resume=resume,
        label=prompts.naming(),
        level=None if prompt is not None or prompts.level == "auto" else prompts.level,
        disjoint=prompts.disjoint,
        unknown=prompts.unknown,
    )
    stdin = sys.stdin.buffer.read() if "-" in images else None
    job.check()
    model = models.load()
    failed, looked_at, found = 0, 0, set[str]()
    with bar("segmenting", job.count()) as update, tile_bar() as on_tile:
        for number, done in enumerate(run_batch(model, job, stdin, on_tile=on_tile), start=1):
            update(number)
            if done.result is not None:
                looked_at += 1
                found.update(done.result.labels or ())
            if done.error:
                failed += 1
                talk.print(f"[red]error:[/red] {escape(done.error)}", soft_wrap=True)
            elif json_lines:
                typer.echo(json.dumps(done.record()))
            else:
                talk.print(escape(done.line()), soft_wrap=True)
    for name in job.classes if looked_at and job.label is None else ():
        if name not in found:
            where = "the photo" if looked_at == 1 else f"any of {looked_at} photos"
            talk.print(escape(f"warning: {name!r} was not found in {where}"), soft_wrap=True)
    if failed:
        raise typer.Exit(2 if failed == job.count() else 1)
