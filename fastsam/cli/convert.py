"""``fastsam convert``: masks of one format in another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastsam.cli.flags import INPUT, OUTPUT, Out

__all__ = ["convert"]


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            help="A file or folder of COCO, YOLO, Roboflow, SA-1B, LabelMe, CVAT, Label Studio, GeoJSON, NPZ "
            "or label maps."
        ),
    ],
    out: Annotated[Path, Out("Output folder.")],
    format: Annotated[
        list[str],
        typer.Option(help="A format of `fastsam segment`; repeat for more.", rich_help_panel=OUTPUT),
    ],
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the photos.", show_default="where the format has them", rich_help_panel=INPUT
        ),
    ] = None,
) -> None:
    """Write masks in other formats; formats are told apart by their content."""
    from fastsam.jobs.convert import convert as run

    count = 0

    def tell(name: str, masks: int) -> None:
        nonlocal count
        count += 1

    written = run(source, out, format, images=images, on_image=tell)
    typer.echo(f"{out}: {count} images, {len(written)} files")
