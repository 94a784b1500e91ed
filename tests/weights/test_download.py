"""Downloads against a local server that misbehaves on demand; hashes."""

from __future__ import annotations

import hashlib
import io
import socket
import threading
import urllib.request
import zipfile
from pathlib import Path

import pytest

from fastsam.errors import CheckpointError, ChecksumError, DownloadError
from fastsam.weights.resolve import resolve
from tests.weights.site import FILE, Site, archive, files, pin, sent

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


def test_a_changed_file_stays_until_its_owner_deletes_it(site: Site, home: Path) -> None:
    path = resolve("FastSAM-s").path
    path.write_bytes(archive(seed=5))
    for _ in range(2):
        with pytest.raises(ChecksumError, match=hashlib.sha256(archive(seed=5)).hexdigest()) as caught:
            resolve("FastSAM-s")
        assert "delete it, and the next call downloads it again" in str(caught.value)
        assert path.read_bytes() == archive(seed=5)
    path.unlink()
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
    with pytest.raises(ChecksumError, match=r"if it is another release that you trust, delete .*\.sha256"):
        resolve("FastSAM-s")  # the first use has remembered the hash
    assert (home / FILE).read_bytes() == archive(seed=9)
    (home / f"{FILE}.sha256").unlink()
    assert resolve("FastSAM-s").path == home / FILE


def test_rubbish_placed_by_hand_is_left_to_its_owner(home: Path) -> None:
    home.mkdir(parents=True)
    (home / FILE).write_bytes(b"rubbish")
    with pytest.raises(CheckpointError, match="starts with b'rubbish'"):
        resolve("FastSAM-s")
    assert (home / FILE).read_bytes() == b"rubbish"
