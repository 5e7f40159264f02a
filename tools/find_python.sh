#!/bin/sh
# Print a Python that can run palpate: `tools/find_python.sh [PYTHON]`. Without PYTHON it tries the usual names.
# A name is taken only after it ran: version managers put commands on the PATH that fail when they are called.
set -u

works() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

if [ -n "${1:-}" ]; then
    works "$1" && command -v "$1" && exit 0
    echo "'$1' cannot be used: palpate needs Python 3.11 or newer with the module venv. Name another one: make PYTHON=/path/to/python3.12" >&2
    exit 1
fi
for name in python3.11 python3.12 python3.13 python3 python; do
    works "$name" && command -v "$name" && exit 0
done
echo "No Python 3.11 or newer with the module venv was found. Install one, or name it: make PYTHON=/path/to/python3.12" >&2
exit 1
