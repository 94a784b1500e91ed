"""The video tab for programs: /video takes a file and prompts, gives the files of the run and a summary."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr

from fastsam.errors import PromptError
from fastsam.page.shared.memory import MemoryBudget
from fastsam.page.shared.model import SharedModel
from fastsam.page.shared.queues import VIDEO
from fastsam.page.shared.refusals import as_api_error
from fastsam.page.video.clip import Limits
from fastsam.page.video.run import Finished, RunOptions, follow
from fastsam.page.video.state import MAX_REQUESTS, FollowRequest, VideoSession
from fastsam.prompts.json_form import prompt_from_json

__all__ = ["connect_video_api", "requests_from", "summary_of"]

# A reference names an image of the machine that reads it; visitors must not read files of this one.
_KINDS = ("points", "box", "polygon", "rle", "scribble", "text")


def requests_from(given: Any) -> tuple[FollowRequest, ...]:
    """Return what a program asks to follow: ``[{"frame": 0, "points": [[x, y]]}, ...]``.

    Raises:
        PromptError: it is not such a list.
    """
    if not isinstance(given, list) or len(given) > MAX_REQUESTS:
        raise PromptError(f"prompts: expected a list of up to {MAX_REQUESTS}, got {str(given)[:80]}")
    return tuple(_request(one, number) for number, one in enumerate(given, start=1))


def _request(given: Any, number: int) -> FollowRequest:
    if not isinstance(given, Mapping) or sum(kind in given for kind in _KINDS) != 1:
        raise PromptError(
            f"prompt {number}: expected an object with one of {', '.join(_KINDS)}, got {str(given)[:80]}"
        )
    data = dict(given)
    frame = data.pop("frame", 0)
    if isinstance(frame, bool) or not isinstance(frame, int) or frame < 0:
        raise PromptError(f"prompt {number}, frame: expected a whole number from 0 on, got {frame!r}")
    return FollowRequest(frame, prompt_from_json(json.dumps(data)), f"prompt {number}", number=number)


def summary_of(done: Finished) -> dict[str, Any]:
    """Return the result of a run as JSON can hold it."""
    objects = [{"id": number, **asdict(seen)} for number, seen in sorted(done.objects.items())]
    return {
        "frames": done.frames,
        "objects": objects,
        "lost": list(done.lost),
        "absent": list(done.absent),
        "note": done.note,
        "report": done.report,
    }


def connect_video_api(shared: SharedModel, budget: MemoryBudget, limits: Limits) -> None:
    """Add the endpoint to the page that is being built.

    Args:
        shared: the model.
        budget: the limit on the memory of all visitors.
        limits: how much video a visitor may ask for.
    """

    def video(video: str | None, prompts: Any = None) -> Iterator[Any]:
        """Follow [{"frame": 0, "points": [[x, y]]}, ...] through a video; without prompts, everything."""
        visitor = VideoSession(budget)
        try:
            with as_api_error(gr):
                if video is None:
                    raise PromptError("video: expected a video file, got nothing")
                visitor.open(Path(video), Path(video).name, limits)
                visitor.requests = requests_from(prompts or [])
                numbers = frozenset(request.number for request in visitor.requests)
                options = RunOptions(everything=not numbers, numbers=numbers)
                steps = follow(visitor, shared, limits, options)
                done = next(one for one in steps if isinstance(one, Finished))
                # Gradio copies the files when they are handed over; they can go when we are asked again.
                yield [str(path) for path in done.files], summary_of(done)
        finally:
            visitor.leave()

    hidden: dict[str, Any] = {"visible": False}
    file = gr.File(label="video", type="filepath", **hidden)
    prompts = gr.JSON(label="prompts", value=None, **hidden)
    files = gr.File(label="files", file_count="multiple", **hidden)
    summary = gr.JSON(label="summary", **hidden)
    gr.Button(**hidden).click(
        video, [file, prompts], [files, summary], api_name="video", show_progress="hidden", **VIDEO
    )
