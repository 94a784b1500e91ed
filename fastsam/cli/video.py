"""``fastsam video`` and ``fastsam camera``: objects that keep their ids, in files and live pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fastsam.cli.console import bar, talk
from fastsam.cli.flags import INPUT, OUTPUT, ModelFlags, Out, collect, with_flags, with_options
from fastsam.cli.prompt_flags import FramePrompts, VideoPrompts
from fastsam.config import OutputConfig, RenderConfig, SegmentConfig, VideoConfig
from fastsam.errors import ConfigError, FastSAMError, PromptError, VideoError

if TYPE_CHECKING:
    from fastsam.jobs.video import VideoJob, VideoRun
    from fastsam.model import FastSAM
    from fastsam.video.stream import Stream
    from fastsam.video.window import Event, Window

__all__ = ["camera", "open_window", "video"]

_OBJECTS_TOLD = 20
_Json = Annotated[
    bool, typer.Option("--json", help="Print the report as JSON on stdout.", rich_help_panel=OUTPUT)
]
_Format = Annotated[
    list[str] | None,
    typer.Option(
        help="In a folder: video, davis, ytvis, mot or mots; repeat for more. jsonl is always written.",
        show_default="video",
        rich_help_panel=OUTPUT,
    ),
]
_Frames = Annotated[int | None, typer.Option(help="Maximum number of frames.", min=1, rich_help_panel=INPUT)]
_Seconds = Annotated[
    float | None, typer.Option(help="Maximum number of seconds.", min=0.0, rich_help_panel=INPUT)
]
_Policy = Annotated[
    Literal["auto", "latest", "all"],
    typer.Option(
        help="all: process every frame; latest: skip frames that arrive too fast.", rich_help_panel=INPUT
    ),
]


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """Which frames of a video are read."""

    start: Annotated[int, typer.Option(help="First frame.", min=0, rich_help_panel=INPUT)] = 0
    frames: _Frames = None
    seconds: _Seconds = None
    fps: Annotated[
        float | None,
        typer.Option(
            help="Frame rate of a folder of frames.", min=0.01, show_default="25", rich_help_panel=INPUT
        ),
    ] = None
    policy: _Policy = "auto"


@with_options(RenderConfig)
@with_options(SegmentConfig, optional=True)
@with_options(OutputConfig)
@with_options(VideoConfig)
@with_flags
def video(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Videos, folders of frames, patterns, URLs.")
    ],
    models: ModelFlags,
    reading: _Reading,
    prompts: VideoPrompts,
    out: Annotated[
        Path | None,
        Out("A .mp4, .mov, .mkv, .webm or .gif for the overlay; or a folder.", show_default="output/NAME"),
    ] = None,
    format: _Format = None,
    json_lines: _Json = False,
    resume: Annotated[
        bool, typer.Option(help="Continue an equal run that was interrupted.", rich_help_panel=OUTPUT)
    ] = True,
    **options: Any,
) -> None:
    """Follow objects through videos: what prompts select, or everything; ids stay."""
    from fastsam.jobs.video import VideoJob, is_video_file

    if format and out is not None and is_video_file(out):
        raise ConfigError(f"--format: expected a folder as --out, got the one video {str(out)!r}")
    by_frame = prompts.build()
    jobs = [
        VideoJob(
            source=source, out=target, formats=format or ("video",), prompts=by_frame, resume=resume,
            **vars(reading), **_configs(options),
        )
        for source, target in zip(sources, _targets(sources, out), strict=True)
    ]  # fmt: skip
    for job in jobs:
        job.check()
    model = models.load()
    failed = 0
    for job in jobs:
        try:
            _follow(model, job, json_lines)
        except FastSAMError as error:
            if len(jobs) == 1:
                raise
            failed += 1
            talk.print(f"[red]error:[/red] {escape(str(error))}", soft_wrap=True)
    if failed:
        raise typer.Exit(2 if failed == len(jobs) else 1)


@with_options(RenderConfig)
@with_options(SegmentConfig, optional=True)
@with_options(OutputConfig)
@with_options(VideoConfig)
@with_flags
def camera(
    models: ModelFlags,
    prompts: FramePrompts,
    source: Annotated[
        str, typer.Argument(help="A camera's number, /dev/videoN, or a URL (rtsp, http, ...).")
    ] = "0",
    frames: _Frames = None,
    seconds: _Seconds = None,
    policy: _Policy = "latest",
    show: Annotated[
        bool | None,
        typer.Option(
            help="Open a window: a left click follows an object, a right click drops it, q quits.",
            show_default="if there is a display",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    out: Annotated[
        Path | None, Out("A .mp4, .mov, .mkv, .webm or .gif for the overlay; or a folder.")
    ] = None,
    format: _Format = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what --out holds.", rich_help_panel=OUTPUT)
    ] = False,
    json_lines: _Json = False,
    **options: Any,
) -> None:
    """Follow objects in live pictures: in a window, into files, or both; q, Esc or Ctrl-C ends."""
    from fastsam.jobs.video import VideoJob, VideoRun, is_video_file
    from fastsam.video.window import why_no_window

    if show is None:
        show = not why_no_window()
        if not show and out is None:
            raise ConfigError(f"camera: expected --out, for no window can be shown: {why_no_window()}")
    elif not show and out is None:
        raise ConfigError("--no-show: expected --out beside it; else nothing comes of it")
    if format and (out is None or is_video_file(out)):
        raise ConfigError("--format: expected a folder as --out")
    job = VideoJob(
        source=source, out=out, formats=format or ("video",), frames=frames, seconds=seconds, policy=policy,
        prompts=prompts.build(), resume=not overwrite, **_configs(options),
    )  # fmt: skip
    job.check()
    window = open_window(f"fastsam: {source}") if show else None
    try:
        run = VideoRun(models.load(), job)
        with _lost_in_the_end(run, json_lines), run:
            _watch(run, window)
    finally:
        if window is not None:
            window.close()
    _tell(run, json_lines)


def open_window(title: str) -> Window:
    """Open the window in which a camera is shown; tests put another in its place."""
    from fastsam.video.window import CvWindow

    return CvWindow(title)


# --- what the commands do ----------------------------------------------------------------------------


def _configs(options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a VideoJob that flags of options make."""
    video = collect(VideoConfig, options)
    return {
        "video": VideoConfig(**video),
        "output": OutputConfig(**collect(OutputConfig, options)),
        "render": RenderConfig(**collect(RenderConfig, options)),
        "segment": {
            name: value for name, value in collect(SegmentConfig, options).items() if name not in video
        },
    }


def _targets(sources: list[str], out: Path | None) -> list[Path]:
    """Return where the results of each source go."""
    from fastsam.jobs.video import is_video_file

    if len(sources) == 1 and out is not None:
        return [out]
    if out is not None and is_video_file(out):
        raise ConfigError(f"--out {str(out)!r}: expected a folder for {len(sources)} sources")
    names = [_name(source) for source in sources]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise ConfigError(
            f"sources: expected different names, got {names.count(double[0])} times {double[0]!r}; "
            "their results would share a folder; run them one by one with --out"
        )
    return [(out or Path("output")) / name for name in names]


def _name(source: str) -> str:
    """Return what the folder of a source's results is called."""
    from glob import has_magic

    from fastsam.video.read.live import shown_url

    path = Path(shown_url(source) if "://" in source else source)
    stem = path.parent.name if has_magic(path.name) else path.name if path.is_dir() else path.stem
    return re.sub(r"[^\w.-]+", "_", stem) or "video"


def _follow(model: FastSAM, job: VideoJob, as_json: bool) -> None:
    """Do a job with a bar, and tell of it."""
    from fastsam.jobs.video import VideoRun

    run = VideoRun(model, job)
    try:
        with _lost_in_the_end(run, as_json), run, bar("following", run.total) as update:
            if run.before:
                talk.print(escape(f"{job.source}: {run.before} frames done before"), soft_wrap=True)
            update(run.before)
            for _ in run:
                update(run.done)
    except KeyboardInterrupt:
        if not run.stream.info.live:
            what = f"stopped after {run.done} frames; the same command goes on with what is in {job.folder}"
            talk.print(escape(what), soft_wrap=True)
            raise typer.Exit(130) from None
    for frame in run.unasked:
        warning = f"warning: the prompt for frame {frame} was not asked, {job.source} ended before"
        talk.print(escape(warning), soft_wrap=True)
    for name in run.absent:
        best = run.stream.not_found.get(name)
        score = "" if best is None else f", the best score of any mask was {best:.2f}"
        talk.print(escape(f"warning: {name!r} was not found in {job.source}{score}"), soft_wrap=True)
    _tell(run, as_json)


@contextmanager
def _lost_in_the_end(run: VideoRun, as_json: bool) -> Iterator[None]:
    """Tell of what was recorded before a live source was lost, then leave with exit code 1."""
    try:
        yield
    except VideoError as error:
        if not (run.stream.info.live and run.done):
            raise
        talk.print(f"[red]error:[/red] {escape(str(error))}", soft_wrap=True)
        _tell(run, as_json)
        raise typer.Exit(1) from error


def _watch(run: VideoRun, window: Window | None) -> None:
    """Show frames and do what is asked for in the window, until it ends."""
    highest = 0
    try:
        for _, tracked in run:
            highest = max([highest, *tracked.ids.tolist()])
            if window is None:
                continue
            now = run.stream.current  # prompts that came since the frame was given have changed it
            events = window.show((tracked if now is None else now).plot(run.job.render))
            if any(event.kind == "quit" for event in events):
                return
            for event in events:
                highest = max([highest, *_clicked(run.stream, event, highest + 1)])
    except KeyboardInterrupt:
        talk.print("stopped")


def _clicked(stream: Stream, event: Event, new_id: int) -> Iterable[int]:
    """Follow what was clicked on, or drop it; return the ids of new objects."""
    now = stream.current
    try:
        if event.kind == "add":
            return stream.select((event.x, event.y), object_id=new_id)
        for object_id in () if now is None else now.ids.tolist():
            if now is not None and now.mask_of(object_id)[int(event.y), int(event.x)]:
                stream.remove(object_id)
                break
    except PromptError as error:  # a click beside everything is no reason to end
        talk.print(escape(str(error)), soft_wrap=True)
    return ()


def _tell(run: VideoRun, as_json: bool) -> None:
    """Print what was written and how long it took."""
    report = run.report()
    if as_json:
        typer.echo(json.dumps(report))
        return
    if run.finished:
        talk.print(escape(f"{report['source']}: done before, skipped"), soft_wrap=True)
    for path in report["out"]:
        talk.print(escape(path), soft_wrap=True)
    if report["frames"]:
        console = Console(highlight=False)
        console.print(_table(report))
        for line in (*_objects(report), _facts(report)):
            console.print(escape(line), soft_wrap=True)


def _table(report: dict[str, Any]) -> Table:
    """Return how long the stages took."""
    table = Table("stage")
    for name in ("mean ms", "p50 ms", "p95 ms"):
        table.add_column(name, justify="right")
    for stage, times in report["stages"].items():
        table.add_row(stage, *(f"{times[name]:.1f}" for name in ("mean_ms", "p50_ms", "p95_ms")))
    table.add_section()
    table.add_row("whole", f"{report['mean_ms']:.1f}", "", "")
    return table


def _objects(report: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each object that was followed."""
    for one in report["followed"][:_OBJECTS_TOLD]:
        name = f"{one['id']} {one['label']}".strip()
        lost = f", lost in {one['lost']}" if one["lost"] else ""
        by = f", by {one['prompt']}" if one["prompt"] else ""
        first, last = one["first_frame"], one["last_frame"]
        yield f"object {name}: frames {first} to {last}, seen in {one['seen']}{lost}{by}"
    if len(report["followed"]) > _OBJECTS_TOLD:
        yield f"and {len(report['followed']) - _OBJECTS_TOLD} more objects (--json has all)"


def _facts(report: dict[str, Any]) -> str:
    """Return what else there is to say, in a line."""
    facts = [
        f"{report['fps']:.1f} frames a second end to end",
        f"network on {report['passes']} of {report['frames']} frames",
        f"objects: {report['objects']}",
    ]
    facts += [f"{name}: {report[name]}" for name in ("dropped", "corrupt", "reconnects") if report[name]]
    return "; ".join([*facts, *([report["truncated"]] if report["truncated"] else [])])
