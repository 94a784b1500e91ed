"""Progress of the command: a console on stderr, bars, and loading with a bar."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich import progress
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from rich.text import Text

    from fastsam.model import FastSAM

__all__ = [
    "DownloadBar",
    "bar",
    "close_bars",
    "fetched",
    "load_model",
    "load_text_models",
    "talk",
    "tile_bar",
    "told_warnings",
]

talk = Console(stderr=True, highlight=False)
_PACKAGE = Path(__file__).parents[1]
_shown: list[progress.Progress] = []  # a terminal shows one display at a time; the last one is it


class _Count(progress.ProgressColumn):
    """Done and total, as a count or in bytes."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes, self._count = progress.DownloadColumn(), progress.MofNCompleteColumn()

    def render(self, task: progress.Task) -> Text:
        """Return the text of the column."""
        column = self._bytes if task.fields.get("in_bytes") else self._count
        return column.render(task)


class _Told(logging.Handler):
    """Prints what the package's loggers warn of, each message once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._seen: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a message."""
        self.tell(record.getMessage())

    def tell(self, message: str) -> None:
        """Print a line, above bars."""
        if message not in self._seen:
            self._seen.add(message)
            talk.print(f"[yellow]warning:[/yellow] {escape(message)}", soft_wrap=True)


@contextmanager
def told_warnings() -> Iterator[None]:
    """Print what the package warns of as a line each, without the place in the code."""
    told, logger = _Told(), logging.getLogger("fastsam")
    logger.addHandler(told)
    show = warnings.showwarning

    def shown(
        message: Warning | str, category: type[Warning], filename: str, lineno: int,
        file: TextIO | None = None, line: str | None = None,
    ) -> None:  # fmt: skip
        if _PACKAGE in Path(filename).parents:
            told.tell(str(message))
        else:
            show(message, category, filename, lineno, file, line)

    warnings.showwarning = shown
    try:
        yield
    finally:
        warnings.showwarning = show
        logger.removeHandler(told)


def _display(hidden: bool) -> progress.Progress:
    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        _Count(),
        progress.TimeRemainingColumn(),
        console=talk,
        disable=hidden,
        transient=True,
    )


@contextmanager
def bar(what: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """Show a bar on a terminal; yields a function that takes (done, total)."""
    hidden = not talk.is_terminal or total == 1
    with _display(hidden) as display:
        task = display.add_task(what, total=total)
        if not hidden:
            _shown.append(display)
        try:
            yield lambda done, total=total, *_: display.update(task, completed=done, total=total)
        finally:
            if not hidden:
                _shown.remove(display)


@contextmanager
def tile_bar() -> Iterator[Callable[[int, int], None] | None]:
    """Yield a callback that draws a bar of the parts of an image; None if there is no terminal."""
    shown: dict[str, progress.TaskID] = {}

    def on_tile(done: int, total: int) -> None:
        if not _shown and not shown:  # a single image has no bar of its own
            alone.start()
            _shown.append(alone)
        display = _shown[-1]
        if "task" not in shown:
            shown["task"] = display.add_task("tiles", total=total)
        display.update(shown["task"], completed=done, total=total)
        if done == total:
            display.remove_task(shown.pop("task"))

    alone = _display(hidden=not talk.is_terminal)
    try:
        yield on_tile if talk.is_terminal else None
    finally:
        if alone in _shown:
            alone.stop()
            _shown.remove(alone)


class DownloadBar:
    """Takes (done, total) bytes whenever a download happens, also long after it was made.

    It opens a bar at the first bytes, or a line in the bar that is shown, and closes it with the last ones
    or with :meth:`close`.
    """

    def __init__(self) -> None:
        self._own: progress.Progress | None = None
        self._on: progress.Progress | None = None
        self._task = progress.TaskID(0)

    def __call__(self, done_bytes: int, total_bytes: int | None) -> None:
        """Show how far it is."""
        if not talk.is_terminal:
            return
        if self._on is None:
            if not _shown:
                self._own = _display(hidden=False)
                self._own.start()
                _shown.append(self._own)
            self._on = _shown[-1]
            self._task = self._on.add_task("downloading", total=total_bytes, in_bytes=True)
        self._on.update(self._task, completed=done_bytes, total=total_bytes)
        if done_bytes == total_bytes:
            self.close()

    def close(self) -> None:
        """Take the bar away."""
        if self._on is not None:
            self._on.remove_task(self._task)
        if self._own is not None:
            self._own.stop()
            _shown.remove(self._own)
        self._own = self._on = None


_downloads = DownloadBar()


def load_model(weights: str | None, device: str, text_model: Any = None, *, backend: str = "auto") -> FastSAM:
    """Load the weights; whenever some are downloaded, show how far that is."""
    from fastsam.model import FastSAM

    return FastSAM(weights, backend=backend, device=device, text_model=text_model, progress=_downloads)


def load_text_models(names: list[str], device: str) -> dict[str, Any]:
    """Return text-image models by the names they were asked for by; without names the default one."""
    from fastsam.prompts.text.models import open_text_model

    wanted: list[str | None] = [*names] or [None]
    return {name or "default": open_text_model(name, device=device, progress=_downloads) for name in wanted}


def fetched(weights: str | None) -> Path:
    """Return the local file of a name or path, downloaded if need be; None is the embedded one."""
    from fastsam.weights.resolve import resolve

    return resolve(weights, progress=_downloads).path


def close_bars() -> None:
    """Take away what an interrupted download left on the terminal."""
    _downloads.close()
