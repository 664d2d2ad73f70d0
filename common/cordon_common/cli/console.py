"""What commands print: people's text on stderr, data on stdout.

Colour only on a terminal, and never when NO_COLOR is set. Text is printed as it is: no markup is
read out of names, paths or reasons.
"""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from cordon_common.canonical import Json
    from cordon_common.errors import CordonError


@lru_cache(maxsize=1)
def stderr() -> Console:
    """Return the one rich console; it writes to whatever stderr is at the time of writing."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


def note(text: str) -> None:
    """Print a line for people."""
    stderr().print(text)


def success(text: str) -> None:
    """Print a line that says what was done."""
    stderr().print(text, style="green")


def warning(text: str) -> None:
    """Print a line that somebody should look at."""
    stderr().print(f"warning: {text}", style="yellow")


def next_step(text: str) -> None:
    """Print what to do next, usually a command."""
    stderr().print(f"next: {text}", style="bold")


def show(renderable: RenderableType) -> None:
    """Print a rich table, panel or progress for people."""
    stderr().print(renderable, soft_wrap=False)


def failure(error: CordonError) -> None:
    """Print a coded failure: what failed, why, and what usually helps."""
    console = stderr()
    console.print(f"error {error.code}: {error.what}", style="bold red")
    for i, line in enumerate(error.why.splitlines()):
        console.print(f"{'  why: ' if i == 0 else '       '}{line}")
    console.print(f"  next: {error.fix}")


def print_json(value: Json) -> None:
    """Write one JSON document to stdout; keys sorted, equal values give equal text."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    sys.stdout.write(text + "\n")
