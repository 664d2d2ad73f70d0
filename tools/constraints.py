"""Write the exact versions of the running environment as a pip constraints file.

Run `python tools/constraints.py > constraints.txt` with the working environment's interpreter
after a dependency was changed on purpose; a test compares the file with what is installed.
"""

import re
import sys
from importlib.metadata import distributions

OWN_DISTRIBUTIONS = frozenset({"cordon-common", "cordon-client", "cordon-server"})
HEADER = """\
# Every package of the workspace, pinned exactly: run time, build backend, tests and checks.
# Written by `python tools/constraints.py` from a working environment; do not edit by hand.
# No pin carries a local version, so that the CPU build of torch is taken wherever it is offered.
"""
# What only a CUDA build of torch brings along; it is never pinned, see tools/install.py.
CUDA_NAME = re.compile(r"^(nvidia-.*|cuda-.*|triton)$")


def normalised(name: str) -> str:
    """The one spelling of a distribution's name.

    Source: PyPA name normalisation (PEP 503).
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> dict[str, str]:
    """Normalised name → public version of everything installed but Cordon itself."""
    found = {
        normalised(each.metadata["Name"]): each.version.partition("+")[0]
        for each in distributions()
    }
    return {
        name: version
        for name, version in sorted(found.items())
        if name not in OWN_DISTRIBUTIONS and not CUDA_NAME.match(name)
    }


def parse(text: str) -> dict[str, str]:
    """Normalised name → version of a constraints file whose every line is an exact pin.

    Raises: ValueError for a line that is not `name==version`.
    """
    pins = {}
    for line in text.splitlines():
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        name, separator, version = entry.partition("==")
        if not separator or not version:
            message = f"not an exact pin: {entry}"
            raise ValueError(message)
        pins[normalised(name)] = version
    return pins


def main() -> int:
    """Print the constraints file."""
    sys.stdout.write(HEADER)
    for name, version in installed().items():
        sys.stdout.write(f"{name}=={version}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
