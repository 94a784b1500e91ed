"""How events wait for each other."""

from __future__ import annotations

from typing import Any

__all__ = ["FILES", "NETWORK", "PEEK", "QUICK", "VIDEO"]

Queue = dict[str, Any]  # arguments of a gradio event

NETWORK: Queue = {"concurrency_id": "network", "concurrency_limit": 1}
"""One pass of a network at a time; the others see their place."""
QUICK: Queue = {"concurrency_id": "quick", "concurrency_limit": 2}
PEEK: Queue = {"concurrency_id": "peek", "concurrency_limit": 1}
FILES: Queue = {"concurrency_id": "files", "concurrency_limit": 1}
"""A large photo takes seconds to write; clicks go on."""
VIDEO: Queue = {"concurrency_id": "video", "concurrency_limit": 1}
"""One video at a time; the others see their place."""
