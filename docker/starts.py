"""Import what an image's services run, at the end of its build: what was left out is not missing.

python starts.py IMAGE
"""

import importlib
import sys

SERVICES = {
    "vault": ("cordon_client.vault.run", "cordon_client.office", "cordon_client.backup"),
    "gateway": ("cordon_client.gateway.run", "cordon_client.kit"),
    "coordinator": (
        "cordon_server.app",
        "cordon_server.campaign",
        "cordon_server.report.render",
        "cordon_server.transport.superlink_process",
        "cordon_server.transport.serverapp_process",
        "psycopg",
    ),
}


def main(image: str) -> None:
    """Import them; the first that fails ends the build."""
    if image == "gateway":  # as its own entry does
        importlib.import_module("cordon_client.gateway.node").leave_out_sql()
        importlib.import_module("cordon_client.gateway.session")
    for name in SERVICES[image.partition("-")[0]]:
        importlib.import_module(name)


if __name__ == "__main__":
    main(sys.argv[1])
