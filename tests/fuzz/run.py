"""Fuzz everything that reads files and requests: ``python -m tests.fuzz.run --cases 20000``.

Cases run in processes of their own. A case fails with an exception that is none of ``fastsam.errors``, with a
process that is lost, after 20 seconds, or with more than 2 GB of memory above what its process had at first.
Each failure is printed with the numbers that repeat it: ``--target NAME --seed N``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import multiprocessing.connection
import os
import random
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastsam.errors import FastSAMError
from tests.fuzz import more_targets, request_targets  # noqa: F401  enter their targets into the table
from tests.fuzz.targets import TARGETS, once

__all__ = ["Report", "fuzz"]

_PATIENCE_S = 20.0
_MEMORY_BYTES = 2 << 30
_BATCH = 50  # cases that a worker is handed at a time


@dataclass
class Report:
    """What came of it.

    Attributes:
        cases: how many ran, by target.
        refused: how many of them ended in one of our errors.
        failures: what went wrong, a line each, with what repeats it.
        peak_bytes: the most memory of a process above what it had at first.
        seconds: processor time, by target.
    """

    cases: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    failures: list[str] = field(default_factory=list)
    peak_bytes: int = 0
    seconds: Counter[str] = field(default_factory=Counter)


def case(name: str, seed: int) -> str:
    """Run one case; return ``"passed"``, ``"refused"``, or what went wrong."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        try:
            once(random.Random(f"{name} {seed}"), name, Path(folder))
        except FastSAMError as error:
            return "refused" if len(str(error)) < 2_000 else f"a message of {len(str(error))} characters"
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            return f"{type(error).__name__}: {str(error)[:100]} ({Path(where.filename).name}:{where.lineno})"
    return "passed"


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _work(inbox: Any, outbox: Any) -> None:
    """Run batches until None comes; tell each case before it starts, so that a lost one is known."""
    for name in TARGETS:
        case(name, -1)  # what is loaded and kept belongs to the model
    first = _memory()
    outbox.send(("ready", first))
    while (batch := inbox.recv()) is not None:
        for name, seed in batch:
            outbox.send(("start", name, seed))
            start = time.process_time()
            outcome = case(name, seed)
            outbox.send(("end", name, seed, outcome, _memory() - first, time.process_time() - start))
        outbox.send(("more",))


class _Worker:
    """A process, and what it is at."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        theirs, self.inbox = context.Pipe(duplex=False)
        self.outbox, ours = context.Pipe(duplex=False)
        self.process = context.Process(target=_work, args=(theirs, ours), daemon=True)
        self.process.start()
        ours.close()
        self.at: tuple[str, int] | None = None
        self.todo: list[tuple[str, int]] = []
        self.since = time.monotonic()

    def hand_over(self, batch: list[tuple[str, int]]) -> None:
        """Give it cases to run."""
        self.todo, self.since = list(batch), time.monotonic()
        self.inbox.send(batch or None)

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.join()


def _take(worker: _Worker, report: Report) -> bool:
    """Take what a worker has told; return whether it wants more."""
    told = worker.outbox.recv()
    worker.since = time.monotonic()
    match told:
        case ("start", name, seed):
            worker.at = (name, seed)
        case ("end", name, seed, outcome, grown, seconds):
            report.seconds[name] += seconds
            worker.at = None
            worker.todo.remove((name, seed))
            report.cases[name] += 1
            report.refused += outcome == "refused"
            report.peak_bytes = max(report.peak_bytes, grown)
            if outcome not in ("passed", "refused"):
                report.failures.append(f"{outcome}: --target {name} --seed {seed}")
            elif grown > _MEMORY_BYTES and not any("memory" in line for line in report.failures):
                report.failures.append(f"memory, {grown / 1e9:.1f} GB: --target {name} --seed {seed}")
        case _:
            return True
    return False


def fuzz(cases: int, *, seed: int = 0, processes: int = 2, minutes: float = 10.0) -> Report:
    """Run cases over all targets in turn.

    Args:
        cases: how many.
        seed: of the first; the others count on.
        processes: how many run beside each other.
        minutes: when to end, whatever is left.
    """
    names = sorted(TARGETS)
    waiting = [(names[k % len(names)], seed + k // len(names)) for k in range(cases)][::-1]
    report, workers, deadline = (
        Report(),
        [_Worker() for _ in range(processes)],
        time.monotonic() + 60 * minutes,
    )
    try:
        while workers and time.monotonic() < deadline:
            multiprocessing.connection.wait([worker.outbox for worker in workers], timeout=0.5)
            for worker in list(workers):
                if worker.outbox.poll():
                    try:
                        if _take(worker, report):
                            batch = [waiting.pop() for _ in range(min(_BATCH, len(waiting)))]
                            if not batch:
                                workers.remove(worker)
                            worker.hand_over(batch)
                        continue
                    except EOFError:
                        trouble = f"process lost, exit code {worker.process.exitcode}"
                elif worker.at is None or time.monotonic() - worker.since < _PATIENCE_S:
                    continue
                else:
                    trouble = f"hangs for {_PATIENCE_S:.0f} s"
                worker.stop()
                workers.remove(worker)
                at = worker.at or ("?", -1)
                report.failures.append(f"{trouble}: --target {at[0]} --seed {at[1]}")
                waiting += [one for one in worker.todo if one != worker.at]
                workers.append(_Worker())
    finally:
        for worker in workers:
            worker.stop()
    return report


def main() -> int:
    """Run, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--target", choices=sorted(TARGETS), help="repeat one case of this target")
    args = parser.parse_args()
    if args.target:
        print(case(args.target, args.seed))
        return 0
    start = time.monotonic()
    report = fuzz(args.cases, seed=args.seed, processes=args.processes, minutes=args.minutes)
    for name, count in sorted(report.cases.items()):
        print(f"{count:6} {name}, {1e3 * report.seconds[name] / count:.0f} ms of processor time each")
    used = sum(report.seconds.values())
    print(
        f"{report.cases.total()} cases in {time.monotonic() - start:.0f} s ({used:.0f} s of processor time), "
        f"{report.refused} refused, "
        f"{len(report.failures)} failures, {report.peak_bytes / 1e6:.0f} MB above the start at most"
    )
    print("\n".join(sorted(report.failures)))
    return bool(report.failures)


if __name__ == "__main__":
    sys.exit(main())
