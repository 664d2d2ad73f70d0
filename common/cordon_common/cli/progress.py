"""Progress of long work, on a terminal only."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr while the body runs; silent where nobody watches.

    Yields a function of (done, total).
    """
    from rich.progress import Progress

    from cordon_common.cli import console

    with Progress(
        console=console.stderr(), transient=True, disable=not console.stderr().is_terminal
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, of: bar.update(task, completed=done, total=of)
