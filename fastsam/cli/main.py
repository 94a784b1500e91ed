"""The ``fastsam`` command. Answers go to stdout, talk to stderr; a mistake is one line and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from fastsam import __version__
from fastsam.cli.console import close_bars, talk, told_warnings
from fastsam.cli.convert import convert
from fastsam.cli.evaluate import evaluate, evaluate_texts
from fastsam.cli.find import find, index
from fastsam.cli.flags import Device, NetworkFlags, Out, TextModel, Weights, with_flags
from fastsam.cli.segment import segment
from fastsam.cli.train import annotate, calibrate, mix, train
from fastsam.cli.video import camera, video
from fastsam.cli.weights import export_model, weights_table
from fastsam.errors import FastSAMError

__all__ = ["app", "main"]

app = typer.Typer(
    name="fastsam",
    help="Find every mask of an image once, then select by click, box, mask, words or example.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def main() -> None:
    """Run the command; our own errors become one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8
    with told_warnings():
        _run()


def _run() -> None:
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
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Find every mask of an image once, then select by click, box, mask, words or example."""


@with_flags
def demo(models: NetworkFlags, out: Annotated[Path, Out("Output folder.")] = Path("output")) -> None:
    """Segment a photo that ships with the installation, and show what prompts select."""
    from fastsam.cli.demo import run_demo

    for line in run_demo(out, models.weights, models.device):
        typer.echo(line)


def page(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 7860,
    memory_mb: Annotated[
        int, typer.Option(help="Memory limit for the photos and masks of all visitors together, MB.", min=64)
    ] = 1024,
    video_s: Annotated[
        float, typer.Option(help="Maximum length of a visitor's video, seconds.", min=1)
    ] = 60.0,
    uploads_mb: Annotated[
        int, typer.Option(help="Limit on the files of all visitors together, MB.", min=1)
    ] = 4096,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="A name that visitors reach the page by, such as that of a proxy; repeat for more."
        ),
    ] = None,
    weights: Weights = None,
    text_model: TextModel = None,
    device: Device = "auto",
) -> None:
    """Serve the page: open a photo or a video in the browser, click, draw or type, and download the masks."""
    from fastsam.page import run_page

    run_page(
        host,
        port,
        memory_mb=memory_mb,
        video_s=video_s,
        uploads_mb=uploads_mb,
        allow_host=allow_host or (),
        weights=weights,
        text_model=text_model,
        device=device,
    )


# In the order in which people need them.
_COMMANDS: dict[str, dict[str, Callable[..., Any]]] = {
    "Start here": {"demo": demo, "app": page},
    "Segment": {"segment": segment, "video": video, "camera": camera, "find": find, "index": index},
    "Weights": {"weights": weights_table, "export-model": export_model},
    "Train and measure": {
        "annotate": annotate,
        "convert": convert,
        "train": train,
        "calibrate": calibrate,
        "mix": mix,
        "eval": evaluate,
        "eval-texts": evaluate_texts,
    },
}
for _panel, _commands in _COMMANDS.items():
    for _name, _command in _commands.items():
        app.command(_name, rich_help_panel=_panel)(_command)
