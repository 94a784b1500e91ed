"""A local server that misbehaves on demand, and an empty home for weights."""

from __future__ import annotations

import io
import re
import threading
import time
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsam.weights import table as weights

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
