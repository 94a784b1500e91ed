"""``fastsam export-model``: a checkpoint for machines without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fastsam.cli.console import fetched, talk

__all__ = ["export_model"]


def export_model(
    weights: Annotated[str, typer.Argument(help="Checkpoint: a path or a name of the weights table.")],
    to: Annotated[Literal["onnx", "openvino"], typer.Option(help="Which runtime it is for.")],
    out: Annotated[Path, typer.Option(help="The .onnx file, or the .xml file; its .bin goes beside it.")],
    imgsz: Annotated[
        int | None,
        typer.Option(
            help="Network input size that the file asks for by default [default: the weights' own].",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Convert a checkpoint for ONNX Runtime or OpenVINO; give the file as --weights afterwards."""
    from fastsam.everything.backends.choose import export_network

    fetched(weights)
    talk.print("converting; this takes some seconds")
    typer.echo(export_network(weights, out, to, imgsz=imgsz))
