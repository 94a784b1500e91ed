"""Weights: names and paths, downloads against a local server that misbehaves on demand, hashes."""

from __future__ import annotations

import hashlib
import io
import re
import socket
import threading
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from fastsam.config import SegmentConfig
from fastsam.errors import CheckpointError, ChecksumError, DownloadError, UnknownWeightsError, WeightsError
from fastsam.weights import download
from fastsam.weights import table as weights
from fastsam.weights.resolve import ResolvedWeights, resolve
from fastsam.weights.table import WeightsEntry, cache_folder, local_path, table

FILE = "FastSAM-s.pt"


def archive(seed: int = 0, size: int = 300_000) -> bytes:
    """A stored zip archive that is laid out as a checkpoint's."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("net/data.pkl", b"\x80\x02}.")
        file.writestr("net/data/0", np.random.default_rng(seed).bytes(size))
    return buffer.getvalue()


class Site:
    """A web server of one file; ``plan`` tells what goes wrong with each request in turn."""

    def __init__(self) -> None:
        self.body = archive()
        self.etag: str | None = '"v1"'
        self.ranges = True
        self.pause_s = 0.0
        self.plan: list[Any] = []  # None: serve; int: break off after so many bytes, or an HTTP status < 1000
        self.requests: list[tuple[str, dict[str, str]]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.serve(self)

            def log_message(self, *args: Any) -> None:
                """Be quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append((request.path, dict(request.headers.items())))
        step = self.plan.pop(0) if self.plan else None
        time.sleep(self.pause_s)
        if request.path.startswith("/moved/"):
            request.send_response(302)
            request.send_header("Location", f"{self.url}/{FILE}")
            request.end_headers()
            return
        if step is not None and step < 1000:
            request.send_error(step)
            return
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        if asked and self.ranges and request.headers.get("If-Range") == self.etag:
            start = int(asked[1])
        if start and start >= len(self.body):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(self.body)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(self.body) - 1}/{len(self.body)}")
        request.send_header("Content-Length", str(len(self.body) - start))
        if self.etag:
            request.send_header("ETag", self.etag)
        request.end_headers()
        request.wfile.write(self.body[start : start + step] if step is not None else self.body[start:])

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty FASTSAM_HOME; no proxy, no waiting between attempts."""
    for name in ("FASTSAM_OFFLINE", "FASTSAM_WEIGHTS_URL", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FASTSAM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(download, "_WAITS_S", (0.0, 0.0, 0.0))
    return tmp_path / "home" / "weights"


@pytest.fixture
def site(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server that is the mirror of all weights."""
    served = Site()
    monkeypatch.setenv("FASTSAM_WEIGHTS_URL", served.url)
    yield served
    served.close()


def pin(monkeypatch: pytest.MonkeyPatch, sha256: str) -> None:
    """Give the table's FastSAM-s a hash."""
    manifest = weights._manifest()
    entries = tuple(replace(e, sha256=sha256) if e.file == FILE else e for e in manifest.entries)
    changed = replace(manifest, entries=entries)
    monkeypatch.setattr(weights, "_manifest", lambda: changed)


def sent(site: Site, number: int, header: str) -> str | None:
    return site.requests[number][1].get(header)


def files(folder: Path) -> set[str]:
    """The names in a folder, less lock files."""
    return {f.name for f in folder.iterdir() if f.suffix != ".lock"} if folder.is_dir() else set()


# --- downloads -------------------------------------------------------------------------------------


def test_downloads_once_and_remembers_the_hash(site: Site, home: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    found = resolve("FastSAM-s", progress=lambda done, total: seen.append((done, total)))
    assert found.path == home / FILE
    assert found.path.read_bytes() == site.body
    assert found.entry is not None
    assert found.entry.name == "FastSAM-s"
    assert seen[-1] == (len(site.body), len(site.body))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    digest = hashlib.sha256(site.body).hexdigest()
    assert (home / f"{FILE}.sha256").read_text() == f"{digest}  {FILE}\n"
    assert files(home) == {FILE, f"{FILE}.sha256"}
    assert resolve("fastsam-S.PT").path == found.path
    assert len(site.requests) == 1


def test_resumes_after_a_broken_connection(site: Site, home: Path) -> None:
    site.plan = [100_000, 50_000]
    assert resolve("FastSAM-s").path.read_bytes() == site.body
    assert [sent(site, i, "Range") for i in range(3)] == [None, "bytes=100000-", "bytes=150000-"]
    assert sent(site, 1, "If-Range") == '"v1"'
    assert files(home) == {FILE, f"{FILE}.sha256"}


def test_resumes_what_an_earlier_call_left(site: Site, home: Path) -> None:
    site.plan = [60_000, 503, 503, 503]
    with pytest.raises(DownloadError, match="503"):
        resolve("FastSAM-s")
    assert files(home) == {f"{FILE}.part", f"{FILE}.part.json"}
    assert resolve("FastSAM-s").path.read_bytes() == site.body
    assert sent(site, -1, "Range") == "bytes=60000-"


def test_a_redirect_keeps_the_range(site: Site, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTSAM_WEIGHTS_URL", f"{site.url}/moved/")
    site.plan = [None, 70_000]
    assert resolve("FastSAM-s").path.read_bytes() == site.body
    assert [path for path, _ in site.requests] == [f"/moved/{FILE}", f"/{FILE}"] * 2
    assert sent(site, 3, "Range") == "bytes=70000-"


def test_a_server_that_ignores_range(site: Site) -> None:
    site.ranges, site.plan = False, [100_000]
    assert resolve("FastSAM-s").path.read_bytes() == site.body
    assert sent(site, 1, "Range") == "bytes=100000-"


def test_a_file_that_changes_meanwhile_is_not_mixed(site: Site, home: Path) -> None:
    site.plan = [100_000, 503, 503, 503]
    with pytest.raises(DownloadError):
        resolve("FastSAM-s")
    site.body, site.etag = archive(seed=1), '"v2"'
    assert resolve("FastSAM-s").path.read_bytes() == site.body
    assert sent(site, -1, "If-Range") == '"v1"'


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_version_it_starts_anew(site: Site, etag: str | None) -> None:
    site.etag, site.plan = etag, [100_000]
    assert resolve("FastSAM-s").path.read_bytes() == site.body
    assert sent(site, 1, "Range") is None


@pytest.mark.parametrize(("extra", "requests"), [(0, 1), (10, 2)])
def test_a_part_that_is_complete_or_too_long(site: Site, home: Path, extra: int, requests: int) -> None:
    home.mkdir(parents=True)
    (home / f"{FILE}.part").write_bytes(site.body + bytes(extra))
    (home / f"{FILE}.part.json").write_text(f'{{"url": "{site.url}/{FILE}", "version": "\\"v1\\""}}')
    assert resolve("FastSAM-s").path.read_bytes() == site.body
    assert len(site.requests) == requests


@pytest.mark.parametrize("notes", ["", "[1]", "{}", "nonsense", '{"url": "http://other", "version": "x"}'])
def test_a_part_of_unknown_origin_is_not_used(site: Site, home: Path, notes: str) -> None:
    home.mkdir(parents=True)
    (home / f"{FILE}.part").write_bytes(b"x" * 1000)
    (home / f"{FILE}.part.json").write_text(notes)
    assert resolve("FastSAM-s").path.read_bytes() == site.body
    assert sent(site, 0, "Range") is None


def test_passing_server_errors_are_tried_again(site: Site) -> None:
    site.plan = [500, 429, 503]
    assert resolve("FastSAM-s").path.read_bytes() == site.body


def test_two_threads_at_once(site: Site, home: Path) -> None:
    site.pause_s = 0.2
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(resolve("FastSAM-s").path.read_bytes()))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [site.body, site.body]
    assert len(site.requests) == 1
    assert files(home) == {FILE, f"{FILE}.sha256"}


# --- failures --------------------------------------------------------------------------------------


def test_404_says_what_to_place_where(site: Site, home: Path) -> None:
    site.plan = [404]
    with pytest.raises(DownloadError) as caught:
        resolve("FastSAM-s")
    for part in ("404", f"{site.url}/{FILE}", FILE, str(home), "FASTSAM_HOME"):
        assert part in str(caught.value)
    assert len(site.requests) == 1
    assert files(home) == set()


def test_a_refused_connection(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("FASTSAM_WEIGHTS_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(DownloadError, match=r"refused.*attempt 4.*FastSAM-s\.pt.*FASTSAM_HOME"):
        resolve("FastSAM-s")
    assert files(home) == set()


def test_a_body_shorter_than_promised(site: Site, home: Path) -> None:
    site.etag, site.plan = None, [200_000] * 4
    with pytest.raises(DownloadError, match=f"broke after 200000 of {len(site.body)} bytes"):
        resolve("FastSAM-s")
    assert FILE not in files(home)


def test_a_wrong_checksum(site: Site, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch, "0" * 64)
    with pytest.raises(ChecksumError) as caught:
        resolve("FastSAM-s")
    assert "0" * 64 in str(caught.value)
    assert hashlib.sha256(site.body).hexdigest() in str(caught.value)
    assert files(home) == set()


def test_a_right_checksum(site: Site, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin(monkeypatch, hashlib.sha256(site.body).hexdigest())
    assert resolve("FastSAM-s").path.read_bytes() == site.body
    assert files(home) == {FILE}  # the table knows the hash, nothing to remember


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<html>please log in</html>", "please log in"),
        (b"", "not a zip file"),
        (archive()[:-30_000], "not a zip file"),
        (archive()[:150_000] + b"\0\0\0\0" + archive()[150_004:], "data/0"),
    ],
)
def test_what_is_no_archive_is_not_kept(site: Site, home: Path, body: bytes, why: str) -> None:
    site.body = body
    with pytest.raises(CheckpointError, match=why):
        resolve("FastSAM-s")
    assert files(home) == set()


def test_an_archive_of_something_else(site: Site, home: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("readme.txt", "no network")
    site.body = buffer.getvalue()
    with pytest.raises(CheckpointError, match=r"without data\.pkl"):
        resolve("FastSAM-s")
    assert files(home) == set()


def test_a_changed_cached_file_is_removed_and_fetched_again(site: Site, home: Path) -> None:
    path = resolve("FastSAM-s").path
    path.write_bytes(archive(seed=5))
    with pytest.raises(ChecksumError, match=hashlib.sha256(archive(seed=5)).hexdigest()):
        resolve("FastSAM-s")
    assert files(home) == {f"{FILE}.sha256"}
    assert resolve("FastSAM-s").path.read_bytes() == site.body


def test_a_file_that_its_publisher_replaced_needs_a_word_of_the_user(site: Site, home: Path) -> None:
    resolve("FastSAM-s").path.unlink()
    site.body, site.etag = archive(seed=2), '"v2"'
    with pytest.raises(ChecksumError, match=r"delete .*FastSAM-s\.pt\.sha256"):
        resolve("FastSAM-s")
    (home / f"{FILE}.sha256").unlink()
    assert resolve("FastSAM-s").path.read_bytes() == site.body


@pytest.mark.parametrize("address", ["file:///etc", "ftp://127.0.0.1/x", "mirror", "http://127.0.0.1:port"])
def test_a_mirror_that_is_no_web_address(home: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("FASTSAM_WEIGHTS_URL", address)
    with pytest.raises(DownloadError, match=r"address, got .*FastSAM-s\.pt"):
        resolve("FastSAM-s")


def test_https_never_becomes_http(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Response(io.BytesIO):
        url = "http://127.0.0.1/elsewhere"

    monkeypatch.setattr(urllib.request, "urlopen", lambda *args, **kwargs: Response(b"x"))
    with pytest.raises(DownloadError, match="from https to http://127"):
        resolve("FastSAM-s")
    assert files(home) == set()


def test_a_cache_folder_that_is_a_file(site: Site, home: Path) -> None:
    home.parent.mkdir()
    home.write_text("in the way")
    with pytest.raises(DownloadError, match="cannot use the folder"):
        resolve("FastSAM-s")
    assert home.read_text() == "in the way"


# --- without a network -----------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["1", "true", "ON"])
def test_offline_never_asks_the_network(
    site: Site, home: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("FASTSAM_OFFLINE", value)
    with pytest.raises(DownloadError) as caught:
        resolve("FastSAM-s")
    for part in ("FASTSAM_OFFLINE", f"{site.url}/{FILE}", FILE, str(home), "FASTSAM_HOME"):
        assert part in str(caught.value)
    assert site.requests == []


@pytest.mark.parametrize("value", ["", "0", "no"])
def test_offline_switched_off(site: Site, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("FASTSAM_OFFLINE", value)
    assert resolve("FastSAM-s").path.is_file()


def test_a_file_placed_by_hand(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTSAM_OFFLINE", "1")
    home.mkdir(parents=True)
    (home / FILE).write_bytes(archive())
    assert resolve("FastSAM-s").path == home / FILE
    (home / FILE).write_bytes(archive(seed=9))
    with pytest.raises(ChecksumError):  # the first use has remembered the hash
        resolve("FastSAM-s")


def test_rubbish_placed_by_hand_is_left_to_its_owner(home: Path) -> None:
    home.mkdir(parents=True)
    (home / FILE).write_bytes(b"rubbish")
    with pytest.raises(CheckpointError, match="starts with b'rubbish'"):
        resolve("FastSAM-s")
    assert (home / FILE).read_bytes() == b"rubbish"


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
    assert resolve(FILE) == ResolvedWeights(Path(FILE))
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
    assert len(set(names)) == len(names) == 13
    assert [entry.name for entry in table() if entry.embedded] == ["fastsam-nano"]
    for entry in table():
        assert SegmentConfig(**ResolvedWeights(Path(entry.file), entry).defaults).imgsz == entry.imgsz
        assert entry.licence
        assert entry.description
        assert entry.embedded or Path(urlsplit(entry.url).path).name == entry.file
        assert entry.embedded or entry.url.startswith("https://github.com/ultralytics/assets/releases/")


def test_the_table_has_what_ultralytics_publishes() -> None:
    published = pytest.importorskip("ultralytics.utils.downloads").GITHUB_ASSETS_NAMES
    assert {entry.file for entry in table() if not entry.embedded} <= published


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
    named = ("imgsz", "conf", "iou", "edge_radius", "min_region_share")
    assert resolve().defaults == {name: getattr(entry, name) for name in named}
