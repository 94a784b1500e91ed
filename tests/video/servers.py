"""Streams on 127.0.0.1 that behave as badly as a test wants: MJPEG over HTTP, MPEG-TS over RTSP and UDP."""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.video.clips import panned_clip

Part = bytes | float


def jpegs(frames: Iterable[NDArray[np.uint8]]) -> list[bytes]:
    """Encode RGB frames."""
    return [cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]))[1].tobytes() for rgb in frames]


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves is normal here."""


@contextlib.contextmanager
def mjpeg_server(*visits: Iterable[Part] | Callable[[], Iterable[Part]]) -> Iterator[str]:
    """Serve a camera's page: the k-th connection gets the parts of the k-th visit, later ones a 503.

    A part is an image's bytes, or seconds to wait. After its last part the connection breaks.
    """
    numbers = itertools.count()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

        def do_GET(self) -> None:
            number = next(numbers)
            if number >= len(visits):
                self.send_error(503)
                return
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            visit = visits[number]
            for part in visit() if callable(visit) else visit:
                if isinstance(part, float):
                    time.sleep(part)
                    continue
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(part)}\r\n\r\n"
                self.wfile.write(head.encode() + part + b"\r\n")

    with _Quiet(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/cam.mjpg"
        finally:
            server.shutdown()


@contextlib.contextmanager
def file_server(content: bytes) -> Iterator[str]:
    """Serve one file, without ranges."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with _Quiet(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/clip.mp4?token=hush"
        finally:
            server.shutdown()


def transport_stream(folder: Path, frames: int, size_hw: tuple[int, int] = (120, 160)) -> bytes:
    """Return a clip as MPEG-TS, a key frame every 5 frames."""
    path = panned_clip(folder / "stream.ts", frames, size_hw, numbered=True, options={"g": "5"})
    return path.read_bytes()


@contextlib.contextmanager
def udp_sender(content: bytes) -> Iterator[tuple[str, threading.Event]]:
    """Send MPEG-TS packets again and again while the event is set."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stop, sending = threading.Event(), threading.Event()
    sending.set()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            while not stop.is_set():
                stream = io.BytesIO(content)
                while (chunk := stream.read(7 * 188)) and not stop.wait(0.004):
                    if sending.is_set():
                        with contextlib.suppress(OSError):  # nobody listens yet
                            out.sendto(chunk, ("127.0.0.1", port))

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield f"udp://127.0.0.1:{port}", sending
    finally:
        stop.set()
        thread.join(5)


@contextlib.contextmanager
def rtsp_server(*visits: bytes, password: str = "") -> Iterator[int]:
    """Speak just enough RTSP to send MPEG-TS inside the connection; yields the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve() -> None:
        for content in visits:
            granted = False
            while not granted and not done.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    granted = _talk_rtsp(connection, content, password)
        listener.close()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        done.set()
        with contextlib.suppress(OSError):
            listener.close()


def _talk_rtsp(connection: socket.socket, content: bytes, password: str) -> bool:
    """Answer one client; whether it came as far as PLAY."""
    token = base64.b64encode(f"admin:{password}".encode()).decode()
    sdp = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track0\r\n"
    lines = connection.makefile("rb")
    while True:
        request: list[str] = []
        while line := lines.readline().decode().strip():
            request.append(line)
        if not request:
            return False
        verb = request[0].split()[0]
        number = next(line for line in request if line.lower().startswith("cseq"))
        head, body = "RTSP/1.0 200 OK", ""
        if password and verb != "OPTIONS" and not any(token in line for line in request):
            head = 'RTSP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm="camera"'
        elif verb == "DESCRIBE":
            body = sdp
            head += f"\r\nContent-Type: application/sdp\r\nContent-Length: {len(sdp)}"
        elif verb == "SETUP":
            head += "\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1"
        connection.sendall(f"{head}\r\n{number}\r\nSession: 1\r\n\r\n{body}".encode())
        if verb == "PLAY":
            for k in range(0, len(content), 7 * 188):
                chunk = content[k : k + 7 * 188]
                rtp = struct.pack(">BBHII", 0x80, 33, k // (7 * 188) & 0xFFFF, k, 1) + chunk
                connection.sendall(b"$\0" + struct.pack(">H", len(rtp)) + rtp)
            return True
