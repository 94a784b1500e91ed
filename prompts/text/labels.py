"""A name for every mask, out of a vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import PromptError, RecordError
from fastsam.prompts.spec import as_share
from fastsam.prompts.text.matching import NO_FEATURES, ImageFeatures, mask_text_probabilities
from fastsam.prompts.text.vocabulary import read_classes

__all__ = ["UNKNOWN", "Labels", "label"]

UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class Labels:
    """What each of N masks is called.

    Attributes:
        names: N names of the vocabulary, or ``"unknown"``.
        scores: (N,) float32 in 0..1, the probability of the best name, of unknown masks too.
        vocabulary: the names to choose from, each once, in their order.
    """

    names: tuple[str, ...]
    scores: NDArray[np.float32]
    vocabulary: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check that there is a score for each name."""
        if self.scores.shape != (len(self.names),):
            raise RecordError(
                f"labels: expected scores of shape ({len(self.names)},) for {len(self.names)} names, "
                f"got {self.scores.shape}"
            )
        self.scores.flags.writeable = False

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.names)


def label(
    features: ImageFeatures | None,
    vocabulary: str | Path | Sequence[str] = "everyday",
    threshold: float = 0.3,
    *,
    templates: bool = True,
) -> Labels:
    """Return the most probable name of each mask.

    The names exclude each other, and compete with a vocabulary of anything else; the best of a mask that is
    less probable than the threshold is not given. A mask too small to tell is unknown.

    Args:
        features: of the masks.
        vocabulary: ``"coco"``, ``"everyday"``, ``"stuff"``, a file with a name a line, or the names.
        threshold: least probability of a name.
        templates: average each name over sentences such as ``"a photo of {}."``.

    Raises:
        PromptError: no such vocabulary, a bad threshold, or no features.
    """
    classes = read_classes(vocabulary)
    called = [name for name, _ in classes]
    names = tuple(dict.fromkeys(called))
    threshold = as_share(threshold, "threshold")
    if features is None:
        raise PromptError(f"labels: {NO_FEATURES}")
    phrases = [words for _, words in classes]
    probabilities = mask_text_probabilities(features, phrases, ensemble=templates, together=True)
    if len(names) < len(classes):  # words of one name add up
        rows = [probabilities[[own == name for own in called]].sum(axis=0) for name in names]
        probabilities = np.stack(rows)
    best = probabilities.argmax(axis=0) if probabilities.size else np.zeros(len(features), np.int64)
    scores = probabilities[best, np.arange(len(features))]
    chosen = [
        names[k] if score >= threshold and score > 0 else UNKNOWN
        for k, score in zip(best, scores, strict=True)
    ]
    return Labels(tuple(chosen), scores, names)
