"""Names, files and folders of text-image models; downloads from a local server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import open_clip
import pytest

from fastsam import FastSAM, Text
from fastsam.errors import (
    CheckpointError,
    ConfigError,
    DownloadError,
    PromptError,
    UnknownWeightsError,
    WeightsError,
)
from fastsam.testing import ColourWordEncoder, FixedSegmenter
from fastsam.text_models import NamedEncoder, open_text_model
from prompts.text import Embedder
from tests.text_models import TINY, scene, tiny_folder

FILE = "Tiny-1--mine.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let open_clip know of the tiny model under a name and a tag; yields the folder for weights."""
    (tmp_path / "Tiny-1.json").write_text(json.dumps(TINY["model_cfg"]))
    open_clip.add_model_config(tmp_path / "Tiny-1.json")
    table = {"mine": {"hf_hub": "me/tiny/", "mean": (0.1, 0.2, 0.3), "std": (1.0, 1.0, 1.0)}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "Tiny-1", table)
    monkeypatch.setenv("FASTSAM_HOME", str(tmp_path / "home"))
    yield tmp_path / "home" / "weights"
    open_clip.factory._MODEL_CONFIGS.pop("Tiny-1", None)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serve a folder; yields it."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Be quiet."""

    served = tmp_path / "mirror"
    served.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("FASTSAM_WEIGHTS_URL", f"http://127.0.0.1:{server.server_address[1]}")
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_folder_by_its_path_and_as_open_clip_writes_it(folder: Path) -> None:
    for name in (folder, str(folder), f"local-dir:{folder}"):
        found = open_text_model(name, device="cpu")
        assert found is not None
        assert found.texts(["a dog"], False).shape == (1, 16)
        assert str(folder.resolve()) in found.identity


def test_nothing_is_loaded_before_the_first_text(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    real = NamedEncoder._load
    monkeypatch.setattr(NamedEncoder, "_load", lambda self: loads.append(1) or real(self))
    frame, masks = scene()
    model = FastSAM(segmenter=FixedSegmenter(np.asarray(masks)), text_model=folder, device="cpu")
    session = model.open(frame)
    session.everything()
    assert loads == []
    first = session.select(Text("a dog", threshold=0))
    session.select(Text("a cat", threshold=0))
    model.open(frame).select(Text("a cat", threshold=0))
    assert loads == [1]
    assert len(first) == 4
    assert "tiny" in model.identity


def test_a_file_of_an_architecture(known: Path, folder: Path) -> None:
    file = folder / "open_clip_model.safetensors"
    found = open_text_model(f"Tiny-1:{file}", device="cpu")
    assert found is not None
    same = open_text_model(folder, device="cpu")
    assert same is not None
    assert np.allclose(found.texts(["a dog"], True), same.texts(["a dog"], True), atol=1e-5)


def test_weights_of_a_tag_are_downloaded_once(known: Path, mirror: Path, folder: Path) -> None:
    (mirror / FILE).write_bytes((folder / "open_clip_model.safetensors").read_bytes())
    told: list[int] = []
    found = open_text_model("Tiny-1:mine", device="cpu", progress=lambda done, total: told.append(done))
    assert found is not None
    assert not told
    vectors = found.texts(["a dog"], False)
    assert told[-1] == (mirror / FILE).stat().st_size
    assert (known / FILE).is_file()
    (mirror / FILE).unlink()
    again = open_text_model("Tiny-1", device="cpu")  # its only tag
    assert again is not None
    assert np.allclose(again.texts(["a dog"], False), vectors)
    prepare = again.encoder._encoder()._prepare  # type: ignore[attr-defined]
    assert prepare.transforms[-1].mean == (0.1, 0.2, 0.3)


def test_the_other_form_of_the_file_is_asked_for(known: Path, mirror: Path, folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(folder / "open_clip_model.safetensors"), mirror / "Tiny-1--mine.bin")
    found = open_text_model("Tiny-1:mine", device="cpu")
    assert found is not None
    assert found.texts(["a dog"], False).shape == (1, 16)
    assert (known / "Tiny-1--mine.bin").is_file()


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x02\0\0\0\0\0\0\0{}", b"\xff" * 30])
def test_what_is_no_safetensors_file_is_not_kept(known: Path, mirror: Path, content: bytes) -> None:
    (mirror / FILE).write_bytes(content)
    found = open_text_model("Tiny-1:mine", device="cpu")
    assert found is not None
    with pytest.raises(CheckpointError, match="no sound checkpoint"):
        found.texts(["a dog"], False)
    assert not (known / FILE).exists()


def test_offline_says_what_to_place_where(known: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("FASTSAM_OFFLINE", "1")
    found = open_text_model("Tiny-1:mine", device="cpu")
    assert found is not None
    with pytest.raises(DownloadError) as caught:
        found.texts(["a dog"], False)
    for part in (
        "Tiny-1:mine",
        "FASTSAM_OFFLINE",
        "huggingface.co/me/tiny/",
        f"place it as {FILE}",
        str(known),
    ):
        assert part in str(caught.value)
    known.mkdir(parents=True)
    (known / FILE).write_bytes((folder / "open_clip_model.safetensors").read_bytes())
    assert found.texts(["a dog"], False).shape == (1, 16)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("somewhere/else", WeightsError, "no such folder"),
        ("local-dir:elsewhere", WeightsError, "no such folder"),
        ("ViT-B-32:elsewhere.pt", WeightsError, "no such file as 'elsewhere.pt'"),
        ("elsewhere.safetensors", ConfigError, "ViT-B-32:elsewhere.safetensors"),
        (".", WeightsError, "there is no open_clip_config"),
        ("", WeightsError, "no such folder"),
    ],
)
def test_what_is_no_model_is_said_at_once(
    name: str, error: type[Exception], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=said):
        FastSAM(segmenter=FixedSegmenter(np.ones((1, 2, 2))), text_model=name)


@pytest.mark.parametrize(
    ("name", "said"),
    [("ViT-B-32", "which of its weights"), ("ViT-B-32:mine", "no weights 'mine'"), ("Clap", "no such")],
)
def test_names_that_open_clip_does_not_know(name: str, said: str) -> None:
    found = open_text_model(name, device="cpu")
    assert found is not None
    with pytest.raises(UnknownWeightsError, match=said):
        found.texts(["a dog"], False)


def test_encoders_and_nothing() -> None:
    assert open_text_model(None) is None
    encoder = ColourWordEncoder()
    found = open_text_model(encoder)
    assert isinstance(found, Embedder)
    assert (found.encoder, found.identity) == (encoder, "colour words")
    with pytest.raises(ConfigError, match="got int"):
        open_text_model(5)  # type: ignore[arg-type]


def test_a_device_that_is_not_there(folder: Path) -> None:
    found = open_text_model(folder, device="tpu9")
    assert found is not None
    with pytest.raises(ConfigError, match="device"):
        found.texts(["a dog"], False)
    with pytest.raises(PromptError, match="expected words"):
        Text("")
