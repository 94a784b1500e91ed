"""Ask a running page (`make app`): python examples/page_client.py ADDRESS PHOTO [TEXT [VIDEO]]."""

from __future__ import annotations

import sys
from typing import Any

from gradio_client import Client, handle_file


def main(address: str, photo: str, text: str = "", video: str = "") -> None:
    """Ask a page about a photo by point, box and text, and follow the text through a video."""
    client = Client(address, verbose=False)
    everything = client.predict(handle_file(photo), conf=0.3, api_name="/everything")
    width, height = everything["width"], everything["height"]
    print(f"everything: {len(everything['masks'])} masks in {width}x{height}")

    def say(what: str, answer: dict[str, Any]) -> None:
        print(f"{what}: {len(answer['masks'])} masks; {answer['reason']}")
        for mask in answer["masks"]:
            print(
                f"  mask {mask['row']}: score {mask['score']}, {mask['area_px']} px, box {mask['box_xyxy']}"
            )

    middle = [width / 2, height / 2]
    say("point", client.predict([middle], [1], api_name="/point"))  # labels: 1 wanted, 0 not
    say("box", client.predict([[width / 4, height / 4, width * 3 / 4, height * 3 / 4]], api_name="/box"))
    if text:
        say(text, client.predict([text], 0.5, api_name="/text"))
    if video:
        files, summary = client.predict(handle_file(video), [{"frame": 0, "text": text}], api_name="/video")
        print(f"{video}: {summary['frames']} frames, {summary['report']['fps']:.1f} a second")
        for found in summary["objects"]:
            print(f"  object {found['id']} {found['label']}: frames {found['first']} to {found['last']}")
        print("\n".join(files))
    client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
