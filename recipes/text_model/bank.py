"""Vectors of everything that the image tower is compared with."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from fastsam.prompts.text.vocabulary import background, read_vocabulary, share_a_word, templates
from recipes.text_model import tower
from recipes.text_model.phrases import COLOURS, imagenet_names, with_article

_NEAR = 0.5  # cosine above which two names may both be true of a mask
_FORMS = ("{}", "a {}", "a photo of a {}.", "a close-up photo of a {}.", "all {}s", "the {} in the scene")


@dataclass(frozen=True, eq=False)
class Bank:
    """What is known of U names.

    Attributes:
        names: U names: ImageNet's 1,000 classes first, then all categories and vocabularies.
        forms: (F, U, D) unit vectors: each name in F sentences, the first the mean over the templates.
        background: (B, D) what a text competes with.
        near: (U, U) names that may both be true, so that neither is held against the other.
        background_near: (U, B) the same of names and the background.
        parts: (U, D) "a part of a NAME".
        coloured: (U, 11, D) the names with each of COLOURS.
    """

    names: tuple[str, ...]
    forms: Tensor
    background: Tensor
    near: Tensor
    background_near: Tensor
    parts: Tensor
    coloured: Tensor


Encode = Callable[[Sequence[str]], Tensor]  # N texts -> (N, D) unit vectors


def by_tower(model: Any) -> Encode:
    """Return what encodes texts by the tower as it is."""
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer(context_length=tower.CONTEXT)

    @torch.no_grad()
    def encode(texts: Sequence[str]) -> Tensor:
        tokens = tokenizer(list(texts))
        found = torch.empty(len(tokens), tower.CONFIG["model_cfg"]["embed_dim"])
        for rows in tokens.argmax(dim=-1).argsort().split(256):
            found[rows] = normalize(tower.encode_text(model, tokens[rows]), dim=-1)
        return found

    return encode


def by_teacher(folder: Path, axes: Path) -> Encode:
    """Return what encodes texts by the sentence-embedding model, on the axes that distil_text.py kept."""
    import numpy as np
    from sentence_transformers import SentenceTransformer

    teacher = SentenceTransformer(str(folder), device="cpu")
    kept = torch.from_numpy(np.load(axes)["axes"])

    def encode(texts: Sequence[str]) -> Tensor:
        vectors = teacher.encode(list(texts), batch_size=256, show_progress_bar=False, convert_to_numpy=True)
        return normalize(torch.from_numpy(vectors) @ kept.T, dim=-1)

    return encode


def build(encode: Encode, categories: Sequence[Sequence[str]]) -> Bank:
    """Return the bank; names of one source in ``categories`` exclude each other."""
    extra = [
        *(name for names in categories for name in names),
        *read_vocabulary("coco"),
        *read_vocabulary("everyday"),
        *read_vocabulary("stuff"),
    ]
    first = imagenet_names()
    names = (*first, *dict.fromkeys(name for name in extra if name not in first))
    ensemble = _ensembles(encode, names)
    vectors = [ensemble, _ensembles(encode, [with_article(name) for name in names])]
    vectors += [encode([form.format(name) for name in names]) for form in _FORMS]
    coloured = encode([f"a {colour} {name}" for name in names for colour in COLOURS])
    behind = _ensembles(encode, background())
    return Bank(
        names,
        torch.stack(vectors),
        behind,
        _near(names, vectors, categories),
        torch.tensor([[share_a_word(name, other) for other in background()] for name in names]),
        encode([f"a part of {with_article(name)}" for name in names]),
        coloured.view(len(names), len(COLOURS), -1),
    )


def _ensembles(encode: Encode, names: Sequence[str]) -> Tensor:
    """Return what prompts/text/matching.py makes of a text: the mean over the templates."""
    sentences = [form.replace("{}", name) for name in names for form in templates()]
    return normalize(encode(sentences).view(len(names), len(templates()), -1).mean(dim=1), dim=-1)


def _near(names: tuple[str, ...], vectors: list[Tensor], categories: Sequence[Sequence[str]]) -> Tensor:
    near = normalize(sum(vectors), dim=-1)
    close = near @ near.T > _NEAR
    place = {name: k for k, name in enumerate(names)}
    for group in categories:
        rows = torch.tensor([place[name] for name in group])
        close[rows[:, None], rows[None, :]] = False
    words = [frozenset(re.findall(r"\w+", name.casefold())) for name in names]
    for i, first in enumerate(words):
        for j, second in enumerate(words):
            if first <= second or second <= first:
                close[i, j] = True
    close.fill_diagonal_(False)
    return close
