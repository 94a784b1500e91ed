"""The page on a port."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from fastsam.errors import ConfigError
from fastsam.needed import needed
from fastsam.page.blocks import MEMORY_MB, build
from fastsam.page.shared.guard import UPLOADS_MB, Guard, names_of
from fastsam.page.video.clip import MAX_VIDEO_BYTES, Limits, sweep

__all__ = ["run_page", "serve"]

_SESSIONS = 400  # open pages that gradio remembers

# The photo stays in sight while its options are scrolled; the canvas' own style is in web/canvas.css.
_STICKY = """
#options > * { flex-grow: 0; }
@media (min-width: 800px) {
  #canvas { position: sticky; top: 8px; flex-grow: 0; }
}
"""


def serve(
    page: Any,
    host: str = "127.0.0.1",
    port: int | None = None,
    *,
    allow_host: Sequence[str] = (),
    uploads_mb: int = UPLOADS_MB,
) -> str:
    """Serve a page in the background and return its address.

    Args:
        page: what :func:`fastsam.page.build` returned; ``page.close()`` stops the server.
        host: address to listen on; the default is for this machine only.
        port: port to listen on; None takes a free one.
        allow_host: names that visitors reach it by, such as that of a proxy before it; addresses,
            ``localhost`` and this machine's own name need not be said.
        uploads_mb: limit on the files of all visitors together.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    with needed("gradio", "show the page"):
        import gradio as gr
        from starlette.middleware import Middleware
    guard = Middleware(
        Guard,
        names=names_of(host, allow_host),
        file_bytes=MAX_VIDEO_BYTES,
        uploads_bytes=uploads_mb << 20,
    )
    # The semi-bold Source Sans Pro of gradio's own theme (6.31) has no letter but A.
    font: list[Any] = [gr.themes.LocalFont("IBM Plex Sans"), "ui-sans-serif", "sans-serif"]
    sweep()
    page.queue(max_size=200)
    try:
        _, address, _ = page.launch(
            theme=gr.themes.Default(font=font),
            css=_STICKY,
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            show_error=False,  # errors of other libraries may name folders of this machine
            app_kwargs={"middleware": [guard]},
            max_file_size=MAX_VIDEO_BYTES,  # the limit for photos is lower
            allowed_paths=[],  # visitors get what the page made, and nothing else of this machine
            state_session_capacity=_SESSIONS,
            share=False,
            ssr_mode=False,
            run_history=False,
            enable_monitoring=False,
            footer_links=["api"],
            quiet=True,
        )
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port} ({error}); choose another host or port") from error
    return str(address)


def run_page(
    host: str,
    port: int,
    *,
    memory_mb: int = MEMORY_MB,
    video_s: float = Limits.seconds,
    allow_host: Sequence[str] = (),
    uploads_mb: int = UPLOADS_MB,
    **options: Any,
) -> None:
    """Serve the page until it is stopped.

    Args:
        host: address to listen on.
        port: port to listen on.
        memory_mb: limit on the photos and masks of all visitors together.
        video_s: how many seconds of video a visitor may follow.
        allow_host: see :func:`serve`.
        uploads_mb: see :func:`serve`.
        options: ``weights``, ``device``, ``text_model`` of :func:`fastsam.page.build`.
    """
    page = build(memory_mb=memory_mb, video_s=video_s, **options)
    address = serve(page, host, port, allow_host=allow_host, uploads_mb=uploads_mb)
    sys.stderr.write(f"FastSAM is at {address} (Ctrl+C stops it)\n")
    page.block_thread()
