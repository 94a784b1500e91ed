"""Print the lowest version of each direct dependency that pyproject.toml admits, as pip takes it.

``make test-lowest`` installs these and runs the tests; ``make test-newest`` runs them with the newest ones.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

_BOUND = re.compile(r"([A-Za-z0-9_.-]+)>=([0-9.]+)(,.*)?")


def lowest(pyproject: Path) -> list[str]:
    """Return ``name==version`` of each dependency, of those of the extras and of the tests."""
    content = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    extras = content["project"]["optional-dependencies"].values()
    asked = [*content["project"]["dependencies"], *(line for extra in extras for line in extra)]
    asked += [line for line in content["dependency-groups"]["dev"] if not line.startswith(_NEWEST)]
    found = {}
    for line in asked:
        name, version, _ = _BOUND.fullmatch(line).groups()  # type: ignore[union-attr]
        found[name] = version
    tools = [line for line in content["dependency-groups"]["dev"] if line.startswith(_NEWEST)]
    return [f"{name}=={version}" for name, version in sorted(found.items())] + tools


# Tools, whose age does not matter.
_NEWEST = ("hypothesis", "import-linter", "mypy", "pytest", "ruff", "selenium")


if __name__ == "__main__":
    sys.stdout.write("\n".join(lowest(Path(__file__).parents[1] / "pyproject.toml")) + "\n")
