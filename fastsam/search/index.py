"""Index the masks of a folder once; then search by text or reference without running the network again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import ConfigError, FastSAMError, PromptError, WeightsError
from fastsam.files import file_state, sole_writer
from fastsam.images.listing import list_images
from fastsam.masks.rle import Rle, decode_rle, encode_crop
from fastsam.model import FastSAM
from fastsam.prompts import Prompt, Reference, Text
from fastsam.prompts.appearance import Appearances, mean_vector, network_vectors, without_common_part
from fastsam.prompts.reference import reference_probabilities
from fastsam.prompts.text.crops import LEAST_PX
from fastsam.prompts.text.matching import text_probabilities
from fastsam.search.store import HEADER, Header, ImageEntry, IndexStore
from fastsam.session import Session

__all__ = ["Hit", "Indexed", "MaskIndex"]

FloatArray = NDArray[np.float32]
_ROWS_AT_ONCE = 16384  # of the matrix in memory


@dataclass(frozen=True)
class Indexed:
    """What happened to one image.

    Attributes:
        file: absolute path.
        count: masks in it.
        error: one line, or empty.
        skipped: the index had it already, unchanged.
    """

    file: str
    count: int = 0
    error: str = ""
    skipped: bool = False


@dataclass(frozen=True)
class Hit:
    """A mask that matches.

    Attributes:
        file: absolute path of its image.
        row: number of the mask in its image.
        score: how well it matches, the same as for the prompt on the image itself.
        box_xyxy: image pixels.
        mask_score: how good the mask is.
        rle: its pixels, COCO's compressed RLE.
        group: number of the text, if there are several.
    """

    file: str
    row: int
    score: float
    box_xyxy: tuple[float, ...]
    mask_score: float
    rle: Rle
    group: int = 0

    def mask(self) -> NDArray[np.bool_]:
        """Return its (H, W) pixels."""
        return decode_rle(self.rle)


class MaskIndex:
    """The masks of many images, on disk, with the vectors that prompts compare.

    :meth:`build` makes or updates an index, :meth:`open` opens an existing one.

    >>> index = MaskIndex.build(FastSAM(), "photos", "photos.index")      # doctest: +SKIP
    >>> index.query(Text("a dog"), model)[0].file                         # doctest: +SKIP
    'photos/12.jpg'
    """

    def __init__(self, store: IndexStore) -> None:
        self._store = store

    @classmethod
    def open(cls, folder: str | Path) -> MaskIndex:
        """Open an existing index.

        Raises:
            ConfigError: the folder holds no index.
        """
        return cls(IndexStore(Path(folder)))

    @classmethod
    def build(
        cls,
        model: FastSAM,
        images: str | Path | Sequence[str | Path],
        out: str | Path,
        *,
        on_image: Callable[[Indexed, int], None] | None = None,
        **options: Any,
    ) -> MaskIndex:
        """Index images, or update an index: only new and changed files are read.

        An interrupted run continues where it stopped. Files that are not among the images are removed.

        Args:
            model: finds and describes the masks.
            images: a folder, pattern or files.
            out: folder of the index; created if missing.
            on_image: called with each :class:`Indexed` and the number of images.
            options: as in :meth:`fastsam.FastSAM.open`.

        Raises:
            ImageError: there are no images.
            ConfigError: the index was made with other models or options.
            ExportError: it cannot be written, or another process is writing to it.
            WeightsError: the text-image model cannot be had.
        """
        folder = Path(out)
        with sole_writer(folder, "index"):
            return cls._built(model, images, folder, on_image, options)

    @classmethod
    def _built(
        cls,
        model: FastSAM,
        images: str | Path | Sequence[str | Path],
        folder: Path,
        on_image: Callable[[Indexed, int], None] | None,
        options: dict[str, Any],
    ) -> MaskIndex:
        """Bring an index up to date that nobody else writes to."""
        files = [os.path.abspath(path) for path in list_images(images)]
        segment = asdict(model.segment_config(**options))
        store = IndexStore(folder) if (folder / HEADER).is_file() else None
        if store is not None:
            _check(store.header, model, segment)
            store = store if store.header.width else None  # no image of it could be read
        for file in files:
            entry = store.entries.get(file) if store is not None else None
            if entry is not None and entry.state == file_state(file):
                indexed = Indexed(file, len(entry), skipped=True)
            else:
                store, indexed = _index_image(model, file, folder, store, segment)
            if on_image is not None:
                on_image(indexed, len(files))
        if store is None:
            store = IndexStore.create(
                folder, Header(model.fingerprint, model.embedder.fingerprint, segment, 0, 0)
            )
        for file in set(store.entries) - set(files):
            store.drop(file)
        store.compact()
        return cls(store)

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self._store)

    def __repr__(self) -> str:
        """Return the folder and the number of images and masks."""
        return f"MaskIndex({str(self._store.folder)!r}, {len(self.files)} images, {len(self)} masks)"

    @property
    def files(self) -> list[str]:
        """Absolute paths of the images."""
        return [entry.file for entry in self._store]

    @property
    def segment(self) -> dict[str, Any]:
        """The options that the masks were found with."""
        return dict(self._store.header.segment)

    def query(self, prompt: Prompt, model: FastSAM | None = None, *, limit: int | None = None) -> list[Hit]:
        """Return the masks that match, best first, with the scores that they would have in their images.

        Args:
            prompt: a Text or a Reference; ``Reference(..., mode="best")`` means the best mask of each image.
            model: encodes texts and references; a reference that is already described needs none.
            limit: maximum number of masks.

        Raises:
            PromptError: another kind of prompt, or one that needs a model and has none.
            ConfigError: the index was made with another model.
        """
        if not isinstance(prompt, (Text, Reference)):
            raise PromptError(
                f"index: expected a Text or a Reference, got {type(prompt).__name__}; other prompts need the "
                "image: FastSAM().open(file).select(prompt)"
            )
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
            raise ConfigError(f"limit: expected a whole number above 0, got {limit!r}")
        if model is None and not (isinstance(prompt, Reference) and prompt.is_described):
            raise PromptError(
                "index: expected the model that made it, to encode the prompt; call query(prompt, model)"
            )
        if model is not None:
            _check(self._store.header, model, None)
        hits = self._texts(prompt, model) if isinstance(prompt, Text) else self._reference(prompt, model)
        hits.sort(key=lambda hit: (-hit.score, hit.file, hit.row))
        return hits[:limit]

    def _texts(self, prompt: Text, model: FastSAM | None) -> list[Hit]:
        hits: list[Hit] = []
        for chunk in self._chunks():
            crops = chunk.vectors[:, self._store.header.network_width :]
            described = crops.any(axis=1)
            probabilities = np.zeros((len(prompt.texts), len(crops)), np.float32)
            if described.any() and model is not None:
                probabilities[:, described] = text_probabilities(
                    crops[described],
                    model.embedder,
                    prompt.texts,
                    negatives=prompt.negatives,
                    ensemble=prompt.templates,
                )
            for group, values in enumerate(probabilities):
                hits += chunk.hits(values, prompt.threshold, group=group)
        return hits

    def _reference(self, prompt: Reference, model: FastSAM | None) -> list[Hit]:
        described = prompt if model is None else model.resolve(prompt, **self.segment)
        if not isinstance(described, Reference):  # it is one: this is for the type checker
            return []
        header, hits = self._store.header, list[Hit]()
        for chunk in self._chunks():
            parts = (slice(0, header.network_width), slice(header.network_width, None))
            seen, crops = (
                without_common_part(chunk.vectors[:, part], chunk.common[:, part]) for part in parts
            )
            appearances = Appearances(seen, crops, header.network, header.text_model)
            probabilities = reference_probabilities(appearances, described)
            hits += chunk.hits(probabilities, described.threshold, best=described.mode == "best")
        return hits

    def _chunks(self) -> Iterator[_Chunk]:
        """Yield the masks of some images at a time."""
        matrix, entries, rows = self._store.vectors(), list[ImageEntry](), 0
        for entry in self._store:
            entries.append(entry)
            rows += len(entry)
            if rows >= _ROWS_AT_ONCE:
                yield _Chunk.read(entries, matrix)
                entries, rows = [], 0
        if entries:
            yield _Chunk.read(entries, matrix)


@dataclass(frozen=True, eq=False)
class _Chunk:
    """The masks of some images, in memory."""

    entries: list[ImageEntry]
    vectors: FloatArray  # (N, width)
    common: FloatArray  # (N, width) mean vector of the image of each mask

    @classmethod
    def read(cls, entries: list[ImageEntry], matrix: NDArray[np.float16]) -> _Chunk:
        masks = [matrix[entry.first : entry.end - 1] for entry in entries]
        common = np.stack([matrix[entry.end - 1] for entry in entries]).astype(np.float32)
        counts = [len(entry) for entry in entries]
        return cls(entries, np.concatenate(masks).astype(np.float32), np.repeat(common, counts, axis=0))

    def hits(
        self, probabilities: NDArray[Any], threshold: float, *, best: bool = False, group: int = 0
    ) -> Iterator[Hit]:
        """Yield the masks whose probability times mask score reaches a threshold."""
        start = 0
        for entry in self.entries:
            end = start + len(entry)
            scores = np.asarray(probabilities[start:end] * np.asarray(entry.scores), np.float32)
            start = end
            rows = np.flatnonzero((scores >= threshold) & (scores > 0))
            if best and len(rows):
                rows = rows[[scores[rows].argmax()]]
            for row in rows.tolist():
                yield Hit(
                    entry.file,
                    row,
                    float(scores[row]),
                    entry.boxes_xyxy[row],
                    entry.scores[row],
                    entry.rles[row],
                    group,
                )


def _check(header: Header, model: FastSAM, segment: dict[str, Any] | None) -> None:
    """Raise ConfigError if an index was made with other models or options."""
    for what, indexed, ours in (
        ("segmenter", header.network, model.fingerprint),
        ("text-image model", header.text_model, model.embedder.fingerprint),
    ):
        if indexed != ours:
            raise ConfigError(
                f"index: it was made with another {what} ({indexed[:12] or 'none'}, this one is "
                f"{ours[:12] or 'none'}), and their vectors cannot be compared; search with that model, or "
                "index again into another folder"
            )
    different = [name for name in segment or {} if (segment or {})[name] != header.segment.get(name)]
    if different:
        name = different[0]
        raise ConfigError(
            f"index: it was made with {name} = {header.segment.get(name)}, expected the same, got "
            f"{(segment or {})[name]}; index into another folder"
        )


def _index_image(
    model: FastSAM, file: str, folder: Path, store: IndexStore | None, segment: dict[str, Any]
) -> tuple[IndexStore | None, Indexed]:
    """Index one image; a bad one is reported and does not stop the rest."""
    try:
        state = file_state(file)
        session = model.open(file, **segment)
        seen, crops = _vectors(session, model)
        result = session.everything()
    except WeightsError:
        raise  # the text-image model cannot be loaded: the other images would fail too
    except (FastSAMError, OSError) as error:
        return store, Indexed(file, error=str(error))
    if store is None:
        header = Header(model.fingerprint, model.embedder.fingerprint, segment, seen.shape[1], crops.shape[1])
        store = IndexStore.create(folder, header)
    parts = (seen, crops)
    mean = np.concatenate([mean_vector(part, session.masks.scores, part.shape[1]) for part in parts])
    rows = np.concatenate([np.concatenate(parts, axis=1), mean[None]])
    patches = [result.masks.crop(i) for i in range(len(result))]
    size_hw = session.frame.size_hw
    entry = ImageEntry(
        file,
        state,
        size_hw,
        0,
        tuple(tuple(round(float(edge), 2) for edge in box) for box in result.boxes_xyxy),
        tuple(round(float(score), 4) for score in session.masks.scores),
        tuple(encode_crop(patch, x0, y0, size_hw) for x0, y0, patch in patches),
    )
    store.add(entry, rows)
    return store, Indexed(file, len(result))


def _vectors(session: Session, model: FastSAM) -> tuple[FloatArray, FloatArray]:
    """Return (N, C) network and (N, D) crop vectors of an image's masks, equally long for all images."""
    seen = network_vectors(session.masks)
    width = model.embedder.pictures([np.zeros((LEAST_PX, LEAST_PX, 3), np.uint8)]).shape[1]
    crops = np.zeros((len(session.masks), width), np.float32)
    if session.features is not None:
        vectors, rows = session.features.embeddings("masked")
        if len(rows):
            crops[rows] = vectors
    return seen, crops
