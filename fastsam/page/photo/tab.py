"""The page as gradio.Blocks: widgets, and which step each of them takes."""

from __future__ import annotations

import html
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fastsam.config import RenderConfig, SegmentConfig
from fastsam.errors import FastSAMError, ImageError
from fastsam.images.reading import read_frame
from fastsam.model import FastSAM
from fastsam.needed import needed
from fastsam.page.photo import steps
from fastsam.page.photo.api import connect_api
from fastsam.page.photo.downloads import CHOICES, take_home
from fastsam.page.shared.canvas import canvas_of, example_photos
from fastsam.page.shared.controls import control
from fastsam.page.shared.sessions import SharedModel, Shelf, Visitor
from fastsam.page.video.clip import Limits
from fastsam.page.video.tab import video_tab
from fastsam.prompts import Text

__all__ = ["MEMORY_MB", "build", "photo_of"]

MEMORY_MB = 1024  # of all visitors' photos and masks together
_FORGET_S = 3600  # a visit is dropped so long after its page was closed, and files after they were written
_VIEWS = [
    ("Masks", "masks"),
    ("Cut-out", "cutout"),
    ("Blur the rest", "blur"),
    ("Replace the rest", "replace"),
    ("Erase it", "erase"),
]
_LEVELS = [("all", ""), ("wholes", "whole"), ("parts", "part"), ("subparts", "subpart")]
_VOCABULARIES = [
    ("no names", ""),
    ("everyday things", "everyday"),
    ("COCO's 80 classes", "coco"),
    ("stuff", "stuff"),
]
_NETWORK = {"concurrency_id": "network", "concurrency_limit": 1}  # one pass at a time; others queue
_QUICK = {"concurrency_id": "quick", "concurrency_limit": 2}


def build(
    model: FastSAM | None = None,
    *,
    weights: str | None = None,
    device: str = "auto",
    text_model: str | None = None,
    memory_mb: int = MEMORY_MB,
    video_s: float = Limits.seconds,
) -> Any:
    """Return the page as ``gr.Blocks``; no network is loaded until somebody opens a photo.

    Args:
        model: use this one; otherwise ``weights``, ``device`` and ``text_model`` say which.
        weights: a checkpoint's path or name; None for the embedded default.
        device: where the networks run.
        text_model: what answers texts; see :class:`fastsam.FastSAM`.
        memory_mb: bound on the photos and masks of all visitors together.
        video_s: how many seconds of video a visitor may follow.

    Raises:
        WeightsError: the weights cannot be had.
        MissingPackageError: gradio is not installed.
    """
    shared = SharedModel(weights, device, text_model, model)
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # gradio reads it when it is imported
    with needed("gradio", "show the page"):
        import gradio as gr
    with gr.Blocks(
        title="FastSAM", analytics_enabled=False, fill_width=True, delete_cache=(_FORGET_S, _FORGET_S)
    ) as page:
        shelf = Shelf(memory_mb << 20)
        visitor = gr.State(Visitor(shelf), time_to_live=_FORGET_S)
        gr.Markdown(
            "# FastSAM\nEverything in a photo at once; then say what you want: click, drag, draw, or type."
        )
        with gr.Tab("Photo"):
            widgets = _layout(gr, shared)
        with gr.Tab("Video"):
            limits = Limits(video_s)
            video_tab(gr, shared, shelf, limits, uploaded, network=_NETWORK, quick=_QUICK, forget_s=_FORGET_S)
        _connect(gr, visitor, widgets, _handlers(gr, shared, widgets))
        connect_api(gr, shared, visitor, widgets.segment, _NETWORK)
    return page


def _layout(gr: Any, shared: SharedModel) -> SimpleNamespace:
    """Lay the page out; ``segment`` and ``look`` have a control for each field of their config."""
    with gr.Row(equal_height=True):
        with gr.Column(scale=3, min_width=320):
            canvas = canvas_of(gr, steps.MAX_BYTES)
        with gr.Column(scale=1, min_width=260, elem_id="options"):
            with gr.Accordion("Use the selection", open=True):
                view = gr.Radio(_VIEWS, value="masks", label="Show", elem_id="view")
                strength = gr.Slider(1, 40, value=12, step=1, label="Strength of the blur", visible=False)
                colour = gr.ColorPicker(value="#ffffff", label="New background: a colour ...", visible=False)
                background = gr.File(label="... or a picture", type="binary", height=130, visible=False)
            with gr.Accordion("Take home", open=True):
                what = gr.Dropdown(CHOICES, value="view", label="What", elem_id="what")
                save = gr.Button("Download", elem_id="save")
                saved = gr.File(label="Saved", interactive=False, visible="hidden", elem_id="saved")
            with gr.Accordion("Levels", open=False):
                of_level = gr.Radio(_LEVELS, value="", label="Of everything, show", elem_id="of-level")
                disjoint = gr.Checkbox(
                    False, label="cut apart", info="each pixel has one mask at most", elem_id="disjoint"
                )
            with gr.Accordion("Names and words", open=False):
                vocabulary = gr.Dropdown(_VOCABULARIES, value="", label="Name every mask")
                threshold = gr.Slider(
                    0, 1, value=Text.threshold, step=0.01, label="threshold", info="least score of a text"
                )
            with gr.Accordion("What to find", open=False):
                segment = {spec.name: control(gr, spec, shared.defaults) for spec in SegmentConfig.options()}
            with gr.Accordion("How to draw", open=False):
                look = {spec.name: control(gr, spec, RenderConfig()) for spec in RenderConfig.options()}
    return SimpleNamespace(
        canvas=canvas,
        view=[view, strength, colour, background],
        what=what,
        save=save,
        saved=saved,
        nesting=[of_level, disjoint],
        vocabulary=vocabulary,
        threshold=threshold,
        segment=segment,
        look=look,
    )


def _handlers(gr: Any, shared: SharedModel, widgets: SimpleNamespace) -> SimpleNamespace:
    """Return what the widgets call: steps, fed with the values of the controls."""

    def told(step: Callable[[], Any], instead: Callable[[], Any] = gr.skip) -> Any:
        """Take a step; what it refuses is told as a toast, and the page stays as it is."""
        try:
            found = step()
        except FastSAMError as error:
            gr.Warning(html.escape(str(error)), title="Not possible")
            return instead()
        return gr.skip() if found is None else found

    def segment_options(values: Sequence[Any]) -> dict[str, Any]:
        return {name: v for name, v in zip(widgets.segment, values, strict=True) if v is not None}

    def look_of(values: Sequence[Any]) -> RenderConfig:
        return steps.look_of(dict(zip(widgets.look, values, strict=True)))

    def photo(visitor: Visitor, event: Any, *values: Any) -> Any:
        count, views = len(widgets.segment), len(widgets.view)
        segment, view, look = values[:count], values[count : count + views], values[count + views :]

        def step() -> str:
            frame = photo_of(event._data or {})
            keep = {"look": look_of(look), "view": steps.view_of(*view)}
            return steps.open_photo(visitor, shared, frame, segment_options(segment), **keep)

        return visitor, told(step, lambda: steps.resend(visitor))

    def act(visitor: Visitor, event: Any) -> Any:
        return told(lambda: steps.act(visitor, event._data or {}), lambda: _same(visitor, gr))

    def ask(visitor: Visitor, event: Any) -> Any:
        return told(lambda: steps.ask(visitor, event._data or {}), lambda: _same(visitor, gr))

    for handler in (photo, act, ask):
        handler.__annotations__["event"] = gr.EventData  # how gradio knows what to pass

    def again(visitor: Visitor, *values: Any) -> Any:
        if visitor.visit.session is None:
            return gr.skip()
        return told(lambda: steps.segment_again(visitor, shared, segment_options(values)))

    def redrawn(visitor: Visitor, *values: Any) -> Any:
        return told(lambda: steps.set_up(visitor, look=look_of(values)))

    def viewed(visitor: Visitor, *values: Any) -> Any:
        return told(lambda: steps.set_up(visitor, view=steps.view_of(*values)))

    def thresholded(visitor: Visitor, value: float) -> Any:
        return told(lambda: steps.set_up(visitor, threshold=float(value)))

    def nested(visitor: Visitor, of_level: str, disjoint: bool) -> Any:
        return told(lambda: steps.set_up(visitor, of_level=of_level, disjoint=bool(disjoint)))

    def named(visitor: Visitor, vocabulary: str) -> Any:
        return told(lambda: steps.name_masks(visitor, vocabulary))

    def packed(visitor: Visitor, what: str) -> Iterator[Any]:
        # Gradio copies the file when it is handed over, so the folder can go as soon as we are asked again.
        with tempfile.TemporaryDirectory(prefix="fastsam-") as folder:
            found = told(lambda: take_home(visitor.visit, what, Path(folder)))
            yield gr.update(value=str(found), visible=True) if isinstance(found, Path) else found

    return SimpleNamespace(
        photo=photo,
        act=act,
        ask=ask,
        again=again,
        redrawn=redrawn,
        viewed=viewed,
        thresholded=thresholded,
        nested=nested,
        named=named,
        packed=packed,
    )


def _same(visitor: Visitor, gr: Any) -> Any:
    """Show again what was there: the canvas draws a mark before it is answered."""
    if visitor.visit.session is None:
        return steps.resend(visitor)
    return steps.change(visitor, replace)


def photo_of(event: dict[str, Any]) -> Any:
    """Return the photo that the canvas names: an upload, or an example.

    Raises:
        ImageError: it is neither; no other file of the server is opened.
    """
    if "example" in event:
        path = example_photos().get(str(event["example"]))
        if path is None:
            raise ImageError("There is no such example.")
        return read_frame(path)
    return steps.read_upload(uploaded(event), str(event.get("name") or ""))


def uploaded(event: Mapping[str, Any]) -> Path:
    """Return the file that the canvas names.

    Raises:
        ImageError: it was not uploaded; no other file of the server is opened.
    """
    with needed("gradio", "show the page"):
        from gradio import utils
    uploads = Path(utils.get_upload_folder()).resolve()
    path = Path(str(event.get("path", "")).replace("\0", "")).resolve()
    if not path.is_relative_to(uploads) or not path.is_file():  # gradio has looked, too
        raise ImageError("That photo was not sent to this page; open it again.")
    return path


def _connect(gr: Any, visitor: Any, widgets: SimpleNamespace, handlers: SimpleNamespace) -> None:
    """Tell the widgets which function they call."""
    segment, look = list(widgets.segment.values()), list(widgets.look.values())
    canvas = widgets.canvas
    private = {"api_visibility": "private"}
    shown = {"outputs": [canvas], "show_progress": "full", "show_progress_on": [canvas], **private}
    silent = {"outputs": [canvas], "show_progress": "hidden", **private}
    # "multiple": what comes while another is answered waits for it, and is not lost.
    canvas.photo(
        handlers.photo,
        [visitor, *segment, *widgets.view, *look],
        **{**shown, "outputs": [visitor, canvas]},
        **_NETWORK,
    )
    canvas.act(handlers.act, [visitor], trigger_mode="multiple", **silent, **_QUICK)
    canvas.ask(handlers.ask, [visitor], trigger_mode="multiple", **shown, **_NETWORK)
    last = {"trigger_mode": "always_last"}  # of a dragged slider, the values between do not matter
    gr.on([c.change for c in segment], handlers.again, [visitor, *segment], **last, **shown, **_NETWORK)
    gr.on([c.change for c in look], handlers.redrawn, [visitor, *look], **last, **silent, **_QUICK)
    gr.on(
        [c.change for c in widgets.view],
        handlers.viewed,
        [visitor, *widgets.view],
        **last,
        **silent,
        **_QUICK,
    )
    gr.on(
        [c.change for c in widgets.nesting],
        handlers.nested,
        [visitor, *widgets.nesting],
        **last,
        **silent,
        **_QUICK,
    )
    kind, strength, colour, background = widgets.view
    kind.change(
        lambda chosen: [gr.update(visible=chosen == of) for of in ("blur", "replace", "replace")],
        [kind],
        [strength, colour, background],
        show_progress="hidden",
        **private,
    )
    widgets.threshold.change(handlers.thresholded, [visitor, widgets.threshold], **last, **silent, **_QUICK)
    widgets.vocabulary.change(handlers.named, [visitor, widgets.vocabulary], **last, **shown, **_NETWORK)
    files = {"concurrency_id": "files", "concurrency_limit": 1}  # a large photo takes seconds; clicks go on
    widgets.save.click(handlers.packed, [visitor, widgets.what], [widgets.saved], **private, **files).then(
        None, None, None, js=_CLICK_LINK
    )


# The file is ready: no second click for it.
_CLICK_LINK = "() => setTimeout(() => document.querySelector('#saved a[download]')?.click(), 150)"
