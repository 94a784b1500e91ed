"""Text prompts: how probable it is that each mask shows what a text says.

They need what the other prompts do not: the photo, and an encoder of pictures and texts. Both come as one
:class:`ImageFeatures`, which encodes the masks once, whatever is asked afterwards.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastsam.arrays import unit_rows
from fastsam.errors import ConfigError, PromptError
from fastsam.images.frame import Frame
from fastsam.masks.maskset import MaskSet
from fastsam.masks.selection import Selection
from fastsam.prompts.ranking import ranked_rows
from fastsam.prompts.spec import CropStyle, Prompt, Text, asks
from fastsam.prompts.text.crops import MOST_PX, crop_picture
from fastsam.prompts.text.encoder import Encoder
from fastsam.prompts.text.vocabulary import background, share_a_word, templates
from fastsam.prompts.wording import counted

__all__ = [
    "NO_FEATURES",
    "Embedder",
    "ImageFeatures",
    "TextCache",
    "answer",
    "asks_text",
    "mask_text_probabilities",
    "score",
    "text_probabilities",
]

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
NO_FEATURES = (
    "the photo of the masks is needed; ask FastSAM().open(photo).select(...), or "
    "select(masks, prompt, ImageFeatures(frame, masks, encoder))"
)
_CROPS_AT_ONCE = 32  # pictures in memory at a time
_TEXTS_KEPT = 8192
_WORTH_KEEPING = 16  # phrases: a vocabulary, or the background, but not what a user asks for


class TextCache(Protocol):
    """Keeps the vectors of lists of phrases beyond this process."""

    def load(self, phrases: Sequence[str], forms: Sequence[str]) -> FloatArray | None:
        """Return the (M, D) vectors of phrases in sentences of these forms, None where they are not known."""

    def save(self, phrases: Sequence[str], forms: Sequence[str], vectors: FloatArray) -> None:
        """Keep the vectors; where that fails they are encoded again the next time."""


class Embedder:
    """An encoder that remembers texts; all images of a model share one.

    Args:
        encoder: of pictures and texts.
        cache: remembers whole vocabularies for later processes.

    Raises:
        ConfigError: it has no ``encode_images`` or no ``encode_texts``.
    """

    def __init__(self, encoder: Encoder, cache: TextCache | None = None) -> None:
        for name in ("encode_images", "encode_texts"):
            if not callable(getattr(encoder, name, None)):
                raise ConfigError(
                    f"text model: expected an object with encode_images and encode_texts, "
                    f"got {type(encoder).__name__}"
                )
        self.encoder = encoder
        self._cache = cache
        self._known: OrderedDict[tuple[str, bool], FloatArray] = OrderedDict()
        self._lock = threading.Lock()  # of ``_known``, which all threads share

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the lock, which cannot be pickled."""
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the rest, with a new lock."""
        vars(self).update(state, _lock=threading.Lock())

    @property
    def location(self) -> str:
        """Names the encoder by its file's path and state; nothing is loaded for it."""
        return str(getattr(self.encoder, "location", type(self.encoder).__name__))

    @property
    def fingerprint(self) -> str:
        """Names the encoder by the content of its files, where it has files; equal for equal vectors.

        Raises:
            WeightsError: its files cannot be had.
        """
        return str(getattr(self.encoder, "fingerprint", self.location))

    @property
    def logit_scale(self) -> float:
        """What similarities are multiplied by before they become probabilities."""
        return float(self.encoder.logit_scale)

    @property
    def takes(self) -> tuple[int, str]:
        """Side of the largest pictures that are of use to the encoder, and how it shrinks larger ones."""
        how = getattr(self.encoder, "resample", None)
        return getattr(self.encoder, "image_px", None) or MOST_PX, how or "bilinear"

    def texts(self, phrases: Sequence[str], ensemble: bool) -> FloatArray:
        """Return (M, D) unit vectors; with ``ensemble`` the mean over presets/templates.txt."""
        wanted = list(dict.fromkeys(phrases))
        forms = templates() if ensemble else ("{}",)
        with self._lock:
            kept = {phrase: self._known.get((phrase, ensemble)) for phrase in wanted}
        by_phrase = {phrase: vector for phrase, vector in kept.items() if vector is not None}
        if len(by_phrase) < len(wanted):
            cache = self._cache if len(wanted) >= _WORTH_KEEPING else None
            vectors = cache.load(wanted, forms) if cache is not None else None
            if vectors is not None:
                by_phrase = dict(zip(wanted, vectors, strict=True))
            else:
                by_phrase |= self._encoded([phrase for phrase in wanted if phrase not in by_phrase], forms)
                if cache is not None:
                    cache.save(wanted, forms, np.stack([by_phrase[phrase] for phrase in wanted]))
        with self._lock:
            for phrase in wanted:
                self._known[phrase, ensemble] = by_phrase[phrase]
                self._known.move_to_end((phrase, ensemble))
            while len(self._known) > _TEXTS_KEPT:
                self._known.popitem(last=False)
        return np.stack([by_phrase[phrase] for phrase in phrases])

    def _encoded(self, phrases: Sequence[str], forms: Sequence[str]) -> dict[str, FloatArray]:
        """Return a unit vector a phrase, the mean over the sentences of all forms."""
        sentences = [form.replace("{}", phrase) for phrase in phrases for form in forms]
        vectors = _unit(self.encoder.encode_texts(sentences), len(sentences), "encode_texts")
        means = vectors.reshape(len(phrases), len(forms), -1).mean(axis=1)
        return dict(zip(phrases, _unit(means, len(phrases), "encode_texts"), strict=True))

    def pictures(self, pictures: Sequence[NDArray[np.uint8]]) -> FloatArray:
        """Return (N, D) unit vectors."""
        return _unit(self.encoder.encode_images(pictures), len(pictures), "encode_images")


def _unit(vectors: Any, count: int, what: str) -> FloatArray:
    """Return (count, D) vectors at length 1, or say what the encoder gave instead."""
    array = np.asarray(vectors, np.float32)
    if array.ndim != 2 or len(array) != count or not np.isfinite(array).all():
        raise ConfigError(
            f"text model, {what}: expected finite vectors of shape ({count}, D), got {array.shape}"
        )
    return unit_rows(array)


@dataclass(frozen=True, eq=False, repr=False)
class ImageFeatures:
    """The masks of one image as an encoder sees them; encoded when first asked for, and then kept.

    Attributes:
        frame: the photo.
        masks: N masks of it.
        embedder: the encoder, or an :class:`Embedder` that images share.

    Raises:
        PromptError: masks and photo are of different sizes.
        ConfigError: it is not an encoder.
    """

    frame: Frame
    masks: MaskSet
    embedder: Any
    _rows: IntArray | None = None
    _memory: dict[str, tuple[FloatArray, IntArray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that these belong together."""
        if self.frame.size_hw != self.masks.size_hw:
            raise PromptError(
                f"features: expected masks of the photo's size {self.frame.size_hw}, got {self.masks.size_hw}"
            )
        if not isinstance(self.embedder, Embedder):
            object.__setattr__(self, "embedder", Embedder(self.embedder))

    def __len__(self) -> int:
        """Return the number of masks that are spoken of."""
        return len(self.masks) if self._rows is None else len(self._rows)

    def take(self, index: IntArray) -> ImageFeatures:
        """Return the features of some of the masks; what either encodes, both know."""
        return replace(self, _rows=self.rows[index])

    def embeddings(self, style: CropStyle) -> tuple[FloatArray, IntArray]:
        """Return (K, D) unit vectors, and (K,) the masks that they are of; the rest are too small to tell."""
        if style not in self._memory:
            self._memory[style] = self._encoded(style)
        vectors, of = self._memory[style]
        if self._rows is None:
            return vectors, of
        place = np.full(len(self.masks), -1, np.int64)
        place[of] = np.arange(len(of))
        chosen = place[self._rows]
        return vectors[chosen[chosen >= 0]], np.flatnonzero(chosen >= 0)

    @property
    def rows(self) -> IntArray:
        """(K,) which of ``masks`` are spoken of."""
        return np.arange(len(self.masks)) if self._rows is None else self._rows

    def whole(self) -> ImageFeatures:
        """Return the features of all masks of the image."""
        return replace(self, _rows=None)

    def _encoded(self, style: CropStyle) -> tuple[FloatArray, IntArray]:
        """Encode all masks, some at a time."""
        vectors: list[FloatArray] = []
        of: list[int] = []
        waiting: list[NDArray[np.uint8]] = []
        takes = self.embedder.takes if len(self.masks) else ()  # asking may load the encoder
        for i in range(len(self.masks)):
            picture = crop_picture(self.frame, self.masks.crop(i), style, *takes)
            if picture is not None:
                waiting.append(picture)
                of.append(i)
            if len(waiting) == _CROPS_AT_ONCE:
                vectors.append(self.embedder.pictures(waiting))
                waiting = []
        if waiting:
            vectors.append(self.embedder.pictures(waiting))
        joined = np.concatenate(vectors) if vectors else np.zeros((0, 1), np.float32)
        return joined, np.array(of, np.int64)


def mask_text_probabilities(
    features: ImageFeatures,
    texts: Sequence[str],
    *,
    negatives: Sequence[str] = (),
    ensemble: bool = True,
    crops: CropStyle = "masked",
    together: bool = False,
) -> FloatArray:
    """Return (M, N) how probable it is that mask n shows text m; 0 for masks too small to tell.

    A softmax of the similarities over the text, the negatives and presets/background.txt, but for those of
    the latter that share a word with the text.

    Args:
        features: of the masks.
        texts: M texts.
        negatives: what else a mask may show.
        ensemble: average over sentences.
        crops: how masks are shown to the encoder.
        together: the texts exclude each other, as the names of a vocabulary do.
    """
    vectors, of = features.embeddings(crops)
    probabilities = np.zeros((len(texts), len(features)), np.float32)
    if len(of) and texts:
        probabilities[:, of] = text_probabilities(
            vectors, features.embedder, texts, negatives=negatives, ensemble=ensemble, together=together
        )
    return probabilities


def text_probabilities(
    vectors: FloatArray,
    embedder: Embedder,
    texts: Sequence[str],
    *,
    negatives: Sequence[str] = (),
    ensemble: bool = True,
    together: bool = False,
) -> FloatArray:
    """Return (M, N) how probable it is that picture n shows text m, from the pictures' (N, D) unit vectors.

    As :func:`probabilities`, for at least one text and pictures that the same model has encoded.
    """
    others = [*negatives, *background()]
    named = embedder.texts([*texts, *negatives], ensemble)
    words = np.concatenate([named, embedder.texts(background(), ensemble)])
    if words.shape[1] != vectors.shape[1]:
        raise ConfigError(
            f"text model: expected vectors of one length for pictures and texts, got {vectors.shape[1]} "
            f"and {words.shape[1]}"
        )
    logits = embedder.logit_scale * (vectors.astype(np.float64) @ words.T.astype(np.float64))
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    wanted, rest = odds[:, : len(texts)], odds[:, len(texts) :]
    if together:
        names = " ".join(texts)
        competing = [k < len(negatives) or not share_a_word(names, other) for k, other in enumerate(others)]
        against = wanted.sum(axis=1) + rest[:, competing].sum(axis=1)
        return np.asarray(_share(wanted, against[:, None]).T, np.float32)
    probabilities = np.zeros((len(texts), len(vectors)), np.float32)
    for m, text in enumerate(texts):
        competing = [k < len(negatives) or not share_a_word(text, other) for k, other in enumerate(others)]
        against = wanted[:, m] + rest[:, competing].sum(axis=1)
        probabilities[m] = _share(wanted[:, m], against)
    return probabilities


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return part / whole; 0 where both are too small for numbers."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def asks_text(prompt: Prompt | None) -> bool:
    """Return whether a prompt is a text or is made of one, so that it needs features.

    >>> from fastsam.prompts.spec import Position
    >>> asks_text(Position("leftmost", of=Text("a dog")))
    True
    """
    return asks(prompt, Text)


def score(masks: MaskSet, prompt: Text, features: ImageFeatures | None) -> FloatArray:
    """Return (texts, N): the probability that a mask shows a text, times the mask's own score.

    The mask's score says how well it should fit an object: a part, or a patch cut across things, may well
    look like the text. Measured in docs/experiments.md.

    Raises:
        PromptError: there are no features, or they are of other masks.
        WeightsError: the encoder's weights cannot be had.
    """
    if features is None:
        raise PromptError(f"text {prompt.texts[0]!r}: {NO_FEATURES}")
    if len(features) != len(masks) or features.masks.size_hw != masks.size_hw:
        raise PromptError(
            f"features: expected the features of these {len(masks)} masks, "
            f"got those of {len(features)} other masks"
        )
    probabilities = mask_text_probabilities(
        features, prompt.texts, negatives=prompt.negatives, ensemble=prompt.templates, crops=prompt.crops
    )
    return probabilities * masks.scores


def answer(masks: MaskSet, prompt: Text, features: ImageFeatures | None) -> Selection:
    """Return every mask that shows a text, best score first; ``groups`` tell which text.

    A mask that shows two of the texts has two rows. A text that nothing shows has none; ``reason`` says so.
    """
    values = score(masks, prompt, features)
    rows: list[tuple[int, int]] = []
    notes = []
    for number, (text, scores) in enumerate(zip(prompt.texts, values, strict=True)):
        chosen = (scores >= prompt.threshold) & (scores > 0)
        chosen &= ~_better_elsewhere(prompt, values, number)
        rows += [(row, number) for row in ranked_rows(masks, scores) if chosen[row]]
        best = scores.max(initial=0)
        if chosen.any():
            notes.append(f"{text!r}: {counted(int(np.count_nonzero(chosen)), 'mask')}, best score {best:.2f}")
        elif len(masks):
            notes.append(f"{text!r}: not found, the best score {best:.2f} is below {prompt.threshold:g}")
        else:
            notes.append(f"{text!r}: no masks to choose from")
    rows.sort(key=lambda pair: -values[pair[1], pair[0]])  # stable: equals stay in the order of the ranking
    return Selection.of(
        masks,
        [row for row, _ in rows],
        [values[number, row] for row, number in rows],
        "; ".join(notes),
        [number for _, number in rows],
        [prompt.names[number] for _, number in rows],
    )


def _better_elsewhere(prompt: Text, values: FloatArray, number: int) -> NDArray[np.bool_]:
    """Return (N,) which masks another text of the same name fits better: a mask has a name once."""
    same = [k for k, name in enumerate(prompt.names) if name == prompt.names[number]]
    return np.asarray(np.array(same)[values[same].argmax(axis=0)] != number)
