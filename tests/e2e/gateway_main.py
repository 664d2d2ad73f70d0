"""Runs one gateway as its own process: settings as JSON in the first argument."""

import logging
import sys

from cordon_client.gateway.run import run_gateway
from cordon_client.gateway.settings import GatewaySettings
from cordon_common.errors import CordonError

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    try:
        run_gateway(GatewaySettings.model_validate_json(sys.argv[1]))
    except CordonError as error:
        sys.stderr.write(f"{error.code}: {error.what}. {error.why} Next: {error.fix}\n")
        sys.exit(error.exit_code)
