"""The video tab for programs: /video takes a file and prompts, gives the files of the run and a summary."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastsam.errors import FastSAMError, PromptError
from fastsam.page.shared.sessions import SharedModel, Shelf
from fastsam.page.video.clip import Limits, plain
from fastsam.page.video.run import Finished, Wanted, follow
from fastsam.page.video.state import MAX_WISHES, VideoVisitor, Wish
from fastsam.prompts.json_form import prompt_from_json

__all__ = ["connect_video_api", "summary_of", "wishes_from"]

# A reference names an image of the machine that reads it: of this machine, visitors get nothing.
_KINDS = ("points", "box", "polygon", "rle", "scribble", "text")


def wishes_from(given: Any) -> tuple[Wish, ...]:
    """Return what to follow as a program says it: ``[{"frame": 0, "points": [[x, y]]}, ...]``.

    Raises:
        PromptError: it is not such a list.
    """
    if not isinstance(given, list) or len(given) > MAX_WISHES:
        raise PromptError(f"prompts: expected a list of up to {MAX_WISHES}, got {str(given)[:80]}")
    return tuple(_wish(one, number) for number, one in enumerate(given, start=1))


def _wish(given: Any, number: int) -> Wish:
    if not isinstance(given, Mapping) or sum(kind in given for kind in _KINDS) != 1:
        raise PromptError(
            f"prompt {number}: expected an object with one of {', '.join(_KINDS)}, got {str(given)[:80]}"
        )
    data = dict(given)
    frame = data.pop("frame", 0)
    if isinstance(frame, bool) or not isinstance(frame, int) or frame < 0:
        raise PromptError(f"prompt {number}, frame: expected a whole number from 0 on, got {frame!r}")
    return Wish(frame, prompt_from_json(json.dumps(data)), f"prompt {number}", number=number)


def summary_of(done: Finished) -> dict[str, Any]:
    """Return what came of a run as JSON can hold it."""
    objects = [{"id": number, **asdict(seen)} for number, seen in sorted(done.objects.items())]
    return {
        "frames": done.frames,
        "objects": objects,
        "lost": list(done.lost),
        "note": done.note,
        "report": done.report,
    }


def connect_video_api(
    gr: Any, shared: SharedModel, shelf: Shelf, limits: Limits, queue: Mapping[str, Any]
) -> None:
    """Add the endpoint to the page that is being built.

    Args:
        gr: the gradio module.
        shared: the model.
        shelf: what bounds the memory of all visitors.
        limits: how much video a visitor may ask for.
        queue: how runs queue.
    """

    def video(video: str | None, prompts: Any = None) -> Iterator[Any]:
        """Follow [{"frame": 0, "points": [[x, y]]}, ...] through a video; without prompts, everything."""
        visitor = VideoVisitor(shelf)
        name = Path(video).name if video else "video"
        try:
            if video is None:
                raise PromptError("video: expected a video file, got nothing")
            visitor.open(Path(video), name, limits)
            visitor.wishes = wishes_from(prompts or [])
            numbers = frozenset(wish.number for wish in visitor.wishes)
            wanted = Wanted(everything=not numbers, numbers=numbers)
            done = next(one for one in follow(visitor, shared, limits, wanted) if isinstance(one, Finished))
            # Gradio copies the files when they are handed over, so they can go as soon as we are asked again.
            yield [str(path) for path in done.files], summary_of(done)
        except FastSAMError as error:
            raise gr.Error(plain(error, name), print_exception=False) from error
        finally:
            visitor.leave()

    hidden = {"visible": False}
    file = gr.File(label="video", type="filepath", **hidden)
    prompts = gr.JSON(label="prompts", value=None, **hidden)
    files = gr.File(label="files", file_count="multiple", **hidden)
    summary = gr.JSON(label="summary", **hidden)
    gr.Button(**hidden).click(
        video, [file, prompts], [files, summary], api_name="video", show_progress="hidden", **queue
    )
