"""The lowest versions are exact releases, one of each direct dependency."""

from __future__ import annotations

import tomllib

from tests.lowest import lowest
from tests.page.server import ROOT


def test_each_direct_dependency_has_a_lowest_version() -> None:
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())
    names = {line.split(">=")[0] for line in content["project"]["dependencies"]}
    pinned = [line for line in lowest(ROOT / "pyproject.toml") if "==" in line]
    assert names <= {line.split("==")[0] for line in pinned}
    assert len({line.split("==")[0] for line in pinned}) == len(pinned)
