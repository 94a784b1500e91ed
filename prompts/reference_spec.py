"""The same thing in other images: a region of one image as a prompt for others.

A :class:`Reference` is made of shots, what is looked for, and of negatives, what it must not be taken for.
Each is an :class:`Example`, an image and a region of it, until a model has described it; then it is an
:class:`Appearance`, plain vectors that hold no model and no image.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fastsam.errors import PromptError, check_one_of
from fastsam.prompts.base import Prompt
from fastsam.prompts.regions import Box, Mask, Points, as_share

__all__ = ["Appearance", "Example", "Mode", "Reference", "Region"]

FloatArray = NDArray[np.float32]
Region = Box | Points | Mask
Mode = Literal["all", "best"]
_SAME = 1e-5  # of a cosine: what rounding leaves between two descriptions of one region


@dataclass(frozen=True, eq=False, repr=False)
class Example:
    """A region of an image that no model has described yet.

    Attributes:
        image: whatever an image can be read from: a path, bytes, a PIL image, an RGB array, a Frame.
        region: where in it.
    """

    image: Any
    region: Region

    def __post_init__(self) -> None:
        """Check that there is an image, and a region that says what is meant."""
        if self.image is None:
            raise PromptError("reference: expected an image, such as a file's path, got None")
        _check_region(self.region)

    def __repr__(self) -> str:
        """Return where it is, not the pixels."""
        return f"Example({self.name}, {type(self.region).__name__})"

    @property
    def name(self) -> str:
        """What to call the image in messages."""
        known = self.image if isinstance(self.image, str) else getattr(self.image, "name", "")
        return repr(str(known)) if known else type(self.image).__name__


@dataclass(frozen=True, eq=False, repr=False)
class Appearance:
    """How one region appears to a model.

    Attributes:
        seen: (C,) float32 unit vector: what the segmenter's network saw there; (0,) where its masks come
            without feature maps.
        picture: (D,) float32 unit vector of the region's picture by the text-image model; zeros where the
            region is too small to tell.
        network: names the network and its weights; empty where there was none.
        text_model: names the text-image model and its weights.
        name: what to call it in messages.
    """

    seen: FloatArray
    picture: FloatArray
    network: str
    text_model: str
    name: str = ""

    def __post_init__(self) -> None:
        """Check the vectors and make them read-only."""
        for field in ("seen", "picture"):
            vector = np.array(getattr(self, field), np.float32)
            if vector.ndim != 1 or not np.isfinite(vector).all():
                raise PromptError(f"appearance, {field}: expected a finite vector, got shape {vector.shape}")
            vector.flags.writeable = False
            object.__setattr__(self, field, vector)

    def __repr__(self) -> str:
        """Return of what it is, not the numbers."""
        return f"Appearance({self.name or 'region'})"

    def same_as(self, other: Appearance) -> bool:
        """Return whether both are of one region and by one model."""
        return (self.network, self.text_model) == (other.network, other.text_model) and all(
            a.shape == b.shape and bool(abs(a - b).max(initial=0) < _SAME)
            for a, b in ((self.seen, other.seen), (self.picture, other.picture))
        )


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Reference(Prompt):
    """A region of another image; what looks like it answers.

    Args:
        image: a path, bytes, a PIL image, an RGB array or a Frame.
        region: ``Box``, ``Points`` or ``Mask`` in that image. Boxes, clicks and scribbles stand for the
            masks that they select there; a drawn region (bitmap, RLE, polygon) is taken as it is.
        negatives: what it must not be taken for: regions of the same image, or other references.
        mode: ``"all"`` that look like it (DINOv's generic segmentation), or only the ``"best"`` one
            (referring segmentation).
        threshold: least score of an answer: the probability that a mask shows the same kind of thing, in
            competition with the negatives and with anything else, times the mask's own score.

    :meth:`of` joins several, as several shots. ``Session.reference`` and ``FastSAM.reference`` make one that
    is described already, and costs nothing more to ask again.

    Raises:
        PromptError: the region is none of these, the mode is unknown, or something is a shot and a negative.

    >>> Reference("ref.jpg", Box([10, 20, 90, 80]), negatives=Points((5, 5)))
    Reference(1 shot, 1 negative, 'all')
    """

    shots: tuple[Example | Appearance, ...]
    negatives: tuple[Example | Appearance, ...]
    mode: Mode
    threshold: float

    def __init__(
        self,
        image: Any,
        region: Region,
        *,
        negatives: Any = (),
        mode: Mode = "all",
        threshold: float = 0.2,
    ) -> None:
        self._set([Example(image, region)], _negatives(negatives, image), mode, threshold)

    @classmethod
    def of(
        cls,
        *references: Reference,
        negatives: Any = (),
        mode: Mode | None = None,
        threshold: float | None = None,
    ) -> Reference:
        """Return one reference with the shots and negatives of several.

        Args:
            references: at least one, of one kind of thing: a mask is the better the more of their shots it
                looks like. Ask for things of several kinds with ``any_of``.
            negatives: further references, whose shots are negatives here.
            mode: that of the first by default.
            threshold: that of the first by default.

        Raises:
            PromptError: there is none, or something is a shot and a negative.
        """
        if not references or not all(isinstance(one, Reference) for one in references):
            found = ", ".join(type(one).__name__ for one in references) or "none"
            raise PromptError(f"reference: expected at least one Reference to join, got {found}")
        return cls.made(
            [shot for one in references for shot in one.shots],
            [*(shot for one in references for shot in one.negatives), *_negatives(negatives, None)],
            references[0].mode if mode is None else mode,
            references[0].threshold if threshold is None else threshold,
        )

    @classmethod
    def made(
        cls,
        shots: Iterable[Example | Appearance],
        negatives: Iterable[Example | Appearance] = (),
        mode: Mode = "all",
        threshold: float = 0.2,
    ) -> Reference:
        """Return a reference of these shots and negatives.

        Raises:
            PromptError: there is no shot, the mode is unknown, or something is a shot and a negative.
        """
        reference = cls.__new__(cls)
        reference._set(list(shots), list(negatives), mode, threshold)
        return reference

    def _set(
        self,
        shots: list[Example | Appearance],
        negatives: list[Example | Appearance],
        mode: Mode,
        threshold: float,
    ) -> None:
        if not shots:
            raise PromptError("reference: expected at least one shot, got none")
        check_one_of(mode, get_args(Mode), "reference mode", PromptError)
        for number, negative in enumerate(negatives):
            if any(_same(shot, negative) for shot in shots):
                raise PromptError(
                    f"reference: negative {number} is also a shot; expected something that the shots must "
                    "not be confused with"
                )
        object.__setattr__(self, "shots", tuple(shots))
        object.__setattr__(self, "negatives", tuple(negatives))
        object.__setattr__(self, "mode", mode)
        object.__setattr__(self, "threshold", as_share(threshold, "threshold"))

    def __repr__(self) -> str:
        """Return how many shots and negatives, not their vectors."""
        shots, against = len(self.shots), len(self.negatives)
        return (
            f"Reference({shots} shot{'s' * (shots != 1)}, {against} negative{'s' * (against != 1)}, "
            f"{self.mode!r})"
        )

    @property
    def is_persistent(self) -> bool:
        """Whether it selects what comes into sight later: unless it wants the best of one frame."""
        return self.mode != "best"

    @property
    def is_described(self) -> bool:
        """Whether a model has described all of it, so that masks can be compared with it."""
        return all(isinstance(one, Appearance) for one in (*self.shots, *self.negatives))


def _check_region(region: Any) -> None:
    """Raise PromptError where a region is none, or does not say what is meant."""
    if not isinstance(region, Region):
        raise PromptError(
            f"reference: expected a region as Box(...), Points(...) or Mask(...), got {type(region).__name__}"
        )
    if isinstance(region, Points) and not all(clicks.foreground for clicks in region.objects):
        raise PromptError("reference: expected a foreground point on each object, got background points only")


def _negatives(given: Any, image: Any) -> list[Example | Appearance]:
    """Return negatives that are given as regions of the image, as references, or as a list of both."""
    items = [given] if isinstance(given, (Region, Reference)) else given
    if not isinstance(items, (list, tuple)):
        raise PromptError(
            f"negatives: expected regions of the image or References, got {type(given).__name__}"
        )
    found: list[Example | Appearance] = []
    for item in items:
        if isinstance(item, Reference):
            found += item.shots
        elif image is None:
            raise PromptError(
                f"negatives: expected References, which know their image, got {type(item).__name__}"
            )
        else:
            found.append(Example(image, item))
    return found


def _same(a: Example | Appearance, b: Example | Appearance) -> bool:
    if isinstance(a, Appearance) and isinstance(b, Appearance):
        return a.same_as(b)
    if isinstance(a, Example) and isinstance(b, Example):
        here = a.image is b.image or (isinstance(a.image, str) and a.image == b.image)
        return here and (a.region is b.region or a.region == b.region)
    return False
