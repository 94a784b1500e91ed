"""ultralytics' ``FastSAMPredictor`` and SAM's ``Predictor``: they find once and are asked often."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fastsam import Session
from fastsam.compat.calling import Call
from fastsam.compat.ultralytics.asking import Asked, prompted
from fastsam.compat.ultralytics.fastsam import FastSAM
from fastsam.compat.ultralytics.sam import SAM
from fastsam.errors import InputError, NoImageError

if TYPE_CHECKING:
    from fastsam.compat.results import Results

__all__ = ["FastSAMPredictor", "Predictor", "SAM2Predictor"]


def _settings(cfg: Any, overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the keywords of a predictor."""
    return {**(cfg if isinstance(cfg, Mapping) else {}), **(overrides or {})}


class FastSAMPredictor:
    """ultralytics' ``FastSAMPredictor``: ``predictor(source)``, then ``predictor.prompt(results, ...)``.

    Args:
        cfg: ultralytics' settings; only ``overrides`` count here.
        overrides: keywords of :meth:`fastsam.compat.ultralytics.FastSAM.__call__`, and ``model``.

    Raises:
        WeightsError: the weights cannot be had or used.
    """

    def __init__(self, cfg: Any = None, overrides: Mapping[str, Any] | None = None, **_: Any) -> None:
        self.overrides = _settings(cfg, overrides)
        self.fastsam = FastSAM(self.overrides.pop("model", None))
        self.prompts: dict[str, Any] = {}

    @property
    def device(self) -> Any:
        """Where the network runs, as a ``torch.device``."""
        return self.fastsam.device

    def set_prompts(self, prompts: Mapping[str, Any]) -> None:
        """Remember prompts for the calls to come: ``bboxes``, ``points``, ``labels``, ``texts``."""
        self.prompts = dict(prompts)

    def __call__(
        self, source: Any = None, model: Any = None, stream: bool = False, **options: Any
    ) -> list[Results] | Iterator[Results]:
        """Return one result an image; options of the call win over ``overrides``.

        Raises:
            ImageError, ConfigError, PromptError: as in :class:`fastsam.compat.ultralytics.FastSAM`.
        """
        if model is not None:
            self.fastsam = FastSAM(model)
        given = {**self.overrides, **self.prompts, **options}
        return self.fastsam(given.pop("source", None) if source is None else source, stream=stream, **given)

    def prompt(
        self, results: Any, bboxes: Any = None, points: Any = None, labels: Any = None, texts: Any = None
    ) -> list[Results]:
        """Return what the prompts choose of results that a call gave; the network does not run again.

        Raises:
            InputError: these are no such results.
            PromptError: a prompt has another form.
        """
        from fastsam.compat.results import Results

        given = results if isinstance(results, (list, tuple)) else [results]
        for one in given:
            if not isinstance(one, Results):
                raise InputError(
                    f"prompt: expected what this predictor, or FastSAM, returned, got {type(one).__name__}"
                )
        ours = self.fastsam.rules == "ours"
        return [prompted(one, Asked(bboxes, points, labels, texts), ours=ours) for one in given]


class Predictor:
    """ultralytics' SAM ``Predictor``: ``set_image`` once, then ``predictor(bboxes=...)`` as often as needed.

    Args:
        cfg: ultralytics' settings; only ``overrides`` count here.
        overrides: keywords of :meth:`fastsam.compat.ultralytics.SAM.__call__`, and ``model``.

    Raises:
        WeightsError: the weights cannot be had or used.
    """

    def __init__(self, cfg: Any = None, overrides: Mapping[str, Any] | None = None, **_: Any) -> None:
        self.overrides = _settings(cfg, overrides)
        self.sam = SAM(self.overrides.pop("model", None))
        self.prompts: dict[str, Any] = {}
        self._session: Session | None = None

    @property
    def device(self) -> Any:
        """Where the network runs, as a ``torch.device``."""
        return self.sam.device

    def setup_model(self, model: Any = None, verbose: bool = True) -> None:
        """Take another model, where one is given; the network is loaded already."""
        if model is not None:
            self.sam = SAM(model)

    def set_prompts(self, prompts: Mapping[str, Any]) -> None:
        """Remember prompts for the next call: ``bboxes``, ``points``, ``labels``, ``masks``."""
        self.prompts = dict(prompts)

    def set_image(self, image: Any) -> None:
        """Find all masks of an image: a path, PIL image or BGR array.

        Raises:
            ImageError: it cannot be read.
        """
        self._session = None
        self._session = self.sam.opened(image, self.overrides)

    def reset_image(self) -> None:
        """Forget the image."""
        self._session = None

    def __call__(
        self,
        source: Any = None,
        model: Any = None,
        stream: bool = False,
        *,
        bboxes: Any = None,
        points: Any = None,
        labels: Any = None,
        masks: Any = None,
        multimask_output: bool = False,
        **options: Any,
    ) -> list[Results] | Iterator[Results]:
        """Return the answers about the image that is set, or about each image of ``source``.

        Raises:
            NoImageError: no image is set, and none given.
            ImageError, ConfigError, PromptError: as in :class:`fastsam.compat.ultralytics.SAM`.
        """
        keywords = {**self.overrides, **options, "multimask_output": multimask_output}
        prompts, call, source = self._asked(source, model, (bboxes, points, labels, masks), keywords)
        if source is not None:
            found = self.sam.results(source, call, prompts)
            return found if stream else list(found)
        if self._session is None:
            raise NoImageError("predictor: expected set_image(image) first, or a source")
        return [self.sam.again(self._session, call, prompts)]

    def _asked(
        self, source: Any, model: Any, prompts: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], Call, Any]:
        """Return a call's prompts (those of :meth:`set_prompts` where it has none), its rest, its source."""
        self.setup_model(model)
        kept, self.prompts = self.prompts, {}
        names = ("bboxes", "points", "labels", "masks")
        asked = tuple(
            kept.get(name) if given is None else given for name, given in zip(names, prompts, strict=True)
        )
        named = keywords.pop("source", None)
        return asked, self.sam.read(keywords), named if source is None else source

    def reset_prompts(self) -> None:
        """Forget the prompts of :meth:`set_prompts`."""
        self.prompts = {}


SAM2Predictor = Predictor
