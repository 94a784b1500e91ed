"""What pyproject.toml cannot say: packages of two folders at the root, and a text for package indexes.

The README's pictures and links are relative to the repository. A package index has neither, so that its
description comes without them: pictures are left out, and links become plain words.
"""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def packages() -> list[str]:
    """Return all packages; prompts/ is fastsam.prompts also where git made no symbolic link of it."""
    prompts = [
        "fastsam.prompts",
        *(f"fastsam.prompts.{name}" for name in find_packages(str(ROOT / "prompts"))),
    ]
    found = find_packages(str(ROOT), include=["fastsam", "fastsam.*"])
    return sorted({*found, *prompts, "fastsam._weights"})


def description() -> str:
    """Return the README without relative pictures and links."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"^!\[[^\]]*\]\((?!https?:)[^)]*\)\n\n?", "", text, flags=re.MULTILINE)
    return re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", text)


if __name__ == "__main__":
    setup(
        packages=packages(),
        long_description=description(),
        long_description_content_type="text/markdown",
    )
