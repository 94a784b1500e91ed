"""The page as it is served: the API for programs, what visitors may see, and what they may not."""

from __future__ import annotations

import io
import runpy
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastsam.config import SegmentConfig
from fastsam.errors import ImageError
from fastsam.masks.rle import decode_rle
from fastsam.page.shared.canvas import example_photos
from tests.page.server import ROOT, RefusedError, Visitor, served
from tests.page.setting import MASKS, OTHER, PART, PHOTO, WHOLE, painted
from tests.video.clips import write_clip


def png(rgb: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "PNG")
    return stream.getvalue()


def test_import_is_light() -> None:
    code = "import app, fastsam.page, sys; print(*{'torch', 'ultralytics', 'gradio'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("command", [["app.py"], ["-m", "fastsam", "app"]])
def test_unknown_weights_are_told_before_the_server_starts(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, *command, "--weights", "no-such-weights"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 2
    assert "no-such-weights" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("server"), MASKS, words=True) as found:
        yield found


@pytest.fixture
def visitor(address: str) -> Iterator[Visitor]:
    made = Visitor(address)
    yield made
    made.close()


@pytest.fixture(scope="module")
def program(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from gradio_client import Client

    made = Client(address, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))
    yield made
    made.close()


@pytest.fixture
def client(program: Any) -> Any:
    """A program whom the page has not seen before."""
    program.reset_session()
    return program


@pytest.fixture
def photo_file(tmp_path: Path) -> str:
    path = tmp_path / "astro.png"
    path.write_bytes(png(painted()))
    return str(path)


# ---- for programs --------------------------------------------------------------------------------------


def test_the_api_is_documented_and_has_every_option(client: Any) -> None:
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/everything", "/point", "/box", "/text", "/video"}
    parameters = endpoints["/everything"]["parameters"]
    assert [p["parameter_name"] for p in parameters] == [
        "photo",
        *(spec.name for spec in SegmentConfig.options()),
    ]
    defaults = {p["parameter_name"]: p["parameter_default"] for p in parameters[1:]}
    assert defaults == {spec.name: getattr(SegmentConfig(), spec.name) for spec in fields(SegmentConfig)}
    names = {name: [p["parameter_name"] for p in endpoints[name]["parameters"]] for name in endpoints}
    assert names["/point"] == ["points", "labels", "multimask"]
    assert (names["/box"], names["/text"]) == (["boxes"], ["texts", "threshold"])
    assert names["/video"] == ["video", "prompts"]


def rows(facts: dict[str, Any]) -> list[int]:
    return [mask["row"] for mask in facts["masks"]]


def test_the_api_answers_all_prompts(client: Any, photo_file: str) -> None:
    from gradio_client import handle_file

    facts = client.predict(handle_file(photo_file), conf=0.5, api_name="/everything")
    assert (facts["width"], facts["height"], rows(facts)) == (80, 60, [0, 1, 2])
    found = np.stack([decode_rle(mask["segmentation"]) for mask in facts["masks"]])
    np.testing.assert_array_equal(found, MASKS)
    assert facts["masks"][OTHER]["area_px"] == MASKS[OTHER].sum()
    assert rows(client.predict([[60, 30]], api_name="/point")) == [OTHER]
    assert rows(client.predict([[22, 24], [35, 45]], [0, 1], api_name="/point")) == [WHOLE]
    assert len(rows(client.predict([[22, 24]], None, True, api_name="/point"))) == 2
    assert rows(client.predict([[10, 10, 40, 50], [50, 5, 70, 55]], api_name="/box")) == [WHOLE, OTHER]
    assert sorted(rows(client.predict("something red", api_name="/text"))) == [PART, OTHER]
    named = client.predict(["something red", "something blue"], 0.6, api_name="/text")["masks"]
    assert {mask["label"] for mask in named} == {"something red", "something blue"}


def test_the_api_says_what_is_wrong(client: Any, tmp_path: Path) -> None:
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    with pytest.raises(AppError, match="Open a photo first"):
        client.predict([[1, 1]], api_name="/point")
    broken = tmp_path / "broken.png"
    broken.write_text("no photo")
    with pytest.raises(AppError, match="is not an image"):
        client.predict(handle_file(str(broken)), api_name="/everything")
    good = tmp_path / "good.png"
    good.write_bytes(png(PHOTO))
    client.predict(handle_file(str(good)), api_name="/everything")
    with pytest.raises(AppError, match="box"):
        client.predict([[40, 40, 10, 10]], api_name="/box")


@pytest.fixture
def video_file(tmp_path: Path) -> str:
    return str(write_clip(tmp_path / "film.mp4", [painted()] * 4, 10))


def test_the_api_follows_prompts_through_a_video(client: Any, video_file: str) -> None:
    from gradio_client import handle_file

    prompts = [{"frame": 0, "points": [[60, 30]]}, {"frame": 2, "box": [10, 10, 40, 50]}]
    files, summary = client.predict(handle_file(video_file), prompts, api_name="/video")
    assert [Path(path).name.rpartition("_")[2] for path in files] == [
        "followed.mp4", "davis.zip", "ytvis.json", "mot.txt", "frames.jsonl",
    ]  # fmt: skip
    found = [(one["id"], one["first"], one["last"], one["frames"]) for one in summary["objects"]]
    assert (summary["frames"], found) == (4, [(1, 0, 3, 4), (2, 2, 3, 2)])
    assert len(Path(files[3]).read_text().splitlines()) == 6
    _, whole = client.predict(handle_file(video_file), api_name="/video")
    assert len(whole["objects"]) == 3


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        ({"frame": 0}, "expected a list of up to"),
        (
            [{"reference": {"image": "/etc/hostname", "box": [1, 1, 9, 9]}}],
            "prompt 1: expected an object",
        ),
        ([{"frame": -1, "text": "red"}], "prompt 1, frame: expected a whole number"),
        ([{"points": [[500, 30]]}], "500"),
    ],
)
def test_the_api_says_what_is_wrong_with_a_video(
    client: Any, video_file: str, prompts: Any, words: str
) -> None:
    from gradio_client import handle_file

    with pytest.raises(Exception, match=words):
        client.predict(handle_file(video_file), prompts, api_name="/video")


def test_the_example_client_runs(
    address: str, photo_file: str, video_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main = runpy.run_path(str(ROOT / "examples" / "page_client.py"))["main"]
    main(address, photo_file, "something red", video_file)
    said = capsys.readouterr().out
    assert "film.mp4: 4 frames" in said
    assert "object 1 something red: frames 0 to 3" in said
    assert "everything: 3 masks in 80x60" in said
    assert "something red: 2 masks" in said


# ---- for people ----------------------------------------------------------------------------------------


def test_a_photo_is_opened_and_clicked(visitor: Visitor) -> None:
    message = visitor.open(png(PHOTO), "astro.png")
    assert (message["scene"]["width"], message["scene"]["name"]) == (80, "astro")
    assert visitor.click(60, 30)["rows"] == [OTHER]
    assert visitor.act("undo")["rows"] == [0, 1, 2]


def test_visitors_do_not_see_each_other(address: str) -> None:
    first, second = Visitor(address), Visitor(address)
    one = first.open(png(PHOTO), "first.png")
    two = second.open(png(255 - PHOTO), "second.png")
    assert one["scene"]["image"] != two["scene"]["image"]
    assert first.click(60, 30)["rows"] == [OTHER]
    assert second.click(60, 30, "take")["rows"] == [WHOLE, PART]
    mixed = second.trigger(
        "act", {"do": "mark", "kind": "point", "xy": [[60, 30]], "scene": one["scene"]["id"]}
    )
    assert mixed is not None
    assert mixed["scene"]["name"] == "second"  # the name of another's scene opens nothing
    first.close()
    second.close()


@pytest.mark.parametrize("content", [b"<script>alert(1)</script>", b"", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_a_file_that_is_no_photo_is_a_toast_in_plain_words(visitor: Visitor, content: bytes) -> None:
    visitor.open(png(PHOTO), "good.png")
    answer = visitor.trigger("photo", {"path": visitor.upload(content or b" "), "name": "<b>.png"})
    assert answer is not None
    assert answer["scene"]["name"] == "good"  # what was there stays
    (toast,) = visitor.toasts
    assert "&lt;b&gt;.png" in toast
    assert "Traceback" not in toast


def test_a_file_of_200_mb_is_refused_while_it_is_sent(visitor: Visitor) -> None:
    class Zeros(io.RawIOBase):
        left = 200 * 2**20

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            size = min(self.left, size if size > 0 else self.left, 1 << 16)
            self.left -= size
            return bytes(size)

    sent = visitor.http.post("gradio_api/upload", files={"files": ("large.jpg", Zeros())})  # type: ignore[dict-item]
    assert sent.status_code == 413
    assert "limited to 100 MB" in sent.text


SECRETS = [
    "/etc/passwd",
    str(ROOT / "app.py"),
    str(ROOT / "pyproject.toml"),
    *map(str, example_photos().values()),
]


@pytest.mark.parametrize("path", SECRETS)
def test_no_file_of_the_server_is_handed_out(visitor: Visitor, path: str) -> None:
    for way in (f"gradio_api/file={path}", f"gradio_api/file=../..{path}", f"file={path}", f"static/{path}"):
        assert visitor.http.get(way).status_code in (403, 404), way


@pytest.mark.parametrize("path", [SECRETS[0], SECRETS[-1], "../../etc/passwd"])
def test_no_file_of_the_server_is_opened_as_a_photo(visitor: Visitor, path: str) -> None:
    with pytest.raises(RefusedError, match="cannot be accessed"):  # by gradio
        visitor.trigger("photo", {"path": path, "name": "x"})
    event = next(e for e in visitor.events if e["api_name"] == "everything")
    values = [visitor.values[i] for i in event["inputs"]]
    values[1] = {"path": path, "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(RefusedError, match=r"cannot be accessed|not uploaded|^None$"):
        visitor.call(event, values)


@pytest.mark.parametrize("path", [*SECRETS, "", "../../etc/passwd", "\0", str(ROOT)])
def test_no_file_of_the_server_is_opened_by_ourselves(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastsam.page.photo.uploads import photo_of

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with pytest.raises(ImageError, match="was not sent to this page"):
        photo_of({"path": path, "name": "x"})
    (tmp_path / "link.png").symlink_to(example_photos()["bus"])
    with pytest.raises(ImageError, match="was not sent to this page"):
        photo_of({"path": str(tmp_path / "link.png"), "name": "x"})


def test_an_example_opens_by_its_name_only(visitor: Visitor) -> None:
    answer = visitor.trigger("photo", {"example": "../../etc/passwd"})
    assert answer is not None
    assert visitor.toasts == ["There is no such example."]
