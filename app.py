"""The page: open a photo, see everything in it, click for one thing, take the masks home.

Widgets call plain functions (:func:`open_photo`, :func:`add_click`, ...), which call a
:class:`fastsam.Session`. What a visitor does is a value, :class:`Visit`, kept in the visitor's own
``gr.State``; the only thing that visitors share is the model, one network pass at a time.
"""

from __future__ import annotations

import argparse
import html
import importlib.util
import os
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import Field, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastsam import FastSAM, RenderConfig, Result, SegmentConfig, Session
from fastsam.errors import ConfigError, FastSAMError, PromptError
from fastsam.export import FORMATS, safe_name
from fastsam.optional import require
from fastsam.render import overlay
from fastsam.weights import resolve
from prompts import Box, Points, Prompt, all_of

__all__ = [
    "Click",
    "SharedModel",
    "Visit",
    "add_click",
    "build",
    "clear",
    "main",
    "open_photo",
    "prompt_of",
    "redraw",
    "save_masks",
    "segment_again",
    "serve",
    "undo",
]

Kind = Literal["foreground", "background", "corner"]
Picture = NDArray[np.uint8]
Options = dict[str, Any]

_KINDS = [("The object", "foreground"), ("Not the object", "background"), ("Corner of a box", "corner")]
_WELCOME = "Open a photo, or choose the example."
_FORGET_S = 3600  # a visit is dropped so long after its page was closed, and files after they were written
_UPLOAD = "50mb"
_AT_MOST = {"imgsz": 2048, "max_det": 1000}  # no visitor may hold up the others for minutes


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


# ---- what a visitor can do -----------------------------------------------------------------------------


def open_photo(model: SharedModel, source: Any, segment: Options, look: Options) -> View:
    """Return the visit and the view of a photo with everything in it; None closes the photo.

    Raises:
        FastSAMError: the photo cannot be read, the model not loaded, or an option is unusable.
    """
    if source is None:
        return Visit(), None, _WELCOME
    return _view(Visit(model.open(source, segment)), look)


def segment_again(model: SharedModel, visit: Visit, segment: Options, look: Options) -> View:
    """Find the masks of the same photo with other options; the clicks stay."""
    if visit.session is None:
        return Visit(), None, _WELCOME
    return _view(replace(visit, session=model.open(visit.session.frame, segment)), look)


def add_click(visit: Visit, x: float, y: float, kind: Kind, look: Options) -> View:
    """Add a click and answer it; a click on the very edge counts as its last pixel.

    Raises:
        PromptError: no photo is open.
    """
    if visit.session is None:
        raise PromptError("Open a photo first.")
    height, width = visit.session.frame.size_hw
    click = Click(min(max(int(x), 0), width - 1), min(max(int(y), 0), height - 1), kind)
    return _view(replace(visit, clicks=(*visit.clicks, click)), look)


def undo(visit: Visit, look: Options) -> View:
    """Take back the last click."""
    return _view(replace(visit, clicks=visit.clicks[:-1]), look)


def clear(visit: Visit, look: Options) -> View:
    """Take back all clicks: everything is shown."""
    return _view(replace(visit, clicks=()), look)


def redraw(visit: Visit, look: Options) -> View:
    """Draw the same answer with other options."""
    return _view(visit, look)


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


# ---- from clicks to a picture --------------------------------------------------------------------------


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


def _view(visit: Visit, look: Options) -> View:
    """Answer the clicks and draw the answer."""
    session, clicks = visit.session, visit.clicks
    if session is None:
        return Visit(), None, _WELCOME
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


# ---- the widgets ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Widgets:
    """What visitors use; ``segment`` and ``look`` are one control a config field."""

    visit: Any
    photo: Any
    view: Any
    text: Any
    kind: Any
    undo: Any
    clear: Any
    segment: dict[str, Any]
    look: dict[str, Any]
    format: Any
    save: Any
    saved: Any


def build(model: FastSAM | None = None, *, weights: str | None = None, device: str = "auto") -> Any:
    """Return the page as ``gr.Blocks``; no network is loaded until somebody opens a photo.

    Args:
        model: use this one; otherwise ``weights`` and ``device`` say which.
        weights: a checkpoint's path or name; None for the embedded default.
        device: where the network runs.

    Raises:
        WeightsError: the weights cannot be had.
        MissingPackageError: gradio is not installed.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # gradio reads it when it is imported
    gr = require("gradio", "show the page")
    shared = SharedModel(weights, device, model)
    with gr.Blocks(title="FastSAM", analytics_enabled=False, delete_cache=(_FORGET_S, _FORGET_S)) as page:
        _connect(gr, shared, _layout(gr, shared.defaults))
    return page


def _layout(gr: Any, defaults: SegmentConfig) -> _Widgets:
    """Lay the page out."""

    class Photo(gr.Image):  # type: ignore[misc]
        """An image whose file is handed on untouched: reading it is up to fastsam.sources."""

        is_template = True  # looks like its parent

        def preprocess(self, payload: Any) -> str | None:
            return None if payload is None else str(payload.path)

    visit = gr.State(Visit(), time_to_live=_FORGET_S)
    gr.Markdown("# FastSAM\nEverything in a photo at once; then click what you want.")
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=280):
            photo = Photo(label="Photo", sources=["upload", "clipboard"], height=240, buttons=[])
            if (example := _example()) is not None:
                gr.Examples([[str(example)]], inputs=[photo], label="Example")
            with gr.Accordion("What to find", open=False):
                segment = {spec.name: _control(gr, spec, defaults) for spec in SegmentConfig.options()}
            with gr.Accordion("How to draw", open=False):
                look = {spec.name: _control(gr, spec, RenderConfig()) for spec in RenderConfig.options()}
            with gr.Accordion("Take home", open=False):
                formats = gr.Dropdown(list(FORMATS), value="png", label="Format")
                save = gr.Button("Save masks")
                saved = gr.File(label="Saved masks", interactive=False, visible="hidden")
        with gr.Column(scale=3, min_width=400):
            with gr.Row():
                kind = gr.Radio(_KINDS, value="foreground", label="The next click is on", scale=4)
                with gr.Column(scale=1, min_width=100):
                    undo_last, clear_all = gr.Button("Undo", size="sm"), gr.Button("Clear", size="sm")
            text = gr.Markdown(_WELCOME)
            view = gr.Image(
                label="Masks",
                interactive=False,
                format="jpeg",
                height="66vh",
                buttons=["download", "fullscreen"],
            )
    return _Widgets(visit, photo, view, text, kind, undo_last, clear_all, segment, look, formats, save, saved)


def _control(gr: Any, spec: Field[Any], config: SegmentConfig | RenderConfig) -> Any:
    """Return the widget of a config field."""
    value, low, high = getattr(config, spec.name), spec.metadata["min"], spec.metadata["max"]
    about = {"value": value, "label": spec.name, "info": spec.metadata["help"]}
    if isinstance(value, bool):
        return gr.Checkbox(**about)
    if high is None:
        return gr.Number(**about, minimum=low, precision=0)
    high = max(min(high, _AT_MOST.get(spec.name, high)), value)
    return gr.Slider(**about, minimum=low, maximum=high, step=spec.metadata["step"])


def _example() -> Path | None:
    """Return the street photo that ultralytics carries, without importing ultralytics."""
    found = importlib.util.find_spec("ultralytics")
    folders = found.submodule_search_locations if found else None
    path = Path(folders[0]) / "assets" / "bus.jpg" if folders else None
    return path if path is not None and path.is_file() else None


def _connect(gr: Any, shared: SharedModel, widgets: _Widgets) -> None:
    """Tell the widgets which function they call."""
    segment, look = list(widgets.segment.values()), list(widgets.look.values())
    outputs = [widgets.visit, widgets.view, widgets.text]
    private = {"outputs": outputs, "api_visibility": "private"}
    network = {"concurrency_id": "network", "concurrency_limit": 1}  # one pass at a time; the others queue

    def given(names: dict[str, Any], values: Sequence[Any]) -> Options:
        return {name: value for name, value in zip(names, values, strict=True) if value is not None}

    def split(values: Sequence[Any]) -> tuple[Options, Options]:
        return given(widgets.segment, values[: len(segment)]), given(widgets.look, values[len(segment) :])

    def opened(path: str | None, *values: Any) -> Any:
        try:
            return open_photo(shared, path, *split(values))
        except FastSAMError as error:  # the photo before it must not stay on the page
            gr.Warning(html.escape(str(error)), title="This photo cannot be used")
            return Visit(), None, html.escape(str(error))

    def again(visit: Visit, *values: Any) -> Any:
        return _told(gr, segment_again, shared, visit, *split(values))

    def clicked(visit: Visit, kind: Kind, event: Any, *values: Any) -> Any:
        x, y = event.index
        return _told(gr, add_click, visit, x, y, kind, given(widgets.look, values))

    clicked.__annotations__["event"] = gr.SelectData  # how gradio knows what to pass

    def undone(visit: Visit, *values: Any) -> Any:
        return _told(gr, undo, visit, given(widgets.look, values))

    def cleared(visit: Visit, *values: Any) -> Any:
        return _told(gr, clear, visit, given(widgets.look, values))

    def redrawn(visit: Visit, *values: Any) -> Any:
        return _told(gr, redraw, visit, given(widgets.look, values))

    def packed(visit: Visit, format: str) -> Iterator[Any]:
        # Gradio copies the file when it is handed over, so the folder can go as soon as we are asked again.
        with tempfile.TemporaryDirectory(prefix="fastsam-") as folder:
            found = _told(gr, save_masks, visit, format, Path(folder))
            yield gr.update(value=str(found), visible=True) if isinstance(found, Path) else found

    widgets.photo.change(
        opened,
        [widgets.photo, *segment, *look],
        outputs,
        api_name="open",
        show_progress_on=[widgets.view],
        **network,
    )
    gr.on(
        [c.change for c in segment],
        again,
        [widgets.visit, *segment, *look],
        trigger_mode="always_last",
        show_progress_on=[widgets.view],
        **private,
        **network,
    )
    gr.on(
        [c.change for c in look],
        redrawn,
        [widgets.visit, *look],
        trigger_mode="always_last",
        show_progress="hidden",
        **private,
    )
    # "multiple": a click that comes while another is answered waits for it, and is not lost.
    at_once = {"trigger_mode": "multiple", "show_progress": "hidden", **private}
    gr.on(
        [widgets.photo.select, widgets.view.select], clicked, [widgets.visit, widgets.kind, *look], **at_once
    )
    widgets.undo.click(undone, [widgets.visit, *look], **at_once)
    widgets.clear.click(cleared, [widgets.visit, *look], **at_once)
    widgets.save.click(packed, [widgets.visit, widgets.format], [widgets.saved], api_name="save")


def _told(gr: Any, handler: Callable[..., Any], *args: Any) -> Any:
    """Call a handler; what it refuses is told as a toast, and the page stays as it is."""
    try:
        return handler(*args)
    except FastSAMError as error:
        gr.Warning(html.escape(str(error)), title="Not possible")
        return gr.skip()


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the page until it is stopped; return the exit code.

    Args:
        argv: command line without the program's name; that of the process by default.
    """
    parser = argparse.ArgumentParser(prog="app.py", description="Serve FastSAM as a web page.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on (%(default)s)")
    parser.add_argument("--weights", help="a checkpoint's path or name; the embedded default if not given")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (%(default)s)")
    options = parser.parse_args(argv)
    try:
        page = build(weights=options.weights, device=options.device)
        sys.stderr.write(f"FastSAM is at {serve(page, options.host, options.port)} (Ctrl+C stops it)\n")
    except FastSAMError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    page.block_thread()
    return 0


def serve(page: Any, host: str = "127.0.0.1", port: int | None = None) -> str:
    """Serve a page in the background and return its address.

    Args:
        page: what :func:`build` returned; ``page.close()`` stops the server.
        host: address to listen on; the default is for this machine only.
        port: port to listen on; None takes a free one.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    gr = require("gradio", "show the page")
    # The semi-bold Source Sans Pro of gradio's own theme (6.31) has no letter but A.
    font = [gr.themes.LocalFont("IBM Plex Sans"), "ui-sans-serif", "sans-serif"]
    try:
        _, address, _ = page.launch(
            theme=gr.themes.Default(font=font),
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            show_error=True,
            max_file_size=_UPLOAD,
            allowed_paths=[],  # visitors get what the page made, and nothing else of this machine
            share=False,
            ssr_mode=False,
            run_history=False,
            enable_monitoring=False,
            footer_links=["api"],
            quiet=True,
        )
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port} ({error}); choose another host or port") from error
    return str(address)


if __name__ == "__main__":
    sys.exit(main())
