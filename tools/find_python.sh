#!/bin/sh
# Prints the path of a Python that casebridge runs on: $1 if given, else the first that fits.
# A candidate is judged by running it: a version manager's shim may stand on the PATH and start nothing.
set -eu

fitting() {
    "$1" -c 'import sys; (3, 11) <= sys.version_info[:2] < (3, 14) or sys.exit(1); print(sys.executable)' 2>/dev/null
}

if [ -n "${1:-}" ]; then
    fitting "$1" && exit 0
    echo "PYTHON=$1 does not run, or is not Python 3.11, 3.12 or 3.13." >&2
    exit 1
fi

for candidate in python3.11 python3.12 python3.13 python3 python; do
    fitting "$candidate" && exit 0
done

# uv knows interpreters that are on no PATH, and fetches one where its owner allows that.
if command -v uv >/dev/null 2>&1; then
    uv python find --system '>=3.11,<3.14' 2>/dev/null && exit 0
    uv python install --quiet 3.11 >&2 && uv python find --system 3.11 && exit 0
fi

cat >&2 <<'END'
No Python 3.11, 3.12 or 3.13 runs on this machine. Install one, then try again:
  Debian, Ubuntu:  apt-get install python3 python3-venv
  Fedora:          dnf install python3.13
  macOS:           brew install python@3.13
or name one that is not on the PATH: make PYTHON=/path/to/python3.12
END
exit 1
