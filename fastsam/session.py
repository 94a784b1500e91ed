"""One image with all its masks: opened once, asked as often as you like."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsam.config import SegmentConfig
from fastsam.errors import PromptError
from fastsam.images.frame import Frame
from fastsam.masks.levels import Level, Levels, containment_tree
from fastsam.masks.maskset import MaskSet
from fastsam.masks.refine import partition, refine
from fastsam.masks.selection import Selection
from fastsam.prompts import Appearance, Example, ImageFeatures, Prompt, Reference, select
from fastsam.prompts.reference import describe_region, resolve, resolve_reference
from fastsam.prompts.reference_spec import Mode, Region
from fastsam.prompts.shorthand import PromptLike, SelectOptions, prompt_of
from fastsam.prompts.solve.scene import Scene
from fastsam.prompts.text.labels import UNKNOWN, Labels, label
from fastsam.prompts.wording import counted
from fastsam.result import Result

if TYPE_CHECKING:
    from typing import Unpack

__all__ = ["Session"]


@dataclass(frozen=True, eq=False, repr=False)
class Session:
    """One image with all its masks; a value that never changes.

    Attributes:
        frame: the image.
        masks: everything that stage one found, best score first, as prompts choose among them. What is
            handed out is refined first, where ``config`` asks for it.
        config: the options it was found with.
        times_ms: how long reading and the steps of stage one took.
        features: the masks as the text-image model sees them, encoded at the first text and then kept.
        labels: a name for each mask, after :meth:`label`.
        describe: describes a region of another image with the model of this session, for references.
    """

    frame: Frame
    masks: MaskSet
    config: SegmentConfig
    times_ms: dict[str, float]
    features: ImageFeatures | None = None
    labels: Labels | None = None
    describe: Callable[[Example], Sequence[Appearance]] | None = None

    def __repr__(self) -> str:
        """Return the image and how many masks it has."""
        return f"Session({self.frame!r}, {len(self.masks)} masks)"

    @cached_property
    def scene(self) -> Scene:
        """The photo and the masks as clicks need them, prepared at the first click that no mask suits."""
        return Scene(self.frame.rgb, self.masks, refine(self.masks, self.frame.rgb, self.config))

    @cached_property
    def levels(self) -> Levels:
        """How the masks nest: the parent, the children and the level of each, found when first asked for."""
        return containment_tree(self.masks)

    def everything(self, level: Level | None = None, *, disjoint: bool = False) -> Result:
        """Return all masks, or those of one level, or a partition of the image.

        Args:
            level: only the ``"whole"`` things (that lie in no other mask), their ``"part"`` or ``"subpart"``
                masks; :attr:`levels` says how they nest.
            disjoint: cut the masks so that each pixel has one at most: smaller ones are in front, so a part
                stays and its whole becomes the rest of it; of masks of the same thing the best stays.
                ``result.label_map()`` is the partition as one picture.

        The result's ``levels`` are filled in where either is asked for.

        Raises:
            PromptError: no such level.
        """
        rows = np.arange(len(self.masks)) if level is None else self.levels.at(level)
        if disjoint:
            rows = rows[self.levels.twin[rows] == rows]
        of_level = "" if level is None else f" of level {level}"
        fills = self.config.fill_conf < self.config.conf or self.config.regions > 0
        gaps = ", and less certain ones in the gaps between them" if fills else ""
        reason = (
            f"everything: {counted(len(rows), 'mask')}{of_level} above confidence {self.config.conf:g}{gaps}"
        )
        result = self._result(Selection.of(self.masks, rows, self.masks.scores[rows], reason), None)
        if level is None and not disjoint:
            return result
        named = replace(result, levels=tuple(self.levels.names[i] for i in rows))
        return disjoint_result(named) if disjoint else named

    def only(self, rows: Any) -> Session:
        """Return the same image with some of its masks only: prompts choose among these.

        Args:
            rows: which, as an array is indexed.
        """
        masks = self.masks[rows]
        features = None if self.features is None else ImageFeatures(self.frame, masks, self.features.embedder)
        return replace(self, masks=masks, features=features, labels=None)

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self.masks)

    def __bool__(self) -> bool:
        """Return True: a session of an image without masks is a session."""
        return True

    @property
    def size_hw(self) -> tuple[int, int]:
        """The image's size in pixels, (height, width)."""
        return self.frame.size_hw

    def select(self, prompt: PromptLike | None = None, **options: Unpack[SelectOptions]) -> Result:
        """Return what the prompt means; the network does not run again on this image.

        The image of a reference that no model has described yet is segmented first, once for a reference.

        Args:
            prompt: a prompt; words, which mean a ``Text``; ``(x, y)``, a click; ``(x1, y1, x2, y2)``, a box;
                a list of prompts and words, which means any of them.
            options: instead of a prompt, ``points`` with ``labels``, ``boxes``, ``text``; several of them are
                all about the same thing, as in Segment Anything.

        Raises:
            PromptError: the prompt does not fit the image.
            ImageError: the image of a reference cannot be read.
            WeightsError: that model cannot be had.

        >>> session.select("a dog")                                      # doctest: +SKIP
        >>> session.select((320, 240))                                   # doctest: +SKIP
        >>> session.select(Box(10, 10, 90, 80) | Text("a cat"))          # doctest: +SKIP
        >>> session.select(points=[(320, 240), (9, 9)], labels=[1, 0])   # doctest: +SKIP
        """
        parsed = prompt_of(prompt, **options)
        resolved = resolve(parsed, self._describe)
        return self._result(select(self.masks, resolved, self.features, self.scene), parsed)

    def prepare(self, prompt: PromptLike) -> None:
        """Do now what the first prompt of its kind takes seconds for, so that :meth:`select` answers at once.

        That is loading the text model and encoding the masks for a text, and segmenting the other image for a
        reference; clicks have their evidence gathered. What was done is kept by the session.

        Args:
            prompt: what :meth:`select` takes.

        Raises:
            FastSAMError: as :meth:`select`.
        """
        self.select(prompt)

    def reference(
        self, region: Region, *, negatives: Any = (), mode: Mode = "all", threshold: float = 0.2
    ) -> Reference:
        """Return a region of this image as a prompt for others of the same model.

        Args:
            region: ``Box``, ``Points`` or ``MaskLike`` (an earlier answer, for one).
            negatives: what it must not be taken for: regions of this image, or other references.
            mode: ``"all"`` that look like it, or only the ``"best"``.
            threshold: least score of an answer.

        Raises:
            PromptError: a region selects nothing here, or is wanted and unwanted at once.
        """
        reference = Reference(self.frame, region, negatives=negatives, mode=mode, threshold=threshold)
        return resolve_reference(reference, self._describe)

    def _describe(self, example: Example) -> Sequence[Appearance]:
        if example.image is self.frame:
            return describe_region(self.masks, self.features, example)
        if self.describe is None:
            raise PromptError(
                f"{example!r}: this session cannot open other images; expected one of FastSAM().open(...), "
                "or a reference that is described already (Session.reference)"
            )
        return self.describe(example)

    def label(
        self,
        vocabulary: str | Path | Sequence[str] = "everyday",
        threshold: float = 0.3,
        *,
        templates: bool = True,
    ) -> Session:
        """Return the same session with a name for each mask; its results draw and write the names.

        Args:
            vocabulary: ``"coco"``, ``"everyday"``, ``"stuff"``, the path of a file with a name a line, or the
                names.
            threshold: a mask whose best name is less probable is ``"unknown"``.
            templates: average each name over sentences such as ``"a photo of {}."``.

        Raises:
            PromptError: no such vocabulary.
            WeightsError: that model cannot be had.
        """
        return replace(self, labels=label(self.features, vocabulary, threshold, templates=templates))

    def select_many(self, prompts: Iterable[PromptLike]) -> list[Result]:
        """Return one result a prompt, in order; prompts are what :meth:`select` takes."""
        if not isinstance(prompts, Iterable) or isinstance(prompts, str):
            raise PromptError(f"prompts: expected a list of prompts, got {type(prompts).__name__}")
        return [self.select(prompt) for prompt in prompts]

    def _result(self, selection: Selection, prompt: Prompt | None) -> Result:
        values = {spec.name: getattr(selection, spec.name) for spec in fields(selection)}
        values["masks"] = self._refined(selection)
        if self.labels is not None:
            names = self.labels.names
            values["labels"] = tuple(names[i] if i >= 0 else UNKNOWN for i in selection.indices)
        elif self.masks.labels is not None and values["labels"] is None:  # the classes of the network
            own = self.masks.labels
            values["labels"] = tuple((own[i] if i >= 0 else "") or UNKNOWN for i in selection.indices)
        return Result(**values, frame=self.frame, prompt=prompt, known=self.labels)

    def _refined(self, selection: Selection) -> MaskSet:
        """Return the masks of a selection, refined; masks made for clicks stay unchanged."""
        as_found, edited = np.flatnonzero(~selection.edited), np.flatnonzero(selection.edited)
        refined = refine(selection.masks[as_found], self.frame.rgb, self.config)
        if len(edited) == 0:
            return refined
        if len(as_found) == 0:
            return selection.masks
        joined = MaskSet.concatenate([refined, selection.masks[edited]], self.frame.size_hw)
        return joined[np.argsort(np.concatenate([as_found, edited]))]


def disjoint_result(result: Result) -> Result:
    """Return the result cut so that no masks overlap."""
    masks, rows, cut = partition(result.masks)
    return replace(
        result[rows], masks=masks, edited=cut, reason=f"{result.reason}; {len(rows)} of them apart"
    )
