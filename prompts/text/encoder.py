"""Pictures and texts -> vectors of one space. The only file that imports open_clip, when it is first used."""

from __future__ import annotations

import difflib
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastsam.errors import (
    CheckpointError,
    ConfigError,
    UnknownWeightsError,
    UnsafeCheckpointError,
    WeightsError,
)
from fastsam.files import file_state
from fastsam.needed import needed
from fastsam.prompts.text.folder_config import check_config
from fastsam.prompts.text.folding import fold_norms

__all__ = [
    "CONFIG_NAME",
    "WEIGHTS_NAMES",
    "Encoder",
    "OpenClipEncoder",
    "Pretrained",
    "check_folder",
    "find_pretrained",
]

FloatArray = NDArray[np.float32]

CONFIG_NAME = "open_clip_config.json"
WEIGHTS_NAMES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_model.bin",
)  # open_clip takes them in this order
_BATCH = 16  # on two cores, convolutions of more pictures at once leave the cache and take longer each
_PURPOSE = "answer text prompts"
# What open_clip and torch raise for files that are not what they seem.
_UNUSABLE = (
    RuntimeError,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AssertionError,
    AttributeError,
    EOFError,
    pickle.UnpicklingError,
)


class Encoder(Protocol):
    """What text prompts and labels need of a text-image model.

    An encoder may also say ``image_px``, the side of the square pictures that its network takes, and
    ``resample``, how it shrinks larger ones (``"bilinear"``, ``"bicubic"``): larger ones are not made, then.
    """

    @property
    def location(self) -> str:
        """Names the model and its state; equal for equal vectors."""

    @property
    def logit_scale(self) -> float:
        """What a model's cosines are multiplied by before its softmax; 100 for CLIP."""

    def encode_images(self, pictures: Sequence[NDArray[np.uint8]]) -> FloatArray:
        """Return (N, D) float32 unit vectors of N (H, W, 3) uint8 RGB pictures."""

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """Return (M, D) float32 unit vectors."""


@dataclass(frozen=True)
class Pretrained:
    """Weights that open_clip knows by a model's name and a tag.

    Attributes:
        model: open_clip's name of the architecture, such as ``"ViT-B-32"``.
        tag: of the weights, such as ``"laion2b_s34b_b79k"``.
        urls: where they may be, best first.
        preprocess: how the pictures were prepared in training, as open_clip's ``force_preprocess_cfg``.
        quick_gelu: the weights were trained with another activation than the architecture has.
    """

    model: str
    tag: str
    urls: tuple[str, ...]
    preprocess: dict[str, Any]
    quick_gelu: bool


def find_pretrained(model: str, tag: str = "") -> Pretrained:
    """Return what open_clip knows of a model's weights; without a tag, of its only ones.

    Raises:
        UnknownWeightsError: no such model, no such tag, or several to choose from.
        MissingPackageError: open_clip is not installed.
    """
    with needed("open_clip", _PURPOSE):
        import open_clip
    _check_name(open_clip, model)
    tags = open_clip.list_pretrained_tags_by_model(model)
    tag = tags[0] if not tag and len(tags) == 1 else tag
    known = open_clip.get_pretrained_cfg(model, tag) if tag else None
    if not known:
        said = f"no weights {tag!r}" if tag else "which of its weights is not said"
        raise UnknownWeightsError(
            f"text model {model!r}: {said}; expected {model}:TAG with one of {', '.join(tags) or 'no tags'}, "
            f"or {model}:FILE with a checkpoint's path"
        )
    names = ("mean", "std", "interpolation", "resize_mode")
    return Pretrained(
        model,
        tag,
        tuple(_urls(known)),
        {name: known[name] for name in names if name in known},
        bool(known.get("quick_gelu", False)),
    )


def _near(name: str, known: Sequence[str]) -> str:
    """Return some known names that look like this one."""
    folded = {one.casefold(): one for one in known}
    near = [folded[one] for one in difflib.get_close_matches(name.casefold(), folded, n=6, cutoff=0.4)]
    return ", ".join(near or known[:6]) + ", ..."


def _urls(known: dict[str, Any]) -> Iterator[str]:
    """Yield where an entry of open_clip's table may be had from; archives with code in them are left out."""
    if hub := known.get("hf_hub", ""):
        repository, _, name = hub.rpartition("/")
        safe = name.rpartition(".")[0] + ".safetensors" if name else WEIGHTS_NAMES[0]
        for file in dict.fromkeys((safe, name or WEIGHTS_NAMES[2])):
            yield f"https://huggingface.co/{repository}/resolve/main/{file}"
    elif url := known.get("url", ""):
        yield url


class OpenClipEncoder:
    """A text-image model of open_clip, in memory.

    Args:
        model: open_clip's name of the architecture, or a folder with ``open_clip_config.json`` and weights.
        checkpoint: the weights' file; a folder has its own.
        device: torch's name of a device.
        preprocess: open_clip's ``force_preprocess_cfg``, where the weights want another than the default.
        quick_gelu: see :class:`Pretrained`.
        batch_size: pictures or texts that go through the network together.

    Weights are read as data (safetensors, or torch's ``weights_only``): no code in them runs.

    Raises:
        UnknownWeightsError: no such model.
        WeightsError: the folder or the checkpoint is not there, incomplete or unusable.
        ConfigError: this machine lacks the device.
        MissingPackageError: open_clip is not installed.
    """

    def __init__(
        self,
        model: str | Path,
        checkpoint: str | Path | None = None,
        *,
        device: str = "cpu",
        preprocess: dict[str, Any] | None = None,
        quick_gelu: bool = False,
        batch_size: int = _BATCH,
    ) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ConfigError(f"batch_size: expected a whole number above 0, got {batch_size!r}")
        with needed("torch", _PURPOSE):
            import torch
        with needed("open_clip", _PURPOSE):
            import open_clip
        self._torch = torch
        self.batch_size, self.device = batch_size, device
        if checkpoint is None:
            name, file = f"local-dir:{model}", check_folder(Path(model))
        else:
            _check_name(open_clip, str(model))
            name, file = str(model), Path(checkpoint)
            if not file.is_file():
                raise WeightsError(f"text model {name!r}: no checkpoint {str(file)!r}")
        what = f"text model {str(model)!r}"
        self._model = self._load(
            open_clip, name, None if checkpoint is None else str(file), preprocess, quick_gelu, what
        )
        settings = open_clip.transform.PreprocessCfg(**self._model.visual.preprocess_cfg)
        self._prepare = open_clip.transform.image_transform_v2(settings, is_train=False)
        sides = {settings.size} if isinstance(settings.size, int) else set(settings.size)
        self.image_px: int | None = sides.pop() if len(sides) == 1 else None
        self.resample = "bicubic" if settings.interpolation == "bicubic" else "bilinear"
        scale = self._torch.tensor([settings.mean, settings.std])
        self._mean, self._std = 255 * scale.reshape(2, 3, 1, 1)
        try:
            self._tokenize = open_clip.get_tokenizer(name)
        except _UNUSABLE as error:
            raise WeightsError(
                f"{what}: its tokenizer cannot be had ({_first_line(error)}); with a network once, or from a "
                "folder in open_clip's format that holds the tokenizer's files too"
            ) from error
        self.location = f"open_clip|{name}|{file.resolve()}|{file_state(file)}"
        self.logit_scale = float(self._model.logit_scale.exp())

    def _load(
        self,
        open_clip: Any,
        name: str,
        checkpoint: str | None,
        preprocess: dict[str, Any] | None,
        quick_gelu: bool,
        what: str,
    ) -> Any:
        """Return the network with its weights."""
        with needed("safetensors", _PURPOSE):
            from safetensors import SafetensorError
        unusable = (*_UNUSABLE, SafetensorError)
        try:
            model = open_clip.create_model(
                name,
                checkpoint,
                device=self.device,
                force_preprocess_cfg=preprocess or {},
                force_quick_gelu=quick_gelu,
                require_pretrained=True,
                weights_only=True,
            )
        except unusable as error:
            if "Weights only load failed" in str(error) or isinstance(error, pickle.UnpicklingError):
                raise UnsafeCheckpointError(
                    f"{what}: the checkpoint is no plain table of weights, and code in it is not run "
                    f"({_first_line(error)}); expected .safetensors, or a state dict written with torch.save"
                ) from error
            raise CheckpointError(
                f"{what}: cannot be loaded ({_first_line(error)}); expected weights of this very "
                "architecture, as .safetensors or as a state dict"
            ) from error
        model.eval()
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        fold_norms(self._torch, model.visual)
        model.visual.to(memory_format=self._torch.channels_last)
        return model

    def encode_images(self, pictures: Sequence[NDArray[np.uint8]]) -> FloatArray:
        """Return (N, D) float32 unit vectors of N (H, W, 3) uint8 RGB pictures; a batch at a time."""
        batches = []
        for start in range(0, len(pictures), self.batch_size):
            few = pictures[start : start + self.batch_size]
            with self._torch.inference_mode():
                seen = self._model.encode_image(self._batch(few), normalize=True)
                batches.append(seen.float().cpu().numpy())
        return self._joined(batches)

    def _batch(self, pictures: Sequence[NDArray[np.uint8]]) -> Any:
        """Return (B, 3, S, S) normalized pictures; those that have the network's size are not resized."""
        torch, fitting = self._torch, (self.image_px, self.image_px, 3)
        fits = np.array([one.shape == fitting for one in pictures])
        parts = []
        if fits.any():
            ready = np.stack([one for one in pictures if one.shape == fitting])
            # in this order of memory convolutions take half the time
            parts.append((torch.from_numpy(ready).permute(0, 3, 1, 2).float() - self._mean) / self._std)
        if not fits.all():
            others = [self._prepare(Image.fromarray(one)) for one in pictures if one.shape != fitting]
            parts.append(torch.stack(others))
        order = np.argsort(np.argsort(~fits, kind="stable"))  # undoes "those that fit, then the others"
        batch = torch.cat(parts)[torch.from_numpy(order)]
        return batch.to(self.device).contiguous(memory_format=torch.channels_last)

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """Return (M, D) float32 unit vectors; a batch at a time."""
        batches = []
        for start in range(0, len(texts), self.batch_size):
            tokens = self._tokenize(list(texts[start : start + self.batch_size])).to(self.device)
            with self._torch.inference_mode():
                batches.append(self._read(tokens).float().cpu().numpy())
        return self._joined(batches)

    def _read(self, tokens: Any) -> Any:
        """Return unit vectors of texts; padding, most of what there is, is left out where it cannot matter.

        It cannot where a token sees only those before it, and a text's vector is that of its last token.
        """
        model = self._model
        mask = getattr(model, "attn_mask", None)
        pooled = getattr(model, "text_pool_type", "")
        if mask is None or pooled not in ("argmax", "eos") or not bool(mask[0, 1:].isneginf().all()):
            return model.encode_text(tokens, normalize=True)
        length = int(tokens.any(dim=0).nonzero().max()) + 1  # padding is 0; other padding stays
        short = {
            "positional_embedding": model.positional_embedding[:length],
            "attn_mask": mask[:length, :length],
        }
        return self._torch.func.functional_call(model, short, (None, tokens[:, :length]))[1]

    def _joined(self, parts: list[FloatArray]) -> FloatArray:
        return np.concatenate(parts) if parts else np.zeros((0, self._width()), np.float32)

    def _width(self) -> int:
        """Return D, which no attribute tells for all of open_clip's kinds of models."""
        return int(self.encode_texts([""]).shape[1])


def _check_name(open_clip: Any, name: str) -> None:
    """Raise UnknownWeightsError for a name that open_clip does not know."""
    if open_clip.get_model_config(name) is None:
        raise UnknownWeightsError(
            f"text model {name!r}: no such folder, and open_clip knows no such model; expected a folder in "
            "open_clip's format, MODEL:TAG such as ViT-B-32:laion2b_s34b_b79k, or MODEL:FILE; it knows "
            f"{_near(name, open_clip.list_models())}"
        )


def check_folder(folder: Path) -> Path:
    """Return the weights' file of a folder in open_clip's format.

    Raises:
        WeightsError: the configuration or the weights are missing, or the configuration is invalid.
    """
    if not (folder / CONFIG_NAME).is_file():
        raise WeightsError(
            f"text model {str(folder)!r}: expected a folder with {CONFIG_NAME} and {WEIGHTS_NAMES[0]}, "
            f"{'there is no ' + CONFIG_NAME + ' in it' if folder.is_dir() else 'there is no such folder'}"
        )
    check_config(folder / CONFIG_NAME)
    for name in WEIGHTS_NAMES:
        if (folder / name).is_file():
            return folder / name
    raise WeightsError(
        f"text model {str(folder)!r}: there are no weights in it; expected one of {', '.join(WEIGHTS_NAMES)} "
        f"beside {CONFIG_NAME}"
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
