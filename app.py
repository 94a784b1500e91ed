"""Serve the page: the same as ``fastsam app``."""

from __future__ import annotations

import sys

from fastsam.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.argv.insert(1, "app")
    main()
