"""The flags that say what to look for, as groups: of photos, of frames, of a search.

Each group checks its flags against each other and builds the prompt; values are read in
:mod:`fastsam.cli.parse_prompts`, which is imported when there is something to read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fastsam.cli.flags import PROMPTS
from fastsam.errors import ConfigError, PromptError
from fastsam.options import LabelOptions

if TYPE_CHECKING:
    from fastsam.prompts import Prompt

__all__ = ["FindPrompts", "FramePrompts", "SegmentPrompts", "VideoPrompts"]


def _flag(help: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=PROMPTS, **more)


@dataclass(frozen=True, kw_only=True)
class SegmentPrompts:
    """What ``fastsam segment`` looks for in each photo; with none of these, everything."""

    text: Annotated[
        list[str] | None,
        _flag("What to look for, such as 'a red car', or 'car=a red car' to name its class. Selects all."),
    ] = None
    point: Annotated[
        list[str] | None,
        _flag("A click on the object: x,y. x,y,0 is background. Points describe one object."),
    ] = None
    box: Annotated[list[str] | None, _flag("A box around an object: x1,y1,x2,y2. One answer per box.")] = None
    mask: Annotated[
        list[Path] | None, _flag("An image of the photo's size; its bright pixels mark the region.")
    ] = None
    prompt: Annotated[list[str] | None, _flag("A prompt as JSON.")] = None
    combine: Annotated[
        Literal["any", "all"], _flag("Select what any of several kinds of prompt finds, or what all find.")
    ] = "any"
    multimask: Annotated[bool, _flag("Up to three answers to the points: whole, part and subpart.")] = False
    level: Annotated[
        Literal["auto", "whole", "part", "subpart"],
        _flag("Which answer to the points. Without prompts: which level of everything."),
    ] = "auto"
    disjoint: Annotated[
        bool, _flag("Without prompts: cut the masks so that no pixel has two; parts lie in front.")
    ] = False
    label: Annotated[bool, _flag("Name each mask from the vocabulary.", "--label")] = False
    vocabulary: Annotated[
        str | None,
        _flag(
            "coco, everyday, stuff, or a file with one name, or NAME=WORDS, per line. Implies --label.",
            show_default="everyday",
        ),
    ] = None
    unknown: Annotated[
        bool, _flag("With --label: also export masks that no name fits, as 'unknown'.", "--unknown")
    ] = False
    threshold: Annotated[
        float | None,
        _flag(
            "Minimum score of a text, or minimum probability of a label.",
            min=0.0,
            max=1.0,
            show_default="0.3",
        ),
    ] = None

    def build(self) -> Prompt | None:
        """Return the prompt that the flags ask for, or None for everything.

        Raises:
            PromptError: a value cannot be read, or a flag is about another that is missing.
            ConfigError: a flag would have no effect.
        """
        from fastsam.cli.parse_prompts import region_prompts, text_prompt
        from fastsam.prompts import all_of, any_of, prompt_from_json

        if self.threshold is not None and not self.text and self.naming() is None:
            raise ConfigError("--threshold: expected a --text or --label that it applies to, got neither")
        if self.unknown and self.naming() is None:
            raise ConfigError("--unknown: expected --label or --vocabulary beside it")
        if self.multimask and not self.point:
            raise PromptError("--multimask: expected at least one --point to give several answers to")
        regions = region_prompts(self.point, self.box, self.mask, multimask=self.multimask, level=self.level)
        if self.text:
            regions.append(text_prompt(self.text, self.threshold))
        regions += [prompt_from_json(text) for text in self.prompt or ()]
        if self.level != "auto" and regions and not self.point:
            raise PromptError("--level: expected --point, or no prompt for a level of everything")
        if regions and self.disjoint:
            raise ConfigError("--disjoint: expected no prompt beside it; it cuts all masks")
        if len(regions) < 2:
            return regions[0] if regions else None
        return any_of(*regions) if self.combine == "any" else all_of(*regions)

    def naming(self) -> LabelOptions | None:
        """Return the options of labelling that the flags ask for, or None for no labels."""
        if not self.label and self.vocabulary is None:
            return None
        options = LabelOptions()
        if self.vocabulary is not None:
            options["vocabulary"] = self.vocabulary
        if self.threshold is not None:
            options["threshold"] = self.threshold
        return options


@dataclass(frozen=True, kw_only=True)
class FramePrompts:
    """What is followed in pictures that come one by one; with none of these, everything."""

    text: Annotated[
        list[str] | None, _flag("What to look for, such as 'a dog'. Also finds what comes into sight later.")
    ] = None
    point: Annotated[
        list[str] | None,
        _flag("A click on the object: x,y. x,y,0 is background. The points of a frame describe one object."),
    ] = None
    box: Annotated[list[str] | None, _flag("A box around an object: x1,y1,x2,y2. One object per box.")] = None
    mask: Annotated[
        list[str] | None, _flag("An image of the frame's size; its bright pixels mark an object.")
    ] = None
    reference: Annotated[
        Path | None, _flag("A photo of what to look for; --reference-box says where in it.")
    ] = None
    reference_box: Annotated[list[str] | None, _flag("The object's box in the reference: x1,y1,x2,y2.")] = (
        None
    )
    prompt: Annotated[list[str] | None, _flag("A prompt as JSON.")] = None
    threshold: Annotated[
        float | None,
        _flag("Minimum score of a text or reference.", min=0.0, max=1.0, show_default="0.3 and 0.2"),
    ] = None

    def build(self) -> list[tuple[int | None, Prompt]]:
        """Return the prompts that the flags ask for, with the frame of each; None is the first.

        Raises:
            PromptError: a value cannot be read, or a flag is about another that is missing.
            ImageError: a mask cannot be read.
        """
        return self._build(None)

    def _build(self, at: int | None) -> list[tuple[int | None, Prompt]]:
        from fastsam.cli.parse_prompts import prompts_by_frame, reference_prompt, text_prompt

        if self.threshold is not None and not self.text and self.reference is None:
            raise PromptError("--threshold: expected a --text or --reference that it applies to, got neither")
        if self.reference_box and self.reference is None:
            raise PromptError("--reference-box: expected a --reference that it is a region of")
        by_frame = prompts_by_frame(self.point, self.box, self.mask, self.prompt, at)
        if self.text:
            by_frame.append((None, text_prompt(self.text, self.threshold)))
        if self.reference is not None:
            boxes, threshold = self.reference_box, self.threshold
            reference = reference_prompt(
                self.reference, None, boxes, None, threshold=threshold, flags="--reference-box"
            )
            by_frame.append((None, reference))
        return by_frame


@dataclass(frozen=True, kw_only=True)
class VideoPrompts(FramePrompts):
    """What is followed through a video whose frames have numbers."""

    at: Annotated[
        int | None,
        _flag(
            "The frame of points, boxes, masks and JSON. Or write it before each of them: 12:320,180.",
            min=0,
            show_default="the first",
        ),
    ] = None

    def build(self) -> list[tuple[int | None, Prompt]]:
        """Return the prompts that the flags ask for, with the frame of each; None is the first."""
        return self._build(self.at)


@dataclass(frozen=True, kw_only=True)
class FindPrompts:
    """What is looked for in many photos: words, or a region of a photo."""

    text: Annotated[list[str] | None, _flag("What to look for in words, such as 'a red car'.")] = None
    reference: Annotated[
        Path | None, _flag("A photo of what to look for; --box, --point or --mask says where in it.")
    ] = None
    box: Annotated[list[str] | None, _flag("Region of the reference: x1,y1,x2,y2.")] = None
    point: Annotated[
        list[str] | None, _flag("A click on the object in the reference: x,y. x,y,0 is background.")
    ] = None
    mask: Annotated[
        Path | None, _flag("An image of the reference's size; its bright pixels mark the region.")
    ] = None
    not_box: Annotated[
        list[str] | None, _flag("A box in the reference of what must not be found: x1,y1,x2,y2.")
    ] = None
    prompt: Annotated[
        str | None, _flag("A text or a reference as JSON, such as a reference with several photos.")
    ] = None
    best: Annotated[bool, _flag("Only the best mask of each photo.", "--best")] = False
    threshold: Annotated[
        float | None,
        _flag("Minimum score.", min=0.0, max=1.0, show_default="0.2 for references, 0.3 for texts"),
    ] = None

    def build(self) -> Prompt:
        """Return the prompt that the flags ask for.

        Raises:
            PromptError: a value cannot be read, or a flag is about another that is missing.
            ImageError: the reference's mask cannot be read.
        """
        if sum(value is not None for value in (self.reference, self.text or None, self.prompt)) != 1:
            raise PromptError("find: expected one of --reference, --text and --prompt")
        if self.reference is None:
            return self._without_reference()
        from fastsam.cli.parse_prompts import reference_prompt

        masks = [] if self.mask is None else [self.mask]
        return reference_prompt(
            self.reference,
            self.point,
            self.box,
            masks,
            self.not_box,
            best=self.best,
            threshold=self.threshold,
        )

    def _without_reference(self) -> Prompt:
        from fastsam.cli.parse_prompts import text_prompt
        from fastsam.prompts import Reference, Text, prompt_from_json

        for name in ("box", "point", "mask", "not_box"):
            if getattr(self, name):
                raise PromptError(
                    f"--{name.replace('_', '-')}: expected a --reference that it is a region of"
                )
        if self.best:
            raise PromptError("--best: expected a --reference; a text selects everything that matches")
        if self.prompt is None:
            return text_prompt(self.text or (), self.threshold)
        if self.threshold is not None:
            raise PromptError("--threshold: expected within the JSON of --prompt, as its key threshold")
        prompt = prompt_from_json(self.prompt)
        if not isinstance(prompt, (Text, Reference)):
            raise PromptError(f"--prompt: expected a text or a reference, got {type(prompt).__name__}")
        return prompt
