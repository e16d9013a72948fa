"""The browser of the end-to-end tests: an installed Chromium. Playwright drives it; Playwright's own browser is not used."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MACOS: Final = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
# Root may not use the sandbox. The other options keep the browser from any network calls except those of the page.
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
    """The executable of the first browser that is installed. `None` if there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found:
        return Path(found)
    return MACOS if MACOS.exists() else None


def version_of(chromium: Path) -> str:
    """The version, as in `156.0.7000.1`."""
    output = subprocess.run([chromium, "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return next(word for word in output.stdout.split() if word[0].isdigit())
