"""open_clip behind the Encoder protocol, on a tiny model with random weights."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from fastsam.errors import (
    CheckpointError,
    ConfigError,
    UnknownWeightsError,
    UnsafeCheckpointError,
    WeightsError,
)
from fastsam.prompts.text.encoder import OpenClipEncoder, find_pretrained
from fastsam.prompts.text.folding import fold_norms
from tests.text_models import TINY, tiny_folder, tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> OpenClipEncoder:
    return OpenClipEncoder(folder, batch_size=2)


def test_vectors_are_those_of_open_clip_itself(
    encoder: OpenClipEncoder, photographs: dict[str, Any], folder: Path
) -> None:
    pictures = [photographs[name] for name in ("bus", "chelsea", "bus, strip")]
    texts = ["a cat", "a bus", "a cat on a bus"]
    model, _, prepare = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    with torch.inference_mode():
        batch = torch.stack([prepare(Image.fromarray(one)) for one in pictures])
        seen = model.eval().encode_image(batch, normalize=True).numpy()
        read = model.encode_text(
            open_clip.get_tokenizer(f"local-dir:{folder}")(texts), normalize=True
        ).numpy()
    found = encoder.encode_images(pictures)
    assert found.dtype == np.float32
    assert np.allclose(found, seen, atol=1e-5)
    assert np.allclose(encoder.encode_texts(texts), read, atol=1e-5)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert encoder.logit_scale == pytest.approx(1 / 0.07, rel=1e-3)
    assert str(folder.resolve()) in encoder.location


def test_the_folder_says_how_pictures_are_prepared(encoder: OpenClipEncoder) -> None:
    assert encoder._prepare.transforms[-1].mean == TINY["preprocess_cfg"]["mean"]


def test_no_more_than_a_batch_goes_through_at_once(
    encoder: OpenClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    real = encoder._model.encode_image
    monkeypatch.setattr(
        encoder._model, "encode_image", lambda batch, **k: sizes.append(len(batch)) or real(batch, **k)
    )
    pictures = [np.full((9, 7, 3), 40 * k, np.uint8) for k in range(5)]
    together = encoder.encode_images(pictures)
    assert sizes == [2, 2, 1]
    alone = np.concatenate([encoder.encode_images([one]) for one in pictures])
    assert np.allclose(together, alone, atol=1e-5)


def test_nothing_to_encode(encoder: OpenClipEncoder) -> None:
    assert encoder.encode_images([]).shape == (0, 16)
    assert encoder.encode_texts([]).shape == (0, 16)


def test_a_checkpoint_of_a_named_architecture(tmp_path: Path) -> None:
    (tmp_path / "Tiny-1.json").write_text(json.dumps(TINY["model_cfg"]))
    open_clip.add_model_config(tmp_path)
    try:
        torch.save(tiny_model().state_dict(), tmp_path / "tiny.pt")
        found = OpenClipEncoder("Tiny-1", tmp_path / "tiny.pt", preprocess={"mean": (0.1, 0.2, 0.3)})
        assert found._prepare.transforms[-1].mean == (0.1, 0.2, 0.3)
        assert found.encode_texts(["a"]).shape == (1, 16)
        with pytest.raises(CheckpointError, match="architecture"):
            OpenClipEncoder("RN50", tmp_path / "tiny.pt")
    finally:
        open_clip.factory._MODEL_CONFIGS.pop("Tiny-1", None)


class Evil:
    """What would write a file if it were unpickled as code."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_code_in_a_checkpoint_does_not_run(folder: Path, tmp_path: Path) -> None:
    bad, touched = tmp_path / "bad", tmp_path / "touched"
    bad.mkdir()
    (bad / "open_clip_config.json").write_text((folder / "open_clip_config.json").read_text())
    torch.save({"state_dict": Evil(touched)}, bad / "open_clip_pytorch_model.bin")
    with pytest.raises(UnsafeCheckpointError, match="code in it is not run"):
        OpenClipEncoder(bad)
    (bad / "open_clip_pytorch_model.bin").write_bytes(pickle.dumps(Evil(touched), protocol=2))
    with pytest.raises(CheckpointError):
        OpenClipEncoder(bad)
    assert not touched.exists()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, r"there is no open_clip_config\.json in it"),
        (
            {"open_clip_config.json": json.dumps(TINY)},
            "no weights in it; expected one of open_clip_model.safetensors",
        ),
        ({"open_clip_config.json": "{", "open_clip_model.safetensors": ""}, "expected JSON"),
        (
            {"open_clip_config.json": "{}", "open_clip_model.safetensors": ""},
            "model_cfg: expected a mapping, got None",
        ),
        ({"open_clip_config.json": json.dumps(TINY), "open_clip_model.safetensors": "x"}, "cannot be loaded"),
    ],
)
def test_folders_that_will_not_do(files: dict[str, str], said: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(WeightsError, match=said):
        OpenClipEncoder(tmp_path)


def test_what_is_no_model(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(WeightsError, match="no such folder"):
        OpenClipEncoder(tmp_path / "nothing")
    with pytest.raises(UnknownWeightsError, match=r"'ViT-B-33'.*it knows.*ViT-B-32"):
        OpenClipEncoder("ViT-B-33", tmp_path / "x.pt")
    with pytest.raises(WeightsError, match="no checkpoint"):
        OpenClipEncoder("ViT-B-32", tmp_path / "x.pt")
    with pytest.raises(ConfigError, match="batch_size"):
        OpenClipEncoder(folder, batch_size=0)


def test_weights_that_open_clip_knows() -> None:
    found = find_pretrained("ViT-B-32", "laion2b_s34b_b79k")
    assert found.urls[0] == (
        "https://huggingface.co/laion/CLIP-ViT-B-32-laion2B-s34B-b79K/resolve/main/open_clip_model.safetensors"
    )
    assert found.urls[1].endswith("/open_clip_pytorch_model.bin")
    assert not found.quick_gelu
    assert find_pretrained("ViT-B-32", "openai").quick_gelu  # open_clip only warns of it
    alone = find_pretrained("MobileCLIP-S1")
    assert (alone.tag, alone.preprocess["mean"]) == ("datacompdr", (0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("model", "tag", "said"),
    [
        ("ViT-B-32", "", "which of its weights is not said.*laion2b_s34b_b79k"),
        ("ViT-B-32", "laion9b", "no weights 'laion9b'.*one of"),
        ("VIT", "openai", "no such model"),
        ("", "", "no such model"),
    ],
)
def test_weights_that_nobody_knows(model: str, tag: str, said: str) -> None:
    with pytest.raises(UnknownWeightsError, match=said):
        find_pretrained(model, tag)


def test_pictures_of_the_right_size_are_not_resized(encoder: OpenClipEncoder) -> None:
    assert encoder.image_px == 32
    random = np.random.default_rng(0)
    sizes = [(32, 32), (40, 31), (32, 32), (32, 31), (500, 200), (32, 32)]
    pictures = [random.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]
    with torch.inference_mode():
        batch = torch.stack([encoder._prepare(Image.fromarray(one)) for one in pictures])
        assert torch.allclose(encoder._batch(pictures), batch, atol=1e-5)
        wanted = encoder._model.encode_image(batch, normalize=True).numpy()
    assert np.allclose(encoder.encode_images(pictures), wanted, atol=1e-5)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="causal"),
        pytest.param({"no_causal_mask": True}, id="not causal"),
        pytest.param({"pool_type": "last"}, id="the last token, padding or not"),
    ],
)
def test_padding_changes_nothing(more: dict[str, Any], tmp_path: Path) -> None:
    config = json.loads(json.dumps(TINY))
    config["model_cfg"]["text_cfg"] |= more
    folder = tiny_folder(tmp_path / "tiny", config)
    read, model = OpenClipEncoder(folder), open_clip.create_model(f"local-dir:{folder}").eval()
    texts = ["a", "a dog", "a dog that is longer than what there is room for, by some words of no use at all"]
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(texts)
    with torch.inference_mode():
        wanted = model.encode_text(tokens, normalize=True).numpy()
    for few in (texts, texts[:1], texts[:2]):
        assert np.allclose(read.encode_texts(few), wanted[: len(few)], atol=1e-5)


def trained(model: Any) -> Any:
    """Norms that do something: random means, variances, scales and shifts."""
    torch.manual_seed(1)
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            for values in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
                values.data.uniform_(0.5, 1.5)
    return model.eval()


def norms(model: Any) -> int:
    return sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in model.modules())


@pytest.mark.parametrize(
    "tower",
    [
        {"timm_model_name": "mobilenetv2_050", "timm_proj": "linear", "image_size": 64},
        {"layers": [1, 1, 1, 1], "width": 16, "head_width": 32, "image_size": 64},
    ],
    ids=["timm", "resnet of open_clip"],
)
def test_norms_become_part_of_convolutions(tower: dict[str, Any]) -> None:
    vision = tower | {"timm_model_pretrained": False} if "timm_model_name" in tower else tower
    text = TINY["model_cfg"]["text_cfg"]
    visual = trained(open_clip.model.CLIP(embed_dim=16, vision_cfg=vision, text_cfg=text).visual)
    assert norms(visual) > 10
    pictures = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        was = visual(pictures)
        assert fold_norms(torch, visual)
        now = visual(pictures)
    assert norms(visual) == 0
    assert torch.allclose(was, now, rtol=1e-3, atol=1e-4 * float(was.abs().max()))


class Twice(torch.nn.Module):
    """What a convolution gives is used before and after its norm."""

    image_size = 8

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)

    def forward(self, pictures: Any) -> Any:
        seen = self.convolution(pictures)
        return self.norm(seen) + seen


def test_towers_that_cannot_be_folded_stay() -> None:
    tower = trained(Twice())
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    assert not fold_norms(torch, tower)
    assert norms(tower) == 1
    after = tower.state_dict()
    assert set(after) == set(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not fold_norms(torch, torch.nn.Conv2d(3, 4, 3))
