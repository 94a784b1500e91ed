"""The video tab: its widgets, and the step that each of them takes.

Imported when the page is built, since it imports gradio.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray

from fastsam.config import RenderConfig, VideoConfig
from fastsam.errors import FastSAMError, PromptError
from fastsam.masks.rle import decode_rle
from fastsam.page.photo import steps
from fastsam.page.photo.uploads import uploaded
from fastsam.page.shared.canvas import canvas_of
from fastsam.page.shared.controls import controls
from fastsam.page.shared.memory import MemoryBudget
from fastsam.page.shared.model import SharedModel
from fastsam.page.shared.queues import NETWORK, PEEK, QUICK, VIDEO
from fastsam.page.shared.refusals import or_warn, warn
from fastsam.page.video.api import connect_video_api
from fastsam.page.video.clip import Limits, example_clip, read_still
from fastsam.page.video.figures import progress_figure, report_of, still_words
from fastsam.page.video.frame_objects import objects_in_frame
from fastsam.page.video.run import Finished, RunOptions, follow
from fastsam.page.video.state import VideoSession, result_at

__all__ = ["VideoTab", "Widgets"]

_SHOWN_EVERY_S = 0.4  # how often the browser is sent a frame of a run
_SEGMENT = ("imgsz",)  # the rest is as the weights want it
_EVERYDAY = ("conf", "every")
_NEW = ("a new object", 0)
_MARK, _RESULT = "Frame", "Result"
Update = dict[Any, Any]  # widget -> what is new of it


@dataclass(frozen=True)
class Widgets:
    """The widgets of the tab; ``config``, ``segment`` and ``render`` have one for each field of a config."""

    canvas: gr.HTML
    player: gr.Video
    live: gr.HTML
    show: gr.Radio
    slider: gr.Slider
    target: gr.Dropdown
    keep: gr.Button
    report: gr.Markdown
    requests: gr.CheckboxGroup
    everything: gr.Checkbox
    follow: gr.Button
    again: gr.Button
    cancel: gr.Button
    files: gr.File
    config: Mapping[str, Any]
    segment: Mapping[str, Any]
    render: Mapping[str, Any]


class VideoTab:
    """The video tab of the page that is being built.

    Args:
        shared: the model.
        budget: the limit on the memory of all visitors.
        limits: how much video a visitor may ask for.
        forget_s: how long a visitor is remembered after the page was closed.
    """

    def __init__(self, shared: SharedModel, budget: MemoryBudget, limits: Limits, *, forget_s: float) -> None:
        self.shared, self.budget, self.limits = shared, budget, limits
        self.visitor = gr.State(
            VideoSession(budget), time_to_live=forget_s, delete_callback=lambda gone: gone.leave()
        )
        self.widgets = _layout(shared, limits)

    # --- what the widgets call

    def open(self, visitor: VideoSession, event: gr.EventData, *segment: Any) -> Update:
        """Open a video at its first frame."""
        w, what = self.widgets, event._data or {}

        def step() -> Update:
            example = "example" in what
            path = example_clip() if example else uploaded(what)
            name = "street.mp4" if example else str(what.get("name") or path.name)
            frame, clip = visitor.open(path, name, self.limits), visitor.opened
            options = _given(w.segment, segment)
            message = steps.open_photo(visitor.frame, self.shared, frame, options, of_video=True)
            return {
                **self._showing(_MARK, message),
                w.show: gr.update(visible=False),
                w.slider: gr.update(maximum=max(clip.frames - 1, 1), value=0, interactive=clip.frames > 1,
                                    label=f"Frame (0 to {clip.frames - 1})"),
                w.target: gr.update(choices=[_NEW], value=0),
                w.requests: gr.update(choices=[], value=[]),
                w.live: "", w.report: "", w.again: gr.update(interactive=False),
                w.player: gr.update(value=None, visible=False), w.files: gr.update(value=None, visible=False),
            }  # fmt: skip

        before: Callable[[], Update] = lambda: {w.canvas: steps.resend(visitor.frame)}  # noqa: E731
        return {self.visitor: visitor, **or_warn(gr, step, before)}

    def act(self, visitor: VideoSession, event: gr.EventData) -> str:
        """Do what the canvas asks."""
        return or_warn(gr, lambda: steps.act(visitor.frame, event._data or {}), lambda: _unchanged(visitor))

    def ask(self, visitor: VideoSession, event: gr.EventData) -> str:
        """Look for a text in the frame on show."""
        return or_warn(gr, lambda: steps.ask(visitor.frame, event._data or {}), lambda: _unchanged(visitor))

    def peek(self, visitor: VideoSession, event: gr.EventData) -> Any:
        """Show what a click would select."""
        message = steps.peek(visitor.frame, event._data or {})
        return gr.skip() if message is None else message

    def keep(self, visitor: VideoSession, ticked: list[str]) -> Update:
        """Keep what is marked as one more object to follow."""

        def step() -> None:
            if not visitor.keep_marks():
                visitor.opened  # noqa: B018  # without a video, that is what is missing
                raise PromptError("Nothing is marked in this frame: click an object first.")
            self._show_objects(visitor)

        or_warn(gr, step, lambda: None)
        return {self.widgets.canvas: _unchanged(visitor), self.widgets.requests: self._list(visitor, ticked)}

    def move(self, visitor: VideoSession, index: float, ticked: list[str], *segment: Any) -> Update:
        """Show another frame; what is marked in this one is kept."""
        w = self.widgets
        if visitor.clip is None or int(index) == visitor.index or visitor.running.locked():
            return {w.requests: gr.skip()}
        or_warn(gr, visitor.keep_marks, lambda: 0)

        def step() -> None:
            frame = read_still(visitor.opened, int(index))
            options = _given(w.segment, segment)
            steps.open_photo(visitor.frame, self.shared, frame, options, of_video=True)
            visitor.index = int(index)
            self._show_objects(visitor, **self._aim(visitor))

        or_warn(gr, step, lambda: None)
        return {
            **self._showing(_MARK, steps.resend(visitor.frame)),
            w.requests: self._list(visitor, ticked),
            w.live: still_words(visitor),
        }

    def aim(self, visitor: VideoSession, target: int, ticked: list[str]) -> Update:
        """Choose the object that marks are about."""
        if (target or None) != visitor.target:
            or_warn(gr, visitor.keep_marks, lambda: 0)
            visitor.target = target or None
            self._show_objects(visitor, **self._aim(visitor))
        return {
            **self._showing(_MARK, _unchanged(visitor)),
            self.widgets.requests: self._list(visitor, ticked),
        }

    def switch(self, visitor: VideoSession, what: str) -> Update:
        """Show the frame to mark, or the result."""
        return self._showing(what, _unchanged(visitor))

    def cancel(self, visitor: VideoSession) -> None:
        """End the run."""
        visitor.stop.set()

    def follow(
        self, visitor: VideoSession, everything: bool, ticked: list[str], *values: Any
    ) -> Iterator[Update]:
        """Follow from the beginning."""
        yield from self._run(visitor, bool(everything), False, ticked, values)

    def follow_again(
        self, visitor: VideoSession, everything: bool, ticked: list[str], *values: Any
    ) -> Iterator[Update]:
        """Follow again from the first correction."""
        yield from self._run(visitor, False, True, ticked, values)

    # --- a run

    def _run(
        self, visitor: VideoSession, everything: bool, again: bool, ticked: list[str], values: tuple[Any, ...]
    ) -> Iterator[Update]:
        w = self.widgets
        listed: Update = {w.requests: gr.skip()}
        try:
            if not visitor.running.locked():
                visitor.keep_marks()
            listed = {w.requests: self._list(visitor, ticked)}
            options = self._options(everything, again, listed[w.requests]["value"], values)
            busy = {w.follow: gr.update(interactive=False), w.again: gr.update(interactive=False),
                    w.cancel: gr.update(interactive=True), w.live: "<p>Starting ...</p>"}  # fmt: skip
            yield {**listed, **busy}
            yield from self._progress(visitor, options)
        except FastSAMError as error:
            warn(gr, error)
            yield self._refused(visitor, listed)

    def _refused(self, visitor: VideoSession, listed: Update) -> Update:
        """Show the frame again after a run that could not be made."""
        w = self.widgets
        self._show_objects(visitor)
        idle = {w.follow: gr.update(interactive=True), w.cancel: gr.update(interactive=False),
                w.again: gr.update(interactive=visitor.run is not None)}  # fmt: skip
        return {
            **listed,
            **self._showing(_MARK, _unchanged(visitor)),
            **({} if visitor.running.locked() else idle),
            w.live: "",
        }

    def _progress(self, visitor: VideoSession, options: RunOptions) -> Iterator[Update]:
        """Run: the frames appear in place of the canvas, as they are done."""
        w = self.widgets
        shown, began, count = 0.0, time.monotonic(), 0
        for done in follow(visitor, self.shared, self.limits, options):
            if isinstance(done, Finished):
                yield self._result(visitor, done, options)
                return
            count, now = count + 1, time.monotonic()
            if now - shown >= _SHOWN_EVERY_S:
                place = {w.canvas: gr.update(visible="hidden"), w.player: gr.update(visible=False)}
                figure = progress_figure(done, options.render, count / max(now - began, 1e-3))
                yield {**({} if shown else place), w.live: figure}
                shown = now

    def _result(self, visitor: VideoSession, done: Finished, options: RunOptions) -> Update:
        w = self.widgets
        choices = [_NEW]
        if not options.everything:
            choices += [(f"object {i} {seen.label}".strip(), i) for i, seen in sorted(done.objects.items())]
        visitor.target = None
        self._show_objects(visitor, previous=None)
        for text in done.absent:
            gr.Warning(f"“{text}” was not found in any frame. Try other words.", title="Not found")
        seen_any = bool(done.objects)
        return {
            **self._showing(_RESULT if seen_any else _MARK, _unchanged(visitor)),
            w.show: gr.update(visible=seen_any, value=_RESULT if seen_any else _MARK),
            w.player: gr.update(value=str(done.video), visible=seen_any),
            w.files: gr.update(value=[str(path) for path in done.files], visible=seen_any),
            w.requests: self._list(visitor, [str(number) for number in options.numbers]),
            w.target: gr.update(choices=choices, value=0),
            w.follow: gr.update(interactive=True), w.cancel: gr.update(interactive=False),
            w.again: gr.update(interactive=not options.everything),
            w.live: still_words(visitor), w.report: report_of(done),
        }  # fmt: skip

    def _options(
        self, everything: bool, again: bool, ticked: list[str], values: tuple[Any, ...]
    ) -> RunOptions:
        w = self.widgets
        first, second = len(w.config), len(w.config) + len(w.segment)
        return RunOptions(
            everything,
            again,
            frozenset(int(number) for number in ticked),
            VideoConfig(**_given(w.config, values[:first])),
            _given(w.segment, values[first:second]),
            steps.render_of(_given(w.render, values[second:])),
        )

    # --- what is shown

    def _showing(self, what: str, message: str) -> Update:
        """Show the frame to mark, or in its place the result."""
        w, marking = self.widgets, what == _MARK
        return {
            w.canvas: gr.update(value=message, visible=True if marking else "hidden"),
            w.player: gr.update(visible="hidden" if marking else True),
            w.show: gr.update(value=what),
        }

    def _show_objects(self, visitor: VideoSession, **values: Any) -> None:
        """Draw the objects of the frame on show, and set fields of its state."""
        if visitor.frame.state.session is not None:
            new = {"objects": objects_in_frame(visitor), "past": (), "future": (), **values}
            or_warn(gr, lambda: steps.set_up(visitor.frame, **new), lambda: None)

    def _list(self, visitor: VideoSession, ticked: list[str]) -> Any:
        """Return the list of what to follow; what is new in it is ticked."""
        known = {str(request.number) for request in visitor.requests}
        shown, visitor.listed = visitor.listed, frozenset(known)
        return gr.update(
            choices=[(request.title, str(request.number)) for request in visitor.requests],
            value=[number for number in sorted(known, key=int) if number in ticked or number not in shown],
        )

    def _aim(self, visitor: VideoSession) -> dict[str, Any]:
        """Return the mask that marks change: the corrected object as the run found it in this frame."""
        mask: NDArray[np.bool_] | None = None
        if visitor.target is not None:
            line = result_at(visitor.run, visitor.index)
            for found in line.objects if line is not None else ():
                if found["id"] == visitor.target:
                    mask = decode_rle(found["segmentation"])
            if mask is None or not mask.any():
                mask = None
                gr.Info(f"Object {visitor.target} was not seen in this frame; mark where it is.")
        return {"previous": mask, "about": f"object {visitor.target}"}

    # --- which widget calls what

    def connect(self) -> None:
        """Connect the widgets, and the endpoint for programs."""
        w, visitor = self.widgets, self.visitor
        segment = list(w.segment.values())
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        busy = {"api_visibility": "private", "show_progress": "full", "show_progress_on": [w.canvas]}
        canvas: Any = w.canvas  # its events are made up by web/
        place = [w.canvas, w.player, w.show]
        opened = [visitor, *place, w.slider, w.target, w.requests, w.live, w.report, w.again, w.files]
        canvas.photo(self.open, [visitor, *segment], opened, **busy, **NETWORK)
        canvas.act(self.act, [visitor], [w.canvas], trigger_mode="multiple", **quiet, **QUICK)
        canvas.ask(self.ask, [visitor], [w.canvas], trigger_mode="multiple", **busy, **NETWORK)
        canvas.peek(self.peek, [visitor], [w.canvas], trigger_mode="always_last", **quiet, **PEEK)
        w.slider.change(
            self.move, [visitor, w.slider, w.requests, *segment], [*place, w.requests, w.live],
            trigger_mode="always_last", **quiet, **NETWORK,
        )  # fmt: skip
        w.keep.click(self.keep, [visitor, w.requests], [w.canvas, w.requests], **quiet, **QUICK)
        w.target.input(self.aim, [visitor, w.target, w.requests], [*place, w.requests], **quiet, **QUICK)
        w.show.input(self.switch, [visitor, w.show], place, **quiet, **QUICK)
        values = [*w.config.values(), *segment, *w.render.values()]
        results = [*place, w.requests, w.target, w.live, w.follow, w.again, w.cancel, w.files, w.report]
        for button, handler in ((w.follow, self.follow), (w.again, self.follow_again)):
            button.click(
                handler, [visitor, w.everything, w.requests, *values], results, trigger_mode="once",
                api_visibility="private", show_progress="full", show_progress_on=[w.live], **VIDEO,
            )  # fmt: skip
        w.cancel.click(self.cancel, [visitor], None, **quiet, **QUICK)
        connect_video_api(self.shared, self.budget, self.limits)


def _layout(shared: SharedModel, limits: Limits) -> Widgets:
    gr.Markdown(
        "Open a video, mark objects in any frame by click, box, drawing or text, then press *Follow*. "
        f"Up to {limits.words}, {limits.most_bytes >> 20} MB."
    )
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=320):
            canvas = canvas_of(limits.most_bytes, "video")
            player = gr.Video(
                label="Result", interactive=False, visible=False, autoplay=True, loop=True, height=600,
                elem_id="video-result",
            )  # fmt: skip
            live = gr.HTML("", elem_id="video-live")
            show = gr.Radio([_MARK, _RESULT], value=_MARK, label="Show", visible=False, elem_id="video-show")
            slider = gr.Slider(0, 1, value=0, step=1, label="Frame", interactive=False, elem_id="video-frame")
            with gr.Row():
                target = gr.Dropdown([_NEW], value=0, label="My marks apply to", elem_id="video-target")
                keep = gr.Button("Keep, mark another", elem_id="video-keep")
            files = gr.File(
                label="Download", file_count="multiple", interactive=False, visible=False,
                elem_id="video-files",
            )  # fmt: skip
            report = gr.Markdown("", elem_id="video-report")
        with gr.Column(scale=1, min_width=280):
            requests = gr.CheckboxGroup([], label="Objects to follow", elem_id="video-requests")
            everything = gr.Checkbox(False, label="Follow everything instead", elem_id="video-everything")
            follow_button = gr.Button("Follow", variant="primary", elem_id="video-follow")
            again = gr.Button("Follow again from the correction", interactive=False, elem_id="video-again")
            cancel = gr.Button("Cancel", interactive=False, elem_id="video-cancel")
            with gr.Accordion("Detection", open=False):
                segment = controls(gr, shared.defaults, _SEGMENT, rest=False)
            with gr.Accordion("Following", open=False):
                config = controls(gr, VideoConfig(), _EVERYDAY)
            with gr.Accordion("Drawing", open=False):
                look = RenderConfig()
                render = controls(gr, look, tuple(spec.name for spec in look.options()))
    return Widgets(
        canvas, player, live, show, slider, target, keep, report, requests, everything, follow_button, again,
        cancel, files, config, segment, render,
    )  # fmt: skip


def _given(widgets: Mapping[str, Any], values: tuple[Any, ...]) -> dict[str, Any]:
    """Return the values of a config's widgets by name; what was left empty is left out."""
    return {name: value for name, value in zip(widgets, values, strict=True) if value is not None}


def _unchanged(visitor: VideoSession) -> str:
    """Show again what was there: the canvas draws a mark before it is answered."""
    frame = visitor.frame
    return steps.resend(frame) if frame.state.session is None else steps.change(frame, replace)
