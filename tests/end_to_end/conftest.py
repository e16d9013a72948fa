"""The running platform and a browser. The ring shares one platform, which takes a quarter of a minute to start."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from demo.platform import Platform, Size, reading_process, running_platform
from local_servers.chromium import ARGUMENTS, installed_chromium
from tests.support.required_servers import required_in_ci
from tests.support.waiting import wait_until

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SIZE = Size(institutions=3, courses=6, requests=30)
ROUND_SECONDS = 90.0
RUN_SECONDS = 90.0
PAGE_MILLISECONDS = 30_000


class TakePicture(Protocol):
    """Saves a picture of a page as NAME.png, down to `height` pixels if given."""

    def __call__(self, page: Page, name: str, height: float | None = None) -> None: ...


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    executable = installed_chromium()
    if executable is None:
        required_in_ci("Chromium is not installed; make servers gets it where it can")
    expect.set_options(timeout=PAGE_MILLISECONDS)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="package")
def platform(browser: Browser) -> Iterator[Platform]:
    """Everything that `make demo` starts, before the requests appear. Not started without a browser."""
    with running_platform(SIZE) as running:
        yield running


@pytest.fixture(scope="package")
def after_one_round(platform: Platform) -> Platform:
    """All requests are registered or set aside, and one reconciliation has run with its checks."""
    platform.control.release()
    platform.control.wait("registered", platform.expected["registered"], timeout_s=ROUND_SECONDS)
    with reading_process(platform) as process:
        expected = sum(platform.expected["set_aside"].values())
        wait_until(
            lambda: sum(process.operators.status.read().set_aside.values()) == expected,
            "the rest is set aside",
            ROUND_SECONDS,
        )
    assert finished(platform, platform.dagster.launch("reconcile")) == "SUCCESS"
    return platform


@pytest.fixture(scope="package")
def failed_run(after_one_round: Platform) -> Iterator[str]:
    """The run id of a synchronisation that failed because FS answers 503 to every call."""
    control = after_one_round.control
    control.faults({"system": "fs", "kind": "status", "status": 503})
    run_id = after_one_round.dagster.launch("sync_now")
    assert finished(after_one_round, run_id) == "FAILURE"
    yield run_id
    control.clear_faults()


def finished(platform: Platform, run_id: str) -> str:
    """The final status of a run."""
    ends = {"SUCCESS", "FAILURE", "CANCELED"}

    def end() -> str | None:
        status = platform.dagster.run_status(run_id)
        return status if status in ends else None

    return str(wait_until(end, f"run {run_id} is over", RUN_SECONDS, every=0.5))


@pytest.fixture
def page(browser: Browser, platform: Platform, uses_server: Callable[[str], None]) -> Iterator[Page]:
    """A fresh page. Its scripts must raise no errors, and it must call no host but the web server."""
    for name, version in platform.servers.items():
        uses_server(version if name in {"mongodb", "simulators"} else f"{name} {version}")
    uses_server(f"Chromium {browser.version}")
    opened = browser.new_page(
        base_url=platform.ui, viewport={"width": 1600, "height": 1000}, locale="en-GB", timezone_id="Europe/Oslo"
    )
    opened.set_default_timeout(PAGE_MILLISECONDS)
    broken: list[str] = []
    asked: set[str] = set()
    opened.on("pageerror", lambda error: broken.append(str(error)))
    opened.on("request", lambda request: asked.add(request.url))
    yield opened
    opened.close()
    assert broken == []
    assert {urlsplit(url).hostname for url in asked if url.startswith(("http", "ws"))} == {"127.0.0.1"}


@pytest.fixture
def take_picture(tmp_path: Path) -> TakePicture:
    """Writes into docs/images if CASEBRIDGE_WRITE_IMAGES=1, else into a temporary folder."""
    folder = IMAGES if os.environ.get("CASEBRIDGE_WRITE_IMAGES") == "1" else tmp_path
    folder.mkdir(exist_ok=True)

    def take(page: Page, name: str, height: float | None = None) -> None:
        size: Any = page.viewport_size
        clip = {"x": 0.0, "y": 0.0, "width": size["width"], "height": height or size["height"]}
        taken = page.screenshot(path=folder / f"{name}.png", clip=clip, animations="disabled")
        assert taken.startswith(b"\x89PNG")

    return take
