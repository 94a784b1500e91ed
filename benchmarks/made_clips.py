"""Make video clips with known masks from photographs, to tune a video object tracker on.

Cut-out objects (people, vehicles, animals, things that one carries) move over other photographs under a
moving camera: scale, rotation, smooth warps, brightness drift and motion blur; some leave the frame and come
back, some pass behind another object of their category. Only photographs that ``heldout.txt`` does not
name are used. The clips are folders as DAVIS has them, and the same for the same seed:

    OUT/<clip>/frames/00000.jpg ...   640 x 360
    OUT/<clip>/masks/00000.png ...    palette PNG: 0 background, 1..n the objects to follow
    OUT/<clip>/made.json              what the clip is made of

    python benchmarks/made_clips.py COCO_FOLDER PHOTO_FOLDER --out clips --clips 24 --frames 40 --seed 0
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.interpolate import CubicSpline

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.cut_outs import (  # noqa: E402
    CutOut,
    Photo,
    draw_cut,
    read_photos,
    read_rgb,
    usable,
)

WIDTH, HEIGHT = 640, 360
KINDS = ("plain", "plain", "leaves", "behind", "behind", "beside", "two", "two-cross")
SHUTTER_STEPS = 5
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]

Path2d = Callable[[float], NDArray[np.float64]]


@dataclass
class Actor:
    """A cut-out and how it moves; functions of the time in frames."""

    cut: CutOut
    place: Path2d
    scale: Path2d
    turn: Path2d
    light: Path2d
    waves: NDArray[np.float64]
    flip: bool = False
    followed: int = 0


def smooth(
    rng: np.random.Generator, frames: int, low: Any, high: Any, knots: int = 5, calm: float = 1.0
) -> Path2d:
    """Return a smooth random function of time between ``low`` and ``high``; ``calm`` < 1 moves it less."""
    low, high = np.atleast_1d(low).astype(float), np.atleast_1d(high).astype(float)
    points = rng.uniform(low, high, (knots, len(low)))
    points = points.mean(axis=0) + calm * (points - points.mean(axis=0))
    # Knots beyond both ends of the clip: a spline runs away where its knots end.
    spline = CubicSpline(np.linspace(-0.2 * frames, 1.2 * frames, knots), points)
    return lambda t: np.asarray(spline(t))


def base_scale(rng: np.random.Generator, cut: CutOut, like: float | None = None) -> float:
    """Return the scale that makes a cut-out 2.5 to 14 % of the frame, if it then fits."""
    share = float(np.exp(rng.uniform(np.log(0.025), np.log(0.14)))) if like is None else like
    scale = np.sqrt(share * WIDTH * HEIGHT / float((cut.alpha > 0.5).sum()))
    h, w = cut.alpha.shape
    return float(min(scale, 1.7, 0.85 * HEIGHT / h, 0.7 * WIDTH / w))


def actor(
    rng: np.random.Generator, cut: CutOut, frames: int, scale: float, followed: int, zone: Any = None
) -> Actor:
    """Return a cut-out with random smooth motion inside the frame."""
    low, high = zone if zone is not None else ((0.2, 0.35), (0.8, 0.72))
    calm = float(rng.uniform(0.35, 1.0))
    turns = float(rng.choice([2, 5, 12]))
    waves = np.stack(
        [
            rng.uniform(0.4, 1.6, 4),  # waves per object length, across
            rng.uniform(0.4, 1.6, 4),  # and down
            rng.uniform(0.15, 0.7, 4) * rng.choice([-1, 1], 4),  # radians a frame
            rng.uniform(0, 2 * np.pi, 4),
            rng.uniform(0.004, 0.022, 4),  # of the object's length
        ]
    )
    return Actor(
        cut=cut,
        place=smooth(
            rng, frames, np.multiply(low, (WIDTH, HEIGHT)), np.multiply(high, (WIDTH, HEIGHT)), 5, calm
        ),
        scale=smooth(rng, frames, np.log(scale * 0.8), np.log(scale * 1.25), 4, calm),
        turn=smooth(rng, frames, -turns, turns, 5),
        light=smooth(rng, frames, *((0.7, 1.3) if rng.random() < 0.35 else (0.93, 1.07)), 4),
        waves=waves,
        flip=bool(rng.random() < 0.5),
        followed=followed,
    )


def leaving(rng: np.random.Generator, mover: Actor, frames: int) -> None:
    """Let an actor leave the frame to the nearer side and come back, no faster than a run."""
    before = mover.place
    middle, hold = rng.uniform(0.42, 0.62) * frames, rng.uniform(0.04, 0.1) * frames
    reach = max(mover.cut.alpha.shape) * float(np.exp(mover.scale(middle)[0])) * 0.62
    x = float(before(middle)[0])
    away = WIDTH + reach - x if x > WIDTH / 2 else -reach - x
    ramp = float(np.clip(abs(away) / 20, 0.26 * frames, 0.45 * frames))

    def place(t: float) -> NDArray[np.float64]:
        gone = np.clip((ramp + hold - abs(t - middle)) / ramp, 0, 1)
        return np.asarray(before(t) + np.array([away * gone * gone * (3 - 2 * gone), 0.0]))

    mover.place = place


def crossing(rng: np.random.Generator, passer: Actor, target: Actor, frames: int) -> None:
    """Let an actor pass where another one is, somewhere in the middle of the clip."""
    middle = rng.uniform(0.4, 0.65) * frames
    speed = rng.uniform(8, 20) * rng.choice([-1, 1])
    drift = rng.uniform(-1.5, 1.5)
    meet = target.place(middle) + np.array([0.0, rng.uniform(-0.06, 0.1) * HEIGHT])
    passer.place = lambda t: np.asarray(meet + (t - middle) * np.array([speed, drift]))


def layer(mover: Actor, t: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the colours times alpha, and alpha, of an actor in the whole frame at a time."""
    h, w = mover.cut.alpha.shape
    scale, angle = float(np.exp(mover.scale(t)[0])), np.deg2rad(float(mover.turn(t)[0]))
    x, y = mover.place(t)
    down, right = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    right, down = right - np.float32(x), down - np.float32(y)
    cos, sin = np.float32(np.cos(angle) / scale), np.float32(np.sin(angle) / scale)
    u, v = cos * right + sin * down, cos * down - sin * right
    if mover.flip:
        u = -u
    length = max(h, w)
    bend_u, bend_v = np.zeros_like(u), np.zeros_like(v)
    for number, (across, along, speed, phase, size) in enumerate(mover.waves.T):
        wave = np.float32(size * length) * np.sin(
            (2 * np.pi / length) * (np.float32(across) * u + np.float32(along) * v)
            + np.float32(speed * t + phase)
        )
        if number % 2:
            bend_v += wave
        else:
            bend_u += wave
    map_u, map_v = u + bend_u + w / 2, v + bend_v + h / 2
    sharp = cv2.INTER_LINEAR
    source = mover.cut.alpha
    colours = mover.cut.rgb
    if scale < 0.6:  # smaller than half: soften first, as a lens would
        colours, source = (cv2.GaussianBlur(a, (0, 0), 0.35 / scale) for a in (colours, source))
    alpha = cv2.remap(source, map_u, map_v, sharp, borderMode=cv2.BORDER_CONSTANT)
    rgb = cv2.remap(colours, map_u, map_v, sharp, borderMode=cv2.BORDER_REPLICATE)
    return np.clip(rgb * np.float32(mover.light(t)[0]), 0, 255) * alpha[..., None], alpha


def camera(
    rng: np.random.Generator, photo: NDArray[np.uint8], frames: int
) -> Callable[[float], NDArray[Any]]:
    """Return the function of time that shows a photograph under a moving camera."""
    height, width = photo.shape[:2]
    full = min(width, height * WIDTH / HEIGHT)
    calm = float(rng.choice([0.0, 0.4, 1.0], p=[0.15, 0.4, 0.45]))
    span = smooth(rng, frames, 0.72 * full, 0.93 * full, 4, calm)
    centre = smooth(rng, frames, (0.0, 0.0), (1.0, 1.0), 5, calm * 0.8)
    turn = smooth(rng, frames, -2.5, 2.5, 4, calm)
    shake = rng.normal(0, float(rng.choice([0.0, 0.5, 1.2])), (frames + 2, 2))

    def show(t: float) -> NDArray[Any]:
        wide = float(np.clip(span(t)[0], 0.6 * full, 0.97 * full))
        tall = wide * HEIGHT / WIDTH
        free = np.array([width - wide, height - tall])
        middle = np.clip(centre(t), 0, 1) * free + np.array([wide, tall]) / 2
        matrix = cv2.getRotationMatrix2D(
            (float(middle[0]), float(middle[1])), float(turn(t)[0]), WIDTH / wide
        )
        before = int(t + 1)
        jolt = shake[before] + (t + 1 - before) * (shake[min(before + 1, frames + 1)] - shake[before])
        matrix[:, 2] += np.array([WIDTH, HEIGHT]) / 2 - middle + jolt
        return np.asarray(
            cv2.warpAffine(
                photo, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
            )
        ).astype(np.float32)

    return show


def owners(actors: list[Actor], t: float) -> NDArray[np.uint8]:
    """Return (H, W): the number of the followed object that each pixel shows, 0 elsewhere."""
    seen = np.zeros((HEIGHT, WIDTH), np.uint8)
    for mover in actors:
        seen[layer(mover, t)[1] > 0.5] = mover.followed
    return seen


def compose(show: Callable[[float], NDArray[Any]], actors: list[Actor], t: float) -> NDArray[np.float32]:
    """Return one moment of a clip, its actors painted in order."""
    picture = np.asarray(show(t), np.float32)
    for mover in actors:
        rgb, alpha = layer(mover, t)
        picture = picture * (1 - alpha[..., None]) + rgb
    return picture


def cast(rng: np.random.Generator, photos: list[Photo], frames: int, kind: str) -> list[Actor] | None:
    """Return who is in a clip, from back to front; None where the draw does not work out."""
    cut = draw_cut(rng, photos)
    if cut is None:
        return None
    scale = base_scale(rng, cut)
    share = scale**2 * float((cut.alpha > 0.5).sum()) / (WIDTH * HEIGHT)
    star = actor(rng, cut, frames, scale, 1)
    if kind == "plain":
        return [star]
    if kind == "leaves":
        leaving(rng, star, frames)
        return [star]
    category = cut.category if kind in ("behind", "beside") or rng.random() < 0.5 else None
    second = draw_cut(rng, photos, category, cut.source) or draw_cut(rng, photos, None, cut.source)
    if second is None:
        return None
    other_scale = base_scale(rng, second, share * float(rng.uniform(0.7, 1.3)))
    zone = ((0.1, 0.35), (0.9, 0.72)) if kind == "beside" else None
    other = actor(rng, second, frames, other_scale, 2 if kind.startswith("two") else 0, zone)
    if kind in ("behind", "two-cross"):
        crossing(rng, other, star, frames)
    return [other, star] if kind == "beside" or (kind == "two" and rng.random() < 0.5) else [star, other]


def acceptable(actors: list[Actor], frames: int, kind: str) -> bool:
    """Return whether the objects are well seen at the start, and later as the kind of clip promises."""
    followed = [a for a in actors if a.followed]
    start = owners(actors, 0)
    for mover in followed:
        alone = (layer(mover, 0)[1] > 0.5).sum()
        seen = int((start == mover.followed).sum())
        if seen < 0.018 * start.size or seen > 0.2 * start.size or seen < 0.85 * max(alone, 1):
            return False
        edges = start[0].tolist() + start[-1].tolist() + start[:, 0].tolist() + start[:, -1].tolist()
        if edges.count(mover.followed) > 40:
            return False
    away = [owners(actors, t) for t in range(0, frames, 2)]
    gone = [sum(int((m == a.followed).sum() < 200) for m in away) for a in followed]
    if kind == "leaves":
        return 1 <= gone[0] <= len(away) // 3 and (away[-1] == 1).sum() > 2000
    return all(g <= len(away) // 4 for g in gone)


def background(rng: np.random.Generator, photos: list[Photo], avoid: set[str]) -> Photo:
    """Return a photograph that is wide enough to look around in."""
    wide = [p for p in photos if p.size_hw[1] >= 440 and p.size_hw[1] > 1.1 * p.size_hw[0]]
    folders = sorted({p.path.parent.parent.name for p in wide})
    folder = folders[int(rng.integers(len(folders)))]
    here = [p for p in wide if p.path.parent.parent.name == folder]
    while True:
        photo = here[int(rng.integers(len(here)))]
        if f"{folder}/{photo.path.name}" not in avoid:
            return photo


def make_clip(photos: list[Photo], out: Path, number: int, frames: int, seed: int) -> str:
    """Write one clip and return its name."""
    rng = np.random.default_rng([seed, number])
    kind = KINDS[number % len(KINDS)]
    while True:
        actors = cast(rng, photos, frames, kind)
        if actors is not None and acceptable(actors, frames, kind):
            break
    scene = background(rng, photos, {a.cut.source for a in actors})
    show = camera(rng, read_rgb(scene.path), frames)
    place_light = smooth(rng, frames, *((0.8, 1.15) if rng.random() < 0.3 else (0.98, 1.02)), 4)
    blurred, noise = bool(rng.random() < 0.45), float(rng.uniform(0.5, 3))
    star = next(a for a in actors if a.followed == 1)
    name = f"{number:02d}-{star.cut.category.replace(' ', '_')}-{kind}"
    (out / name / "frames").mkdir(parents=True)
    (out / name / "masks").mkdir()
    steps = SHUTTER_STEPS * (3 if kind == "leaves" else 1)  # who runs would be seen several times
    for t in range(frames):
        moments = t + np.linspace(-0.25, 0.25, steps) if blurred else [float(t)]
        picture = np.mean([compose(show, actors, float(moment)) for moment in moments], axis=0)
        picture = picture * float(place_light(t)[0]) + rng.normal(0, noise, picture.shape)
        frame = Image.fromarray(np.clip(np.round(picture), 0, 255).astype(np.uint8))
        frame.save(out / name / "frames" / f"{t:05d}.jpg", quality=90)
        mask = Image.fromarray(owners(actors, float(t)), "P")
        mask.putpalette(PALETTE)
        mask.save(out / name / "masks" / f"{t:05d}.png")
    made = {
        "kind": kind,
        "seed": [seed, number],
        "background": f"{scene.path.parent.parent.name}/{scene.path.name}",
        "motion_blur": blurred,
        "objects": [
            {"category": a.cut.category, "from": a.cut.source, "followed": a.followed} for a in actors
        ],
    }
    (out / name / "made.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    return name


def main() -> None:
    """Read the command line and write the clips."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folders", nargs="+", type=Path, help="folders with images/, some with instances.json"
    )
    parser.add_argument("--out", type=Path, required=True, help="an empty or new folder")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.clips < 0 or options.frames < 4:
        parser.error(f"expected 0 clips or more of 4 frames or more, got {options.clips} of {options.frames}")
    if options.out.exists() and any(options.out.iterdir()):
        parser.error(f"--out {options.out}: expected an empty folder; it holds files, choose another")
    photos = read_photos(options.folders)
    if not any(usable(a, photo.size_hw) for photo in photos for _, a in photo.cuts):
        parser.error(
            "the folders hold no object that can be cut out; give one in COCO format with people or animals"
        )
    make = partial(make_clip, photos, options.out, frames=options.frames, seed=options.seed)
    for number in range(options.clips):
        print(make(number=number), flush=True)


if __name__ == "__main__":
    main()
