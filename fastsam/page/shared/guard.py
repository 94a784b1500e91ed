"""What stands before the page: who may speak to it, how much a request may hold, how much is kept.

A site that a visitor has open elsewhere can send requests to this machine, under any name that it lets point
here. So a request must name this page by an address or an allowed name, and one that a browser sends for a
page must be of this page. Bodies are bounded and parsed before anything is done with them.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastsam.errors import FastSAMError
from fastsam.untrusted import limits, read_json

__all__ = ["UPLOADS_MB", "Guard", "names_of"]

UPLOADS_MB = 4096  # of all visitors together, as long as files are kept
_KEPT_S = 2 * 3600  # gradio looks once an hour for files that are older than an hour
_FORM_BYTES = 1 << 16  # what a form adds to the file in it

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Refusal = tuple[int, str]


def names_of(host: str, allowed: Iterable[str] = ()) -> frozenset[str]:
    """Return the names that a page may be asked for by; addresses and localhost always may.

    Args:
        host: what it listens on; if that is more than this machine, the machine's own name counts.
        allowed: further names; ``"*"`` allows all.

    >>> sorted(names_of("127.0.0.1", ["Photos.Example"]))
    ['photos.example']
    """
    names = {name.lower() for name in allowed}
    if not _is_address(host):
        names.add(host.lower())
    elif not ipaddress.ip_address(host).is_loopback:
        own = socket.gethostname().lower()
        names |= {own, f"{own}.local"}
    return frozenset(names)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class _TooLongError(Exception):
    """A file is larger than it may be."""


@dataclass
class _Kept:
    """A file that was sent: when, its announced size, and how much of it came."""

    since: float
    size: int
    seen: int = 0


class Guard:
    """ASGI middleware that refuses what is not for this page, and what is too much.

    Args:
        app: what it stands before.
        names: see :func:`names_of`.
        file_bytes: of one uploaded file.
        uploads_bytes: of all files that are kept.
        now: the clock, seconds.
    """

    def __init__(
        self,
        app: App,
        *,
        names: frozenset[str],
        file_bytes: int,
        uploads_bytes: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app, self._names, self._now = app, names, now
        self._file_bytes, self._uploads_bytes = file_bytes, uploads_bytes
        self._kept: deque[_Kept] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = _Headers(scope["headers"])
        refused = self._stranger(headers) or self._too_much(scope, headers)
        if refused is None and scope["type"] == "http" and not _is_upload(scope) and _has_body(scope):
            found = await _body(receive)
            refused = _unreadable(found, headers)
            receive = _replayed(found, receive) if isinstance(found, bytes) else receive
        if refused is None and scope["type"] == "http" and _is_upload(scope) and _has_body(scope):
            refused = await self._upload(scope, receive, send)
            if refused is not None:
                await _answer(send, *refused)
        elif refused is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _answer(send, *refused)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> Refusal | None:
        """Hand a file on while it is counted; return why it was broken off, if it was."""
        this = self._kept[-1]
        begun = False

        async def counted() -> MutableMapping[str, Any]:
            message = await receive()
            this.size = max(this.size, this.seen + len(message.get("body", b"")))
            this.seen += len(message.get("body", b""))
            if this.seen > self._file_bytes + _FORM_BYTES or self._full():
                raise _TooLongError
            return message

        async def sent(message: MutableMapping[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, counted, sent)
        except _TooLongError:
            if begun:
                raise
            return 413, f"files are limited to {self._file_bytes >> 20} MB"
        return None

    def _full(self) -> bool:
        return sum(one.size for one in self._kept) > self._uploads_bytes

    def _stranger(self, headers: _Headers) -> Refusal | None:
        """Refuse a request under a foreign name, or of a foreign page."""
        hosts = headers.all("host")
        if len(hosts) != 1:
            return 400, "expected one Host header"
        if not self._known(_name_in(f"//{hosts[0]}")):
            return 403, "this page does not go by that name; start it with --allow-host NAME"
        origin = headers.get("origin")
        if not origin:
            return None
        own = origin.lower().partition("://")[2] == hosts[0].lower()
        if own or _name_in(origin) in self._names:
            return None
        return 403, "requests of other pages are refused"

    def _known(self, name: str) -> bool:
        name = name.lower().rstrip(".")
        local = name == "localhost" or name.endswith(".localhost")
        return local or _is_address(name) or name in self._names or "*" in self._names

    def _too_much(self, scope: Scope, headers: _Headers) -> Refusal | None:
        """Refuse a body by its announced length; files count into what is kept."""
        if scope["type"] != "http" or not _has_body(scope):
            return None
        length = headers.get("content-length")
        if length is None:  # counted while it comes
            return self._announced(0) if _is_upload(scope) else None
        if not (length.isascii() and length.isdecimal() and len(length) < 20):
            return 400, "expected a Content-Length header that is a number"
        if not _is_upload(scope):
            return None if int(length) <= limits().prompt_bytes else _too_long()
        return self._announced(int(length))

    def _announced(self, length: int) -> Refusal | None:
        """Count a file that is about to come, unless it is too large."""
        if length > self._file_bytes + _FORM_BYTES:
            return 413, f"files are limited to {self._file_bytes >> 20} MB"
        while self._kept and self._now() - self._kept[0].since > _KEPT_S:
            self._kept.popleft()
        self._kept.append(_Kept(self._now(), length))
        if self._full():
            self._kept.pop()
            return 507, "there is no room for more files at present; try again later"
        return None


class _Headers:
    """The headers of a request, by name in lower case."""

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        self._pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in pairs]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key == name]

    def get(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)


def _name_in(address: str) -> str:
    """Return the name or the address of a machine in a URL; empty if there is none."""
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def _is_upload(scope: Scope) -> bool:
    return bool(scope["path"].rstrip("/").endswith("/upload"))


def _has_body(scope: Scope) -> bool:
    return scope.get("method") in ("POST", "PUT", "PATCH", "DELETE")


def _too_long() -> Refusal:
    return 413, f"requests are limited to {limits().prompt_bytes:,} bytes"


async def _body(receive: Receive) -> bytes | Refusal:
    """Return the whole body, or why it is not read to its end."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return 400, "the request broke off"
        parts.append(message.get("body", b""))
        if sum(map(len, parts)) > limits().prompt_bytes:
            return _too_long()
        if not message.get("more_body", False):
            return b"".join(parts)


def _unreadable(found: bytes | Refusal, headers: _Headers) -> Refusal | None:
    """Refuse JSON that is none, or is nested too deeply."""
    if not isinstance(found, bytes):
        return found
    if found and "json" in (headers.get("content-type") or "").lower():
        try:
            read_json(found, "request")
        except FastSAMError as error:
            return 400, str(error)
    return None


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a source of messages that begins with a body that was read already."""
    waiting = [body]

    async def again() -> MutableMapping[str, Any]:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return again


async def _answer(send: Send, status: int, problem: str) -> None:
    body = json.dumps({"detail": problem, "error": problem}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers.append((b"connection", b"close"))  # what is left of the body is not read
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
