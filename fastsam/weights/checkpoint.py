"""Loading YOLO segmentation checkpoints without running what is pickled in them.

A YOLO ``.pt`` file is a zip archive with a pickle of whole module objects, and one record per tensor.
``torch.load`` would run any code that a stranger put into the pickle; :mod:`fastsam.weights.unpickle`
runs none. The archive is held to what ``torch.save`` writes: no compression (so what it holds is never
larger than the file: no decompression bombs) and no name twice (so every reader sees the same).
"""

from __future__ import annotations

import re
import reprlib
import struct
import sys
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsam.errors import CheckpointError, UnsafeCheckpointError, reason_of, translated
from fastsam.files import replacing_path
from fastsam.needed import needed
from fastsam.weights.allowed_names import TORCH_LAYERS, layer_classes
from fastsam.weights.unpickle import DamagedPickleError, UnsafePickleError, unpickle

if TYPE_CHECKING:
    from torch import nn

__all__ = ["load_checkpoint", "network_of", "save_checkpoint", "segmentation_model"]

_MAX_PICKLE_BYTES = 64 << 20  # the largest YOLO checkpoints have less than 2 MiB
_AGAIN = "copy or download it again"
_NOT_READ = "fastsam reads the .pt checkpoint that such a file is made from"
# What people hand over by mistake, by its first bytes; what to do follows.
_OTHER_FILES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PK", "a truncated archive; copy or download it again"),
    (0, b"version https://git-lfs", "a Git LFS pointer; run: git lfs pull"),
    (0, b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", (
        "PyTorch's format from before 1.6, in which no YOLO segmentation checkpoint was published; if you "
        "trust the file, convert it: torch.save(torch.load(old, weights_only=False), new)"
    )),
    (0, b"\x80", "a bare pickle; a checkpoint is what torch.save writes"),
    (4, b"TFL3", f"a TensorFlow Lite network; {_NOT_READ}"),
    (4, b"\0\0\0\0{\"", f"tensors in the safetensors format, without their network; {_NOT_READ}"),
    (0, b"\x89HDF", f"a Keras or HDF5 file; {_NOT_READ}"),
    (0, b"\x08", "an ONNX network; give it the suffix .onnx, and it runs in ONNX Runtime"),
    (0, b"<?xml", "an XML file; OpenVINO's network runs under its own name, .xml with its .bin beside it"),
    (0, b"<", "a web page, so a download went wrong; download the file itself"),
)  # fmt: skip
_SUFFIXES = {
    ".engine": f"a TensorRT network; {_NOT_READ}",
    ".safetensors": f"not what a YOLO checkpoint is; {_NOT_READ}",
    ".mlpackage": f"a CoreML network; {_NOT_READ}",
    ".torchscript": f"a TorchScript export; {_NOT_READ}",
}
# What asks for a foreign name, by that name; the rest is told to be unsafe.
_OTHER_MAKERS = (
    (re.compile(r"models\.(yolo|common|experimental)\."), (
        "the old YOLOv5 or YOLOv7 repository wrote it, whose networks are built of other code; take a "
        "-seg checkpoint of ultralytics"
    )),
    (re.compile(r"ultralytics\.(yolo\.engine|models|engine)\.(\w+\.)*\w+"), (
        "it holds ultralytics' YOLO object, not a checkpoint; save it with model.save(\"NEW.pt\")"
    )),
    (re.compile(r"(ultralytics\.nn\.|torch\.nn\.)"), (
        "a layer that the installed torch and ultralytics do not have; update "
        "them (pip install -U ultralytics), or save it again with the release that made it"
    )),
    (re.compile(r"(mobile_sam|segment_anything|sam2)\."), "it is a SAM network, not a YOLO one"),
)  # fmt: skip
_SHORT = reprlib.Repr()  # cuts before it prints: a value of a file may be endless
_SHORT.maxstring = 80
_ACTIVATION = re.compile(r"(torch\.)?nn\.([A-Za-z0-9]+)\([\w=., +-]*\)")


def _archive(path: Path) -> zipfile.ZipFile:
    """Open a file as the archive that it should be, or say what it is instead."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise CheckpointError(f"expected a .pt file, found {found}", subject=f"checkpoint {path}", path=path)
    try:
        with path.open("rb") as file:
            head = file.read(64)
        if head.startswith(b"PK\x03\x04"):
            return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, LookupError, struct.error):
        pass  # a damaged list of contents; told below, as what its first bytes are
    except OSError as error:
        raise CheckpointError(
            f"cannot be read ({reason_of(error)})", subject=f"checkpoint {path}", path=path
        ) from error
    size = path.stat().st_size
    if size == 0:
        raise CheckpointError("the file is empty", subject=f"checkpoint {path}", advice=_AGAIN, path=path)
    what = _other_file(path, head)
    raise CheckpointError(
        f"expected a PyTorch .pt archive, got {size} bytes that are {what}",
        subject=f"checkpoint {path}",
        path=path,
    )


def _other_file(path: Path, head: bytes) -> str:
    """Return what a file is that is no archive, and what to do."""
    if path.suffix.lower() in _SUFFIXES:
        return _SUFFIXES[path.suffix.lower()]
    for at, start, what in _OTHER_FILES:
        if head[at:].startswith(start) or (at == 0 and start[:1] == b"<" and head.lstrip().startswith(start)):
            return what
    return f"something else (they begin with {head[:12]!r}); name a file that ultralytics or fastsam saved"


def _records(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the members of an archive, by name without their folder.

    Raises:
        DamagedPickleError: it is not laid out as ``torch.save`` does it.
    """
    members = [member for member in archive.infolist() if not member.is_dir()]
    folders = {member.filename.partition("/")[0] for member in members}
    records = {member.filename.partition("/")[2]: member for member in members}
    if len(folders) != 1 or len({name.lower() for name in records}) != len(members):
        raise DamagedPickleError(f"{len(members)} records in {len(folders)} folders, or of the same name")
    if "constants.pkl" in records:
        raise CheckpointError(
            "it is a TorchScript export",
            subject=f"checkpoint {archive.filename}",
            advice=_NOT_READ,
            path=archive.filename,
        )
    if "data.pkl" not in records:
        raise DamagedPickleError("it is an archive without data.pkl, so not from torch.save")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise DamagedPickleError("its records are compressed, so not from torch.save")
    if sum(member.file_size for member in members) > Path(str(archive.filename)).stat().st_size:
        raise DamagedPickleError("its records claim more bytes than the file has")
    if records["data.pkl"].file_size > _MAX_PICKLE_BYTES:
        raise DamagedPickleError(
            f"its pickle has {records['data.pkl'].file_size} bytes, far more than a network needs"
        )
    return records


def _read(archive: zipfile.ZipFile) -> Any:
    """Return the object of an archive."""
    records = _records(archive)
    order = (
        archive.read(records["byteorder"]).decode("ascii", "replace") if "byteorder" in records else "little"
    )
    if order != sys.byteorder:
        raise DamagedPickleError(f"its numbers are {order}-endian, this machine's {sys.byteorder}-endian")
    return unpickle(archive.read(records["data.pkl"]), lambda key: archive.read(records[f"data/{key}"]))


def _refused(path: Path, asked: str) -> CheckpointError:
    """Return the error for a file that names what is not on the list."""
    for name, what in _OTHER_MAKERS:
        if name.match(asked):
            problem, _, advice = what.partition("; ")
            return UnsafeCheckpointError(
                f"{problem} (it asks for {asked}; nothing of it was run)",
                subject=f"checkpoint {path}",
                advice=advice,
                path=path,
            )
    return UnsafeCheckpointError(
        "refused, because it asks for something that YOLO segmentation checkpoints do not need "
        f"({asked}); nothing of it was run",
        subject=f"checkpoint {path}",
        advice="use a checkpoint from a source you trust",
        path=path,
    )


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint's dictionary; nothing that the file names is called.

    Networks come as their ultralytics classes, losses and other training objects as empty placeholders,
    paths as ``PurePosixPath``, numpy numbers as Python's.

    Raises:
        UnsafeCheckpointError: the file asks for code outside the list; none of it ran.
        CheckpointError: there is no such file, or it is truncated or no PyTorch checkpoint.
    """
    path = Path(path)
    what = f"checkpoint {path}"
    unreadable = translated(
        zipfile.BadZipFile,
        NotImplementedError,
        ValueError,
        EOFError,
        OSError,
        RuntimeError,
        LookupError,
        zlib.error,
        to=CheckpointError,
        problem="cannot be read ({reason})",
        subject=what,
        advice=_AGAIN,
        path=path,
    )
    try:
        with unreadable, _archive(path) as archive:
            content = _read(archive)
    except UnsafePickleError as error:
        raise _refused(path, str(error)) from error
    except DamagedPickleError as error:
        raise CheckpointError(f"cannot be used ({error})", subject=what, advice=_AGAIN, path=path) from error
    except MemoryError as error:
        raise CheckpointError("does not fit into memory", subject=what, path=path) from error
    if not isinstance(content, dict):
        raise CheckpointError(
            f"expected a YOLO checkpoint dictionary, got {type(content).__name__}",
            subject=what,
            advice="ultralytics writes {'model': network, ...}",
            path=path,
        )
    return content


def _check_recipe(path: Path, recipe: Any) -> None:
    """Check the network description that ultralytics would evaluate when somebody trains on.

    Raises:
        UnsafeCheckpointError: it names anything but layers.
    """
    if not isinstance(recipe, dict):
        return
    activation = recipe.get("activation")
    asked: list[Any] = []
    if activation:
        found = _ACTIVATION.fullmatch(activation) if isinstance(activation, str) else None
        if found is None or found[2] not in TORCH_LAYERS:
            asked.append(activation)
    layers = {
        name.rpartition(".")[2] for name in layer_classes() if name.startswith("ultralytics.nn.modules.")
    }
    layers.add("Silence")  # of YOLOv9e, until 8.2.45
    layers |= {f"{prefix}nn.{name}" for name in TORCH_LAYERS for prefix in ("", "torch.")}
    for part in ("backbone", "head"):
        rows = recipe.get(part) or ()
        for row in rows if isinstance(rows, (list, tuple)) else (rows,):
            usable = isinstance(row, (list, tuple)) and len(row) > 2 and isinstance(row[2], str)
            if not usable or row[2] not in layers:
                asked.append(row[2] if usable else row)
    if asked:
        raise UnsafeCheckpointError(
            f"checkpoint {path}: refused, because its network description (yaml) asks for "
            f"{_SHORT.repr(asked[0])}, which is no layer; training it on would run that. "
            "Nothing of it was run"
        )


def segmentation_model(path: str | Path) -> nn.Module:
    """Return the float32 segmentation network of a checkpoint, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: as :func:`load_checkpoint`, or the file holds no YOLO segmentation network.
    """
    return network_of(load_checkpoint(path), Path(path))


def network_of(content: Mapping[str, Any], path: Path) -> nn.Module:
    """Return the network of a checkpoint's dictionary, as :func:`segmentation_model`; ``path`` for errors."""
    with needed("torch", "run the network"):
        import torch
    model: Any = content.get("model") if content.get("ema") is None else content["ema"]
    layers = getattr(model, "model", None)
    if (
        not isinstance(model, torch.nn.Module)
        or not isinstance(layers, torch.nn.Sequential)
        or not len(layers)
    ):
        keys = [str(key)[:40] for key in list(content)[:8]]
        is_sam = any("image_encoder" in key or "mask_decoder" in key for key in map(str, content))
        what = (
            "this is a SAM checkpoint, not a YOLO one"
            if is_sam
            else ("a bare state_dict does not say which network it belongs to")
        )
        raise CheckpointError(
            f"checkpoint {path}: expected a whole YOLO network under 'model', found "
            f"{type(model).__name__} there and the keys {keys}; {what}"
        )
    if not isinstance(getattr(layers[-1], "proto", None), torch.nn.Module):
        raise CheckpointError(
            f"checkpoint {path}: expected a YOLO *segmentation* network (name ends in -seg, or FastSAM), "
            f"got one whose head is {type(layers[-1]).__name__}"
        )
    stride = getattr(model, "stride", None)
    if not isinstance(stride, torch.Tensor) or not stride.numel():
        raise CheckpointError(
            f"checkpoint {path}: the network does not say its stride; save it with ultralytics"
        )
    _check_recipe(path, getattr(model, "yaml", None))
    try:
        model = model.float().eval()
    except (RuntimeError, TypeError, AttributeError) as error:
        raise CheckpointError(f"checkpoint {path}: its layers do not fit together ({error})") from error
    for module in model.modules():
        if hasattr(module, "inplace"):
            module.inplace = True
        elif isinstance(module, torch.nn.Upsample) and not hasattr(module, "recompute_scale_factor"):
            module.recompute_scale_factor = None  # files of torch < 1.11
    network: nn.Module = model
    return network


def save_checkpoint(content: dict[str, Any], target: Path) -> None:
    """Write a checkpoint's dictionary atomically, in the format that :func:`load_checkpoint` reads.

    Raises:
        ExportError: the file cannot be written.
    """
    with needed("torch", "write a checkpoint"):
        import torch
    with replacing_path(target, RuntimeError, what="checkpoint") as partial:  # torch's error for a full disk
        torch.save(content, partial)
