"""The browser of the end-to-end tests: an installed Chromium, driven by Playwright, whose own download is not used."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MACOS: Final = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
# Root may not use the sandbox; the rest keeps the browser from talking to anybody but the page.
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def installed_chromium() -> Path | None:
    """The executable of the first that is installed."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found:
        return Path(found)
    return MACOS if MACOS.exists() else None


def version_of(chromium: Path) -> str:
    """As in `156.0.7000.1`."""
    asked = subprocess.run([chromium, "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return next(word for word in asked.stdout.split() if word[0].isdigit())
