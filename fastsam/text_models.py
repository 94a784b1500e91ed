"""A name, a file or a folder in, a text-image model out, which is loaded when it is first used."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import ConfigError, DownloadError, WeightsError
from fastsam.weights import Progress, WeightsEntry, download, local_path
from prompts.encoder import Encoder, OpenClipEncoder, Pretrained, check_folder, find_pretrained
from prompts.text import Embedder

__all__ = ["NamedEncoder", "open_text_model"]

_FOLDER = "local-dir:"  # as open_clip marks folders
_FILES = (".bin", ".pt", ".pth", ".safetensors")


def open_text_model(
    model: str | Path | Encoder | None, *, device: str = "auto", progress: Progress | None = None
) -> Embedder | None:
    """Return what answers texts, or None where no model is named. Nothing is loaded or downloaded yet.

    Args:
        model: an encoder; a folder with ``open_clip_config.json`` and weights (also after ``local-dir:``);
            ``MODEL:TAG``, weights that open_clip knows, such as ``"ViT-B-32:laion2b_s34b_b79k"``, or
            ``MODEL`` where it knows only one; or ``MODEL:FILE``, a checkpoint of that architecture.
        device: where the network runs.
        progress: is told of the bytes of a download.

    Raises:
        WeightsError: the folder or file is not there, or incomplete.
        ConfigError: it is nothing of that.
    """
    if model is None:
        return None
    if not isinstance(model, (str, os.PathLike)):
        return Embedder(model)
    return Embedder(NamedEncoder.of(str(model), device, progress))


@dataclass(eq=False)
class NamedEncoder:
    """An encoder that is loaded when it is first asked for something.

    Attributes:
        model: open_clip's name of the architecture, or a folder.
        tag: which weights of it, where open_clip knows them.
        file: which weights of it, where they are a file.
    """

    model: str
    tag: str = ""
    file: Path | None = None
    device: str = "auto"
    progress: Progress | None = None
    _lock: Any = field(default_factory=threading.Lock, repr=False)
    _loaded: Encoder | None = field(default=None, repr=False)

    @classmethod
    def of(cls, name: str, device: str = "auto", progress: Progress | None = None) -> NamedEncoder:
        """Return the encoder of a name, a file or a folder; see :func:`open_text_model`."""
        folder = os.path.expanduser(name.removeprefix(_FOLDER))
        if name.startswith(_FOLDER) or os.path.isdir(folder):
            return cls(folder, file=check_folder(Path(folder)), device=device, progress=progress)
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
    def identity(self) -> str:
        """Names the model, and the state of its file; nothing is loaded for it."""
        if self.file is None:
            return f"{self.model}:{self.tag}"
        state = self.file.stat()
        return f"{self.model}|{self.file.resolve()}|{state.st_size}|{state.st_mtime_ns}"

    @property
    def logit_scale(self) -> float:
        """What similarities are multiplied by before they become probabilities."""
        return self._encoder().logit_scale

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
        from fastsam.everything.torch_backend import pick_device  # torch loads only when it is needed

        if self.file is not None:
            folder = self.file.parent == Path(self.model)
            return OpenClipEncoder(self.model, None if folder else self.file, device=pick_device(self.device))
        known = find_pretrained(self.model, self.tag)
        return OpenClipEncoder(
            known.model,
            _downloaded(known, self.progress),
            device=pick_device(self.device),
            preprocess=known.preprocess,
            quick_gelu=known.quick_gelu,
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
            if "answered 404" not in str(error):  # only then is it worth asking for its other form
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
