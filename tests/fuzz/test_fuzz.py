"""A bounded part of the fuzzing; ``python -m tests.fuzz.run`` is the whole."""

from __future__ import annotations

import pytest

from tests.fuzz.run import case, fuzz
from tests.fuzz.targets import TARGETS

pytest.importorskip("ultralytics")
pytest.importorskip("av")


# Gradio's dependencies warn in threads of their own; `make test-slow` runs that target in processes.
@pytest.mark.parametrize("name", sorted(set(TARGETS) - {"http"}))
def test_bad_input_ends_in_our_errors(name: str) -> None:
    outcomes = {seed: case(name, seed) for seed in range(30)}
    assert {seed: outcome for seed, outcome in outcomes.items() if outcome not in ("passed", "refused")} == {}
    assert "refused" in outcomes.values() or name in ("run_folder", "downloaded", "command_line")


@pytest.mark.slow
def test_in_processes_that_may_be_lost() -> None:
    report = fuzz(2_000)
    assert report.failures == []
    assert report.cases.total() == 2_000


def test_a_foreign_exception_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("x")

    monkeypatch.setitem(TARGETS, "broken", broken)
    assert case("broken", 0).startswith("KeyError")
