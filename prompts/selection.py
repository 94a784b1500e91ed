"""Prompts -> one Selection: dispatch, and the combinations any_of / all_of / but_not.

A new kind of prompt joins here: one module with ``score`` and ``answer``, one line in ``_SCORERS`` and one in
``_ANSWERS``. A prompt is answered from the masks alone, ``(masks, prompt) -> scores``; texts and
references need the photo too, which comes as :class:`fastsam.prompts.text.matching.ImageFeatures` and is
handed on to those in combinations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import PromptError
from fastsam.masks.maskset import MaskSet
from fastsam.masks.selection import Selection
from fastsam.prompts import box, iterate, mask, point, position, reference
from fastsam.prompts.ranking import best_row, ranked_rows
from fastsam.prompts.spec import (
    AllOf,
    AnyOf,
    Box,
    ButNot,
    MaskLike,
    Points,
    Position,
    Prompt,
    Reference,
    Text,
)
from fastsam.prompts.text import matching as text
from fastsam.prompts.text.matching import ImageFeatures

__all__ = ["select"]

FloatArray = NDArray[np.float32]
_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class _Scored:
    """How well each mask satisfies a prompt: 0 where it does not.

    ``best_only``: the prompt means one mask (a box, a click); otherwise all that satisfy it (a text,
    "everything but"). ``ranked``: those answers come best first.
    """

    scores: FloatArray  # (groups, N)
    best_only: bool
    ranked: bool = False


def _score_box(masks: MaskSet, prompt: Box) -> _Scored:
    values = box.score(masks, prompt)
    return _Scored(np.where(values >= prompt.iou_threshold, values, 0), best_only=True)


def _score_points(masks: MaskSet, prompt: Points) -> _Scored:
    only_background = all(not clicks.foreground for clicks in prompt.objects)
    return _Scored(point.score(masks, prompt), best_only=not only_background)


def _score_mask(masks: MaskSet, prompt: MaskLike) -> _Scored:
    values = mask.score(masks, prompt)
    return _Scored(np.where(values >= prompt.threshold, values, 0), best_only=True)


def _score_text(masks: MaskSet, prompt: Text, features: ImageFeatures | None) -> _Scored:
    values = text.score(masks, prompt, features)
    return _Scored(np.where(values >= prompt.threshold, values, 0), best_only=False, ranked=True)


def _score_reference(masks: MaskSet, prompt: Reference, features: ImageFeatures | None) -> _Scored:
    values = reference.score(masks, prompt, features)
    kept = np.where(values >= prompt.threshold, values, 0)
    return _Scored(kept, best_only=prompt.mode == "best", ranked=True)


def _score_position(masks: MaskSet, prompt: Position, features: ImageFeatures | None) -> _Scored:
    found = _answer_position(masks, prompt, features)
    scores = np.zeros((1, len(masks)), np.float32)
    scores[0, found.indices[~found.edited]] = found.scores[~found.edited]
    return _Scored(scores, best_only=False, ranked=True)


def _score_any(masks: MaskSet, prompt: AnyOf, features: ImageFeatures | None) -> _Scored:
    members = [_SCORERS[type(member)](masks, member, features) for member in prompt.prompts]
    return _Scored(
        np.concatenate([m.scores for m in members]),
        best_only=all(m.best_only for m in members),
        ranked=any(m.ranked for m in members),
    )


def _score_all(masks: MaskSet, prompt: AllOf, features: ImageFeatures | None) -> _Scored:
    """Score each mask by its worst prompt; groups are those of the first prompt that means one mask."""
    members = [_SCORERS[type(member)](masks, member, features) for member in prompt.prompts]
    worst = np.stack([m.scores.max(axis=0) for m in members]).min(axis=0)
    leading = next((m for m in members if m.best_only), None)
    if leading is None:
        return _Scored(worst[None], best_only=False, ranked=any(m.ranked for m in members))
    return _Scored(np.where(leading.scores > 0, worst, 0), best_only=True)


def _score_but_not(masks: MaskSet, prompt: ButNot, features: ImageFeatures | None) -> _Scored:
    wanted = _SCORERS[type(prompt.prompt)](masks, prompt.prompt, features)
    unwanted = select(masks, prompt.unwanted, features)
    scores = wanted.scores.copy()
    scores[:, unwanted.indices[~unwanted.edited]] = 0
    return replace(wanted, scores=scores)


def _answer_points(masks: MaskSet, prompt: Points) -> Selection:
    if prompt.previous is not None:
        return iterate.answer(masks, prompt, prompt.previous)
    return point.answer(masks, prompt)


def _answer_position(masks: MaskSet, prompt: Position, features: ImageFeatures | None) -> Selection:
    if prompt.of is not None:
        return position.answer(select(masks, prompt.of, features), prompt)
    return position.answer(Selection.of(masks, np.arange(len(masks)), masks.scores, "everything"), prompt)


def _answer_any(masks: MaskSet, prompt: AnyOf, features: ImageFeatures | None) -> Selection:
    """Join the members' answers, each mask once, with the number of the first member that chose it."""
    members = [select(masks, member, features) for member in prompt.prompts]
    kept: list[Selection] = []
    seen: set[int] = set()
    for number, member in enumerate(members):
        fresh = []
        for k in range(len(member)):
            if member.edited[k] or int(member.indices[k]) not in seen:
                fresh.append(k)
                if not member.edited[k]:
                    seen.add(int(member.indices[k]))
        kept.append(replace(member[np.array(fresh, np.int64)], groups=np.full(len(fresh), number, np.int64)))
    return Selection(
        masks=MaskSet.concatenate([part.masks for part in kept], masks.size_hw),
        scores=np.concatenate([part.scores for part in kept]),
        indices=np.concatenate([part.indices for part in kept]),
        groups=np.concatenate([part.groups for part in kept]),
        levels=tuple(level for part in kept for level in part.levels),
        edited=np.concatenate([part.edited for part in kept]),
        reason="any of (" + " | ".join(part.reason for part in kept) + ")",
    )


def _answer_all(masks: MaskSet, prompt: AllOf, features: ImageFeatures | None) -> Selection:
    return _from_scores(masks, _score_all(masks, prompt, features), f"all of {len(prompt.prompts)} prompts")


def _answer_but_not(masks: MaskSet, prompt: ButNot, features: ImageFeatures | None) -> Selection:
    """Answer from the masks that are left; where nothing of them fits, an answer that the unwanted masks
    helped to cut may.
    """
    unwanted = select(masks, prompt.unwanted, features)
    out = unwanted.indices[~unwanted.edited]
    left = np.setdiff1d(np.arange(len(masks)), out)
    found = select(masks[left], prompt.prompt, None if features is None else features.take(left))
    reason = f"{found.reason}; {len(masks) - len(left)} unwanted masks left out"
    if len(found):
        rows = np.append(left, -1)[found.indices]  # -1: of none of them
        return replace(found, indices=rows, reason=reason)
    wanted = select(masks, prompt.prompt, features)
    barred = np.isin(wanted.indices, unwanted.indices[unwanted.indices >= 0])
    return replace(wanted[wanted.edited & ~barred], reason=reason)


def _from_scores(masks: MaskSet, scored: _Scored, what: str) -> Selection:
    """Return the best mask of each group, or every mask that satisfies the prompt."""
    if not scored.best_only:
        values = scored.scores.max(axis=0, initial=0)
        rows = np.flatnonzero(values > 0)
        if scored.ranked:
            rows = rows[ranked_rows(masks[rows], values[rows])]
        return Selection.of(masks, rows, values[rows], f"{what}: {len(rows)} masks")
    picks: list[tuple[int, int]] = []
    for number, values in enumerate(scored.scores):
        best = best_row(masks, values)
        if best is not None and values[best] > 0:
            picks.append((number, best))
    reason = f"{what}: {len(picks)} masks" if picks else f"{what}: no mask satisfies them"
    return Selection.of(
        masks,
        [row for _, row in picks],
        [scored.scores[g, row] for g, row in picks],
        reason,
        [g for g, _ in picks],
    )


def _alone(function: Callable[[MaskSet, Any], _Kind]) -> Callable[[MaskSet, Any, Any], _Kind]:
    """Return the function for the tables: this prompt needs nothing but the masks."""
    return lambda masks, prompt, _features: function(masks, prompt)


_SCORERS: dict[type, Callable[[MaskSet, Any, ImageFeatures | None], _Scored]] = {
    Box: _alone(_score_box),
    Points: _alone(_score_points),
    MaskLike: _alone(_score_mask),
    Text: _score_text,
    Reference: _score_reference,
    Position: _score_position,
    AnyOf: _score_any,
    AllOf: _score_all,
    ButNot: _score_but_not,
}
_ANSWERS: dict[type, Callable[[MaskSet, Any, ImageFeatures | None], Selection]] = {
    Box: _alone(box.answer),
    Points: _alone(_answer_points),
    MaskLike: _alone(mask.answer),
    Text: text.answer,
    Reference: reference.answer,
    Position: _answer_position,
    AnyOf: _answer_any,
    AllOf: _answer_all,
    ButNot: _answer_but_not,
}


def select(masks: MaskSet, prompt: Prompt, features: ImageFeatures | None = None) -> Selection:
    """Return what a prompt means among the masks of one image.

    Args:
        masks: of one image.
        prompt: what is asked for.
        features: the same masks as an encoder sees them; only texts and references need them.

    Raises:
        PromptError: the prompt does not fit the image, is no prompt, or needs features and has none.
    """
    maker = _ANSWERS.get(type(prompt))
    if maker is None:
        raise PromptError(
            f"prompt: expected one of {', '.join(kind.__name__ for kind in _ANSWERS)}, "
            f"got {type(prompt).__name__}"
        )
    return maker(masks, prompt, features)
