"""Captions: does a photo find the sentences that people described it with, and a sentence its photo?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import fastsam
from fastsam.datasets import CAPTIONS_NAME, CaptionedImage, Split, read_captions
from fastsam.errors import ConfigError, DatasetError
from fastsam.evaluation.answers import hit_rate
from fastsam.evaluation.report import save_json
from fastsam.evaluation.shards import Arrays, OnProgress, Shards, measure_all
from fastsam.files import file_sha256
from fastsam.images.reading import read_frame
from fastsam.prompts.text.matching import Embedder

__all__ = ["caption_figures"]

_RANKS = (1, 5)


def caption_figures(
    root: Path,
    split: Split,
    embedder: Embedder,
    out: str | Path | None = None,
    limit: int | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Return R@1 and R@5 in both directions, among all captions and photos of a folder.

    A photo is shown whole, as the model's own preprocessing takes it; a caption is asked for as it stands.

    Args:
        root: folder with ``captions.json``, ``images/`` and ``heldout.txt``.
        split: ``"heldout"``, ``"train"`` or ``"all"``.
        embedder: the text-image model.
        out: folder for one file per image.
        limit: maximum number of images.
        on_progress: called with (done, total, name) after each image.

    Raises:
        DatasetError: the captions or an image cannot be read, or the split has no captions.
        ConfigError: ``limit`` is below 1.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"limit: expected at least 1 image, got {limit}")
    images = read_captions(root, split)[:limit]
    if not images:
        raise DatasetError(f"dataset {root}: split {split!r} has no captions; use split 'all'")
    identity = {
        "captions_sha256": file_sha256(root / CAPTIONS_NAME),
        "text_model_identity": embedder.fingerprint,
        "version": fastsam.__version__,
    }
    shards = Shards(out, f"{root.resolve().name}-{split}-captions", identity)

    def measure(image: CaptionedImage, _: list[str]) -> Iterator[tuple[str, Arrays]]:
        photo = embedder.pictures([read_frame(image.path).rgb])[0]
        yield "", {"photo": photo, "captions": embedder.texts(image.captions, ensemble=False)}

    measured = measure_all(
        images,
        lambda image: {"": shards.path([image.path])},
        measure,
        label=lambda image: image.path.name,
        on_progress=on_progress,
    )
    figures = _figures([arrays[""] for arrays in measured])
    if shards.folder is not None:
        save_json({**figures, **identity}, shards.folder / "results.json")
    return figures


def _figures(measured: list[Arrays]) -> dict[str, Any]:
    photos = np.stack([arrays["photo"] for arrays in measured]).astype(np.float64)
    captions = np.concatenate([arrays["captions"] for arrays in measured]).astype(np.float64)
    of = np.repeat(np.arange(len(measured)), [len(arrays["captions"]) for arrays in measured])
    similarity, own = photos @ captions.T, np.arange(len(measured))[:, None] == of
    return {
        "captioned_images": len(measured),
        "captions": len(captions),
        **{f"photo_to_caption_R@{rank}": hit_rate(similarity, own, rank) for rank in _RANKS},
        **{f"caption_to_photo_R@{rank}": hit_rate(similarity.T, own.T, rank) for rank in _RANKS},
    }
