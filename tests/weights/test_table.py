"""Weights by name and by path: the table, and the checkpoint that comes with the package."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fastsam.config import SegmentConfig
from fastsam.errors import ChecksumError, DownloadError, UnknownWeightsError, WeightsError
from fastsam.weights import table as weights
from fastsam.weights.resolve import ResolvedWeights, resolve
from fastsam.weights.table import WeightsEntry, cache_folder, local_path, table
from tests.weights.site import FILE, archive

# --- names, paths, table ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("FastSAM-m", "did you mean FastSAM-x or FastSAM-s"),
        ("yolov8-seg", "did you mean yolov8"),
        ("defualt", "did you mean default"),
        ("zebra", "the table has fastsam-nano, FastSAM-s"),
        ("", "the table has"),
        ("./FastSAM-s.pt", "did you mean FastSAM-s"),
        ("no/such/folder/net.pt", "no such file"),
        ("x" * 5000, "no such file"),
        ("nul\0byte", "no such file"),
    ],
)
def test_unknown_names(home: Path, asked: str, said: str) -> None:
    with pytest.raises(UnknownWeightsError, match=re.escape(said)) as caught:
        resolve(asked)
    assert "path" in str(caught.value)


def test_a_folder_is_no_checkpoint(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownWeightsError, match=r"expected a \.pt file.*got a folder"):
        resolve(tmp_path)


def test_a_path_is_taken_as_it_is(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.pt"
    own.write_bytes(b"anything")
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in (own, str(own), "~/own.pt"):
        found = resolve(given)
        assert (found.path, found.entry, found.defaults) == (own, None, {})


def test_a_file_wins_over_a_name(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FastSAM-s").mkdir()  # a folder does not
    Path(FILE).write_bytes(b"mine")
    found = resolve(FILE)
    assert found.path == Path(FILE)
    assert found.defaults["imgsz"] == 1024  # the file is called like one of the table's
    monkeypatch.setenv("FASTSAM_OFFLINE", "1")
    with pytest.raises(DownloadError):
        resolve("FastSAM-s")


@pytest.mark.parametrize(
    ("settings", "folder"),
    [
        ({"FASTSAM_HOME": "/a", "XDG_CACHE_HOME": "/b"}, "/a/weights"),
        ({"FASTSAM_HOME": "", "XDG_CACHE_HOME": "/b"}, "/b/fastsam/weights"),
        ({"FASTSAM_HOME": "", "XDG_CACHE_HOME": "", "HOME": "/c"}, "/c/.cache/fastsam/weights"),
    ],
)
def test_cache_folder(monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], folder: str) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(folder)


def test_the_table_is_sound() -> None:
    names = [entry.name.lower() for entry in table()]
    assert len(set(names)) == len(names)
    assert [entry.name for entry in table() if entry.embedded] == ["fastsam-nano"]
    for entry in table():
        assert SegmentConfig(**ResolvedWeights(Path(entry.file), entry).defaults).imgsz == entry.imgsz
        assert entry.licence
        assert entry.description
        assert entry.embedded or Path(urlsplit(entry.url).path).name == entry.file
        assert entry.embedded or entry.url.startswith("https://github.com/ultralytics/assets/releases/")


@pytest.mark.parametrize("name", ["FastSAM", "FastSAM.pt", "FastSAM_X.pt", "fastsam-x"])
def test_the_names_of_casia(name: str) -> None:
    found = weights._find(name)
    assert found is not None
    assert found.name == "FastSAM-x"


def test_the_table_has_what_ultralytics_publishes() -> None:
    published = pytest.importorskip("ultralytics.utils.downloads").GITHUB_ASSETS_NAMES
    ours = {entry.file for entry in table() if not entry.embedded}
    assert ours <= published
    families = ("yolov8", "yolov9", "yolo11", "yolo26", "FastSAM")
    wanted = {
        f
        for f in published
        if (f.startswith(families) and "objv1" not in f and "-seg" in f) or "FastSAM" in f
    }
    assert wanted | {file for file in published if "-seg-pf" in file} == ours


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"file": "../x.pt"}, "bare name"),
        ({"sha256": "abc"}, "64 hex"),
        ({"url": ""}, "unless embedded"),
        ({"embedded": True}, "unless embedded"),
    ],
)
def test_a_wrong_table_entry(wrong: dict[str, Any], said: str) -> None:
    fields: dict[str, Any] = {
        "name": "n",
        "file": "n.pt",
        "imgsz": 640,
        "licence": "-",
        "description": "-",
        "url": "https://x/n.pt",
    }
    with pytest.raises(WeightsError, match=said):
        WeightsEntry(**(fields | wrong))


@pytest.mark.parametrize("layout", ["fastsam/_weights", "weights"])
def test_the_table_is_found_in_a_wheel_and_in_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    monkeypatch.setattr(weights, "__file__", str(tmp_path / "fastsam" / "weights" / "table.py"))
    with pytest.raises(WeightsError, match="reinstall"):
        weights._embedded_folder()
    (tmp_path / layout).mkdir(parents=True)
    (tmp_path / layout / "manifest.toml").write_text("default = 'x'")
    assert weights._embedded_folder() == (tmp_path / layout).resolve()
    with pytest.raises(WeightsError, match=r"weights table .* cannot be read"):
        weights._manifest.__wrapped__()


# --- the checkpoint that comes with the package ----------------------------------------------------


def test_an_embedded_file_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = archive()
    entry = replace(table()[0], sha256=hashlib.sha256(body).hexdigest())
    manifest = replace(weights._manifest(), default=entry.name, entries=(entry,))
    monkeypatch.setattr(weights, "_manifest", lambda: manifest)
    monkeypatch.setattr(weights, "_embedded_folder", lambda: tmp_path)
    with pytest.raises(WeightsError, match=r"missing.*reinstall"):
        resolve()
    (tmp_path / entry.file).write_bytes(body)
    for name in (None, "default", "fastsam-nano", "FastSAM-Nano.pt", "fastsam-nano-seg.pt"):
        assert resolve(name) == ResolvedWeights(tmp_path / entry.file, entry)
    (tmp_path / entry.file).write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ChecksumError, match="git lfs pull"):
        resolve()
    assert (tmp_path / entry.file).exists()


def test_the_real_default_is_the_one_of_the_table() -> None:
    entry = table()[0]
    if not local_path(entry).exists():
        pytest.skip(f"{entry.file} is not in the repository yet")
    data = local_path(entry).read_bytes()
    assert entry.sha256 == hashlib.sha256(data).hexdigest()
    assert entry.size_bytes == len(data)
    assert resolve().path == local_path(entry)
    named = ("imgsz", "conf", "iou", "edge_radius", "min_region_share", "fill_conf", "regions")
    assert resolve().defaults == {name: getattr(entry, name) for name in named}
