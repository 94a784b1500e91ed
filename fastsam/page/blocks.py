"""The page as ``gradio.Blocks``: a tab for photos, one for videos, and the endpoints for programs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fastsam.model import FastSAM
from fastsam.needed import needed
from fastsam.page.shared.memory import MemoryBudget
from fastsam.page.shared.model import SharedModel
from fastsam.page.video.clip import Limits

if TYPE_CHECKING:
    import gradio as gr

__all__ = ["MEMORY_MB", "build"]

MEMORY_MB = 1024  # of all visitors' photos and masks together
_FORGET_S = 3600  # a visitor is forgotten this long after the page was closed; so are written files


def build(
    model: FastSAM | None = None,
    *,
    weights: str | None = None,
    device: str = "auto",
    text_model: str | None = None,
    memory_mb: int = MEMORY_MB,
    video_s: float = Limits.seconds,
) -> gr.Blocks:
    """Return the page as ``gr.Blocks``; no network is loaded until somebody opens a photo.

    Args:
        model: use this one; otherwise ``weights``, ``device`` and ``text_model`` say which.
        weights: a checkpoint's path or name; None for the embedded default.
        device: where the networks run.
        text_model: what answers texts; see :class:`fastsam.FastSAM`.
        memory_mb: limit on the photos and masks of all visitors together.
        video_s: how many seconds of video a visitor may follow.

    Raises:
        WeightsError: the weights cannot be had.
        MissingPackageError: gradio is not installed.
    """
    shared = SharedModel(weights, device, text_model, model)
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # gradio reads it when it is imported
    with needed("gradio", "show the page"):
        import gradio as gr

    from fastsam.page.photo.tab import PhotoTab  # the tabs import gradio
    from fastsam.page.video.tab import VideoTab

    with gr.Blocks(
        title="FastSAM", analytics_enabled=False, fill_width=True, delete_cache=(_FORGET_S, _FORGET_S)
    ) as blocks:
        budget = MemoryBudget(memory_mb << 20)
        gr.Markdown("# FastSAM\nOpen a photo to see every object in it. Then click, drag, draw or type.")
        with gr.Tab("Photo"):
            PhotoTab(shared, budget, forget_s=_FORGET_S).connect()
        with gr.Tab("Video"):
            VideoTab(shared, budget, Limits(video_s), forget_s=_FORGET_S).connect()
    page: gr.Blocks = blocks
    return page
