"""The page: open a photo, see everything in it, click for one thing, take the masks home.

Widgets call the functions of :mod:`fastsam.visit`. Each visitor's :class:`fastsam.visit.Visit` lives in the
visitor's own ``gr.State``; nothing of a visitor is global.
"""

from __future__ import annotations

import argparse
import html
import importlib.util
import inspect
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import Field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fastsam import FastSAM, RenderConfig, SegmentConfig
from fastsam.errors import ConfigError, FastSAMError
from fastsam.export import FORMATS
from fastsam.optional import require
from fastsam.visit import (
    WELCOME,
    Kind,
    SharedModel,
    Visit,
    add_click,
    clear,
    open_photo,
    save_masks,
    segment_again,
    show,
    undo,
)

__all__ = ["build", "main", "serve"]

_KINDS = [("The object", "foreground"), ("Not the object", "background"), ("Corner of a box", "corner")]
_FORGET_S = 3600  # a visit is dropped so long after its page was closed, and files after they were written
_UPLOAD = "50mb"
_AT_MOST = {"imgsz": 2048, "max_det": 1000}  # no visitor may hold up the others for minutes


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
    shared = SharedModel(weights, device, model)
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # gradio reads it when it is imported
    gr = require("gradio", "show the page")
    with gr.Blocks(title="FastSAM", analytics_enabled=False, delete_cache=(_FORGET_S, _FORGET_S)) as page:
        widgets = _layout(gr, shared.defaults)
        _connect(gr, widgets, _handlers(gr, shared, widgets))
    return page


def _layout(gr: Any, defaults: SegmentConfig) -> SimpleNamespace:
    """Lay the page out and return its widgets; ``segment`` and ``look`` have one for each config field."""
from gradio.events import Dependency

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
            text = gr.Markdown(WELCOME)
            view = gr.Image(
                label="Masks",
                interactive=False,
                format="jpeg",
                height="66vh",
                buttons=["download", "fullscreen"],
            )
    return SimpleNamespace(
        visit=visit,
        photo=photo,
        kind=kind,
        undo=undo_last,
        clear=clear_all,
        view=view,
        text=text,
        segment=segment,
        look=look,
        format=formats,
        save=save,
        saved=saved,
    )


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


def _handlers(gr: Any, shared: SharedModel, widgets: SimpleNamespace) -> SimpleNamespace:
    """Return what the widgets call: functions of fastsam.visit, fed with the values of the controls."""
    names = [*widgets.segment, *widgets.look]
    first_look = len(widgets.segment)

    def options(values: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        given = list(zip(names, values, strict=True))
        segment, look = given[:first_look], given[first_look:]
        return {k: v for k, v in segment if v is not None}, {k: v for k, v in look if v is not None}

    def opened(path: str | None, *values: Any) -> Any:
        try:
            return open_photo(shared, path, *options(values))
        except FastSAMError as error:  # the photo before it must not stay on the page
            gr.Warning(html.escape(str(error)))
            return Visit(), None, html.escape(str(error))

    opened.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what clients of the API see
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("photo", *names)]
    )

    def again(visit: Visit, *values: Any) -> Any:
        return _told(gr, segment_again, shared, visit, *options(values))

    def clicked(visit: Visit, kind: Kind, event: Any, *values: Any) -> Any:
        return _told(gr, add_click, visit, *event.index, kind, options(values)[1])

    clicked.__annotations__["event"] = gr.SelectData  # how gradio knows what to pass

    def changed(handler: Callable[..., Any]) -> Callable[..., Any]:
        return lambda visit, *values: _told(gr, handler, visit, options(values)[1])

    def packed(visit: Visit, format: str) -> Iterator[Any]:
        # Gradio copies the file when it is handed over, so the folder can go as soon as we are asked again.
        with tempfile.TemporaryDirectory(prefix="fastsam-") as folder:
            found = _told(gr, save_masks, visit, format, Path(folder))
            yield gr.update(value=str(found), visible=True) if isinstance(found, Path) else found

    return SimpleNamespace(
        opened=opened,
        again=again,
        clicked=clicked,
        redrawn=changed(show),
        undone=changed(undo),
        cleared=changed(clear),
        packed=packed,
    )


def _connect(gr: Any, widgets: SimpleNamespace, handlers: SimpleNamespace) -> None:
    """Tell the widgets which function they call."""
    segment, look = list(widgets.segment.values()), list(widgets.look.values())
    controls = [*segment, *look]
    outputs = [widgets.visit, widgets.view, widgets.text]
    # One network pass at a time; the other visitors queue.
    network = {"concurrency_id": "network", "concurrency_limit": 1, "show_progress_on": [widgets.view]}
    widgets.photo.change(handlers.opened, [widgets.photo, *controls], outputs, api_name="open", **network)
    private = {"outputs": outputs, "api_visibility": "private"}
    last = {"trigger_mode": "always_last", **private}  # of a dragged slider, the values between do not matter
    gr.on([c.change for c in segment], handlers.again, [widgets.visit, *controls], **last, **network)
    gr.on(
        [c.change for c in look], handlers.redrawn, [widgets.visit, *controls], show_progress="hidden", **last
    )
    # "multiple": a click that comes while another is answered waits for it, and is not lost.
    each = {"trigger_mode": "multiple", "show_progress": "hidden", **private}
    clicks = [widgets.photo.select, widgets.view.select]
    gr.on(clicks, handlers.clicked, [widgets.visit, widgets.kind, *controls], **each)
    widgets.undo.click(handlers.undone, [widgets.visit, *controls], **each)
    widgets.clear.click(handlers.cleared, [widgets.visit, *controls], **each)
    widgets.save.click(handlers.packed, [widgets.visit, widgets.format], [widgets.saved], api_name="save")


def _told(gr: Any, handler: Callable[..., Any], *args: Any) -> Any:
    """Call a handler; what it refuses is told as a toast, and the page stays as it is."""
    try:
        return handler(*args)
    except FastSAMError as error:
        gr.Warning(html.escape(str(error)))
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