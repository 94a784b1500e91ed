"""Download one file over HTTP into a ``.part`` file, and go on where an earlier attempt stopped."""

from __future__ import annotations

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from fastsam.errors import DownloadError, reason_of
from fastsam.untrusted import MALFORMED

__all__ = ["MOST_BYTES", "Progress", "discard", "fetch"]

_TIMEOUT_S = 30.0
# Before each further attempt; starts over when an attempt brought a good piece.
_WAITS_S = (1.0, 2.0, 4.0, 8.0)
_GOOD_PIECE_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 16
MOST_BYTES = 16 << 30  # of a file whose size nobody knows beforehand
_PATIENCE_S = 60.0  # after which a server that sends
_SLOWEST_BYTES_S = 1_000  # bytes a second or less is given up
_PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class Progress(Protocol):
    """What is called while bytes arrive."""

    def __call__(self, done_bytes: int, total_bytes: int | None) -> None:
        """Take note of the bytes so far, and of all bytes where the server tells them."""


class _BrokenError(Exception):
    """An attempt failed in a way that another one may not."""


def _notes(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def discard(part: Path) -> None:
    """Remove a part and what is known of it."""
    part.unlink(missing_ok=True)
    _notes(part).unlink(missing_ok=True)


def _resume_point(url: str, part: Path) -> tuple[int, str]:
    """Return how many bytes of this very file are there, and the server's word for its version."""
    try:
        notes = json.loads(_notes(part).read_text(encoding="utf-8"))
        if notes["url"] == url and re.fullmatch(r"[ -~]{1,200}", notes["version"]):
            return part.stat().st_size, str(notes["version"])
    except (OSError, *MALFORMED):
        pass  # no part, or none whose version is known: start anew
    return 0, ""


def _open(url: str, have: int, version: str) -> Any:
    """Ask for the file, or for the rest of it if its version is still the same."""
    headers = {"User-Agent": "fastsam", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  fetch() allows http and https only
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310
    except urllib.error.HTTPError:
        raise
    except (http.client.InvalidURL, ValueError) as error:  # also of a redirect
        raise DownloadError(f"expected a usable address, got {url!r} ({error})") from error
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(str(getattr(error, "reason", error)) or type(error).__name__) from error
    if urlsplit(url).scheme == "https" and urlsplit(response.url).scheme != "https":
        response.close()
        raise DownloadError(f"the server sent us from https to {response.url}, which nothing protects")
    return response


def _chunks(response: Any) -> Iterator[bytes]:
    """Yield what arrives."""
    while True:
        try:
            chunk = response.read(_CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _BrokenError(f"the connection broke: {error}") from error
        if not chunk:
            return
        yield chunk


def _remember(url: str, part: Path, response: Any) -> None:
    """Note which version of the file the part belongs to, so that only that one is ever added to it."""
    tag = response.headers.get("ETag", "")
    version = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
    _notes(part).write_text(json.dumps({"url": url, "version": version}), encoding="utf-8")


def _receive(
    url: str, part: Path, response: Any, have: int, progress: Progress | None, most_bytes: int
) -> None:
    """Write a response behind the ``have`` bytes that are there, or in their place.

    Raises:
        DownloadError: it is larger than ``most_bytes``, or so slow that it would take days.
    """
    if response.status == 206:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if span is None or int(span[1]) != have:
            discard(part)
            raise _BrokenError("the server sent another part than the one asked for")
        total: int | None = int(span[2])
    else:  # the whole file: the first time, or the server cannot resume, or the file has changed
        have = 0
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isascii() and length.isdigit() else None
    if total is not None and total > most_bytes:
        raise DownloadError(f"expected at most {most_bytes:,} bytes, the server announces {total:,}")
    with part.open("ab" if have else "wb") as file:
        if not have:
            _remember(url, part, response)
        done = have
        start = time.monotonic()
        for chunk in _chunks(response):
            file.write(chunk)
            done += len(chunk)
            if done > most_bytes:
                file.close()
                discard(part)
                raise DownloadError(f"expected at most {most_bytes:,} bytes, the server sends more")
            if (spent := time.monotonic() - start) > _PATIENCE_S and (done - have) / spent < _SLOWEST_BYTES_S:
                raise _BrokenError(f"only {done - have:,} bytes came in {spent:.0f} s")
            if progress is not None:
                progress(done, total)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done != total:
        raise _BrokenError(f"the connection broke after {done} of {total} bytes")


def _attempt(url: str, part: Path, progress: Progress | None, most_bytes: int) -> None:
    have, version = _resume_point(url, part)
    try:
        with _open(url, have, version) as response:
            _receive(url, part, response, have, progress, most_bytes)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and have:
                if error.headers.get("Content-Range", "") == f"bytes */{have}":
                    return  # all of it was there already
                discard(part)
                raise _BrokenError("the server has another file than the part that was there") from error
            if error.code in _PASSING_STATUS:
                raise _BrokenError(f"the server answered {error.code} {error.reason}") from error
            raise DownloadError(
                f"the server answered {error.code} {error.reason}", status=error.code
            ) from error


def fetch(url: str, part: Path, progress: Progress | None = None, most_bytes: int = MOST_BYTES) -> None:
    """Download ``url`` into ``part``, resuming what is there; the caller holds :func:`exclusive`.

    A resumed part is only ever added to if the server says that the file is still the same version.
    Broken connections and passing server errors are tried again, after 1, 2, 4 and 8 seconds.

    Raises:
        DownloadError: it could not be had; the message says why. What has arrived stays for next time.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"expected an http:// or https:// address, got {url!r}")
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            return _attempt(url, part, progress, most_bytes)
        except _BrokenError as error:
            now = part.stat().st_size if part.exists() else 0
            failures = 0 if now - before >= _GOOD_PIECE_BYTES else failures
            if failures == len(_WAITS_S):
                raise DownloadError(f"{error} (attempt {failures + 1})") from error
            time.sleep(_WAITS_S[failures])
            failures += 1
        except OSError as error:
            raise DownloadError(f"the file cannot be stored ({reason_of(error)})", path=part) from error
