"""A real browser (Debian's chromium) on the page, driven as a visitor would."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Window", "missing_browser"]

_SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
)  # fmt: skip
_CLOSE = "\u00d7"  # on the button that removes a prompt
_PATIENCE_S = 240  # a busy machine is slow; nothing is said about time here


def missing_browser() -> str | None:
    """Say what is missing, or None."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"{program} is not installed; make test-browser installs it"
    return None


_PIXEL = """
    const canvas = document.querySelector('.fs-canvas');
    const [x, y] = [arguments[0] * canvas.width, arguments[1] * canvas.height];
    return [...canvas.getContext('2d').getImageData(x, y, 1, 1).data].slice(0, 3);
"""


class Window:
    """One visitor's browser window."""

    def __init__(self, folder: Path, size: tuple[int, int] = (1280, 1000), phone: bool = False) -> None:
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for switch in (
            *_SWITCHES,
            f"--window-size={size[0]},{size[1]}",
            f"--user-data-dir={folder / 'profile'}",
        ):
            options.add_argument(switch)
        if phone:
            metrics = {"width": size[0], "height": size[1], "pixelRatio": 2.0, "touch": True}
            options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(
            options=options, service=webdriver.ChromeService(shutil.which("chromedriver"))
        )
        self.downloads = folder / "downloads"
        self.downloads.mkdir(parents=True)
        behaviour = {"behavior": "allow", "downloadPath": str(self.downloads)}
        self.driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)

    def close(self) -> None:
        self.driver.quit()

    # ---- looking

    def wait(self, until: Callable[[], Any], what: str = "what was waited for") -> Any:
        from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
        from selenium.webdriver.support.ui import WebDriverWait

        waiting = WebDriverWait(self.driver, _PATIENCE_S, 0.05, (StaleElementReferenceException,))
        try:
            return waiting.until(lambda _: until())
        except TimeoutException as error:
            raise AssertionError(f"{what} does not come; {self.state()}") from error

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        return [element.text.replace("\n", " ").strip() for element in self.all(selector)]

    def state(self) -> str:
        return f"status {self.texts('.fs-status')}, toasts {self.texts('.toast-body')}, log {self.log()}"

    def log(self) -> list[str]:
        """What the browser complains about."""
        return [line["message"] for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]

    @property
    def version(self) -> int:
        return int(self.find(".fs").get_attribute("data-version") or -1)

    @property
    def masks(self) -> int:
        return int(self.find(".fs").get_attribute("data-masks") or 0)

    @property
    def marks(self) -> list[str]:
        return [text.removesuffix(_CLOSE).strip() for text in self.texts(".fs-chips li")]

    def colour_at(self, x: float, y: float, leave: bool = True) -> tuple[int, int, int]:
        """Return what the canvas shows at a pixel of the photo; the pointer is moved away first."""
        if leave:
            self.leave()
        found = self.driver.execute_script(_PIXEL, x / self.photo[0], y / self.photo[1])
        return tuple(found)

    def difference(self, one: Sequence[int], other: Sequence[int]) -> int:
        return max(abs(a - b) for a, b in zip(one, other, strict=True))

    # ---- doing

    def visit(self, address: str) -> None:
        self.driver.get(address)
        self.wait(lambda: self.all(".fs-examples button"), "the examples")

    def open(self, photo: Path, size: tuple[int, int]) -> None:
        """Choose a photo in the file dialog."""
        self.photo = size
        self.answered(lambda: self.find(".fs-file").send_keys(str(photo)))

    def answered(self, action: Callable[[], Any]) -> None:
        """Do something, and wait for its answer."""
        before = self.version
        action()
        self.wait(lambda: self.version not in (-1, before), "an answer")

    def press(self, selector: str) -> None:
        element = self.find(selector)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'nearest'})", element)
        element.click()

    def _actions(self) -> Any:
        from selenium.webdriver.common.action_chains import ActionChains

        return ActionChains(self.driver, duration=20)

    def leave(self) -> None:
        """Move the pointer off the photo."""
        self._actions().move_to_element(self.find("h1")).perform()

    def _to(self, actions: Any, x: float, y: float) -> Any:
        canvas = self.find(".fs-canvas")
        width, height = canvas.size["width"], canvas.size["height"]
        offset = ((x / self.photo[0] - 0.5) * width, (y / self.photo[1] - 0.5) * height)
        return actions.move_to_element_with_offset(canvas, *offset)

    def hover(self, x: float, y: float) -> None:
        self._to(self._actions(), x, y).perform()

    def click(self, x: float, y: float, right: bool = False) -> None:
        actions = self._to(self._actions(), x, y)
        self.answered((actions.context_click() if right else actions.click()).perform)

    def drag(self, *points: tuple[float, float]) -> None:
        actions = self._to(self._actions(), *points[0]).click_and_hold()
        for x, y in points[1:]:
            self._to(actions, x, y)
        self.answered(actions.release().perform)

    def keys(self, *keys: str) -> None:
        self.find(".fs-stage").send_keys(*keys)

    def toast(self) -> str:
        """Wait for a toast; return its text."""
        return str(
            self.wait(lambda: next((text for text in self.texts(".toast-body") if text), None), "a toast")
        )

    def downloaded(self, name: str) -> Path:
        """Wait for a file to be downloaded."""
        path = self.downloads / name
        self.wait(lambda: path.exists() and not list(self.downloads.glob("*.crdownload")), f"the file {name}")
        return path
