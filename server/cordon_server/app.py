"""The installed ServerApp: finds the campaign that a run is for and hands it the grid."""

import os
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from cordon_common.errors import UsageError
from cordon_server.campaign import run_campaign

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run or resume the campaign that the run's settings name.

    Raises:
        UsageError: US001 when the coordinator's folder or the campaign is not given.
    """
    home = os.environ.get("CORDON_COORDINATOR_HOME")
    campaign = context.run_config.get("campaign")
    if not home or not isinstance(campaign, str) or not campaign:
        raise UsageError("US001", "the run names no campaign, or the coordinator's folder is unset")
    run_campaign(grid, Path(home), campaign)
