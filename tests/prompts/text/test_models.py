"""Names, files and folders of text-image models; downloads from a local server."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

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
from fastsam.prompts.text import models
from fastsam.prompts.text.matching import Embedder
from fastsam.prompts.text.models import NamedEncoder, open_text_model
from fastsam.prompts.text.vocabulary import templates
from fastsam.testing import ColourWordEncoder, FixedSegmenter
from tests.text_models import TINY, scene, tiny_folder

FILE = "Tiny-1--mine.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FASTSAM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


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
        assert found.texts(["a dog"], False).shape == (1, 16)
        assert str(folder.resolve()) in found.location


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
    assert "tiny" in model.location


def test_a_file_of_an_architecture(known: Path, folder: Path) -> None:
    file = folder / "open_clip_model.safetensors"
    found = open_text_model(f"Tiny-1:{file}", device="cpu")
    same = open_text_model(folder, device="cpu")
    assert np.allclose(found.texts(["a dog"], True), same.texts(["a dog"], True), atol=1e-5)


def test_weights_of_a_tag_are_downloaded_once(known: Path, mirror: Path, folder: Path) -> None:
    (mirror / FILE).write_bytes((folder / "open_clip_model.safetensors").read_bytes())
    told: list[int] = []
    found = open_text_model("Tiny-1:mine", device="cpu", progress=lambda done, total: told.append(done))
    assert not told
    vectors = found.texts(["a dog"], False)
    assert told[-1] == (mirror / FILE).stat().st_size
    assert (known / FILE).is_file()
    (mirror / FILE).unlink()
    again = open_text_model("Tiny-1", device="cpu")  # its only tag
    assert np.allclose(again.texts(["a dog"], False), vectors)
    prepare = again.encoder._encoder()._prepare  # type: ignore[attr-defined]
    assert prepare.transforms[-1].mean == (0.1, 0.2, 0.3)


def test_the_other_form_of_the_file_is_asked_for(known: Path, mirror: Path, folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(folder / "open_clip_model.safetensors"), mirror / "Tiny-1--mine.bin")
    found = open_text_model("Tiny-1:mine", device="cpu")
    assert found.texts(["a dog"], False).shape == (1, 16)
    assert (known / "Tiny-1--mine.bin").is_file()


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x02\0\0\0\0\0\0\0{}", b"\xff" * 30])
def test_what_is_no_safetensors_file_is_not_kept(known: Path, mirror: Path, content: bytes) -> None:
    (mirror / FILE).write_bytes(content)
    found = open_text_model("Tiny-1:mine", device="cpu")
    with pytest.raises(CheckpointError, match="no sound checkpoint"):
        found.texts(["a dog"], False)
    assert not (known / FILE).exists()


def test_offline_says_what_to_place_where(known: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("FASTSAM_OFFLINE", "1")
    found = open_text_model("Tiny-1:mine", device="cpu")
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
        ("hf-hub:me/tiny@v2", ConfigError, r"open_clip_config\.json.*huggingface\.co/me/tiny/tree.*a folder"),
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
    with pytest.raises(UnknownWeightsError, match=said):
        found.texts(["a dog"], False)


def test_encoders() -> None:
    encoder = ColourWordEncoder()
    found = open_text_model(encoder)
    assert isinstance(found, Embedder)
    assert (found.encoder, found.location) == (encoder, "colour words")
    with pytest.raises(ConfigError, match="got int"):
        open_text_model(5)  # type: ignore[arg-type]


def test_a_device_that_is_not_there(folder: Path) -> None:
    found = open_text_model(folder, device="tpu9")
    with pytest.raises(ConfigError, match="device"):
        found.texts(["a dog"], False)
    with pytest.raises(PromptError, match="expected words"):
        Text("")


WORDS = [f"word {k}" for k in range(20)]


class Counted:
    """Counts the sentences that go through a network."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sentences = 0
        real = NamedEncoder.encode_texts

        def counted(encoder: NamedEncoder, texts: Any) -> Any:
            self.sentences += len(texts)
            return real(encoder, texts)

        monkeypatch.setattr(NamedEncoder, "encode_texts", counted)


def opened(folder: Path) -> Embedder:
    """As a new process opens it."""
    return open_text_model(folder, device="cpu")


def test_the_next_process_knows_a_vocabulary(
    folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(monkeypatch)
    first = opened(folder).texts(WORDS, True)
    assert counted.sentences == 20 * len(templates())
    assert np.array_equal(opened(folder).texts(WORDS, True), first)
    assert counted.sentences == 20 * len(templates())
    opened(folder).texts(WORDS, False)  # in other sentences
    assert counted.sentences == 20 * len(templates()) + 20
    opened(folder).texts([*WORDS, "another"], False)
    assert counted.sentences == 20 * len(templates()) + 41
    assert not [path for path in home.rglob("*") if "word" in path.name]


def test_what_a_user_asks_for_is_not_kept(folder: Path, home: Path) -> None:
    opened(folder).texts(["my secret", "another"], True)
    assert not home.exists()


def test_words_known_before_do_not_change_what_is_kept(
    folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = opened(folder)
    alone.texts(["word 3"], True)
    mixed = alone.texts(WORDS, True)
    counted = Counted(monkeypatch)
    assert np.array_equal(opened(folder).texts(WORDS, True), mixed)
    assert counted.sentences == 0


def test_other_weights_tokenizers_and_settings_are_other_vectors(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert opened(copy).fingerprint == opened(folder).fingerprint  # content, not place or time
    (copy / "README.md").write_text("of no matter")
    assert opened(copy).fingerprint == opened(folder).fingerprint
    seen = {opened(folder).fingerprint}
    weights = copy / "open_clip_model.safetensors"
    state = weights.stat()
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))  # as large and as old as before
    seen.add(opened(copy).fingerprint)
    (copy / "tokenizer.json").write_text("{}")
    seen.add(opened(copy).fingerprint)
    config = json.loads((copy / "open_clip_config.json").read_text())
    (copy / "open_clip_config.json").write_text(json.dumps(config | {"more": 1}))
    seen.add(opened(copy).fingerprint)
    assert len(seen) == 4
    assert Embedder(ColourWordEncoder()).fingerprint == "colour words"


def test_architectures_and_tags_have_an_identity(known: Path, mirror: Path, folder: Path) -> None:
    (mirror / FILE).write_bytes((folder / "open_clip_model.safetensors").read_bytes())
    tagged, file = (
        open_text_model(name, device="cpu")
        for name in ("Tiny-1:mine", f"Tiny-1:{folder / 'open_clip_model.safetensors'}")
    )
    assert tagged.fingerprint != file.fingerprint  # prepares its pictures otherwise


@pytest.mark.parametrize("damage", [b"", b"PK", None])
def test_damaged_vectors_are_encoded_again(folder: Path, home: Path, damage: bytes | None) -> None:
    first = opened(folder).texts(WORDS, True)
    (file,) = (home / "texts").iterdir()
    content = file.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
    file.write_bytes(flipped if damage is None else damage)
    assert np.array_equal(opened(folder).texts(WORDS, True), first)
    assert file.read_bytes() == content


def test_no_folder_to_keep_them_in(folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write_text("a file")
    assert opened(folder).texts(WORDS, True).shape == (20, 16)
    monkeypatch.setattr(models, "cache_folder", lambda: (_ for _ in ()).throw(WeightsError("no home")))
    assert opened(folder).texts(WORDS, True).shape == (20, 16)


def test_only_the_newest_vectors_stay(folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_KEPT_FILES", 2)
    model = opened(folder)
    for number in range(4):
        model.texts([f"{word} {number}" for word in WORDS], False)
        for age, file in enumerate(sorted((home / "texts").iterdir(), key=lambda f: f.stat().st_mtime)):
            os.utime(file, (1000 + age, 1000 + age))
    assert len(list((home / "texts").iterdir())) == 2
    counted = Counted(monkeypatch)
    opened(folder).texts([f"{word} 3" for word in WORDS], False)
    assert counted.sentences == 0
