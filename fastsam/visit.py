"""One visitor of the page: a photo, clicks, and the picture that answers them. No widgets here.

Everything a visitor does is a function from one :class:`Visit`, a value, to the next; the only thing that
visitors share is the model, one network pass at a time.
"""

from __future__ import annotations

import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastsam.config import RenderConfig, SegmentConfig
from fastsam.errors import ImageError, PromptError
from fastsam.export import safe_name
from fastsam.pipeline import FastSAM, Result, Session
from fastsam.render import overlay
from fastsam.sources import read_frame
from fastsam.weights import resolve
from prompts import Box, Points, Prompt, all_of

__all__ = [
    "WELCOME",
    "Click",
    "Kind",
    "SharedModel",
    "View",
    "Visit",
    "add_click",
    "clear",
    "open_photo",
    "prompt_of",
    "save_masks",
    "segment_again",
    "show",
    "undo",
]

Kind = Literal["foreground", "background", "corner"]
Picture = NDArray[np.uint8]
Options = dict[str, Any]

WELCOME = "Open a photo, or choose the example."


class SharedModel:
    """The one model of all visitors: loaded at the first photo, used by one visitor at a time.

    Args:
        weights: a checkpoint's path or name; None for the embedded default.
        device: where the network runs.
        model: use this one instead.

    Raises:
        WeightsError: the weights cannot be had.
    """

    def __init__(
        self, weights: str | None = None, device: str = "auto", model: FastSAM | None = None
    ) -> None:
        self.defaults = model.defaults if model else SegmentConfig(**resolve(weights).defaults)
        self._load: Callable[[], FastSAM] = lambda: FastSAM(weights, device=device)
        self._model = model
        self._lock = threading.Lock()

    def open(self, source: Any, options: Options) -> Session:
        """Find all masks of an image; the first call loads the model."""
        with self._lock:
            if self._model is None:
                self._model = self._load()
            return self._model.open(source, **options)


@dataclass(frozen=True)
class Click:
    """A click on the photo, image pixels."""

    x: int
    y: int
    kind: Kind = "foreground"


@dataclass(frozen=True)
class Visit:
    """All that is known of one visitor: the photo with its masks, and the clicks so far."""

    session: Session | None = None
    clicks: tuple[Click, ...] = ()


View = tuple[Visit, Picture | None, str]
"""A visit, its picture at the size of the photo, and a line of Markdown about it."""


def open_photo(model: SharedModel, path: str | Path | None, segment: Options, look: Options) -> View:
    """Return the visit and the view of a photo with everything in it; None closes the photo.

    Messages name the file without its folder, which is the server's business.

    Raises:
        FastSAMError: the photo cannot be read, the model not loaded, or an option is unusable.
    """
    if path is None:
        return Visit(), None, WELCOME
    start = time.perf_counter()
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f"photo {Path(path).name!r} is not there any more; open it again") from error
    frame = read_frame(content, Path(path).stem)
    read_ms = 1e3 * (time.perf_counter() - start)
    session = model.open(frame, segment)
    return show(Visit(replace(session, times_ms={**session.times_ms, "read": read_ms})), look)


def segment_again(model: SharedModel, visit: Visit, segment: Options, look: Options) -> View:
    """Find the masks of the same photo with other options; the clicks stay."""
    if visit.session is None:
        return Visit(), None, WELCOME
    return show(replace(visit, session=model.open(visit.session.frame, segment)), look)


def add_click(visit: Visit, x: float, y: float, kind: Kind, look: Options) -> View:
    """Add a click and answer it; a click on the very edge counts as its last pixel.

    Raises:
        PromptError: no photo is open.
    """
    if visit.session is None:
        raise PromptError("Open a photo first.")
    height, width = visit.session.frame.size_hw
    click = Click(min(max(int(x), 0), width - 1), min(max(int(y), 0), height - 1), kind)
    return show(replace(visit, clicks=(*visit.clicks, click)), look)


def undo(visit: Visit, look: Options) -> View:
    """Take back the last click."""
    return show(replace(visit, clicks=visit.clicks[:-1]), look)


def clear(visit: Visit, look: Options) -> View:
    """Take back all clicks: everything is shown."""
    return show(replace(visit, clicks=()), look)


def save_masks(visit: Visit, format: str, folder: Path) -> Path:
    """Write the masks that are shown as one zip file in a folder.

    Raises:
        PromptError: no photo is open, or no mask is shown.
        ExportError: unknown format, or the folder cannot be written.
    """
    if visit.session is None:
        raise PromptError("Open a photo first.")
    result = _answer(visit.session, visit.clicks)
    if len(result) == 0:
        raise PromptError("There is no mask to save; clear the clicks, or lower conf.")
    files = result.export(folder / "masks", format)
    packed = folder / f"{safe_name(visit.session.frame.name)}_{format}.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.relative_to(folder / "masks"))
    return packed


def prompt_of(clicks: Sequence[Click]) -> Prompt | None:
    """Return what clicks ask for: points are about one object, two corners make a box; None for nothing yet.

    >>> prompt_of([Click(9, 2, "corner"), Click(3, 8, "corner")]).xyxy
    ((3.0, 2.0, 10.0, 9.0),)
    """
    boxes = _boxes(clicks)
    points = [click for click in clicks if click.kind != "corner"]
    parts: list[Prompt] = [Box(boxes)] if boxes else []
    if points:
        xy = [(click.x, click.y) for click in points]
        parts.append(Points(xy, [int(click.kind == "foreground") for click in points]))
    if len(parts) == 2:
        return all_of(*parts)
    return parts[0] if parts else None


def _boxes(clicks: Sequence[Click]) -> list[tuple[int, int, int, int]]:
    """Return the boxes whose two corners were clicked, xyxy; both corner pixels are inside."""
    corners = [click for click in clicks if click.kind == "corner"]
    pairs = zip(corners[::2], corners[1::2], strict=False)
    return [(min(a.x, b.x), min(a.y, b.y), max(a.x, b.x) + 1, max(a.y, b.y) + 1) for a, b in pairs]


def _open_corner(clicks: Sequence[Click]) -> Click | None:
    """Return the corner that still waits for the opposite one."""
    corners = [click for click in clicks if click.kind == "corner"]
    return corners[-1] if len(corners) % 2 else None


def _answer(session: Session, clicks: Sequence[Click]) -> Result:
    prompt = prompt_of(clicks)
    return session.everything() if prompt is None else session.select(prompt)


def show(visit: Visit, look: Options) -> View:
    """Answer the clicks and draw the answer with the fields of RenderConfig that ``look`` gives."""
    session, clicks = visit.session, visit.clicks
    if session is None:
        return Visit(), None, WELCOME
    start = time.perf_counter()
    result = _answer(session, clicks)
    answered = time.perf_counter()
    corner = _open_corner(clicks)
    dots = [click for click in clicks if click.kind != "corner"] + ([corner] if corner else [])
    picture = overlay(
        session.frame,
        result.masks,
        RenderConfig(**look),
        points=[(click.x, click.y) for click in dots],
        point_labels=[int(click.kind != "background") for click in dots],
        boxes=_boxes(clicks),
        rows=result.indices.tolist(),  # a mask keeps its colour
    )
    times = {
        **session.times_ms,
        "answer": 1e3 * (answered - start),
        "draw": 1e3 * (time.perf_counter() - answered),
    }
    return visit, picture, _describe(session, clicks, result, times)


def _describe(session: Session, clicks: Sequence[Click], result: Result, times_ms: dict[str, float]) -> str:
    """Return, as Markdown, what was found and how long it took."""
    height, width = session.frame.size_hw
    found = f"**{len(result)} {'mask' if len(result) == 1 else 'masks'}**"
    if _open_corner(clicks):
        hint = "Now click the opposite corner of the box."
    elif prompt_of(clicks) is None:
        hint = "Click an object to have only that." if len(result) else "Lower conf to find more."
    else:
        hint = result.reason[:1].upper() + result.reason[1:] + "."
    spent = ", ".join(f"{name} {value:.0f} ms" for name, value in times_ms.items())
    return f"{found} in {width} x {height} px. {hint}<br><small>{spent}</small>"
