"""Entry of the gateway's working process; `run` starts and watches it."""

import logging
import sys
from types import ModuleType

from cordon_client.gateway.settings import GatewaySettings
from cordon_common.logs import configure
from cordon_common.processes import end_with_parent

WRONG_FLOWER = 78  # session.Outcome, which cannot be imported then


def main() -> int:
    """Run the SuperNode until its connection is lost or a signal arrives; see `Outcome`."""
    configure(sys.stderr)
    settings = GatewaySettings.model_validate_json(end_with_parent())
    leave_out_sql()
    try:
        from cordon_client.gateway.session import serve  # its imports need leave_out_sql first
    except ImportError:
        logging.getLogger(__name__).exception("TR001: a part of Flower is not where it was")
        return WRONG_FLOWER
    return serve(settings)


def leave_out_sql() -> None:
    """Keep SQLAlchemy and Alembic out of this process: half of its start-up, a quarter of its RSS.

    A SuperNode keeps its objects in memory; Flower imports the SQL store without ever using it.
    """
    name = "flwr.supercore.object_store.sql_object_store"
    stand_in = ModuleType(name)
    stand_in.SqlObjectStore = _NoDatabase  # type: ignore[attr-defined]
    sys.modules.setdefault(name, stand_in)


class _NoDatabase:
    def __init__(self, *_: object) -> None:
        message = "the gateway keeps no database"
        raise NotImplementedError(message)


if __name__ == "__main__":
    sys.exit(main())
