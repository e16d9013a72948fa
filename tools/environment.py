"""Creates a virtual environment from the lock file, or updates one: `python tools/environment.py FOLDER`.

- It uses only the standard library, because it runs before anything is installed.
- uv installs the packages. If the machine has no uv, pip installs the one that `requirements-uv.txt` pins into the environment.
- Everything comes from the lock files with hashes, as wheels. Only this project's editable install is built, with the setuptools
  of the lock file.
- All output goes to standard error, so that standard output belongs to `make demo JSON=1`.
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
    """The environment cannot be created. The message is for the user."""


def make_environment(folder: Path) -> None:
    """Create a working environment in `folder`, whatever was there before. Raises `NotPossibleError` if that fails."""
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
    """Whether the environment is newer than the files that it is made from."""
    stamp = _stamp(folder)
    return stamp.exists() and all(stamp.stat().st_mtime >= source.stat().st_mtime for source in (LOCK, PROJECT))


@contextmanager
def alone() -> Iterator[None]:
    """Let only one process create the environment: two first `make` may run at the same time."""
    with LOCK.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _stamp(folder: Path) -> Path:
    """The file whose age the Makefile compares. It is written last."""
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
    # Debian packages ensurepip separately from Python. Without it, the machine's pip puts uv into the environment.
    venv: list[str | Path] = [sys.executable, "-m", "venv", "--clear", folder]
    if not _runs(venv) and not _runs([*venv, "--without-pip"]):
        raise NotPossibleError(ADVICE)


def _put_uv_into(python: Path) -> None:
    """Install uv with the environment's own pip, or else with the machine's. Raises `NotPossibleError` if there is neither."""
    install: list[str | Path] = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    install += ["--requirement", UV_LOCK]
    if _runs([python, "-m", "pip", "--version"]):
        _run([python, "-m", "pip", *install])
    elif _runs([sys.executable, "-m", "pip", "--version"]):
        _run([sys.executable, "-m", "pip", "--python", python, *install])
    else:
        shutil.rmtree(python.parents[1])  # the next try starts from the beginning
        raise NotPossibleError(ADVICE)


def _runs(command: Sequence[str | Path]) -> bool:
    try:
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603 - ours
    except OSError:
        return False
    return ended.returncode == 0


def _run(command: Sequence[str | Path]) -> None:
    """Run a command with all output on standard error. Raises `NotPossibleError` if it fails."""
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
