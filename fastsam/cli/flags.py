"""Config dataclasses -> command-line flags, so that names, defaults, ranges and help cannot drift; flags that
several commands share.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import typer

from fastsam.config import CheckedConfig

__all__ = ["Backend", "Device", "TextModel", "Weights", "collect", "with_options"]

Weights = Annotated[
    str | None,
    typer.Option(
        help="A checkpoint's path or a name of `fastsam weights`; the embedded default if not given."
    ),
]
TextModel = Annotated[
    str | None,
    typer.Option(
        help="What answers texts, if not the embedded model: an open_clip folder, MODEL:TAG, MODEL:FILE."
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Backend = Annotated[
    Literal["auto", "torch", "onnx", "openvino"],
    typer.Option(help="What runs the network; auto is torch for checkpoints (docs/backends.md)."),
]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _parameter(spec: Field[Any], hint: Any, optional: bool) -> inspect.Parameter:
    """Return a keyword parameter whose default is the typer option of a config field."""
    low, high = spec.metadata["min"], spec.metadata["max"]
    default = None if optional or spec.default is MISSING else spec.default
    of_weights = f" [default: the weights' own, else {spec.default}]"
    shown = spec.metadata["help"] + (of_weights if optional else "")
    flag = "--" + spec.name.replace("_", "-")
    names = (flag, f"--no-{flag[2:]}") if hint is bool else (flag,)
    declared = "/".join(names) if hint is bool else names[0]
    option = typer.Option(declared, min=low, max=high, help=shown, show_default=not optional)
    annotation: Any = hint | None if optional else hint
    return inspect.Parameter(
        spec.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[annotation, option]
    )


def with_options(config: type[CheckedConfig], *, optional: bool = False) -> Callable[[_Command], _Command]:
    """Add one flag per config field to a typer command that takes ``**options``.

    Args:
        config: the dataclass.
        optional: flags default to None, for options whose default depends on the weights.
    """

    def decorate(command: _Command) -> _Command:
        hints = get_type_hints(config)
        given = inspect.signature(command, eval_str=True).parameters.values()
        kept = [p for p in given if p.kind is not inspect.Parameter.VAR_KEYWORD]
        taken = {parameter.name for parameter in kept}  # an inner config's option of the same name counts
        fresh = [spec for spec in config.options() if spec.name not in taken]
        parameters = [*kept, *(_parameter(spec, hints[spec.name], optional) for spec in fresh)]
        # typer reads these two; the command itself still takes **options
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        return command

    return decorate


def collect(config: type[CheckedConfig], options: dict[str, Any]) -> dict[str, Any]:
    """Return those of ``options`` that are fields of ``config`` and were given."""
    names = {spec.name for spec in config.options()}
    return {name: value for name, value in options.items() if name in names and value is not None}
