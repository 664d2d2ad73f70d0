"""The one console script: `cordon NOUN VERB …`.

Nouns are found through the entry-point group `cordon.commands.v1` and imported only when called,
so that help is instant and an auditor's installation has no others than its own.
"""

from __future__ import annotations

import os
import sys
import traceback
from importlib.metadata import EntryPoint, entry_points, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cordon_common.errors import CordonError

GROUP = "cordon.commands.v1"
INTERRUPTED = 130
_KNOWN = {
    "audit": ("cordon-common", "check ledgers offline: were the budgets true, and were they kept?"),
    "site": ("cordon-client", "the hospital: set up, check data, approve, vault, gateway, budget"),
    "coordinator": ("cordon-server", "the coordinator: set up, enrol hospitals, serve"),
    "study": ("cordon-server", "studies: new, plan, sign, launch, watch, resume, report"),
    "demo": ("cordon-server", "four real hospitals on this machine, in about a minute"),
}


def run() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        status = main(sys.argv[1:])
    except KeyboardInterrupt:  # a Ctrl-C that came while `main` was already ending
        status = INTERRUPTED
    sys.exit(status)


def main(arguments: Sequence[str]) -> int:
    """Run one command; return 0 ok, 1 check failed, 2 usage, 3 refused, 4 unreachable, 130 Ctrl-C.

    This is the process edge: every failure ends here as one coded message.
    """
    from cordon_common.errors import CordonError

    try:
        return _dispatch(list(arguments))
    except CordonError as error:
        return _coded(error)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except ModuleNotFoundError as error:
        return _coded(_not_installed(error))
    except BrokenPipeError:
        # the reader of our output has gone; Python must not complain about it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the edge: nothing unexpected may end in a traceback
        return _unexpected(error)


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        sys.stderr.write(_help(_installed()))
        return 2
    if arguments[0] in {"--help", "-h", "help"}:
        sys.stdout.write(_help(_installed()))
        return 0
    if arguments[0] == "--version":
        sys.stdout.write(f"cordon {version('cordon-common')}\n")
        return 0
    name, rest = arguments[0], arguments[1:]
    command = _installed().get(name)
    if command is None:
        raise _absent(name)
    return _call(command, rest)


def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _call(command: EntryPoint, arguments: list[str]) -> int:
    """Run one noun's typer application; its usage errors keep their own text."""
    import click

    try:
        application = command.load()
        result = application(
            args=arguments, prog_name=f"cordon {command.name}", standalone_mode=False
        )
    except click.exceptions.Abort:
        raise KeyboardInterrupt from None
    except click.exceptions.ClickException as error:
        error.show()
        return error.exit_code
    return result if isinstance(result, int) else 0


def _not_installed(error: ModuleNotFoundError) -> CordonError:
    """Tell of a part that this installation leaves out on purpose (a gateway has no accountants)."""
    from cordon_common.errors import SystemFault, UsageError

    module = (error.name or "").partition(".")[0]
    if module.startswith("cordon_"):
        return SystemFault("SY999", why=f"there is no module {error.name}")
    fix = "run the command where that part is installed, e.g. in the vault's container"
    return UsageError("US070", why=f"there is no {module}", fix=fix)


def _absent(name: str) -> CordonError:
    from cordon_common.errors import UsageError

    if name in _KNOWN:
        package = _KNOWN[name][0]
        return UsageError(
            "US010", f"cordon {name} is not installed here", fix=f"pip install {package}"
        )
    return UsageError("US011", f"there is no command cordon {name}", fix="run: cordon --help")


def _help(installed: dict[str, EntryPoint]) -> str:
    lines = [
        "Usage: cordon NOUN VERB [OPTIONS]",
        "",
        "Federated training for hospitals; no record leaves its cordon.",
        "",
        "Commands:",
    ]
    for name, (package, text) in _KNOWN.items():
        hint = "" if name in installed else f" (not installed here: pip install {package})"
        lines.append(f"  {name:<12} {text}{hint}")
    lines += [f"  {name:<12} from another package" for name in installed if name not in _KNOWN]
    lines += [
        "",
        "Options:",
        "  --version    print the version",
        "  --help       print this text; cordon NOUN --help lists a noun's verbs",
        "",
        "Exit codes: 0 ok, 1 a check failed, 2 usage, 3 refused by policy or budget, 4 unreachable",
    ]
    return "\n".join(lines) + "\n"


def _coded(error: CordonError) -> int:
    from cordon_common.cli import console

    if _debugging():
        traceback.print_exc()
    console.failure(error)
    return error.exit_code


def _unexpected(error: Exception) -> int:
    """Tell of a failure that nobody foresaw, without its text: that could carry data."""
    from cordon_common.errors import SystemFault

    fix = "see the local log, or run the same command with CORDON_DEBUG=1"
    return _coded(SystemFault("SY999", why=type(error).__name__, fix=fix))


def _debugging() -> bool:
    return os.environ.get("CORDON_DEBUG") == "1"


if __name__ == "__main__":
    run()
