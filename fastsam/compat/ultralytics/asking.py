"""Results and prompts -> results: by ultralytics' rules or by this package's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fastsam import Box, Points, Text, any_of
from fastsam.compat.arguments import boxes_inside, points_inside
from fastsam.compat.ultralytics.rules import chosen_rows, points_and_labels, text_list
from fastsam.prompts import Prompt

if TYPE_CHECKING:
    from fastsam.compat.results import Results

__all__ = ["Asked", "prompted"]


class Asked(NamedTuple):
    """The prompts of a call, as ultralytics takes them; None where there is none of a kind."""

    bboxes: Any = None
    points: Any = None
    labels: Any = None
    texts: Any = None


def prompted(result: Results, asked: Asked, *, ours: bool) -> Results:
    """Return the masks of a result that the prompts choose; all of them where there is no prompt.

    Raises:
        PromptError: a prompt has another form.
    """
    if asked.bboxes is None and asked.points is None and asked.texts is None:
        return result
    if not ours:
        rows = chosen_rows(result.mask_set, result.features, *asked)
        return result.pick(rows) if len(result) else result
    prompts = _our_prompts(asked, result.orig_shape)
    answer = result.asked_session().select(prompts[0] if len(prompts) == 1 else any_of(*prompts))
    return result.answered(answer.masks)


def _our_prompts(asked: Asked, size_hw: tuple[int, int]) -> list[Prompt]:
    """Return the prompts as this package has them; all points are about one object."""
    prompts: list[Prompt] = []
    if asked.bboxes is not None:
        prompts.append(Box(boxes_inside(asked.bboxes, size_hw)))
    if asked.points is not None:
        coords, marks = points_and_labels(asked.points, asked.labels)
        prompts.append(Points(points_inside(coords, size_hw), marks))
    if asked.texts is not None:
        prompts.append(Text(text_list(asked.texts)))
    return prompts
