"""ultralytics' ``SAM2VideoPredictor``: objects of the first frame, followed through a video."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsam import MaskSet
from fastsam.compat.sam2.following import Following
from fastsam.compat.segment_anything.answers import answer
from fastsam.compat.sources import shown_path
from fastsam.compat.ultralytics.predictors import Predictor
from fastsam.compat.ultralytics.sam import by_object
from fastsam.config import VideoConfig
from fastsam.errors import InputError, PromptError

if TYPE_CHECKING:
    from fastsam.compat.calling import Call
    from fastsam.compat.results import Results

__all__ = ["SAM2VideoPredictor"]


class SAM2VideoPredictor(Predictor):
    """ultralytics' ``SAM2VideoPredictor``: ``predictor(source="clip.mp4", points=..., labels=...)``.

    One result a frame: the masks of the objects that are seen in it, each pixel in one at most; ``boxes.cls``
    is the number of the prompt that an object comes from, ``boxes.conf`` is 1.

    Args:
        cfg, overrides: as in :class:`Predictor`.

    Raises:
        WeightsError: the weights cannot be had or used.
    """

    def __call__(
        self,
        source: Any = None,
        model: Any = None,
        stream: bool = False,
        *,
        bboxes: Any = None,
        points: Any = None,
        labels: Any = None,
        masks: Any = None,
        **options: Any,
    ) -> list[Results] | Iterator[Results]:
        """Return one result a frame.

        Args:
            source: a video, a folder of its frames, a camera number or a stream's address.
            model: a checkpoint instead of that of ``overrides``.
            stream: yield the results one by one instead of a list.
            bboxes: (4,) or (n, 4): n objects in the first frame.
            points: (2,) or (n, 2): one point for each of n objects; or (n, P, 2): P for each.
            labels: 1 foreground, 0 background; (n,) or (n, P).
            masks: (H, W) or (n, H, W) drawn masks, of the frame's size.
            options: those of a call of ``FastSAM``; they win over ``overrides``.

        Raises:
            PromptError: there is no prompt, or one has another form.
            ImageError, ConfigError: as in :class:`fastsam.compat.ultralytics.SAM`.
        """
        keywords = {**self.overrides, **options}
        prompts, call, source = self._asked(source, model, (bboxes, points, labels, masks), keywords)
        if source is None:
            raise InputError("source: expected a video, got None")
        if all(prompt is None for prompt in (prompts[0], prompts[1], prompts[3])):
            raise PromptError("SAM2VideoPredictor: expected bboxes, points or masks of the first frame")
        found = self._results(source, call, prompts)
        return found if stream else list(found)

    def _results(self, source: Any, call: Call, prompts: tuple[Any, ...]) -> Iterator[Results]:
        core = self.sam.model
        following = Following(core, VideoConfig())
        given: dict[Any, Any] = {}
        for number, frame in enumerate(self.sam.frames(source, call)):
            if number == 0:
                session = core.open(frame)
                for k, (coords, marks, box, drawn) in enumerate(by_object(*prompts)):
                    given[k] = answer(session, coords, marks, box, drawn, multimask=False).masks[0]
            session, found = following.step(frame, given)
            given = {}
            yield call.keep(_result(session, found, number))


def _result(session: Any, found: dict[Any, Any], number: int) -> Results:
    """Return the objects that are seen, each pixel with the first of them."""
    from fastsam.compat.results import Results

    taken = np.zeros(session.size_hw, bool)
    stack, classes = [], []
    for k, mask in sorted(found.items()):
        own = mask & ~taken
        taken |= own
        if own.any():
            stack.append(own)
            classes.append(k)
    masks = MaskSet.from_dense(np.stack(stack)) if stack else MaskSet.none(session.size_hw)
    return Results(
        session,
        masks,
        path=shown_path(session.frame, number),
        mask_kind="bool",
        keep_empty=True,
        names={k: str(k) for k in found},
        classes=np.array(classes),
    )
