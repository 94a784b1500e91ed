"""Small untrained networks, and archives as torch.save writes them or never would."""

from __future__ import annotations

import copy
import functools
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
tasks = pytest.importorskip("ultralytics.nn.tasks")

TINY = "tiny yolov8-seg"


@functools.cache
def _built(name: str = TINY) -> Any:
    torch.manual_seed(0)
    if name == TINY:
        recipe = tasks.yaml_model_load("yolov8n-seg.yaml")
        return tasks.SegmentationModel({**recipe, "scales": {"n": [0.33, 0.0625, 128]}}, verbose=False).eval()
    kind = tasks.SegmentationModel if "-seg" in name else tasks.DetectionModel
    return kind(name, verbose=False).eval()


def tiny(recipe: str, kind: Any = None) -> Any:
    """A fresh, untrained network of a recipe, with a sixteenth of its channels."""
    torch.manual_seed(0)
    content = tasks.yaml_model_load(recipe)
    scales = {key: [0.33, 0.0625, 128] for key in content.get("scales", "n")}
    return (kind or tasks.SegmentationModel)({**content, "scales": scales}, verbose=False).eval()


def network(name: str = TINY) -> Any:
    """A fresh copy of an untrained network."""
    return copy.deepcopy(_built(name))


def saved(content: Any, tmp_path: Path, **options: Any) -> Path:
    path = tmp_path / "net.pt"
    torch.save(content, path, **options)
    return path


def output(model: Any) -> Any:
    with torch.inference_mode():
        return model(torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1)))[0]


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, records: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    return path


class Call:
    """Pickles as a call; unpickling it carelessly makes the call."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call

    def __call__(self) -> None:
        """Be something that pickle lets be called."""


CONV = b"cultralytics.nn.modules.conv\nConv\n"
IDENTITY = b"ctorch.nn.modules.linear\nIdentity\n)\x81"


class Pickler(pickle.Pickler):
    """Writes tuples ``("storage", ...)`` as storages, as torch does."""

    def persistent_id(self, thing: Any) -> Any:
        return thing if type(thing) is tuple and thing[:1] == ("storage",) else None


def crafted(tmp_path: Path, content: Any, **records: bytes) -> Path:
    """An archive with a pickle that torch.save would not write; bytes are taken as the pickle itself."""
    buffer = io.BytesIO()
    if not isinstance(content, bytes):
        Pickler(buffer, protocol=2).dump(content)
    rest = {f"net/data/{key}": data for key, data in records.items()}
    return rewrite(
        tmp_path / "net.pt",
        {"net/data.pkl": content if isinstance(content, bytes) else buffer.getvalue()} | rest,
    )


CONV = b"cultralytics.nn.modules.conv\nConv\n"
IDENTITY = b"ctorch.nn.modules.linear\nIdentity\n)\x81"
