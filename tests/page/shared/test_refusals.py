"""What visitors read of an error; a server's folders are never in it."""

from __future__ import annotations

from typing import Any

import pytest

from fastsam.errors import ConfigError, ExportError, FastSAMError, PromptError, VideoError, WeightsError
from fastsam.page.shared.refusals import as_api_error, or_warn, visible_text


class Gradio:
    """What is used of gradio."""

    class Error(Exception):
        def __init__(self, message: str, print_exception: bool) -> None:
            super().__init__(message)

    def __init__(self) -> None:
        self.toasts: list[str] = []

    def Warning(self, message: str, title: str) -> None:
        self.toasts.append(message)


@pytest.mark.parametrize("path", ["/srv/my app (copy)/a.onnx", "C:\\Users\\me\\v.mp4", "/srv/a b/c.mp4"])
@pytest.mark.parametrize("kind", [VideoError, ExportError, WeightsError, PromptError])
def test_paths_are_never_shown(kind: type[FastSAMError], path: str) -> None:
    error = kind("cannot be read", subject=f"file {path}", advice=f"look at {path}", path=path)
    assert path in str(error)
    assert visible_text(error) == "cannot be read"


def test_what_a_visitor_asked_for_is_told_in_full() -> None:
    error = ConfigError("expected 0 to 1, got 3", subject="conf", advice="choose less")
    assert visible_text(error) == "conf: expected 0 to 1, got 3; choose less"


def test_refusals_are_toasts_without_tags() -> None:
    gradio = Gradio()

    def step() -> Any:
        raise PromptError("“<b>.png” is empty")

    assert or_warn(gradio, step, lambda: "before") == "before"
    assert or_warn(gradio, lambda: "after", lambda: "before") == "after"
    assert gradio.toasts == ["“&lt;b&gt;.png” is empty"]


def test_programs_get_the_same_words() -> None:
    gradio = Gradio()
    with pytest.raises(Gradio.Error, match="cannot be read"), as_api_error(gradio):
        raise ExportError("cannot be read", subject="/srv/a", path="/srv/a")
