"""A name, a file or a folder in, a text-image model out, which is loaded when it is first used.

What it says of whole vocabularies is kept in ``texts`` beside the folder of downloaded weights, so that the
next process does not spend seconds on it: under a hash of all that the vectors depend on, never as words.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import ConfigError, DownloadError, ExportError, WeightsError
from fastsam.files import file_sha256, file_state, fingerprint, replacing, trim_folder
from fastsam.prompts.text.encoder import (
    CONFIG_NAME,
    WEIGHTS_NAMES,
    Encoder,
    OpenClipEncoder,
    Pretrained,
    check_folder,
    find_pretrained,
)
from fastsam.prompts.text.matching import Embedder
from fastsam.weights.resolve import download
from fastsam.weights.table import Progress, WeightsEntry, cache_folder, embedded_path, local_path, text_model

__all__ = ["NamedEncoder", "open_text_model"]

_FOLDER = "local-dir:"  # as open_clip marks folders
_HUB = "hf-hub:"  # and repositories of Hugging Face
_FILES = (".bin", ".pt", ".pth", ".safetensors")
_ABOUT = (".json", ".txt", ".model", ".gz")  # what of a folder, beside its weights, vectors may depend on
_KEPT_FILES = 200  # of vectors of texts; the oldest go


def open_text_model(
    model: str | Path | Encoder | None, *, device: str = "auto", progress: Progress | None = None
) -> Embedder:
    """Return what answers texts. Nothing is loaded or downloaded yet.

    Args:
        model: None for the small model that comes with the package; an encoder; a folder with
            ``open_clip_config.json`` and weights (also after ``local-dir:``); ``MODEL:TAG``, weights that
            open_clip knows, such as ``"ViT-B-32:laion2b_s34b_b79k"``, or ``MODEL`` where it knows only one;
            or ``MODEL:FILE``, a checkpoint of that architecture.
        device: where the network runs.
        progress: called with (done, total) bytes during a download.

    Raises:
        WeightsError: the folder or file is not there, or incomplete.
        ConfigError: it is nothing of that; ``hf-hub:`` names are not.
    """
    if model is None:
        file = local_path(text_model())
        encoder = NamedEncoder(str(file.parent), file=file, device=device, embedded=True)
    elif isinstance(model, (str, os.PathLike)):
        encoder = NamedEncoder.parse(str(model), device, progress)
    else:
        return Embedder(model)
    return Embedder(encoder, _TextFiles(encoder))


@dataclass(eq=False)
class NamedEncoder:
    """An encoder that is loaded when it is first asked for something.

    Attributes:
        model: open_clip's name of the architecture, or a folder.
        tag: which weights of it, where open_clip knows them.
        file: which weights of it, where they are a file.
        embedded: it came with the package, and is verified before it is used.
    """

    model: str
    tag: str = ""
    file: Path | None = None
    device: str = "auto"
    progress: Progress | None = None
    embedded: bool = False
    _lock: Any = field(default_factory=threading.Lock, repr=False)
    _loaded: Encoder | None = field(default=None, repr=False)
    _fingerprint: str = field(default="", repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what only this process has; whoever gets the encoder loads it at its first use."""
        return {**vars(self), "_lock": None, "_loaded": None, "progress": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the rest, with a new lock."""
        vars(self).update(state, _lock=threading.Lock())

    @classmethod
    def parse(cls, name: str, device: str = "auto", progress: Progress | None = None) -> NamedEncoder:
        """Return the encoder of a name, a file or a folder; see :func:`open_text_model`."""
        folder = os.path.expanduser(name.removeprefix(_FOLDER))
        if name.startswith(_FOLDER) or os.path.isdir(folder):
            return cls(folder, file=check_folder(Path(folder)), device=device, progress=progress)
        if name.startswith(_HUB):
            place = f"https://huggingface.co/{name.removeprefix(_HUB).partition('@')[0]}"
            raise ConfigError(
                f"text model {name!r}: names of the hub are not looked up; download {CONFIG_NAME}, "
                f"{WEIGHTS_NAMES[0]} and its tokenizer's files, if any, from {place}/tree/main into a "
                "folder, and give that folder; models that open_clip has a tag for go by MODEL:TAG"
            )
        model, _, which = name.partition(":")
        path = Path(os.path.expanduser(which or name))
        if path.suffix.lower() not in _FILES:
            if os.sep in name or not model:
                raise WeightsError(f"text model {name!r}: no such folder; {_FORMS}")
            return cls(model, tag=which, device=device, progress=progress)
        if not which:
            raise ConfigError(
                f"text model {name!r}: of which architecture is this file? Expected MODEL:FILE, such as "
                f"ViT-B-32:{path.name}"
            )
        if not path.is_file():
            raise WeightsError(f"text model {name!r}: no such file as {str(path)!r}; {_FORMS}")
        return cls(model, file=path, device=device, progress=progress)

    @property
    def location(self) -> str:
        """Names the model, and the state of its file; nothing is loaded for it."""
        if self.embedded:
            return f"{text_model().name}|{text_model().sha256}"
        if self.file is None:
            return f"{self.model}:{self.tag}"
        return f"{self.model}|{self.file.resolve()}|{file_state(self.file)}"

    @property
    def fingerprint(self) -> str:
        """A hash of all that the vectors depend on: weights, configuration, tokenizer, open_clip's version.

        Weights that are not on this machine are downloaded for it.
        """
        with self._lock:
            if not self._fingerprint:
                self._fingerprint = self._hashed()
            return self._fingerprint

    def _hashed(self) -> str:
        file, known = self._located()
        digest = hashlib.sha256()
        with suppress(PackageNotFoundError):  # where it is not installed, loading says so
            digest.update(f"open_clip {version('open_clip_torch')}\n".encode())
        if self._in_folder:
            about = sorted(p for p in Path(self.model).iterdir() if p.suffix in _ABOUT and p.is_file())
            for part in about:
                digest.update(f"{part.name} {file_sha256(part)}\n".encode())
        else:
            options = (known.preprocess, known.quick_gelu) if known else None
            digest.update(json.dumps([self.model, options], default=list).encode())
        digest.update(f"weights {file_sha256(file)}".encode())
        return digest.hexdigest()

    @property
    def _in_folder(self) -> bool:
        return self.file is not None and self.file.parent == Path(self.model)

    def _located(self) -> tuple[Path, Pretrained | None]:
        """Return the file of the weights, downloaded or verified, and what open_clip knows of them."""
        if self.embedded:
            return embedded_path(text_model()), None
        if self.file is not None:
            return self.file, None
        known = find_pretrained(self.model, self.tag)
        return _downloaded(known, self.progress), known

    @property
    def logit_scale(self) -> float:
        """What similarities are multiplied by before they become probabilities."""
        return self._encoder().logit_scale

    @property
    def image_px(self) -> int | None:
        """Side of the square pictures that the network takes; None where they are none."""
        return getattr(self._encoder(), "image_px", None)

    @property
    def resample(self) -> str | None:
        """How larger pictures are shrunk to that side; None where it does not matter."""
        return getattr(self._encoder(), "resample", None)

    def encode_images(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return (N, D) unit vectors of RGB pictures."""
        return self._encoder().encode_images(pictures)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (M, D) unit vectors of texts."""
        return self._encoder().encode_texts(texts)

    def _encoder(self) -> Encoder:
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _load(self) -> Encoder:
        from fastsam.everything.backends.torch_network import (
            pick_device,  # torch loads only when it is needed
        )

        file, known = self._located()
        return OpenClipEncoder(
            self.model,
            None if self._in_folder else file,
            device=pick_device(self.device),
            preprocess=known.preprocess if known else None,
            quick_gelu=known.quick_gelu if known else False,
        )


_FORMS = (
    "expected a folder in open_clip's format, MODEL:TAG such as ViT-B-32:laion2b_s34b_b79k, or MODEL:FILE "
    "such as ViT-B-32:weights.safetensors"
)


def _downloaded(known: Pretrained, progress: Progress | None) -> Path:
    """Return the local file of weights that open_clip knows, where fastsam keeps its others.

    Raises:
        DownloadError: it cannot be downloaded; the message says which file to place where.
    """
    entries = [_entry(known, url) for url in known.urls]
    for entry in entries:
        if local_path(entry).is_file():
            return download(entry)
    failures = []
    for entry in entries:
        try:
            return download(entry, progress)
        except DownloadError as error:
            failures.append(error)
            if error.status != 404:  # only then is it worth asking for its other form
                break
    if not failures:
        raise DownloadError(f"text model {known.model}:{known.tag}: open_clip knows no address of it")
    raise failures[0]


def _entry(known: Pretrained, url: str) -> WeightsEntry:
    """Return what the table of weights would say of it."""
    suffix = Path(url).suffix
    return WeightsEntry(
        name=f"{known.model}:{known.tag}",
        file=f"{known.model}--{known.tag}{suffix}".replace("/", "-"),
        imgsz=0,
        licence="see its publisher",
        description="a text-image model of open_clip",
        url=url,
    )


class _TextFiles:
    """Vectors of lists of phrases in a folder of their own, a file a list.

    A file that is damaged, or that cannot be written, costs time and nothing else.

    Args:
        encoder: whose ``content`` is a hash of all that the vectors depend on.
    """

    def __init__(self, encoder: NamedEncoder) -> None:
        self._encoder = encoder

    def load(self, phrases: Sequence[str], forms: Sequence[str]) -> NDArray[np.float32] | None:
        """Return the (M, D) vectors, None where they are not known."""
        path = self._path(phrases, forms)
        if path is None:
            return None
        try:
            with np.load(path, allow_pickle=False) as kept:  # a zip: its CRC is checked
                vectors = np.asarray(kept["vectors"], np.float32)
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            return None
        return vectors if vectors.ndim == 2 and len(vectors) == len(phrases) else None

    def save(self, phrases: Sequence[str], forms: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Keep the vectors, and let the oldest files go."""
        path = self._path(phrases, forms)
        if path is None:
            return
        with suppress(OSError, ExportError):  # a read-only home, a full disk: as if there were no cache
            with replacing(path) as stream:
                np.savez(stream, vectors=vectors)
            trim_folder(path.parent, "*.npz", _KEPT_FILES)

    def _path(self, phrases: Sequence[str], forms: Sequence[str]) -> Path | None:
        """Return the file of a list of phrases; None where this user has no folder for it."""
        key = fingerprint([self._encoder.fingerprint, list(forms), list(phrases)])
        try:
            return cache_folder().parent / "texts" / f"{key}.npz"
        except WeightsError:
            return None
