"""Dataclasses -> command-line flags: one per field of a config, or of a group that several commands share.

Names, defaults, ranges and help texts are written once and cannot drift apart.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_type_hints

import typer

from fastsam.config import CheckedConfig
from fastsam.errors import WeightsError

if TYPE_CHECKING:
    from fastsam.model import FastSAM

__all__ = [
    "ADVANCED",
    "INPUT",
    "OUTPUT",
    "PROMPTS",
    "Device",
    "Json",
    "MaxPixels",
    "ModelFlags",
    "NetworkFlags",
    "Out",
    "TextModel",
    "Weights",
    "collect",
    "with_flags",
    "with_options",
]

# Panels of `fastsam COMMAND --help`, everyday options first.
INPUT, PROMPTS, OUTPUT, ADVANCED = "Input", "Prompts", "Output", "Advanced"

Weights = Annotated[
    str | None,
    typer.Option(
        help="A checkpoint's path, or a name that `fastsam weights` lists.",
        show_default="the embedded fastsam-nano",
        rich_help_panel=INPUT,
    ),
]
TextModel = Annotated[
    str | None,
    typer.Option(
        help="The text-image model: an open_clip folder, MODEL:TAG or MODEL:FILE.",
        show_default="the embedded fastsam-nano-text",
        rich_help_panel=INPUT,
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.", rich_help_panel=INPUT)]
Json = Annotated[
    bool, typer.Option("--json", help="Print JSON on stdout, one object per line.", rich_help_panel=OUTPUT)
]


def _raise_limit(value: int | None) -> int | None:
    """Let images be as large as the user says, wherever the command reads one."""
    if value is not None:
        from fastsam.untrusted import set_limits

        set_limits(image_pixels=value)
    return value


MaxPixels = Annotated[
    int | None,
    typer.Option(
        help="Maximum number of pixels of an image or frame.",
        min=1,
        callback=_raise_limit,
        show_default="178956970",
        rich_help_panel=INPUT,
    ),
]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def Out(help: str, **more: Any) -> Any:  # noqa: N802 - it stands where typer.Option would
    """Return the option ``--out``, ``-o``."""
    return typer.Option("--out", "-o", help=help, rich_help_panel=OUTPUT, **more)


@dataclass(frozen=True, kw_only=True)
class NetworkFlags:
    """The flags that say which network runs where."""

    weights: Weights = None
    device: Device = "auto"
    max_pixels: MaxPixels = None

    def load(self) -> FastSAM:
        """Load the model, with a bar while something is downloaded."""
        from fastsam.cli.console import load_model

        return load_model(self.weights, self.device)


@dataclass(frozen=True, kw_only=True)
class ModelFlags:
    """The flags that say which models run where, of commands that take prompts."""

    weights: Weights = None
    text_model: TextModel = None
    device: Device = "auto"
    backend: Annotated[
        Literal["auto", "torch", "onnx", "openvino"],
        typer.Option(
            help="The runtime of the network; auto is torch for a .pt checkpoint.", rich_help_panel=INPUT
        ),
    ] = "auto"
    max_pixels: MaxPixels = None

    def load(self) -> FastSAM:
        """Load the models, with a bar while something is downloaded."""
        from fastsam.cli.console import load_model

        return load_model(self.weights, self.device, self.text_model, backend=self.backend)


def with_flags(command: _Command) -> _Command:
    """Let a typer command take groups of flags.

    Each parameter whose type is a dataclass becomes one flag per field of that class; the command gets the
    dataclass.
    """
    given = inspect.signature(command, eval_str=True).parameters
    groups: dict[str, Any] = {name: p.annotation for name, p in given.items() if is_dataclass(p.annotation)}

    @functools.wraps(command)
    def run(**values: Any) -> Any:
        for name, group in groups.items():
            values[name] = group(**{spec.name: values.pop(spec.name) for spec in fields(group)})
        return command(**values)

    parameters: list[inspect.Parameter] = []
    for name, parameter in given.items():
        if name in groups:
            parameters += _of_group(groups[name])
        elif parameter.kind is not inspect.Parameter.VAR_KEYWORD:  # with_options says what those are
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
    _declare(run, parameters)
    return run  # type: ignore[return-value]


def _of_group(group: Any) -> list[inspect.Parameter]:
    """Return the parameters that the fields of a group of flags stand for."""
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            spec.name, inspect.Parameter.KEYWORD_ONLY, default=spec.default, annotation=hints[spec.name]
        )
        for spec in fields(group)
    ]


def _declare(command: Any, parameters: list[inspect.Parameter]) -> None:
    """Write a signature where typer reads it; the command itself still takes ``**values``."""
    command.__signature__ = inspect.Signature(parameters)
    command.__annotations__ = {p.name: p.annotation for p in parameters}


def with_options(
    config: type[CheckedConfig], *, optional: bool = False, panel: str = ADVANCED
) -> Callable[[_Command], _Command]:
    """Add one flag per config field to a typer command that takes ``**options``.

    Args:
        config: the dataclass.
        optional: flags default to None, for options whose default depends on the weights; the help names the
            number in force with the embedded ones.
        panel: heading of the flags in the help.
    """

    def decorate(command: _Command) -> _Command:
        hints = get_type_hints(config)
        given = inspect.signature(command, eval_str=True).parameters.values()
        kept = [p for p in given if p.kind is not inspect.Parameter.VAR_KEYWORD]
        taken = {parameter.name for parameter in kept}  # an inner config's option of the same name counts
        fresh = [spec for spec in config.options() if spec.name not in taken]
        _declare(command, [*kept, *(_parameter(spec, hints[spec.name], optional, panel) for spec in fresh)])
        return command

    return decorate


def _parameter(spec: Field[Any], hint: Any, optional: bool, panel: str) -> inspect.Parameter:
    """Return a keyword parameter whose default is the typer option of a config field."""
    default = None if optional or spec.default is MISSING else spec.default
    flag = "--" + spec.name.replace("_", "-")
    text = spec.metadata["help"]
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if hint is bool else flag,
        min=spec.metadata["min"],
        max=spec.metadata["max"],
        help=text[:1].upper() + text[1:] + ("" if text.endswith(".") else "."),
        show_default=_in_force(spec) if optional else True,
        rich_help_panel=panel,
    )
    annotation: Any = hint | None if optional else hint
    return inspect.Parameter(
        spec.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[annotation, option]
    )


def _in_force(spec: Field[Any]) -> str:
    """Return the value that counts if a flag is not given, in words."""
    from fastsam.weights.table import table

    of_weights = None
    with suppress(WeightsError):  # an incomplete installation; a command that needs weights will say so
        of_weights = getattr(table()[0], spec.name, None)
    value = spec.default if of_weights is None else of_weights
    if isinstance(value, bool):
        return spec.name.replace("_", "-") if value else "no-" + spec.name.replace("_", "-")
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if of_weights is None else f"{text} with the embedded weights"


def collect(config: type[CheckedConfig], options: dict[str, Any]) -> dict[str, Any]:
    """Return those of ``options`` that are fields of ``config`` and were given."""
    names = {spec.name for spec in config.options()}
    return {name: value for name, value in options.items() if name in names and value is not None}
