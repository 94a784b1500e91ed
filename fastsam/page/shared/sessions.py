"""Page sessions: one visitor's photo and prompts, changed one step at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fastsam.page.photo.state import PhotoState
from fastsam.page.shared.memory import MemoryBudget, bytes_of

__all__ = ["PageSession"]


class PageSession:
    """One visitor: what is in a ``gr.State``. Does one thing at a time, and knows no other visitor.

    A copy is a new visitor: that is how gradio makes each session its own.

    Args:
        budget: the limit on the memory of all visitors.
    """

    def __init__(self, budget: MemoryBudget) -> None:
        self.budget = budget
        self._turn = threading.Lock()
        self._state = PhotoState()

    def __deepcopy__(self, memo: dict[int, Any]) -> PageSession:
        """Return a new visitor of the same page."""
        return PageSession(self.budget)

    @property
    def state(self) -> PhotoState:
        """The visitor's photo and prompts."""
        return self._state

    def act(self, step: Callable[[PhotoState], PhotoState]) -> PhotoState:
        """Take one step after the other, and return the next state.

        If the step raises, the state stays as it was.
        """
        with self._turn:
            done = step(self._state)
            self._state = done = replace(done, version=self._state.version + 1)
            self.budget.charge(
                self, bytes_of((done.session, done.effect, done.objects, done.past, done.future))
            )
            return done

    def put_away(self) -> None:
        """Let go of the photo: others need the memory."""
        before = self._state
        self._state = PhotoState(version=before.version + 1, render=before.render, put_away=True)
