"""Who may speak to the page, and how much: the guard alone, and before the running page over HTTP."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from fastsam.page.shared.guard import Guard, names_of
from tests.page.server import RefusedError, Visitor, served
from tests.page.setting import MASKS, PHOTO

HOME = {"host": "127.0.0.1:7860"}


class Asked:
    """A guard before an app that counts what reaches it."""

    def __init__(self, *names: str, uploads: int = 1000, now: Any = lambda: 0.0) -> None:
        self.bodies: list[bytes] = []
        allowed = names_of("127.0.0.1", names)
        self.guard = Guard(self.app, names=allowed, file_bytes=500, uploads_bytes=uploads, now=now)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while scope.get("method") == "POST":
            message = await receive()
            body += message["body"]
            if not message.get("more_body"):
                break
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    def __call__(
        self, headers: dict[str, str], body: bytes = b"", *, path: str = "/config", kind: str = "http"
    ) -> int:
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        method = "POST" if body or "content-length" in headers else "GET"
        scope = {"type": kind, "method": method, "path": path, "headers": pairs}
        parts = [body[i : i + 1 << 20] for i in range(0, len(body), 1 << 20)] or [b""]
        sent: list[Any] = []

        async def receive() -> Any:
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts)}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.guard(scope, receive, send))
        return int(sent[0].get("status", 0))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:7860", "localhost", "[::1]:7860", "10.0.0.7", "page.localhost:80", "PHOTOS.example:443"],
)
def test_the_page_goes_by_addresses_and_allowed_names(host: str) -> None:
    assert Asked("photos.example")({"host": host}) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:7860", "", "[::1", "x@127.0.0.1.e"],
)
def test_foreign_names_are_refused(host: str) -> None:
    """A name that a stranger lets point to this machine (DNS rebinding)."""
    asked = Asked()
    assert asked({"host": host}) in (400, 403)
    assert asked({}) == 400
    assert asked.bodies == []
    assert Asked("*")({"host": "evil.example"}) == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:7860", 200),
        ("http://127.0.0.1:9999", 403),  # another program of this machine
        ("http://localhost:7860", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://[", 403),
        ("https://photos.example", 200),
    ],
)
def test_requests_of_other_pages_are_refused(origin: str, status: int) -> None:
    asked = Asked("photos.example")
    assert asked({**HOME, "origin": origin}) == status
    assert asked({**HOME, "origin": origin}, b"x") == status
    assert asked({**HOME, "origin": origin}, kind="websocket") == (200 if status == 200 else 0)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"data": [[1, 2]]}', 200),
        (b"[" * 70 + b"]" * 70, 400),
        (b"[" * 100_000, 400),
        (b"\xff\xfe\xff", 400),
        (b'{"a": NaN}', 400),
        (b'{"a": 1e999}', 400),
        (b" " * (5 << 20), 413),
    ],
)
def test_bodies_are_bounded_and_parsed_first(body: bytes, status: int) -> None:
    asked = Asked()
    assert asked({**HOME, "content-type": "application/json"}, body) == status
    assert asked.bodies == ([body] if status == 200 else [])


@pytest.mark.parametrize(
    ("length", "status"), [("5000000", 413), ("-1", 400), ("\u00b2", 400), ("9" * 30, 400)]
)
def test_lengths_are_believed_before_anything_is_read(length: str, status: int) -> None:
    asked = Asked()
    pairs = [(b"host", b"localhost"), (b"content-length", length.encode("utf-8"))]
    scope = {"type": "http", "method": "POST", "path": "/gradio_api/call/point", "headers": pairs}
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(asked.guard(scope, receive, send))
    assert sent[0]["status"] == status


def test_uploads_have_a_sum_that_time_sets_free() -> None:
    clock = [0.0]
    asked = Asked(now=lambda: clock[0])

    def sent(size: int) -> int:
        return asked({**HOME, "content-length": str(size)}, b"x", path="/gradio_api/upload")

    unannounced = {**HOME, "transfer-encoding": "chunked"}
    assert asked(unannounced, bytes(100_000), path="/gradio_api/upload") == 413
    asked = Asked(now=lambda: clock[0])
    assert sent(100_000) == 413
    assert [sent(400), sent(400), sent(400)] == [200, 200, 507]
    clock[0] = 3 * 3600
    assert sent(400) == 200


def test_names() -> None:
    assert names_of("127.0.0.1") == frozenset()
    assert len(names_of("0.0.0.0")) == 2
    assert names_of("photos.example", ["b.example"]) == {"photos.example", "b.example"}


# The running page


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("guarded"), MASKS, words=True, uploads_mb=1) as found:
        yield found


def photo() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PHOTO).save(stream, "PNG")
    return stream.getvalue()


def test_the_running_page_is_guarded(address: str) -> None:
    with httpx.Client(base_url=address) as http:
        assert http.get("config").status_code == 200
        assert http.get("config", headers={"host": "evil.example"}).status_code == 403
        files = {"files": ("a.png", photo())}
        for origin in ("https://evil.example", "http://127.0.0.1:1", "null"):
            assert http.post("gradio_api/upload", files=files, headers={"origin": origin}).status_code == 403
            assert http.get("config", headers={"origin": origin}).status_code == 403
        assert (
            http.post("gradio_api/upload", files=files, headers={"origin": address.rstrip("/")}).status_code
            == 200
        )
        refused = http.post(
            "gradio_api/call/point", content=b"\xff", headers={"content-type": "application/json"}
        )
        assert refused.status_code == 400


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        ("point", [np.zeros((1_000_000, 2), int).tolist(), None, False], 413),
        ("point", [np.zeros((20_000, 2), int).tolist(), None, False], "at most 10,000"),
        ("box", [np.tile([0, 0, 9, 9], (100_000, 1)).tolist()], "at most 10,000 boxes"),
        ("text", ["x" * 1_000_000, 0.3], "at most 2,000 characters"),
        ("text", [["x"] * 100_000, 0.3], "at most 10,000 texts"),
    ],
    ids=["10^6 points", "20,000 points", "10^5 boxes", "10^6 characters", "10^5 texts"],
)
def test_more_than_anybody_means_is_refused(address: str, kind: str, data: list[Any], said: Any) -> None:
    visitor = Visitor(address)
    try:
        visitor.open(photo())
        event = next(e for e in visitor.events if e["api_name"] == kind)
        if isinstance(said, int):
            with pytest.raises(httpx.HTTPStatusError) as refused:
                visitor.call(event, [None, *data])
            assert refused.value.response.status_code == said
        else:
            with pytest.raises(RefusedError, match=said):
                visitor.call(event, [None, *data])
        assert visitor.http.get("config").status_code == 200
    finally:
        visitor.close()


def test_uploads_of_all_visitors_have_a_sum(address: str) -> None:
    with httpx.Client(base_url=address) as http:
        statuses = [
            http.post("gradio_api/upload", files={"files": ("a.png", bytes(300_000))}).status_code
            for _ in range(5)
        ]
    assert statuses[-1] == 507
    assert set(statuses) == {200, 507}


def test_the_log_names_nothing_that_visitors_sent(address: str, tmp_path: Path) -> None:
    """A refused request is answered, and the page goes on."""
    with httpx.Client(base_url=address) as http:
        body = json.dumps({"data": [[[1, 2]]]}).encode()
        assert http.post("gradio_api/call/point", content=iter([body])).status_code in (200, 415, 422)
        assert http.get("config").status_code == 200
