"""Targets beside images, prompts and data sets: checkpoints, runs, text models, videos, downloads."""

from __future__ import annotations

import functools
import io
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from fastsam.errors import FastSAMError
from fastsam.everything.backends.converted import NetworkCard
from fastsam.export.load import load_npz, load_sam_json
from fastsam.images.video_file import VideoFile
from fastsam.prompts.text.folder_config import check_config
from fastsam.search.store import ImageEntry, IndexStore
from fastsam.video.write.run_file import read_run
from fastsam.video.write.spool import read_frames
from fastsam.weights import download
from fastsam.weights.checkpoint import load_checkpoint
from tests.fuzz.targets import as_json, disturbed, mutated, target


@functools.cache
def checkpoint(whole: bool) -> dict[str, bytes]:
    """The records of a small network's file; of some layers alone, which take a hundredth of the time."""
    import torch
    from ultralytics.nn import tasks

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2), torch.nn.Upsample(2))
    if whole:
        recipe = {**tasks.yaml_model_load("yolov8n-seg.yaml"), "scales": {"n": [0.33, 0.0625, 128]}}
        model = tasks.SegmentationModel(recipe, verbose=False).eval()
    stream = io.BytesIO()
    torch.save({"model": model, "train_args": {"imgsz": 64}, "x": [np.float64(1), {"s"}]}, stream)
    with zipfile.ZipFile(stream) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@target
def checkpoint_file(rng: random.Random, folder: Path) -> None:
    """A checkpoint whose pickle, or whose archive, is damaged; run where it still loads."""
    records = dict(checkpoint(rng.random() < 0.1))
    (pickled,) = (name for name in records if name.endswith("data.pkl"))
    if rng.random() < 0.8:
        records[pickled] = mutated(records[pickled], rng)
    stream = io.BytesIO()
    with zipfile.ZipFile(
        stream, "w", rng.choice((zipfile.ZIP_STORED,) * 9 + (zipfile.ZIP_DEFLATED,))
    ) as archive:
        for name, data in records.items():
            archive.writestr(name, data)
    path = folder / "net.pt"
    path.write_bytes(stream.getvalue() if rng.random() < 0.8 else mutated(stream.getvalue(), rng))
    try:
        load_checkpoint(path)
    except FastSAMError:
        return  # most end here, in a fraction of the time that a network takes
    from fastsam.everything.backends.torch_network import load_network

    load_network(path)


_RUN = {
    "version": 1, "formats": ["json"], "output": "x", "fps": 10.0, "finished": True, "name": "a",
    "source": {"path": "a.mp4"}, "settings": {},
}  # fmt: skip
_FRAME = {
    "index": 0, "t_ms": 0.0, "size_hw": [40, 50], "lost": [], "times_ms": {},
    "objects": [{"id": 1, "box_xyxy": [0, 0, 5, 5], "area_px": 25, "score": 0.5}],
}  # fmt: skip
_ENTRY = {
    "file": "a.jpg", "state": "1|2", "size": [40, 50], "first": 0,
    "masks": [{"box": [0, 0, 5, 5], "score": 0.5, "counts": "T3d0l1"}],
}  # fmt: skip
_HEADER = {"format": 3, "weights": "w", "network": "n", "encoder": "e", "width": 4, "seen": {}, "options": {}}


@target
def run_folder(rng: random.Random, folder: Path) -> None:
    """The files of a video run and of an index."""
    (folder / "run.json").write_bytes(as_json(disturbed(_RUN, rng), rng))
    (folder / "frames.jsonl").write_bytes(as_json(disturbed(_FRAME, rng), rng) + rng.choice((b"\n", b"")))
    (folder / "index.json").write_bytes(as_json(disturbed(_HEADER, rng), rng))
    ImageEntry.read(as_json(disturbed(_ENTRY, rng), rng).decode("utf-8", "replace"))
    for read in (read_run, lambda out: list(read_frames(out)), IndexStore):
        try:
            read(folder)
        except FastSAMError:
            continue


_TEXT_MODEL = {
    "model_cfg": {
        "embed_dim": 64,
        "vision_cfg": {"image_size": 160, "timm_model_name": "vit_tiny"},
        "text_cfg": {"context_length": 77, "vocab_size": 49408},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic"},
}


@target
def text_model(rng: random.Random, folder: Path) -> None:
    """The configuration of a text-model folder."""
    path = folder / "open_clip_config.json"
    path.write_bytes(as_json(disturbed(_TEXT_MODEL, rng), rng))
    check_config(path)


_CARD = {
    "format": 1, "checkpoint_sha256": "0" * 64, "stride": 32, "classes": 1, "maps": 3, "backbone": 2,
    "quality": None, "defaults": {"imgsz": 640},
}  # fmt: skip


@target
def network_card(rng: random.Random, folder: Path) -> None:
    """The metadata of a converted network."""
    NetworkCard.from_json(as_json(disturbed(_CARD, rng), rng).decode("utf-8", "replace"), folder)


_SAM = {
    "image": {"height": 40, "width": 50},
    "annotations": [{"segmentation": {"size": [40, 50], "counts": [100, 20, 1880]}, "predicted_iou": 0.9}],
}


@target
def saved_masks(rng: random.Random, folder: Path) -> None:
    """Files of masks."""
    path = folder / "masks"
    if rng.random() < 0.6:
        path.write_bytes(as_json(disturbed(_SAM, rng), rng))
        load_sam_json(path)
        return
    arrays: dict[str, Any] = {
        "size_hw": np.array([4, 5]), "boxes_xyxy": np.zeros((1, 4), np.float32),
        "scores": np.ones(1, np.float32), "windows": np.array([[0, 0, 4, 2]]), "bits": np.zeros(1, np.uint8),
    }  # fmt: skip
    name = rng.choice(list(arrays))
    huge = arrays[name].astype(float) * rng.choice((1e9, np.inf))
    arrays[name] = rng.choice((huge, np.zeros((0, 3))))
    stream = io.BytesIO()
    with np.errstate(invalid="ignore"):
        np.savez(stream, **arrays)
    path.write_bytes(mutated(stream.getvalue(), rng) if rng.random() < 0.5 else stream.getvalue())
    load_npz(path)


@functools.cache
def clip() -> bytes:
    """Four small frames."""
    import av

    stream = io.BytesIO()
    rng = np.random.default_rng(0)
    with av.open(stream, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        for _ in range(4):
            picture = rng.integers(0, 256, (32, 32, 3), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(video.encode())
    return stream.getvalue()


@target
def video(rng: random.Random, folder: Path) -> None:
    """A damaged video file."""
    path = folder / "clip.mp4"
    path.write_bytes(mutated(clip(), rng))
    with VideoFile(path, max_pixels=10**7) as opened:
        for picture in opened.pictures(rng.choice((0, 0, 2))):
            if picture is not None:
                picture.rgb()


class _Response(io.BytesIO):
    """What a server may answer."""

    status, url = 200, "https://127.0.0.1/x"
    headers: dict[str, str]


@target
def downloaded(rng: random.Random, folder: Path) -> None:
    """A server's answer, beside a part that an earlier attempt may have left."""
    part = folder / "x.pt.part"
    part.write_bytes(rng.randbytes(rng.randint(0, 50)))
    notes = {"url": "https://127.0.0.1/x", "version": '"a"'}
    download._notes(part).write_bytes(as_json(disturbed(notes, rng), rng))
    have, _ = download._resume_point("https://127.0.0.1/x", part)
    response = _Response(rng.randbytes(rng.randint(0, 3_000)))
    response.status = rng.choice((200, 206))
    lengths = ("10", "²", "-1", "9" * 30, "", "1e3")
    response.headers = {
        "Content-Length": rng.choice(lengths),
        "Content-Range": rng.choice(("", "bytes 0-9/10")),
    }
    try:
        download._receive("https://127.0.0.1/x", part, response, have, None, 1_000)
    except download._BrokenError:
        return
