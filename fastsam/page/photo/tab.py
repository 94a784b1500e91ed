"""The photo tab: its widgets, and the step that each of them takes.

Imported when the page is built, since it imports gradio.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from fastsam.config import RenderConfig
from fastsam.page.photo import steps
from fastsam.page.photo.api import connect_api
from fastsam.page.photo.downloads import CHOICES, write_download
from fastsam.page.photo.effects import Effect
from fastsam.page.photo.uploads import MAX_BYTES, photo_of
from fastsam.page.shared.canvas import canvas_of
from fastsam.page.shared.controls import controls
from fastsam.page.shared.memory import MemoryBudget
from fastsam.page.shared.model import SharedModel
from fastsam.page.shared.queues import FILES, NETWORK, PEEK, QUICK
from fastsam.page.shared.refusals import or_warn
from fastsam.page.shared.sessions import PageSession
from fastsam.prompts import Text

__all__ = ["PhotoTab", "Widgets"]

_EFFECTS = [
    ("Masks", "masks"),
    ("Cut-out", "cutout"),
    ("Blur background", "blur"),
    ("Replace background", "replace"),
]
_LEVELS = [
    ("everything", ""),
    ("whole objects", "whole"),
    ("their parts", "part"),
    ("parts of parts", "subpart"),
]
_VOCABULARIES = [
    ("no names", ""),
    ("everyday things", "everyday"),
    ("the 80 classes of COCO", "coco"),
    ("surfaces and backgrounds", "stuff"),
]
_EVERYDAY = ("conf", "imgsz", "max_det")
# The file is ready: no second click for it.
_CLICK_LINK = "() => setTimeout(() => document.querySelector('#saved a[download]')?.click(), 150)"


@dataclass(frozen=True)
class Widgets:
    """The widgets of the tab; ``segment`` and ``render`` have one for each field of their config."""

    canvas: gr.HTML
    effect: gr.Radio
    soft: gr.Checkbox
    strength: gr.Slider
    color: gr.ColorPicker
    background: gr.File
    what: gr.Dropdown
    save: gr.Button
    saved: gr.File
    of_level: gr.Radio
    disjoint: gr.Checkbox
    vocabulary: gr.Dropdown
    threshold: gr.Slider
    segment: Mapping[str, Any]
    render: Mapping[str, Any]

    @property
    def effects(self) -> list[Any]:
        """What :func:`fastsam.page.photo.steps.effect_of` takes."""
        return [self.effect, self.soft, self.strength, self.color, self.background]


class PhotoTab:
    """The photo tab of the page that is being built.

    Args:
        shared: the model.
        budget: the limit on the memory of all visitors.
        forget_s: how long a visitor is remembered after the page was closed.
    """

    def __init__(self, shared: SharedModel, budget: MemoryBudget, *, forget_s: float) -> None:
        self.shared = shared
        self.visitor = gr.State(PageSession(budget), time_to_live=forget_s)
        self.widgets = _layout(shared)

    # --- what the widgets call

    def open(self, visitor: PageSession, event: gr.EventData, *values: Any) -> Any:
        """Open a photo; what was saved of the one before is not offered any more."""
        segment, effect, render = self._parted(values)

        def step() -> str:
            keep = {"render": steps.render_of(render), "effect": steps.effect_of(*effect)}
            return steps.open_photo(visitor, self.shared, photo_of(event._data or {}), segment, **keep)

        hidden = gr.update(value=None, visible="hidden")
        return visitor, or_warn(gr, step, lambda: steps.resend(visitor)), hidden

    def act(self, visitor: PageSession, event: gr.EventData) -> str:
        """Do what the canvas asks."""
        return or_warn(gr, lambda: steps.act(visitor, event._data or {}), lambda: _unchanged(visitor))

    def ask(self, visitor: PageSession, event: gr.EventData) -> str:
        """Look for a text, or remember a reference."""
        return or_warn(gr, lambda: steps.ask(visitor, event._data or {}), lambda: _unchanged(visitor))

    def peek(self, visitor: PageSession, event: gr.EventData) -> Any:
        """Show what a click would select."""
        message = steps.peek(visitor, event._data or {})
        return gr.skip() if message is None else message

    def segment_again(self, visitor: PageSession, *values: Any) -> Any:
        """Find the masks anew, with other options."""
        if visitor.state.session is None:
            return gr.skip()
        options = _given(self.widgets.segment, values)
        return _or_skip(lambda: steps.segment_again(visitor, self.shared, options))

    def set_render(self, visitor: PageSession, *values: Any) -> Any:
        """Draw the masks otherwise."""
        options = _given(self.widgets.render, values)
        return _or_skip(lambda: steps.set_up(visitor, render=steps.render_of(options)))

    def set_effect(self, visitor: PageSession, *values: Any) -> Any:
        """Make something else of the selection."""
        return _or_skip(lambda: steps.set_up(visitor, effect=steps.effect_of(*values)))

    def set_threshold(self, visitor: PageSession, value: float) -> Any:
        """Ask texts for another minimum score."""
        return _or_skip(lambda: steps.set_up(visitor, threshold=float(value)))

    def set_levels(self, visitor: PageSession, of_level: str, disjoint: bool) -> Any:
        """Show another level of everything."""
        return _or_skip(lambda: steps.set_up(visitor, of_level=of_level, disjoint=bool(disjoint)))

    def name(self, visitor: PageSession, vocabulary: str) -> Any:
        """Name every mask."""
        return _or_skip(lambda: steps.name_masks(visitor, vocabulary))

    def download(self, visitor: PageSession, what: str) -> Iterator[Any]:
        """Write what is shown as one file."""
        # Gradio copies the file when it is handed over, so the folder can go as soon as we are asked again.
        with tempfile.TemporaryDirectory(prefix="fastsam-") as folder:

            def step() -> Any:
                path = write_download(visitor.state, what, Path(folder))
                return gr.update(value=str(path), visible=True)

            yield or_warn(gr, step, gr.skip)

    def _parted(self, values: Sequence[Any]) -> tuple[dict[str, Any], Sequence[Any], dict[str, Any]]:
        """Return the values of the options, of the effect, and of how masks are drawn."""
        w = self.widgets
        first, second = len(w.segment), len(w.segment) + len(w.effects)
        return _given(w.segment, values[:first]), values[first:second], _given(w.render, values[second:])

    # --- which widget calls what

    def connect(self) -> None:
        """Connect the widgets, and the endpoints for programs."""
        w, visitor = self.widgets, self.visitor
        segment, render = list(w.segment.values()), list(w.render.values())
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        busy: dict[str, Any] = {**quiet, "show_progress": "full", "show_progress_on": [w.canvas]}
        to_canvas: dict[str, Any] = {"outputs": [w.canvas]}
        canvas: Any = w.canvas  # its events are made up by web/
        canvas.photo(
            self.open,
            [visitor, *segment, *w.effects, *render],
            [visitor, w.canvas, w.saved],
            **busy,
            **NETWORK,
        )
        # "multiple": what comes while another is answered waits for it, and is not lost.
        canvas.act(self.act, [visitor], trigger_mode="multiple", **to_canvas, **quiet, **QUICK)
        canvas.ask(self.ask, [visitor], trigger_mode="multiple", **to_canvas, **busy, **NETWORK)
        # "always_last": of a moving pointer or slider, the places between do not matter.
        canvas.peek(self.peek, [visitor], trigger_mode="always_last", **to_canvas, **quiet, **PEEK)
        for widgets, step, how in (
            (segment, self.segment_again, {**busy, **NETWORK}),
            (render, self.set_render, {**quiet, **QUICK}),
            (w.effects, self.set_effect, {**quiet, **QUICK}),
            ([w.of_level, w.disjoint], self.set_levels, {**quiet, **QUICK}),
            ([w.threshold], self.set_threshold, {**quiet, **QUICK}),
            ([w.vocabulary], self.name, {**busy, **NETWORK}),
        ):
            controls: list[Any] = list(widgets)
            changes = [widget.change for widget in controls]
            gr.on(changes, step, [visitor, *widgets], trigger_mode="always_last", **to_canvas, **how)
        w.effect.change(
            _visible_for, [w.effect], [w.soft, w.strength, w.color, w.background], **quiet
        )  # fmt: skip
        w.save.click(
            self.download, [visitor, w.what], [w.saved], api_visibility="private", **FILES
        ).then(None, None, None, js=_CLICK_LINK)  # fmt: skip
        connect_api(self.shared, visitor, w.segment)


def _layout(shared: SharedModel) -> Widgets:
    with gr.Row(equal_height=True):
        with gr.Column(scale=3, min_width=320):
            canvas = canvas_of(MAX_BYTES)
        with gr.Column(scale=1, min_width=260, elem_id="options"):
            with gr.Accordion("Result", open=True):
                effect = gr.Radio(_EFFECTS, value="masks", label="Show", elem_id="effect")
                soft = gr.Checkbox(True, label="Soft edges", visible=False, elem_id="soft")
                strength = gr.Slider(
                    1, 40, value=Effect.strength, step=1, label="Strength of the blur", visible=False
                )
                color = gr.ColorPicker(value="#ffffff", label="Background color", visible=False)
                background = gr.File(label="or a picture", type="binary", height=130, visible=False)
            with gr.Accordion("Download", open=True):
                what = gr.Dropdown(CHOICES, value="view", label="File", elem_id="what")
                save = gr.Button("Download", elem_id="save")
                saved = gr.File(label="Saved", interactive=False, visible="hidden", elem_id="saved")
            with gr.Accordion("Detection", open=False):
                segment = controls(gr, shared.defaults, _EVERYDAY)
            with gr.Accordion("Names and texts", open=False):
                vocabulary = gr.Dropdown(_VOCABULARIES, value="", label="Name every mask")
                threshold = gr.Slider(
                    0, 1, value=Text.threshold, step=0.01, label="Text threshold",
                    info="Minimum score of a mask that matches a text.",
                )  # fmt: skip
            with gr.Accordion("Whole objects and parts", open=False):
                of_level = gr.Radio(_LEVELS, value="", label="Show", elem_id="of-level")
                disjoint = gr.Checkbox(
                    False, label="No overlaps", info="Each pixel belongs to one mask at most.",
                    elem_id="disjoint",
                )  # fmt: skip
            with gr.Accordion("Drawing", open=False):
                config = RenderConfig()
                render = controls(gr, config, tuple(spec.name for spec in config.options()))
    return Widgets(
        canvas, effect, soft, strength, color, background, what, save, saved, of_level, disjoint, vocabulary,
        threshold, segment, render,
    )  # fmt: skip


def _given(widgets: Mapping[str, Any], values: Sequence[Any]) -> dict[str, Any]:
    """Return the values of a config's widgets by name; what was left empty is left out."""
    return {name: value for name, value in zip(widgets, values, strict=True) if value is not None}


def _or_skip(step: Callable[[], str | None]) -> Any:
    """Take a step; if it is refused, or has no answer, the canvas stays as it is."""
    message: Any = or_warn(gr, step, lambda: None)
    return gr.skip() if message is None else message


def _visible_for(effect: str) -> list[Any]:
    """Show the widgets that matter for an effect."""
    kinds = (("cutout", "blur", "replace"), ("blur",), ("replace",), ("replace",))
    return [gr.update(visible=effect in those) for those in kinds]


def _unchanged(visitor: PageSession) -> str:
    """Show again what was there: the canvas draws a mark before it is answered."""
    if visitor.state.session is None:
        return steps.resend(visitor)
    return steps.change(visitor, replace)
