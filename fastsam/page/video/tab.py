"""The video tab: open a video, mark things in any of its frames, follow them, correct, take it home."""

from __future__ import annotations

import base64
import html
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastsam.config import RenderConfig, SegmentConfig, VideoConfig
from fastsam.errors import FastSAMError, PromptError
from fastsam.masks.rle import decode_rle
from fastsam.page.photo import steps
from fastsam.page.photo.messages import display_picture
from fastsam.page.shared.canvas import canvas_of
from fastsam.page.shared.controls import control
from fastsam.page.shared.sessions import SharedModel, Shelf
from fastsam.page.video.api import connect_video_api
from fastsam.page.video.clip import Limits, example_clip, plain, read_still
from fastsam.page.video.run import Finished, Progress, Wanted, follow, report_rows
from fastsam.page.video.state import VideoVisitor, result_at
from fastsam.video.track.tracked import Tracked

__all__ = ["video_tab"]

_RUN = {"concurrency_id": "video", "concurrency_limit": 1}  # one video at a time; others see their place
_SHOWN_EVERY_S = 0.4  # how often the browser is sent a frame of a run
_SEGMENT = ("imgsz",)  # of what to find; the rest is as the weights want it
_NEW = ("a new object", 0)


def video_tab(
    gr: Any,
    shared: SharedModel,
    shelf: Shelf,
    limits: Limits,
    uploaded: Callable[[Mapping[str, Any]], Path],
    *,
    network: Mapping[str, Any],
    quick: Mapping[str, Any],
    forget_s: float,
) -> None:
    """Add the tab's widgets to the page that is being built.

    Args:
        gr: the gradio module.
        shared: the model.
        shelf: what bounds the memory of all visitors.
        limits: how much video a visitor may ask for.
        uploaded: returns the file that the canvas names.
        network: how events queue that run a network.
        quick: how the others do.
        forget_s: how long a visitor is remembered after the page was closed.
    """
    visitor = gr.State(VideoVisitor(shelf), time_to_live=forget_s, delete_callback=lambda gone: gone.leave())
    widgets = _layout(gr, shared, limits)
    handlers = _Handlers(gr, shared, limits, uploaded, widgets)
    _connect(gr, visitor, widgets, handlers, network, quick)
    connect_video_api(gr, shared, shelf, limits, _RUN)


def _layout(gr: Any, shared: SharedModel, limits: Limits) -> SimpleNamespace:
    gr.Markdown(
        "Open a video; mark things in any frame by click, box, drawing or words; then *Follow*. "
        f"Up to {limits.words}, {limits.most_bytes >> 20} MB."
    )
    w = SimpleNamespace()
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=320):
            w.canvas = canvas_of(gr, limits.most_bytes, "video")
            w.slider = gr.Slider(
                0, 1, value=0, step=1, label="Frame", interactive=False, elem_id="video-frame"
            )
            with gr.Row():
                w.target = gr.Dropdown([_NEW], value=0, label="What I mark is", elem_id="video-target")
                w.keep = gr.Button("Keep it, and mark another", elem_id="video-keep")
            w.live = gr.HTML("", elem_id="video-live")
            w.report = gr.Markdown("", elem_id="video-report")
        with gr.Column(scale=1, min_width=280):
            w.wishes = gr.CheckboxGroup([], label="To follow", elem_id="video-wishes")
            w.everything = gr.Checkbox(False, label="Everything, instead", elem_id="video-everything")
            w.follow = gr.Button("Follow", variant="primary", elem_id="video-follow")
            w.again = gr.Button("Follow again from the correction", interactive=False, elem_id="video-again")
            w.cancel = gr.Button("Cancel", interactive=False, elem_id="video-cancel")
            w.video = gr.Video(label="Followed", interactive=False, visible=False, elem_id="video-result")
            w.files = gr.File(label="Take home", file_count="multiple", interactive=False, visible=False,
                              elem_id="video-files")  # fmt: skip
            with gr.Accordion("How to follow", open=False):
                w.config = {spec.name: control(gr, spec, VideoConfig()) for spec in VideoConfig.options()}
                w.segment = {
                    spec.name: control(gr, spec, shared.defaults)
                    for spec in SegmentConfig.options()
                    if spec.name in _SEGMENT
                }
            with gr.Accordion("How to draw", open=False):
                w.look = {spec.name: control(gr, spec, RenderConfig()) for spec in RenderConfig.options()}
    return w


class _Handlers:
    """What the tab's widgets call; each answer names the widgets that change."""

    def __init__(
        self, gr: Any, shared: SharedModel, limits: Limits, uploaded: Callable[..., Path], w: SimpleNamespace
    ) -> None:
        self.gr, self.shared, self.limits, self.uploaded, self.w = gr, shared, limits, uploaded, w

    def _told(self, visitor: VideoVisitor, step: Callable[[], Any]) -> Any:
        """Take a step; what it refuses is told as a toast."""
        try:
            return step()
        except FastSAMError as error:
            name = visitor.clip.name if visitor.clip else "video"
            self.gr.Warning(html.escape(plain(error, name)), title="Not possible")
            return None

    def _segment(self, values: tuple[Any, ...]) -> dict[str, Any]:
        return {name: value for name, value in zip(self.w.segment, values, strict=True) if value is not None}

    def opened(self, visitor: VideoVisitor, event: Any, *segment: Any) -> dict[Any, Any]:
        """Open a video at its first frame."""
        gr, w, what = self.gr, self.w, event._data or {}

        def step() -> dict[Any, Any]:
            example = "example" in what
            path = example_clip() if example else self.uploaded(what)
            name = "street.mp4" if example else str(what.get("name") or path.name)
            frame, clip = visitor.open(path, name, self.limits), visitor.opened
            return {
                w.canvas: steps.open_photo(visitor.frame, self.shared, frame, self._segment(segment)),
                w.slider: gr.update(maximum=max(clip.frames - 1, 1), value=0, interactive=clip.frames > 1,
                                    label=f"Frame (0 to {clip.frames - 1})"),
                w.target: gr.update(choices=[_NEW], value=0),
                w.wishes: gr.update(choices=[], value=[]),
                w.live: "", w.report: "", w.again: gr.update(interactive=False),
                w.video: gr.update(value=None, visible=False), w.files: gr.update(value=None, visible=False),
            }  # fmt: skip

        found = self._told(visitor, step)
        return {w.visitor: visitor, **(found or {w.canvas: steps.resend(visitor.frame)})}

    def act(self, visitor: VideoVisitor, event: Any) -> Any:
        """Do what the canvas asks."""
        return self._answered(visitor, lambda: steps.act(visitor.frame, event._data or {}))

    def ask(self, visitor: VideoVisitor, event: Any) -> Any:
        """Look for a text in the frame that is shown."""
        return self._answered(visitor, lambda: steps.ask(visitor.frame, event._data or {}))

    def _answered(self, visitor: VideoVisitor, step: Callable[[], str]) -> str:
        return self._told(visitor, step) or self._same(visitor)

    def _same(self, visitor: VideoVisitor) -> str:
        frame = visitor.frame
        return steps.resend(frame) if frame.visit.session is None else steps.change(frame, replace)

    def _list(self, visitor: VideoVisitor, ticked: list[str]) -> Any:
        """Return the list of what to follow; what is new in it is ticked."""
        known = {str(wish.number) for wish in visitor.wishes}
        shown, visitor.listed = visitor.listed, frozenset(known)
        return self.gr.update(
            choices=[(wish.words, str(wish.number)) for wish in visitor.wishes],
            value=[number for number in sorted(known, key=int) if number in ticked or number not in shown],
        )

    def kept(self, visitor: VideoVisitor, ticked: list[str]) -> dict[Any, Any]:
        """Keep what is marked as one more thing to follow."""

        def step() -> int:
            count = visitor.keep_marks()
            if not count:
                visitor.opened  # noqa: B018  # without a video, that is what is missing
                raise PromptError("Nothing is marked in this frame: click a thing first.")
            return count

        self._told(visitor, step)
        return {self.w.canvas: self._same(visitor), self.w.wishes: self._list(visitor, ticked)}

    def moved(self, visitor: VideoVisitor, index: float, ticked: list[str], *segment: Any) -> Any:
        """Show another frame; what is marked in this one is kept."""
        if visitor.clip is None or int(index) == visitor.index or visitor.running.locked():
            return {self.w.wishes: self.gr.skip()}
        self._told(visitor, visitor.keep_marks)

        def step() -> str:
            frame = read_still(visitor.opened, int(index))
            visitor.index = int(index)
            message = steps.open_photo(visitor.frame, self.shared, frame, self._segment(segment))
            return self._aim(visitor) if visitor.target else message

        canvas = self._told(visitor, step) or self._same(visitor)
        canvas = steps.resend(visitor.frame) if visitor.target else canvas
        return {
            self.w.canvas: canvas,
            self.w.wishes: self._list(visitor, ticked),
            self.w.live: self._still(visitor),
        }

    def aimed(self, visitor: VideoVisitor, target: int, ticked: list[str]) -> dict[Any, Any]:
        """Choose the object that marks are about."""
        if (target or None) != visitor.target:
            self._told(visitor, visitor.keep_marks)
            visitor.target = target or None
            self._told(visitor, lambda: self._aim(visitor))
        return {self.w.canvas: self._same(visitor), self.w.wishes: self._list(visitor, ticked)}

    def _aim(self, visitor: VideoVisitor) -> str:
        """Show the object that is corrected as the run found it in this frame."""
        mask: NDArray[np.bool_] | None = None
        if visitor.target is not None:
            line = result_at(visitor.run, visitor.index)
            for found in line.objects if line is not None else ():
                if found["id"] == visitor.target:
                    mask = decode_rle(found["segmentation"])
            if mask is None or not mask.any():
                mask = None
                self.gr.Info(f"Object {visitor.target} was not seen in this frame; mark where it is.")
        about = f"object {visitor.target}"
        return steps.change(visitor.frame, lambda before: replace(before, previous=mask, about=about))

    def _still(self, visitor: VideoVisitor) -> str:
        """Return what the run found in the frame that is shown."""
        line = result_at(visitor.run, visitor.index)
        session = visitor.frame.visit.session
        if line is None or session is None or line.size_hw != session.frame.size_hw:
            return ""
        found = Tracked(session.frame, line.masks(), line.ids, line.scores, line.labels, line.lost)
        return _figure(found, visitor.opened.frames, RenderConfig(), "")

    def cancel(self, visitor: VideoVisitor) -> None:
        """Tell the run to end."""
        visitor.stop.set()

    def follow(
        self, visitor: VideoVisitor, everything: bool, ticked: list[str], *values: Any
    ) -> Iterator[Any]:
        """Follow from the beginning."""
        yield from self._run(visitor, everything, False, ticked, values)

    def again(
        self, visitor: VideoVisitor, everything: bool, ticked: list[str], *values: Any
    ) -> Iterator[Any]:
        """Follow again from the first correction."""
        yield from self._run(visitor, False, True, ticked, values)

    def _run(
        self, visitor: VideoVisitor, everything: bool, again: bool, ticked: list[str], values: tuple[Any, ...]
    ) -> Iterator[dict[Any, Any]]:
        gr, w = self.gr, self.w
        started: dict[Any, Any] = {w.wishes: gr.skip()}
        try:
            if not visitor.running.locked():
                visitor.keep_marks()
            started = {w.wishes: self._list(visitor, ticked), w.canvas: self._same(visitor)}
            new = started[w.wishes]["value"]
            wanted = self._wanted(everything, again, new, values)
            busy = {w.follow: gr.update(interactive=False), w.again: gr.update(interactive=False),
                    w.cancel: gr.update(interactive=True), w.live: "<p>Starting ...</p>"}  # fmt: skip
            shown, began, count = 0.0, time.monotonic(), 0
            yield {**started, **busy}
            for done in follow(visitor, self.shared, self.limits, wanted):
                if isinstance(done, Finished):
                    yield self._result(visitor, done, wanted, new)
                    return
                count, now = count + 1, time.monotonic()
                if now - shown >= _SHOWN_EVERY_S:
                    shown = now
                    yield {w.live: _progress(done, wanted.render, count / max(now - began, 1e-3))}
        except FastSAMError as error:
            name = visitor.clip.name if visitor.clip else "video"
            gr.Warning(html.escape(plain(error, name)), title="Not possible")
        idle = {w.follow: gr.update(interactive=True), w.cancel: gr.update(interactive=False),
                w.again: gr.update(interactive=visitor.run is not None)}  # fmt: skip
        yield {**started, **({} if visitor.running.locked() else idle), w.live: ""}

    def _wanted(self, everything: bool, again: bool, ticked: list[str], values: tuple[Any, ...]) -> Wanted:
        names = [*self.w.config, *self.w.segment, *self.w.look]
        given = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        video = VideoConfig(**{name: given[name] for name in self.w.config if name in given})
        return Wanted(
            bool(everything),
            again,
            frozenset(int(number) for number in ticked),
            video,
            {name: given[name] for name in self.w.segment if name in given},
            steps.look_of({name: given[name] for name in self.w.look if name in given}),
        )

    def _result(
        self, visitor: VideoVisitor, done: Finished, wanted: Wanted, ticked: list[str]
    ) -> dict[Any, Any]:
        gr, w = self.gr, self.w
        choices = [_NEW]
        if not wanted.everything:
            choices += [(f"object {i} {seen.label}".strip(), i) for i, seen in sorted(done.objects.items())]
        visitor.target = None
        steps.set_up(visitor.frame, previous=None)
        return {
            w.live: self._still(visitor), w.canvas: self._same(visitor),
            w.wishes: self._list(visitor, ticked), w.target: gr.update(choices=choices, value=0),
            w.follow: gr.update(interactive=True), w.cancel: gr.update(interactive=False),
            w.again: gr.update(interactive=not wanted.everything),
            w.video: gr.update(value=str(done.video), visible=True),
            w.files: gr.update(value=[str(path) for path in done.files], visible=True),
            w.report: _report(done),
        }  # fmt: skip


# --- what is shown ----------------------------------------------------------------------------------


def _progress(done: Progress, look: RenderConfig, fps: float) -> str:
    index = done.tracked.frame.index + 1
    bar = f'<progress value="{index}" max="{max(done.frames, index)}" style="width: 100%"></progress>'
    return _figure(done.tracked, done.frames, look, f", {fps:.1f} frames a second") + bar


def _figure(tracked: Tracked, frames: int, look: RenderConfig, speed: str) -> str:
    """Return a frame with its masks, and in words which objects are seen and which are lost."""
    stream = BytesIO()
    Image.fromarray(display_picture(tracked.plot(look))).save(stream, "JPEG", quality=80)
    seen = ", ".join(tracked.captions) or "none"
    lost = f"; lost: {', '.join(map(str, tracked.lost))}" if tracked.lost else ""
    words = html.escape(f"Frame {tracked.frame.index} of {frames}{speed}. Objects seen: {seen}{lost}")
    picture = base64.b64encode(stream.getvalue()).decode()  # inside the message: no file for others to find
    return (
        f'<figure style="margin: 0"><img alt="{words}" style="max-width: 100%; max-height: 60vh" '
        f'src="data:image/jpeg;base64,{picture}"><figcaption role="status">{words}</figcaption></figure>'
    )


def _report(done: Finished) -> str:
    """Return the report as Markdown: objects, then stages."""
    report = done.report
    lines = [f"**{done.frames} frames, {report['fps']:.1f} a second.** {done.note}", ""]
    if done.objects and len(done.objects) <= 60:
        lines += ["| object | seen in | from | to | at the end |", "|---|---|---|---|---|"]
        for number, seen in sorted(done.objects.items()):
            name = html.escape(f"{number} {seen.label}".strip()).replace("|", "\\|")
            end = "lost" if number in done.lost else "seen" if seen.last == _last(done) else "gone"
            lines.append(f"| {name} | {seen.frames} frames | {seen.first} | {seen.last} | {end} |")
        lines.append("")
    lines += ["| stage | mean ms | median | 95 % |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in report_rows(report)]
    return "\n".join(lines)


def _last(done: Finished) -> int:
    return max((seen.last for seen in done.objects.values()), default=0)


# --- events -----------------------------------------------------------------------------------------


def _connect(
    gr: Any, visitor: Any, w: SimpleNamespace, handlers: _Handlers, network: Mapping[str, Any],
    quick: Mapping[str, Any],
) -> None:  # fmt: skip
    """Tell the widgets which function they call."""
    for name in ("opened", "act", "ask"):
        getattr(_Handlers, name).__annotations__["event"] = gr.EventData  # how gradio knows what to pass
    w.visitor = visitor
    segment = list(w.segment.values())
    private = {"api_visibility": "private"}
    shown = {"show_progress": "full", "show_progress_on": [w.canvas], **private}
    silent = {"show_progress": "hidden", **private}
    canvas, listed = w.canvas, [w.canvas, w.wishes]
    everything = [visitor, canvas, w.slider, w.target, w.wishes, w.live, w.report, w.again, w.video, w.files]
    canvas.photo(handlers.opened, [visitor, *segment], everything, **shown, **network)
    canvas.act(handlers.act, [visitor], [canvas], trigger_mode="multiple", **silent, **quick)
    canvas.ask(handlers.ask, [visitor], [canvas], trigger_mode="multiple", **shown, **network)
    w.slider.change(
        handlers.moved, [visitor, w.slider, w.wishes, *segment], [*listed, w.live],
        trigger_mode="always_last", **silent, **network,
    )  # fmt: skip
    w.keep.click(handlers.kept, [visitor, w.wishes], listed, **silent, **quick)
    w.target.input(handlers.aimed, [visitor, w.target, w.wishes], listed, **silent, **quick)
    values = [*w.config.values(), *segment, *w.look.values()]
    results = [canvas, w.wishes, w.target, w.live, w.follow, w.again, w.cancel, w.video, w.files, w.report]
    for button, handler in ((w.follow, handlers.follow), (w.again, handlers.again)):
        button.click(
            handler, [visitor, w.everything, w.wishes, *values], results, trigger_mode="once",
            show_progress="full", show_progress_on=[w.live], **private, **_RUN,
        )  # fmt: skip
    w.cancel.click(handlers.cancel, [visitor], None, **silent, **quick)
