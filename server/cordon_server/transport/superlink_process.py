"""Entry of the SuperLink's process: Flower's own SuperLink behind the guard.

Flower's internals used here: `flwr.superlink.extensions.get_middleware`, the hook that the
SuperLink's application asks for further middleware.
"""

import json
import sys

from flwr.superlink import extensions
from flwr.superlink.cli import flower_superlink
from starlette.middleware import Middleware

from cordon_common.logs import configure
from cordon_common.processes import end_with_parent
from cordon_server.transport.guard import Guard
from cordon_server.transport.held_polls import HeldPolls
from cordon_server.transport.tuning import OneWorker, tune


def main() -> None:
    """Run the SuperLink with the arguments and the control token that come on stdin."""
    settings = json.loads(end_with_parent())
    token: str = settings["control_token"]
    configure(sys.stderr, "WARNING")
    tune()
    extensions.get_middleware = lambda: (
        Middleware(Guard, token=token),
        Middleware(OneWorker),
        Middleware(HeldPolls),
    )
    sys.argv = ["flower-superlink", *settings["arguments"]]
    flower_superlink()


if __name__ == "__main__":
    main()
