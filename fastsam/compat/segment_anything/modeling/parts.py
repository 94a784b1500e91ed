"""The parts of SAM's network that scripts look at; they have sizes, and nothing to compute with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

from fastsam.errors import ConfigError

__all__ = ["Part"]


class Part:
    """A part of SAM's network in name: it can be moved and frozen, and says that it cannot be run.

    Args:
        name: what it is called.
        sizes: its attributes, such as ``img_size``.
    """

    def __init__(self, name: str, **sizes: Any) -> None:
        self._name = name
        self.training = False
        vars(self).update(sizes)

    def _itself(self, *_: Any, **__: Any) -> Part:
        """Return itself: it holds nothing that lies on a device or learns."""
        return self

    to = cpu = cuda = eval = train = half = float = requires_grad_ = _itself

    def parameters(self) -> Iterator[Any]:
        """Yield nothing."""
        return iter(())

    def named_parameters(self) -> Iterator[Any]:
        """Yield nothing."""
        return iter(())

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse to run.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"sam.{self._name}: expected no call, SAM's network and its embeddings are not here; "
            "SamPredictor, or sam(batched_input, multimask_output), answers prompts"
        )

    forward = __call__

    def __getattr__(self, name: str) -> Any:
        """Say that SAM's layers are not here."""
        raise AttributeError(
            f"sam.{self._name} has no {name!r}: SAM's network and its embeddings are not here"
        )
