"""Reference prompts: how probable it is that each mask shows what a region of another image shows.

Masks are compared with regions by what the segmenter's network saw under them (its feature maps, averaged),
and by their pictures, as the text-image model places them. Which of both counts how much, and what a
similarity means, was measured on training photos: docs/experiments.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import PromptError
from fastsam.masks.maskset import MaskSet
from fastsam.masks.selection import Selection
from fastsam.prompts import box, mask, point
from fastsam.prompts.appearance import Appearances, appearances_among, appearances_of
from fastsam.prompts.ranking import best_row, ranked_rows
from fastsam.prompts.reference_spec import Appearance, Example, Reference, Region
from fastsam.prompts.regions import Box, MaskLike, Points
from fastsam.prompts.spec import Prompt, asks
from fastsam.prompts.text.matching import NO_FEATURES, ImageFeatures
from fastsam.prompts.wording import counted

__all__ = [
    "answer",
    "asks_reference",
    "describe_region",
    "reference_probabilities",
    "resolve",
    "resolve_reference",
    "score",
]

FloatArray = NDArray[np.float32]
# Log-odds of "the same kind of thing", from the cosines of pictures and of what the network saw; and without.
_PICTURE, _NETWORK, _BIAS = 3.7, 7.0, -6.6
_PICTURE_ALONE, _BIAS_ALONE = 6.1, -4.8


def describe_region(masks: MaskSet, features: ImageFeatures | None, example: Example) -> list[Appearance]:
    """Return how the region of an example appears to the models.

    Args:
        masks: everything in the example's image.
        features: of these masks.
        example: a box, points or a scribble stand for the masks that they select; a bitmap, RLE or polygon
            for its own pixels.

    Raises:
        PromptError: the region does not fit the image, or selects nothing there.
    """
    what = f"reference in {example.name}"
    if features is None:
        raise PromptError(f"{what}: {NO_FEATURES}")
    chosen = _region_masks(masks, example.region, what)
    found = appearances_among(ImageFeatures(features.frame, chosen, features.embedder), features.whole())
    told = np.flatnonzero(found.pictures.any(axis=1))
    if len(told) == 0:
        raise PromptError(f"{what}: too small to describe; choose a larger region")
    return [found.row(int(i), what) for i in told]


def _region_masks(masks: MaskSet, region: Region, what: str) -> MaskSet:
    """Return the masks that a region stands for."""
    if isinstance(region, MaskLike) and region.kind != "scribble":
        drawn = MaskSet.from_dense(mask.rasterise(region, masks.size_hw)[None])
        return replace(drawn, pyramid=masks.pyramid)
    if isinstance(region, Box):
        found = box.answer(masks, region)
    elif isinstance(region, Points):
        found = point.answer(masks, region)
        found = found[np.unique(found.groups, return_index=True)[1]]  # of whole, part, subpart the best
    else:
        found = mask.answer(masks, region)
    if len(found) == 0:
        raise PromptError(
            f"{what}: the region selects nothing ({found.reason}); expected one with a mask in it: move it, "
            "find more masks with a lower conf, or draw it with Mask.bitmap or Mask.polygon"
        )
    return replace(found.masks, pyramid=masks.pyramid)


def asks_reference(prompt: Prompt | None) -> bool:
    """Tell whether a prompt is a reference or is made of one.

    >>> from fastsam.prompts.spec import Position
    >>> asks_reference(Position("largest", of=Reference("ref.jpg", Box([0, 0, 9, 9]))))
    True
    """
    return asks(prompt, Reference)


def resolve(prompt: Prompt, describe: Callable[[Example], Sequence[Appearance]]) -> Prompt:
    """Return the prompt with every reference in it described; other prompts as they are.

    Args:
        prompt: any prompt.
        describe: returns how the region of an example appears, at least one appearance each.

    Raises:
        PromptError: a region selects nothing in its image, or a shot turns out to be a negative, too.
    """
    if isinstance(prompt, Reference):
        return resolve_reference(prompt, describe)
    if not asks_reference(prompt):
        return prompt
    return prompt.with_children([resolve(child, describe) for child in prompt.children()])


def resolve_reference(reference: Reference, describe: Callable[[Example], Sequence[Appearance]]) -> Reference:
    """Return a reference that is described, as :func:`resolve`."""
    if reference.is_described:
        return reference
    shots, against = (_described(part, describe) for part in (reference.shots, reference.negatives))
    return Reference.made(shots, against, reference.mode, reference.threshold)


def _described(
    examples: Sequence[Example | Appearance], describe: Callable[[Example], Sequence[Appearance]]
) -> list[Example | Appearance]:
    found: list[Example | Appearance] = []
    for one in examples:
        found += [one] if isinstance(one, Appearance) else describe(one)
    return found


def score(masks: MaskSet, prompt: Reference, features: ImageFeatures | None) -> FloatArray:
    """Return (1, N): the probability that a mask shows the same kind of thing, times the mask's own score.

    Masks that are too small for a picture score 0.

    Raises:
        PromptError: there are no features, they are of other masks, the reference has not been described yet,
            or other models have.
        WeightsError: the encoder's weights cannot be had.
    """
    if features is None:
        raise PromptError(f"reference: {NO_FEATURES}")
    if len(features) != len(masks) or features.masks.size_hw != masks.size_hw:
        raise PromptError(
            f"features: expected the features of these {len(masks)} masks, "
            f"got those of {len(features)} other masks"
        )
    if len(masks) == 0:
        return np.zeros((1, 0), np.float32)
    likely = reference_probabilities(appearances_of(features), prompt)
    return np.asarray((likely * masks.scores)[None], np.float32)


def reference_probabilities(appearances: Appearances, reference: Reference) -> NDArray[np.float64]:
    """Return (N,) how probable it is that masks show what a reference shows, from their vectors alone.

    Log-odds grow with the cosines. A mask is of the shots' kind, which is the more probable the more of them
    it is like, or like the nearest of the negatives, or something else.

    Args:
        appearances: of the masks; those that are too small to tell have the probability 0.
        reference: that the same models have described.

    Raises:
        PromptError: the reference has not been described yet, or by other models.
    """
    _check(reference, appearances)
    odds = np.exp(_log_odds(appearances, reference.shots)).mean(axis=1)
    against = np.exp(_log_odds(appearances, reference.negatives)).max(axis=1) if reference.negatives else 0.0
    return np.where(appearances.pictures.any(axis=1), odds / (1 + odds + against), 0.0)


def _log_odds(appearances: Appearances, others: Sequence[Example | Appearance]) -> NDArray[np.float64]:
    """Return (N, S) the log-odds that masks are of one kind with each of S others."""
    known = [one for one in others if isinstance(one, Appearance)]
    pictures = appearances.pictures.astype(np.float64) @ np.stack([one.picture for one in known]).T
    if appearances.seen.shape[1] == 0:
        return np.asarray(_PICTURE_ALONE * pictures + _BIAS_ALONE)
    seen = appearances.seen.astype(np.float64) @ np.stack([one.seen for one in known]).T
    return np.asarray(_PICTURE * pictures + _NETWORK * seen + _BIAS)


def _check(reference: Reference, appearances: Appearances) -> None:
    """Raise PromptError where the reference was not described by the models of the masks."""
    for one in (*reference.shots, *reference.negatives):
        if isinstance(one, Example):
            raise PromptError(
                f"reference: expected one that a model has described; {one!r} is not: ask a Session, or make "
                "it with Session.reference(...) or FastSAM.reference(...)"
            )
        for what, theirs, ours in (
            ("segmenter", one.network, appearances.network),
            ("text-image model", one.text_model, appearances.text_model),
        ):
            if theirs != ours:
                raise PromptError(
                    f"{one.name or 'reference'}: described by another {what} than these masks "
                    f"({theirs[:60] or 'none'} instead of {ours[:60] or 'none'}), whose vectors cannot be "
                    "compared; make the reference again with the model that segments the images"
                )


def answer(masks: MaskSet, prompt: Reference, features: ImageFeatures | None) -> Selection:
    """Return every mask that looks like the reference, best score first, or only the best one."""
    values = score(masks, prompt, features)[0]
    best = values.max(initial=0)
    what = f"reference of {counted(len(prompt.shots), 'shot')}"
    if prompt.negatives:
        what += f" and {counted(len(prompt.negatives), 'negative')}"
    if len(masks) == 0 or best < prompt.threshold or best <= 0:
        below = f"not found, the best score {best:.2f} is below {prompt.threshold:g}"
        return Selection.of(masks, [], [], f"{what}: {below if len(masks) else 'no masks to choose from'}")
    if prompt.mode == "best":
        row = best_row(masks, values)
        return Selection.of(
            masks, [row], [best], f"{what}: the best of {counted(len(masks), 'mask')}, score {best:.2f}"
        )
    rows = [row for row in ranked_rows(masks, values) if values[row] >= prompt.threshold and values[row] > 0]
    count = counted(len(rows), "mask")
    return Selection.of(masks, rows, values[rows], f"{what}: {count}, best score {best:.2f}")
