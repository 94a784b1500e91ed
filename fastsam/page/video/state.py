"""What one visitor has of a video: the objects to follow, and what the last run found."""

from __future__ import annotations

import shutil
import threading
import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fastsam.errors import FastSAMError, PromptError
from fastsam.images.frame import Frame
from fastsam.page.photo.state import Visit, answer_of, prompt_of
from fastsam.page.shared.sessions import Shelf, Visitor
from fastsam.page.video.clip import Clip, Limits, new_folder, open_clip
from fastsam.prompts import Box, MaskLike, Points, Prompt, Reference, Text
from fastsam.video.write.spool import SpooledFrame, read_frames

__all__ = ["MAX_WISHES", "Run", "VideoVisitor", "Wish", "result_at", "wishes_of"]

MAX_WISHES = 60


@dataclass(frozen=True, eq=False)
class Wish:
    """One thing to follow, or a correction of one that is followed.

    Attributes:
        frame: the frame that the prompt is about.
        prompt: what it selects.
        words: what the list calls it.
        object_id: the object that it corrects; None for a new one.
        number: tells a visit's wishes apart.
        done: the last run had it.
    """

    frame: int
    prompt: Prompt
    words: str
    object_id: int | None = None
    number: int = 0
    done: bool = False


@dataclass(frozen=True)
class Run:
    """What a run has left.

    Attributes:
        folder: where its files are.
        everything: it followed all masks, no object in particular.
    """

    folder: Path
    everything: bool


class VideoVisitor:
    """One visitor of the video tab: what is in a ``gr.State``. A copy is a new visitor.

    Attributes:
        frame: what is asked of the frame that is shown, as of a photo.
        clip: the video; None before one is open.
        index: the frame that is shown.
        target: the object that marks correct; None for a new one.
        wishes: what to follow.
        run: what the last run found.
        listed: the wishes that the page shows already.
        running: held by the visitor's only run.
        stop: tells that run to end.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.frame = Visitor(shelf)
        self.running, self.stop = threading.Lock(), threading.Event()
        self._folder: Path | None = None
        self.clear()

    def __deepcopy__(self, memo: dict[int, Any]) -> VideoVisitor:
        """Return a new visitor of the same page."""
        return VideoVisitor(self.shelf)

    def clear(self, clip: Clip | None = None) -> None:
        """Forget everything, but for a video that has just been opened."""
        self.clip, self.index = clip, 0
        self.target: int | None = None
        self.wishes: tuple[Wish, ...] = ()
        self.run: Run | None = None
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
        """Open a video instead of the one before, and return its first frame.

        Raises:
            PromptError: the one before is being followed.
            VideoError: it cannot be opened; the one before stays.
        """
        if self.running.locked():
            raise PromptError("Your video is being followed; cancel that first.")
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
        """Keep what is marked in the frame that is shown as things to follow; return how many they are.

        Raises:
            PromptError: the marks mean nothing here, or there are too many.
        """
        visit = self.frame.visit
        if self.clip is None or visit.session is None:
            return 0
        made = wishes_of(visit, self.index, self.target)
        if len(self.wishes) + len(made) > MAX_WISHES:
            raise PromptError(f"Up to {MAX_WISHES} things are followed at once; untick some first.")
        first = max((wish.number for wish in self.wishes), default=0) + 1
        self.wishes += tuple(replace(wish, number=first + k) for k, wish in enumerate(made))
        self.frame.act(lambda before: before.cleared())
        return len(made)


# --- marks -> things to follow ----------------------------------------------------------------------


def wishes_of(visit: Visit, frame: int, target: int | None = None) -> list[Wish]:
    """Return what the marks of a frame ask to follow, one wish a thing.

    Words stand: they also find what comes into sight later. Clicks, boxes and drawn regions are handed over
    as they are; what several kinds of prompt mean together is handed over as the masks that they select.

    Args:
        visit: the frame with its marks.
        frame: its number.
        target: the object that the marks correct; None for new ones.

    Raises:
        PromptError: the marks select nothing, or do not fit a correction.
    """
    if not visit.marks:
        return []
    asked = prompt_of(visit)
    if target is not None:
        return [_correction(visit, frame, target, asked)]
    made: list[tuple[Prompt, str]] = []
    wanted = [mark for mark in visit.marks if mark.sign == "add"]
    if any(mark.sign == "take" and mark.kind != "point" for mark in visit.marks) or asked is None:
        prompts: list[Prompt] = []
    elif isinstance(asked, Points | Text | Box | MaskLike | Reference):
        prompts = [asked]
    else:
        prompts = list(getattr(asked, "prompts", ())) if visit.combine == "any" else []
        if not all(isinstance(one, Points | Text | Box | MaskLike | Reference) for one in prompts) or any(
            mark.sign == "take" for mark in visit.marks
        ):
            prompts = []
    for prompt in prompts:
        if isinstance(prompt, Box):
            made += [(Box(list(box)), "box") for box in prompt.xyxy]
        elif isinstance(prompt, Points):
            made.append((_as_shown(visit, prompt), "click"))
        elif isinstance(prompt, Text):
            made += [(replace_text(prompt, text), f"“{text}”") for text in prompt.texts]
        else:
            made.append((prompt, "drawing" if isinstance(prompt, MaskLike) else "reference"))
    if not prompts:
        result = answer_of(visit).result
        words = ", ".join(mark.words for mark in wanted) or "selection"
        made = [(MaskLike(result.masks.mask(k)), words) for k in range(len(result))]
    if not made or (not _stand(made) and len(answer_of(visit).result) == 0):
        raise PromptError("Nothing is selected in this frame: mark a thing that is seen in it.")
    return [Wish(frame, prompt, f"{words}, frame {frame}") for prompt, words in made]


def replace_text(prompt: Text, text: str) -> Text:
    """Return a text prompt about one of its texts."""
    return Text(text, prompt.threshold)


def _stand(made: list[tuple[Prompt, str]]) -> bool:
    return any(isinstance(prompt, Text | Reference) for prompt, _ in made)


def _as_shown(visit: Visit, clicks: Points) -> Points:
    """Return clicks at the level that the visitor sees."""
    one = clicks.objects[0]
    points = [*one.foreground, *one.background]
    labels = [1] * len(one.foreground) + [0] * len(one.background)
    shown = answer_of(visit)
    level = shown.level if shown.level and visit.level else "auto"
    return Points(points, labels, level=level)  # type: ignore[arg-type]  # a level's name


def _correction(visit: Visit, frame: int, target: int, asked: Prompt | None) -> Wish:
    if any(mark.kind in ("text", "reference") for mark in visit.marks):
        raise PromptError("Words do not correct an object: click, drag a box or draw.")
    result = answer_of(visit).result
    if asked is None or len(result) == 0:
        raise PromptError(f"Nothing is selected in this frame: mark where object {target} is.")
    prompt: Prompt = MaskLike(result.masks.union())
    if all(mark.kind == "point" for mark in visit.marks) and isinstance(asked, Points):
        prompt = asked if asked.previous is not None else _as_shown(visit, asked)
    return Wish(frame, prompt, f"object {target} corrected, frame {frame}", target)


def result_at(run: Run | None, index: int) -> SpooledFrame | None:
    """Return what a run found in a frame; None where it did not get there."""
    if run is None:
        return None
    return next((line for line in read_frames(run.folder) if line.index == index), None)
