"""What is known of the frame on show: the objects of the last run, and those that are to be followed."""

from __future__ import annotations

from fastsam.errors import FastSAMError
from fastsam.page.photo.state import KeptObject
from fastsam.page.video.state import FollowRequest, VideoSession, result_at
from fastsam.session import Session

__all__ = ["objects_in_frame"]


def objects_in_frame(visitor: VideoSession) -> tuple[KeptObject, ...]:
    """Return the objects to draw in the frame on show, each with its number and name.

    The object that is being corrected is left out: its mask is what the marks change.
    """
    session = visitor.frame.state.session
    if session is None:
        return ()
    found = _of_the_run(visitor, session)
    waiting = [
        request
        for request in visitor.requests
        if request.frame == visitor.index and request.object_id is None and not (found and request.done)
    ]
    first = max((one.number for one in found), default=0)
    objects = list(found)
    for place, request in enumerate(waiting, start=1):
        number = first + place if found else request.number
        if (kept := _of_a_request(request, session, number)) is not None:
            objects.append(kept)
    return tuple(objects)


def _of_the_run(visitor: VideoSession, session: Session) -> tuple[KeptObject, ...]:
    line = result_at(visitor.run, visitor.index)
    if line is None or line.size_hw != session.frame.size_hw:
        return ()
    masks, labels = line.masks(), line.labels or ("",) * len(line.ids)
    return tuple(
        KeptObject(int(number), labels[i], masks[[i]])
        for i, number in enumerate(line.ids)
        if int(number) != visitor.target
    )


def _of_a_request(request: FollowRequest, session: Session, number: int) -> KeptObject | None:
    try:
        result = session.select(request.prompt)
    except FastSAMError:
        return None  # its run will say why; what is drawn is only a reminder
    return KeptObject(number, request.words, result.masks) if len(result) else None
