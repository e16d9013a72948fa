"""Makes a virtual environment from the lock, or brings one up to date: `python tools/environment.py FOLDER`.

Uses nothing but the standard library, for it runs before anything is installed. uv does the installing: the machine's, or the
one that `requirements-uv.txt` pins, put into the environment by pip. Everything comes from the lock files with their hashes, and
as wheels: nothing is built but this project's own editable install, by the setuptools of the lock. All it says goes to standard
error, so that `make demo JSON=1` keeps standard output for itself.
"""

import fcntl
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
LOCK: Final = ROOT / "requirements-dev.txt"
UV_LOCK: Final = ROOT / "requirements-uv.txt"
PROJECT: Final = ROOT / "pyproject.toml"

ADVICE: Final = f"""\
This machine has no uv, and {sys.executable} cannot make a virtual environment with pip.
Install one of these, then try again:
  Debian, Ubuntu:  apt-get install python3.{sys.version_info.minor}-venv
  anywhere:        uv, from your package manager"""

NETWORK_ADVICE: Final = """\
If packages come through a mirror or a proxy with its own certificates, tell uv so, which does
not read pip's settings: UV_DEFAULT_INDEX, SSL_CERT_FILE."""


class NotPossibleError(Exception):
    """The environment cannot be made; the message is for the person who asked for it."""


def make_environment(folder: Path) -> None:
    """Leave a working environment in `folder`, whatever was there. Raises `NotPossibleError`."""
    began = time.monotonic()
    uv = _uv_of_the_machine()
    python = folder / "bin" / "python"
    if not _is_usable(python):
        _say(f"environment: {folder.name} with Python {'.'.join(map(str, sys.version_info[:3]))}")
        _make_empty(folder, uv)
    if uv is None:
        uv = folder / "bin" / "uv"
        if not _runs([uv, "--version"]):
            _say("environment: no uv on this machine, putting one into the environment")
            _put_uv_into(python)
    _say(f"environment: installing {LOCK.name} with its hashes")
    install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", python]
    _run([*install, "--compile-bytecode", "--no-build", "--require-hashes", "--requirement", LOCK])
    _run([*install, "--no-deps", "--no-build-isolation", "--offline", "--editable", ROOT])
    _stamp(folder).touch()
    _say(f"environment: ready after {time.monotonic() - began:.0f} s")


def is_current(folder: Path) -> bool:
    """Whether the environment was made after the last change of what it is made from."""
    stamp = _stamp(folder)
    return stamp.exists() and all(stamp.stat().st_mtime >= source.stat().st_mtime for source in (LOCK, PROJECT))


@contextmanager
def alone() -> Iterator[None]:
    """One at a time: two terminals may type their first `make` at once."""
    with LOCK.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _stamp(folder: Path) -> Path:
    """The file whose age the Makefile compares; it is written last."""
    return folder / "installed"


def _uv_of_the_machine() -> Path | None:
    found = shutil.which("uv")
    return Path(found) if found and _runs([found, "--version"]) else None


def _is_usable(python: Path) -> bool:
    return _runs([python, "-c", "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))"])


def _make_empty(folder: Path, uv: Path | None) -> None:
    if uv is not None:
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder])
        return
    # Debian splits ensurepip from Python; without it the environment gets its uv from the machine's pip.
    venv: list[str | Path] = [sys.executable, "-m", "venv", "--clear", folder]
    if not _runs(venv) and not _runs([*venv, "--without-pip"]):
        raise NotPossibleError(ADVICE)


def _put_uv_into(python: Path) -> None:
    """By the environment's own pip, else by the machine's."""
    install: list[str | Path] = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    install += ["--requirement", UV_LOCK]
    if _runs([python, "-m", "pip", "--version"]):
        _run([python, "-m", "pip", *install])
    elif _runs([sys.executable, "-m", "pip", "--version"]):
        _run([sys.executable, "-m", "pip", "--python", python, *install])
    else:
        shutil.rmtree(python.parents[1])  # the next try begins anew, with what is installed by then
        raise NotPossibleError(ADVICE)


def _runs(command: Sequence[str | Path]) -> bool:
    try:
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603 - ours
    except OSError:
        return False
    return ended.returncode == 0


def _run(command: Sequence[str | Path]) -> None:
    """Run, with everything it says on standard error. Raises `NotPossibleError` when it fails."""
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)  # noqa: S603 - ours
    if ended.returncode:
        raise NotPossibleError(
            f"{' '.join(map(str, command))}\nended with exit code {ended.returncode}. {NETWORK_ADVICE}"
        )


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main(folder: Path) -> int:
    with alone():
        if is_current(folder):
            return 0
        try:
            make_environment(folder)
        except NotPossibleError as error:
            _say(str(error))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute()))
