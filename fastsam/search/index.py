"""Index the masks of a folder once; then ask by text or by reference, without a network pass an image."""

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
from fastsam.prompts.appearance import Appearances, apart, middle, seen_of
from fastsam.prompts.reference import probabilities
from fastsam.prompts.text.crops import LEAST_PX
from fastsam.prompts.text.matching import shown
from fastsam.search.store import HEADER, Entry, Header, Store
from fastsam.session import Session

__all__ = ["Hit", "Indexed", "MaskIndex"]

FloatArray = NDArray[np.float32]
_ROWS_AT_ONCE = 16384  # of the matrix in memory


@dataclass(frozen=True)
class Indexed:
    """What became of one image.

    Attributes:
        file: absolute path.
        count: masks in it.
        error: one line, or empty.
        skipped: it was in the index already, as it is.
    """

    file: str
    count: int = 0
    error: str = ""
    skipped: bool = False


@dataclass(frozen=True)
class Hit:
    """A mask that answers.

    Attributes:
        file: absolute path of its image.
        row: which of the image's masks.
        score: how well it answers, as for the prompt on the image itself.
        box_xyxy: image pixels.
        mask_score: how good the mask is.
        rle: its pixels, COCO's compressed RLE.
        group: which of several texts.
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

    :meth:`build` makes one or brings it up to date, :meth:`open` takes one that is there.

    >>> index = MaskIndex.build(FastSAM(), "photos", "photos.index")      # doctest: +SKIP
    >>> index.query(Text("a dog"), model)[0].file                         # doctest: +SKIP
    'photos/12.jpg'
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @classmethod
    def open(cls, folder: str | Path) -> MaskIndex:
        """Return an index that is there.

        Raises:
            ConfigError: there is none in the folder.
        """
        return cls(Store(Path(folder)))

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
        """Index images, or bring an index up to date: new and changed files are read, others are not.

        An interrupted run goes on where it stopped. Files that are no longer among the images leave it.

        Args:
            model: finds the masks and looks at them.
            images: a folder, pattern or files.
            out: folder of the index; made when absent.
            on_image: is told what became of each image, and how many there are.
            options: as in :meth:`fastsam.FastSAM.open`.

        Raises:
            ImageError: there are no images.
            ConfigError: the index is of other models or options.
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
        store = Store(folder) if (folder / HEADER).is_file() else None
        if store is not None:
            _check(store.header, model, segment)
            store = store if store.header.width else None  # none of the images could be read
        for file in files:
            known = store.entries.get(file) if store is not None else None
            if known is not None and known.state == file_state(file):
                done = Indexed(file, len(known), skipped=True)
            else:
                store, done = _one(model, file, folder, store, segment)
            if on_image is not None:
                on_image(done, len(files))
        if store is None:
            store = Store.create(folder, Header(model.network, model.embedder.content, segment, 0, 0))
        for gone in set(store.entries) - set(files):
            store.drop(gone)
        store.tidy()
        return cls(store)

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self._store)

    def __repr__(self) -> str:
        """Return where it is and what it holds."""
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
        """Return the masks that answer, best first, with the scores that they would have in their images.

        Args:
            prompt: a Text or a Reference; ``Reference(..., mode="best")`` means the best mask of each image.
            model: reads texts and references; a reference that is described already needs none.
            limit: at most so many.

        Raises:
            PromptError: another kind of prompt, or one that needs a model and has none.
            ConfigError: the model is not that of the index.
        """
        if not isinstance(prompt, (Text, Reference)):
            raise PromptError(
                f"index: expected a Text or a Reference, got {type(prompt).__name__}; ask the images' "
                "sessions for the other prompts"
            )
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
            raise ConfigError(f"limit: expected a whole number above 0, got {limit!r}")
        if model is None and not (isinstance(prompt, Reference) and prompt.is_described):
            raise PromptError(
                "index: expected the model that made it, to read the prompt with; query(prompt, model)"
            )
        if model is not None:
            _check(self._store.header, model, None)
        hits = self._texts(prompt, model) if isinstance(prompt, Text) else self._reference(prompt, model)
        hits.sort(key=lambda hit: (-hit.score, hit.file, hit.row))
        return hits[:limit]

    def _texts(self, prompt: Text, model: FastSAM | None) -> list[Hit]:
        hits: list[Hit] = []
        for chunk in self._chunks():
            pictures = chunk.vectors[:, self._store.header.seen :]
            told = pictures.any(axis=1)
            likely = np.zeros((len(prompt.texts), len(pictures)), np.float32)
            if told.any() and model is not None:
                likely[:, told] = shown(
                    pictures[told],
                    model.embedder,
                    prompt.texts,
                    negatives=prompt.negatives,
                    ensemble=prompt.templates,
                )
            for group, values in enumerate(likely):
                hits += chunk.hits(values, prompt.threshold, group=group)
        return hits

    def _reference(self, prompt: Reference, model: FastSAM | None) -> list[Hit]:
        looked = prompt if model is None else model.resolve(prompt, **self.segment)
        if not isinstance(looked, Reference):  # it is one: this is for the type checker
            return []
        header, hits = self._store.header, list[Hit]()
        for chunk in self._chunks():
            parts = (slice(0, header.seen), slice(header.seen, None))
            seen, pictures = (apart(chunk.vectors[:, part], chunk.common[:, part]) for part in parts)
            likely = probabilities(Appearances(seen, pictures, header.network, header.text_model), looked)
            hits += chunk.hits(likely, looked.threshold, best=looked.mode == "best")
        return hits

    def _chunks(self) -> Iterator[_Chunk]:
        """Yield the masks of some images at a time."""
        matrix, waiting, rows = self._store.vectors(), list[Entry](), 0
        for entry in self._store:
            waiting.append(entry)
            rows += len(entry)
            if rows >= _ROWS_AT_ONCE:
                yield _Chunk.of(waiting, matrix)
                waiting, rows = [], 0
        if waiting:
            yield _Chunk.of(waiting, matrix)


@dataclass(frozen=True, eq=False)
class _Chunk:
    """The masks of some images, in memory."""

    entries: list[Entry]
    vectors: FloatArray  # (N, width)
    common: FloatArray  # (N, width) what the masks of the same image share

    @classmethod
    def of(cls, entries: list[Entry], matrix: NDArray[np.float16]) -> _Chunk:
        masks = [matrix[entry.first : entry.end - 1] for entry in entries]
        common = np.stack([matrix[entry.end - 1] for entry in entries]).astype(np.float32)
        counts = [len(entry) for entry in entries]
        return cls(entries, np.concatenate(masks).astype(np.float32), np.repeat(common, counts, axis=0))

    def hits(
        self, likely: NDArray[Any], threshold: float, *, best: bool = False, group: int = 0
    ) -> Iterator[Hit]:
        """Yield the masks whose probability times their own score reaches a threshold."""
        start = 0
        for entry in self.entries:
            end = start + len(entry)
            values = np.asarray(likely[start:end] * np.asarray(entry.scores), np.float32)
            start = end
            rows = np.flatnonzero((values >= threshold) & (values > 0))
            if best and len(rows):
                rows = rows[[values[rows].argmax()]]
            for row in rows.tolist():
                yield Hit(
                    entry.file,
                    row,
                    float(values[row]),
                    entry.boxes_xyxy[row],
                    entry.scores[row],
                    entry.rles[row],
                    group,
                )


def _check(header: Header, model: FastSAM, segment: dict[str, Any] | None) -> None:
    """Raise ConfigError where an index is not of this model, or of other options."""
    for what, theirs, ours in (
        ("segmenter", header.network, model.network),
        ("text-image model", header.text_model, model.embedder.content),
    ):
        if theirs != ours:
            raise ConfigError(
                f"index: it was made with another {what} ({theirs[:12] or 'none'}, this one is "
                f"{ours[:12] or 'none'}), whose vectors cannot be compared; ask with that model, or index "
                "again into another folder"
            )
    different = [name for name in segment or {} if (segment or {})[name] != header.segment.get(name)]
    if different:
        name = different[0]
        raise ConfigError(
            f"index: it was made with {name} = {header.segment.get(name)}, expected the same, got "
            f"{(segment or {})[name]}; index into another folder"
        )


def _one(
    model: FastSAM, file: str, folder: Path, store: Store | None, segment: dict[str, Any]
) -> tuple[Store | None, Indexed]:
    """Index one image; a bad one is reported and does not stop the rest."""
    try:
        state = file_state(file)
        session = model.open(file, **segment)
        seen, pictures = _vectors(session, model)
        found = session.everything()
    except WeightsError:
        raise  # the text-image model cannot be had: no other image would fare better
    except (FastSAMError, OSError) as error:
        return store, Indexed(file, error=str(error))
    if store is None:
        header = Header(model.network, model.embedder.content, segment, seen.shape[1], pictures.shape[1])
        store = Store.create(folder, header)
    shared = np.concatenate([middle(part, session.masks.scores, part.shape[1]) for part in (seen, pictures)])
    rows = np.concatenate([np.concatenate([seen, pictures], axis=1), shared[None]])
    crops = [found.masks.crop(i) for i in range(len(found))]
    size_hw = session.frame.size_hw
    entry = Entry(
        file,
        state,
        size_hw,
        0,
        tuple(tuple(round(float(edge), 2) for edge in box) for box in found.boxes_xyxy),
        tuple(round(float(score), 4) for score in session.masks.scores),
        tuple(encode_crop(patch, x0, y0, size_hw) for x0, y0, patch in crops),
    )
    store.add(entry, rows)
    return store, Indexed(file, len(found))


def _vectors(session: Session, model: FastSAM) -> tuple[FloatArray, FloatArray]:
    """Return (N, C) and (N, D) vectors of an image's masks, of the same widths for every image."""
    seen = seen_of(session.masks)
    width = model.embedder.pictures([np.zeros((LEAST_PX, LEAST_PX, 3), np.uint8)]).shape[1]
    pictures = np.zeros((len(session.masks), width), np.float32)
    if session.features is not None:
        vectors, of = session.features.embeddings("masked")
        if len(of):
            pictures[of] = vectors
    return seen, pictures
