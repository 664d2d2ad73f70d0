"""A ServerApp for the transport's tests: follows `plan.json`, writes `result.json`."""

import json
import os
import time
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from cordon_server.transport.grid import Answer, exchange, online_nodes

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    home = Path(os.environ["CORDON_COORDINATOR_HOME"])
    plan = json.loads((home / "plan.json").read_text())
    while len(online_nodes(grid)) < plan["sites"]:
        time.sleep(0.05)
    rounds = []
    for number in range(plan["rounds"]):
        nodes = sorted(online_nodes(grid))
        weights = number.to_bytes(4, "big") * (plan["request_bytes"] // 4)
        started = time.monotonic()
        replies = exchange(
            grid, dict.fromkeys(nodes, weights), rpc=plan["rpc"], timeout_s=plan["timeout_s"]
        )
        rounds.append(
            {
                "seconds": time.monotonic() - started,
                "answered": sorted(n for n, r in replies.items() if isinstance(r, Answer)),
                "echoed": all(
                    isinstance(r, Answer) and r.data == weights for r in replies.values()
                ),
                "codes": sorted(r.code for r in replies.values() if not isinstance(r, Answer)),
                "elapsed": [r.elapsed_s for r in replies.values()],
            }
        )
        (home / "progress.json").write_text(json.dumps(rounds))
    result = {"rounds": rounds, "campaign": context.run_config.get("campaign")}
    (home / "result.json").write_text(json.dumps(result))
