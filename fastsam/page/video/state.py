"""One visitor's video: the objects to follow, and what the last run found."""

from __future__ import annotations

import shutil
import threading
import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fastsam.errors import FastSAMError, PromptError
from fastsam.images.frame import Frame
from fastsam.page.photo.answer import answer_of, prompt_of
from fastsam.page.photo.state import PhotoState
from fastsam.page.shared.memory import MemoryBudget
from fastsam.page.shared.sessions import PageSession
from fastsam.page.video.clip import Clip, Limits, new_folder, open_clip
from fastsam.prompts import Box, MaskLike, Points, Prompt, Reference, Text
from fastsam.video.write.spool import SpooledFrame, read_frames

__all__ = ["MAX_REQUESTS", "FollowRequest", "RunResult", "VideoSession", "requests_of", "result_at"]

MAX_REQUESTS = 60


@dataclass(frozen=True, eq=False)
class FollowRequest:
    """One object to follow, or a correction of one that is followed.

    Attributes:
        frame: the frame that the prompt is about.
        prompt: what it selects.
        words: what the list calls it.
        object_id: the object that it corrects; None for a new one.
        number: identifies it among a visitor's requests.
        done: the last run followed it.
    """

    frame: int
    prompt: Prompt
    words: str
    object_id: int | None = None
    number: int = 0
    done: bool = False

    @property
    def title(self) -> str:
        """What the list calls it, with its number."""
        return f"{self.number}: {self.words}, frame {self.frame}"


@dataclass(frozen=True)
class RunResult:
    """What a run has left.

    Attributes:
        folder: where its files are.
        everything: it followed all masks, no object in particular.
    """

    folder: Path
    everything: bool


class VideoSession:
    """One visitor of the video tab: what is in a ``gr.State``. A copy is a new visitor.

    Attributes:
        frame: what is asked of the frame that is shown, as of a photo.
        clip: the video; None before one is open.
        index: the frame that is shown.
        target: the object that marks correct; None for a new one.
        requests: what to follow.
        run: what the last run found.
        listed: the requests that the page shows already.
        running: held by the visitor's only run.
        stop: ends that run when it is set.
    """

    def __init__(self, budget: MemoryBudget) -> None:
        self.budget = budget
        self.frame = PageSession(budget)
        self.running, self.stop = threading.Lock(), threading.Event()
        self._folder: Path | None = None
        self.clear()

    def __deepcopy__(self, memo: dict[int, Any]) -> VideoSession:
        """Return a new visitor of the same page."""
        return VideoSession(self.budget)

    def clear(self, clip: Clip | None = None) -> None:
        """Forget everything but a video that was just opened."""
        self.clip, self.index = clip, 0
        self.target: int | None = None
        self.requests: tuple[FollowRequest, ...] = ()
        self.run: RunResult | None = None
        self.listed: frozenset[str] = frozenset()

    @property
    def opened(self) -> Clip:
        """The video.

        Raises:
            PromptError: none is open.
        """
        if self.clip is None:
            raise PromptError("Open a video first.")
        return self.clip

    def open(self, path: Path, name: str, limits: Limits) -> Frame:
        """Open a video in place of the one before, and return its first frame.

        Raises:
            PromptError: the one before is being followed.
            VideoError: it cannot be opened; the one before stays.
        """
        if self.running.locked():
            raise PromptError("A run is in progress; cancel it first.")
        folder = new_folder()
        try:
            clip, frame = open_clip(folder, path, name, limits)
        except FastSAMError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self.leave()
        # Also when gradio forgets the visitor, and when the program ends.
        self._folder, self._removes = folder, weakref.finalize(self, shutil.rmtree, folder, True)
        self.clear(clip)
        return frame

    @property
    def folder(self) -> Path:
        """The visitor's folder; it is removed with the visitor, or when the next video is opened."""
        if self._folder is None:
            raise PromptError("Open a video first.")
        return self._folder

    def leave(self) -> None:
        """Stop what runs and remove the visitor's files; may be called again."""
        self.stop.set()
        if self._folder is not None:
            self._removes()
            self._folder = None
        self.clear()

    def keep_marks(self) -> int:
        """Keep what is marked in the frame on show as objects to follow; return how many they are.

        Raises:
            PromptError: the marks mean nothing here, or there are too many.
        """
        state = self.frame.state
        if self.clip is None or state.session is None:
            return 0
        made = requests_of(state, self.index, self.target)
        if len(self.requests) + len(made) > MAX_REQUESTS:
            raise PromptError(f"Up to {MAX_REQUESTS} objects can be followed at once.")
        first = max((request.number for request in self.requests), default=0) + 1
        self.requests += tuple(replace(request, number=first + k) for k, request in enumerate(made))
        self.frame.act(lambda before: replace(before, marks=(), level="", past=(), future=()))
        return len(made)


# --- marks -> objects to follow ----------------------------------------------------------------------


def requests_of(state: PhotoState, frame: int, target: int | None = None) -> list[FollowRequest]:
    """Return what the marks of a frame ask to follow, one request per object.

    Texts keep looking: they also find what comes into sight later. Clicks, boxes and drawn regions are passed
    on as they are; several kinds of prompts together are passed on as the masks that they select.

    Args:
        state: the frame with its marks.
        frame: its number.
        target: the object that the marks correct; None for new ones.

    Raises:
        PromptError: the marks select nothing, or do not fit a correction.
    """
    if not state.marks:
        return []
    asked = prompt_of(state)
    if target is not None:
        return [_correction(state, frame, target, asked)]
    made: list[tuple[Prompt, str]] = []
    wanted = [mark for mark in state.marks if mark.sign == "add"]
    if any(mark.sign == "take" and mark.kind != "point" for mark in state.marks) or asked is None:
        prompts: list[Prompt] = []
    elif isinstance(asked, Points | Text | Box | MaskLike | Reference):
        prompts = [asked]
    else:
        prompts = list(getattr(asked, "prompts", ())) if state.combine == "any" else []
        if not all(isinstance(one, Points | Text | Box | MaskLike | Reference) for one in prompts) or any(
            mark.sign == "take" for mark in state.marks
        ):
            prompts = []
    for prompt in prompts:
        if isinstance(prompt, Box):
            made += [(Box(list(box)), "box") for box in prompt.xyxy]
        elif isinstance(prompt, Points):
            made.append((_as_shown(state, prompt), "click"))
        elif isinstance(prompt, Text):
            made += [(replace_text(prompt, text), f"“{text}”") for text in prompt.texts]
        else:
            made.append((prompt, "drawing" if isinstance(prompt, MaskLike) else "reference"))
    if not prompts:
        result = answer_of(state).result
        words = ", ".join(mark.words for mark in wanted) or "selection"
        made = [(MaskLike(result.masks.mask(k)), words) for k in range(len(result))]
    if not made or (not _stand(made) and len(answer_of(state).result) == 0):
        raise PromptError("Nothing is selected in this frame: mark an object that is visible in it.")
    return [FollowRequest(frame, prompt, words) for prompt, words in made]


def replace_text(prompt: Text, text: str) -> Text:
    """Return a text prompt about one of its texts."""
    return Text(text, prompt.threshold, names=[prompt.names[prompt.texts.index(text)]])


def _stand(made: list[tuple[Prompt, str]]) -> bool:
    return any(isinstance(prompt, Text | Reference) for prompt, _ in made)


def _as_shown(state: PhotoState, clicks: Points) -> Points:
    """Return clicks at the level that the visitor sees."""
    one = clicks.objects[0]
    points = [*one.foreground, *one.background]
    labels = [1] * len(one.foreground) + [0] * len(one.background)
    shown = answer_of(state)
    level = shown.level if shown.level and state.level else "auto"
    return Points(points, labels, level=level)  # type: ignore[arg-type]  # a level's name


def _correction(state: PhotoState, frame: int, target: int, asked: Prompt | None) -> FollowRequest:
    if any(mark.kind in ("text", "reference") for mark in state.marks):
        raise PromptError("A text cannot correct an object: click, drag a box or draw.")
    result = answer_of(state).result
    if asked is None or len(result) == 0:
        raise PromptError(f"Nothing is selected in this frame: mark where object {target} is.")
    prompt: Prompt = MaskLike(result.masks.union())
    if all(mark.kind == "point" for mark in state.marks) and isinstance(asked, Points):
        prompt = asked if asked.previous is not None else _as_shown(state, asked)
    return FollowRequest(frame, prompt, f"object {target} corrected", target)


def result_at(run: RunResult | None, index: int) -> SpooledFrame | None:
    """Return what a run found in a frame; None if it did not get there."""
    if run is None:
        return None
    return next((line for line in read_frames(run.folder) if line.index == index), None)
