"""Prompts -> one Selection: dispatch, and the combinations any_of / all_of / but_not.

A new kind of prompt joins here: one module with the prompt, ``score``, ``answer`` and its JSON form, and one
line in :data:`KINDS`. A prompt is answered from the masks, ``(masks, prompt) -> scores``; what else is known
of the image (:class:`Seen`) is handed on to the prompts in combinations: texts and references need an
encoder's features, clicks take the photo where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import PromptError
from fastsam.masks.maskset import MaskSet
from fastsam.masks.selection import Selection
from fastsam.prompts import box, forms, iterate, mask, point, position, reference
from fastsam.prompts.forms import Form
from fastsam.prompts.ranking import best_row, ranked_rows
from fastsam.prompts.solve import clicks, drawn
from fastsam.prompts.solve.scene import Scene
from fastsam.prompts.spec import (
    AllOf,
    AnyOf,
    Box,
    ButNot,
    Mask,
    Points,
    Position,
    Prompt,
    Reference,
    Text,
)
from fastsam.prompts.text import matching as text
from fastsam.prompts.text.matching import ImageFeatures
from fastsam.prompts.wording import counted

__all__ = ["KINDS", "Kind", "select"]

FloatArray = NDArray[np.float32]
_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class Seen:
    """What is known of an image besides its masks, as far as it is known."""

    features: ImageFeatures | None = None
    scene: Scene | None = None

    def take(self, index: NDArray[np.int64]) -> Seen:
        """Return the same of some of the masks."""
        features = None if self.features is None else self.features.take(index)
        return Seen(features, None if self.scene is None else self.scene.take(index))


@dataclass(frozen=True)
class _Scored:
    """How well each mask satisfies a prompt: 0 where it does not.

    ``best_only``: the prompt means one mask (a box, a click); otherwise all that satisfy it (a text,
    "everything but"). ``ranked``: those answers come best first.
    ``labels``: what each score says that a mask shows, as far as the prompt has words for it.
    """

    scores: FloatArray  # (groups, N)
    best_only: bool
    ranked: bool = False
    labels: NDArray[np.object_] | None = None  # (groups, N) of str

    def named(self) -> NDArray[np.object_]:
        """Return the labels; empty ones where there are none."""
        return np.full(self.scores.shape, "", object) if self.labels is None else self.labels

    def best_labels(self) -> NDArray[np.object_]:
        """Return (N,) the label of each mask's best score; empty for masks that do not satisfy the prompt."""
        if not len(self.scores):
            return np.full(self.scores.shape[1], "", object)
        best = self.named()[self.scores.argmax(axis=0), np.arange(self.scores.shape[1])]
        return np.where(self.scores.max(axis=0) > 0, best, "")


def _score_box(masks: MaskSet, prompt: Box) -> _Scored:
    values = box.score(masks, prompt)
    return _Scored(np.where(values >= prompt.iou_threshold, values, 0), best_only=True)


def _score_points(masks: MaskSet, prompt: Points) -> _Scored:
    only_background = all(not clicks.foreground for clicks in prompt.objects)
    return _Scored(point.score(masks, prompt), best_only=not only_background)


def _score_mask(masks: MaskSet, prompt: Mask) -> _Scored:
    values = mask.score(masks, prompt)
    return _Scored(np.where(values >= prompt.threshold, values, 0), best_only=True)


def _score_text(masks: MaskSet, prompt: Text, seen: Seen) -> _Scored:
    values = text.score(masks, prompt, seen.features)
    kept = np.where(values >= prompt.threshold, values, 0)
    words = np.broadcast_to(np.array(prompt.names, object)[:, None], kept.shape)
    return _Scored(kept, best_only=False, ranked=True, labels=words)


def _score_reference(masks: MaskSet, prompt: Reference, seen: Seen) -> _Scored:
    values = reference.score(masks, prompt, seen.features)
    kept = np.where(values >= prompt.threshold, values, 0)
    return _Scored(kept, best_only=prompt.mode == "best", ranked=True)


def _score_position(masks: MaskSet, prompt: Position, seen: Seen) -> _Scored:
    found = _answer_position(masks, prompt, seen)
    scores = np.zeros((1, len(masks)), np.float32)
    scores[0, found.indices[~found.edited]] = found.scores[~found.edited]
    labels: NDArray[np.object_] | None = None
    if found.labels is not None:
        labels = np.full(scores.shape, "", object)
        labels[0, found.indices[~found.edited]] = np.array(found.labels, object)[~found.edited]
    return _Scored(scores, best_only=False, ranked=True, labels=labels)


def _score_any(masks: MaskSet, prompt: AnyOf, seen: Seen) -> _Scored:
    members = [KINDS[type(member)].score(masks, member, seen) for member in prompt.prompts]
    return _Scored(
        np.concatenate([m.scores for m in members]),
        best_only=all(m.best_only for m in members),
        ranked=any(m.ranked for m in members),
        labels=np.concatenate([m.named() for m in members]) if _any_labels(members) else None,
    )


def _any_labels(members: Sequence[_Scored]) -> bool:
    return any(member.labels is not None for member in members)


def _score_all(masks: MaskSet, prompt: AllOf, seen: Seen) -> _Scored:
    """Score each mask by its worst prompt; groups are those of the first prompt that means one mask.

    A mask is called what the first prompt that has a word for it says.
    """
    members = [KINDS[type(member)].score(masks, member, seen) for member in prompt.prompts]
    worst = np.stack([m.scores.max(axis=0) for m in members]).min(axis=0)
    labels: NDArray[np.object_] | None = None
    if _any_labels(members):
        labels = np.full(worst.shape, "", object)
        for member in reversed(members):
            own = member.best_labels()
            labels = np.where(own == "", labels, own)
    leading = next((m for m in members if m.best_only), None)
    if leading is None:
        ranked = any(m.ranked for m in members)
        row = None if labels is None else labels[None]
        return _Scored(worst[None], best_only=False, ranked=ranked, labels=row)
    kept = np.where(leading.scores > 0, worst, 0)
    return _Scored(
        kept, best_only=True, labels=None if labels is None else np.broadcast_to(labels, kept.shape)
    )


def _score_but_not(masks: MaskSet, prompt: ButNot, seen: Seen) -> _Scored:
    wanted = KINDS[type(prompt.prompt)].score(masks, prompt.prompt, seen)
    unwanted = _select(masks, prompt.unwanted, seen)
    scores = wanted.scores.copy()
    scores[:, unwanted.indices[~unwanted.edited]] = 0
    return replace(wanted, scores=scores)


def _answer_points(masks: MaskSet, prompt: Points, seen: Seen) -> Selection:
    if seen.scene is not None:
        return clicks.answer(masks, prompt, seen.scene)
    if prompt.previous is not None:
        return iterate.answer(masks, prompt, prompt.previous)
    return point.answer(masks, prompt)


def _answer_box(masks: MaskSet, prompt: Box, seen: Seen) -> Selection:
    return box.answer(masks, prompt) if seen.scene is None else drawn.answer_box(masks, prompt, seen.scene)


def _answer_mask(masks: MaskSet, prompt: Mask, seen: Seen) -> Selection:
    return mask.answer(masks, prompt) if seen.scene is None else drawn.answer_mask(masks, prompt, seen.scene)


def _answer_text(masks: MaskSet, prompt: Text, seen: Seen) -> Selection:
    return text.answer(masks, prompt, seen.features)


def _answer_reference(masks: MaskSet, prompt: Reference, seen: Seen) -> Selection:
    return reference.answer(masks, prompt, seen.features)


def _answer_position(masks: MaskSet, prompt: Position, seen: Seen) -> Selection:
    if prompt.of is not None:
        return position.answer(_select(masks, prompt.of, seen), prompt)
    return position.answer(Selection.of(masks, np.arange(len(masks)), masks.scores, "everything"), prompt)


def _answer_any(masks: MaskSet, prompt: AnyOf, seen: Seen) -> Selection:
    """Join the members' answers, each mask once, with the number of the first member that chose it."""
    members = [_select(masks, member, seen) for member in prompt.prompts]
    kept: list[Selection] = []
    chosen: set[int] = set()
    for number, member in enumerate(members):
        fresh = []
        for k in range(len(member)):
            if member.edited[k] or int(member.indices[k]) not in chosen:
                fresh.append(k)
                if not member.edited[k]:
                    chosen.add(int(member.indices[k]))
        kept.append(replace(member[np.array(fresh, np.int64)], groups=np.full(len(fresh), number, np.int64)))
    reason = "any of (" + " | ".join(part.reason for part in kept) + ")"
    return Selection.join(kept, masks.size_hw, reason)


def _answer_all(masks: MaskSet, prompt: AllOf, seen: Seen) -> Selection:
    return _from_scores(
        masks, _score_all(masks, prompt, seen), f"all of {counted(len(prompt.prompts), 'prompt')}"
    )


def _answer_but_not(masks: MaskSet, prompt: ButNot, seen: Seen) -> Selection:
    """Answer from the masks that are left; where nothing of them fits, an answer that the unwanted masks
    helped to cut may.
    """
    unwanted = _select(masks, prompt.unwanted, seen)
    out = unwanted.indices[~unwanted.edited]
    left = np.setdiff1d(np.arange(len(masks)), out)
    found = _select(masks[left], prompt.prompt, seen.take(left))
    reason = f"{found.reason}; {counted(len(masks) - len(left), 'unwanted mask')} left out"
    if len(found):
        rows = np.append(left, -1)[found.indices]  # -1: of none of them
        return replace(found, indices=rows, reason=reason)
    wanted = _select(masks, prompt.prompt, seen)
    barred = np.isin(wanted.indices, unwanted.indices[unwanted.indices >= 0])
    return replace(wanted[wanted.edited & ~barred], reason=reason)


def _from_scores(masks: MaskSet, scored: _Scored, what: str) -> Selection:
    """Return the best mask of each group, or every mask that satisfies the prompt."""
    if not scored.best_only:
        values = scored.scores.max(axis=0, initial=0)
        rows = np.flatnonzero(values > 0)
        if scored.ranked:
            rows = rows[ranked_rows(masks[rows], values[rows])]
        names = None if scored.labels is None else scored.best_labels()[rows].tolist()
        return Selection.of(masks, rows, values[rows], f"{what}: {counted(len(rows), 'mask')}", labels=names)
    picks: list[tuple[int, int]] = []
    for number, values in enumerate(scored.scores):
        best = best_row(masks, values)
        if best is not None and values[best] > 0:
            picks.append((number, best))
    reason = f"{what}: {counted(len(picks), 'mask') if picks else 'no mask satisfies them'}"
    return Selection.of(
        masks,
        [row for _, row in picks],
        [scored.scores[g, row] for g, row in picks],
        reason,
        [g for g, _ in picks],
        None if scored.labels is None else [scored.labels[g, row] for g, row in picks],
    )


def _alone(function: Callable[[MaskSet, Any], _Kind]) -> Callable[[MaskSet, Any, Any], _Kind]:
    """Return the function for the table: this prompt needs nothing but the masks."""
    return lambda masks, prompt, _seen: function(masks, prompt)


@dataclass(frozen=True)
class Kind:
    """How prompts of a kind are answered, and written as JSON.

    Attributes:
        score: how well each mask satisfies one, for combinations.
        answer: what one selects by itself.
        form: how it is written as JSON.
    """

    score: Callable[[MaskSet, Any, Seen], _Scored]
    answer: Callable[[MaskSet, Any, Seen], Selection]
    form: Form


KINDS: dict[type[Prompt], Kind] = {
    Box: Kind(_alone(_score_box), _answer_box, forms.BOX),
    Points: Kind(_alone(_score_points), _answer_points, forms.POINTS),
    Mask: Kind(_alone(_score_mask), _answer_mask, forms.MASK),
    Text: Kind(_score_text, _answer_text, forms.TEXT),
    Reference: Kind(_score_reference, _answer_reference, forms.REFERENCE),
    Position: Kind(_score_position, _answer_position, forms.POSITION),
    AnyOf: Kind(_score_any, _answer_any, forms.ANY_OF),
    AllOf: Kind(_score_all, _answer_all, forms.ALL_OF),
    ButNot: Kind(_score_but_not, _answer_but_not, forms.BUT_NOT),
}
"""Every kind of prompt: a new one is a module and a line here."""


def select(
    masks: MaskSet, prompt: Prompt, features: ImageFeatures | None = None, scene: Scene | None = None
) -> Selection:
    """Return what a prompt means among the masks of one image.

    Args:
        masks: of one image.
        prompt: what is asked for.
        features: the same masks as an encoder sees them; only texts and references need them.
        scene: the same masks and their photo: with it, an answer to clicks is made where no mask is one;
            without it, clicks only join and cut masks.

    Raises:
        PromptError: the prompt does not fit the image, is no prompt, or needs features and has none.
    """
    return _select(masks, prompt, Seen(features, scene))


def _select(masks: MaskSet, prompt: Prompt, seen: Seen) -> Selection:
    kind = KINDS.get(type(prompt))
    if kind is None:
        raise PromptError(
            f"prompt: expected one of {', '.join(kind.__name__ for kind in KINDS)}, "
            f"got {type(prompt).__name__}"
        )
    return kind.answer(masks, prompt, seen)
