"""Errors -> what a visitor reads. A server's folders are never in it."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from fastsam.errors import ConfigError, FastSAMError, PromptError, RecordError

__all__ = ["as_api_error", "or_warn", "visible_text", "warn"]

_Value = TypeVar("_Value")


def visible_text(error: FastSAMError) -> str:
    """Return an error's message for a visitor.

    What a visitor asked for wrongly is told in full. Of everything else only the problem, since the subject
    and the advice may name files of the server.
    """
    if error.path is None and isinstance(error, PromptError | ConfigError | RecordError):
        return str(error)
    return error.problem


def or_warn(gr: Any, step: Callable[[], _Value], otherwise: Callable[[], _Value]) -> _Value:
    """Take a step; if it is refused, show why as a toast and return something else.

    Args:
        gr: the gradio module.
        step: what to do.
        otherwise: what to return instead.
    """
    try:
        return step()
    except FastSAMError as error:
        warn(gr, error)
        return otherwise()


def warn(gr: Any, error: FastSAMError) -> None:
    """Show an error as a toast."""
    gr.Warning(html.escape(visible_text(error)), title="Not possible")


@contextmanager
def as_api_error(gr: Any) -> Iterator[None]:
    """Turn refusals into errors that gradio sends to programs."""
    try:
        yield
    except FastSAMError as error:
        raise gr.Error(visible_text(error), print_exception=False) from error
