"""How masks appear to the models, as vectors that tell one kind of thing from another in other images, too.

Two vectors a mask: what the segmenter's network saw under it (feature maps of its backbone, averaged), and
its picture as the text-image model places it. Half of what is common to all masks of an image is taken off:
its light, its style, and the part of a vector that says nothing. Measured in docs/experiments.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastsam.arrays import unit_rows
from fastsam.masks.maskset import MaskSet
from fastsam.prompts.reference_spec import Appearance
from fastsam.prompts.text.matching import ImageFeatures

__all__ = [
    "Appearances",
    "appearances_among",
    "appearances_of",
    "crop_vectors",
    "mean_vector",
    "network_vectors",
    "without_common_part",
]

FloatArray = NDArray[np.float32]
_COMMON = 0.5  # of an image's mean vector


@dataclass(frozen=True, eq=False)
class Appearances:
    """N masks as two models see them.

    Attributes:
        seen: (N, C) float32 unit vectors by the network; (N, 0) where the masks carry no feature maps.
        pictures: (N, D) float32 unit vectors by the text-image model; zeros where one is too small to tell.
        network: names the network and its weights; empty where there was none.
        text_model: names the text-image model and its weights.
    """

    seen: FloatArray
    pictures: FloatArray
    network: str
    text_model: str

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.pictures)

    def row(self, i: int, name: str = "") -> Appearance:
        """Return one of them."""
        return Appearance(self.seen[i], self.pictures[i], self.network, self.text_model, name)


def appearances_of(features: ImageFeatures) -> Appearances:
    """Return how the masks of an image appear.

    Raises:
        WeightsError: the encoder's weights cannot be had.
    """
    whole = features.whole()
    every = appearances_among(whole, whole)
    rows = features.rows
    return Appearances(every.seen[rows], every.pictures[rows], every.network, every.text_model)


def appearances_among(regions: ImageFeatures, everything: ImageFeatures) -> Appearances:
    """Return how regions of an image appear beside all masks of the image.

    Args:
        regions: of the image.
        everything: all masks of the image; where there are none, nothing is common.

    Raises:
        WeightsError: the encoder's weights cannot be had.
    """
    seen, pictures = network_vectors(regions.masks), crop_vectors(regions)
    same = regions is everything
    scores = everything.masks.scores
    seen = without_common_part(
        seen, mean_vector(seen if same else network_vectors(everything.masks), scores, seen.shape[1])
    )
    pictures = without_common_part(
        pictures, mean_vector(pictures if same else crop_vectors(everything), scores, pictures.shape[1])
    )
    pyramid = regions.masks.pyramid
    return Appearances(
        seen, pictures, "" if pyramid is None else pyramid.fingerprint, regions.embedder.fingerprint
    )


def network_vectors(masks: MaskSet) -> FloatArray:
    """Return (N, C) unit vectors of what the network saw under masks; (N, 0) where there was none."""
    return np.zeros((len(masks), 0), np.float32) if masks.pyramid is None else masks.embeddings("backbone")


def crop_vectors(features: ImageFeatures) -> FloatArray:
    """Return (N, D) unit vectors of the masks' pictures; zeros where they are too small to tell."""
    vectors, of = features.embeddings("masked")
    found = np.zeros((len(features), vectors.shape[1]), np.float32)
    found[of] = vectors
    return found


def mean_vector(vectors: FloatArray, scores: FloatArray, width: int) -> FloatArray:
    """Return (width,) the mean of the vectors of an image's masks, weighted by score; zeros if none.

    Masks that only cover what better ones leave have low scores, and should not change what an image shows.

    >>> vectors = np.array([[1, 0], [0, 0], [0, 1]], np.float32)
    >>> mean_vector(vectors, np.array([0.5, 0.9, 0.5], np.float32), 2).tolist()
    [0.5, 0.5]
    """
    known = vectors.any(axis=1)
    weights = np.where(known, np.maximum(scores, 1e-6), 0)
    return np.asarray(weights @ vectors / weights.sum() if known.any() else np.zeros(width), np.float32)


def without_common_part(vectors: FloatArray, common: FloatArray) -> FloatArray:
    """Return (N, C) unit vectors without a part of what an image's masks share; zeros stay zeros.

    Args:
        vectors: (N, C) unit vectors.
        common: (C,) or (N, C), the :func:`mean_vector` of their image.
    """
    left = np.where(vectors.any(axis=1, keepdims=True), vectors - _COMMON * common, 0)
    return unit_rows(left)
