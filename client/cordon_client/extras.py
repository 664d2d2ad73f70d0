"""Which parts of the hospital's software are installed: vault and gateway need different things."""

from __future__ import annotations

from importlib.util import find_spec

from cordon_common.errors import UsageError

# What an extra of `cordon-client` brings that nothing else of Cordon would.
_MARKS = {
    "gateway": ("flwr", "httpx"),
    "vault": ("torch", "opacus", "pandas", "pyarrow"),
}


def require_extra(extra: str, command: str) -> None:
    """Refuse a command whose part of the software is not installed here.

    Raises:
        UsageError: US070, naming the extra.
    """
    missing = [name for name in _MARKS[extra] if find_spec(name) is None]
    if missing:
        raise UsageError(
            "US070",
            f"{command} needs the extra '{extra}' of cordon-client, which is not installed here",
            why=f"there is no {', '.join(missing)}",
            fix=f"pip install 'cordon-client[{extra}]', or run it in the {extra}'s container",
        )
