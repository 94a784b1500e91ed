"""The rules on imports in pyproject.toml hold, and can be broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the package and its rules."""
    for folder in ("fastsam", "prompts"):
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True, ignore=shutil.ignore_patterns("web"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(folder: Path) -> str:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, '.'); {code}", "--no-cache"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_rules_hold_and_can_be_broken(checkout: Path) -> None:
    assert "2 kept, 0 broken" in lint(checkout)
    with (checkout / "fastsam" / "masks" / "dense.py").open("a") as file:
        file.write("\n\ndef late() -> None:\n    import torch\n    from fastsam import session\n")
    said = lint(checkout)
    assert "imports go downwards only BROKEN" in said
    assert "each heavy package has its owners BROKEN" in said
    assert "fastsam.masks.dense -> torch" in said
