"""What the video tab shows of a run: its progress, what was found in a frame, the report."""

from __future__ import annotations

import base64
import html
from io import BytesIO

from PIL import Image

from fastsam.config import RenderConfig
from fastsam.page.photo.messages import display_picture
from fastsam.page.video.run import Finished, Progress, report_rows
from fastsam.page.video.state import VideoSession, result_at
from fastsam.video.track.tracked import Tracked

__all__ = ["progress_figure", "report_of", "still_words"]

_LARGE = "display: block; margin: auto; max-width: 100%; height: 58vh; object-fit: contain"
_MOST_ROWS = 60  # of the table of objects


def progress_figure(done: Progress, render: RenderConfig, fps: float) -> str:
    """Return a frame with its masks, which objects are in it, and how far the run is, as HTML."""
    stream = BytesIO()
    Image.fromarray(display_picture(done.tracked.plot(render))).save(stream, "JPEG", quality=80)
    # Inside the message, so that no file of it lies on the disk for others to find.
    picture = base64.b64encode(stream.getvalue()).decode()
    words = html.escape(_words(done.tracked, done.frames, f", {fps:.1f} frames per second"))
    index = done.tracked.frame.index + 1
    return (
        f'<figure style="margin: 0"><img alt="{words}" style="{_LARGE}" '
        f'src="data:image/jpeg;base64,{picture}"><figcaption role="status">{words}</figcaption></figure>'
        f'<progress value="{index}" max="{max(done.frames, index)}" style="width: 100%"></progress>'
    )


def still_words(visitor: VideoSession) -> str:
    """Return in words what the run found in the frame on show, as HTML."""
    line = result_at(visitor.run, visitor.index)
    session = visitor.frame.state.session
    if line is None or session is None or line.size_hw != session.frame.size_hw:
        return ""
    tracked = Tracked(session.frame, line.masks(), line.ids, line.scores, line.labels, line.lost)
    words = html.escape(_words(tracked, visitor.opened.frames, "", visitor.index))
    return f'<p role="status" style="margin: 0">{words}</p>'


def _words(tracked: Tracked, frames: int, speed: str, index: int | None = None) -> str:
    seen = ", ".join(tracked.captions) or "none"
    lost = f"; lost: {', '.join(map(str, tracked.lost))}" if tracked.lost else ""
    number = tracked.frame.index if index is None else index
    return f"Frame {number} of {frames}{speed}. Objects seen: {seen}{lost}"


def report_of(done: Finished) -> str:
    """Return the report as Markdown: what was not found, objects, then times."""
    report = done.report
    lines = [f"**{done.frames} frames, {report['fps']:.1f} per second.** {done.note}", ""]
    for text in done.absent:
        lines += [f"“{html.escape(text)}” was not found in any frame.", ""]
    if done.objects and len(done.objects) <= _MOST_ROWS:
        lines += ["| object | seen in | first | last | at the end |", "|---|---|---|---|---|"]
        for number, seen in sorted(done.objects.items()):
            name = html.escape(f"{number} {seen.label}".strip()).replace("|", "\\|")
            end = "lost" if number in done.lost else "seen" if seen.last == _last(done) else "gone"
            lines.append(f"| {name} | {seen.frames} frames | {seen.first} | {seen.last} | {end} |")
        lines.append("")
    lines += ["| step | mean ms | median | 95 % |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in report_rows(report)]
    return "\n".join(lines)


def _last(done: Finished) -> int:
    return max((seen.last for seen in done.objects.values()), default=0)
