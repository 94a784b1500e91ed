"""``fastsam weights`` and ``fastsam export-model``: checkpoints by name, and for machines without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from fastsam.cli.console import fetched, talk
from fastsam.cli.flags import OUTPUT, Json, Out

__all__ = ["export_model", "weights_table"]


def weights_table(
    get: Annotated[str | None, typer.Option(help="Download the checkpoint of this name.")] = None,
    json_lines: Json = False,
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


def export_model(
    weights: Annotated[str, typer.Argument(help="A checkpoint's path, or a name of `fastsam weights`.")],
    to: Annotated[Literal["onnx", "openvino"], typer.Option(help="The runtime.", rich_help_panel=OUTPUT)],
    out: Annotated[Path, Out("The .onnx or .xml file to write; an .xml gets its .bin beside it.")],
    imgsz: Annotated[
        int | None,
        typer.Option(help="Default size of the network's input, pixels.", show_default="the checkpoint's"),
    ] = None,
) -> None:
    """Convert a checkpoint for ONNX Runtime or OpenVINO; pass the file as --weights afterwards."""
    from fastsam.everything.backends.choose import export_network

    fetched(weights)
    talk.print("converting; this takes some seconds")
    typer.echo(export_network(weights, out, to, imgsz=imgsz))
