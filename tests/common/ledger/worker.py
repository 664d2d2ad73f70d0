"""A process that reserves and settles as fast as it can, and says so after each durable step.

Usage: worker.py LEDGER KEY STUDY RUN FIRST_ROUND LAST_ROUND [BUDGET]
Every line on stdout was written after the step was on the disk. BUDGET: how many charges are allowed.
"""

import os
import sys
from pathlib import Path

from cordon_common.canonical import digest
from cordon_common.clock import utc_now
from cordon_common.errors import BudgetExhausted
from cordon_common.ledger.site import SiteLedger, StoredReply
from cordon_common.privacy.events import GaussianRelease
from cordon_common.signing import SigningKey
from cordon_common.wire import Slot


def say(text):
    os.write(1, (text + "\n").encode())


def main(path, key, study, run, first, last, budget="1000000"):
    ledger = SiteLedger.open(
        Path(path),
        key=SigningKey.load(Path(key)),
        site="north",
        dataset="breast",
        clock=utc_now,
    )
    event = GaussianRelease(
        purpose="training",
        population="train",
        noise_multiplier=15.0,
        sensitivity_grid=2.0**32,
        stability=1,
        dimension=31,
    )

    def admit(charges):
        if len(charges) >= int(budget):
            raise BudgetExhausted("BU001")

    say("ready")
    for number in range(int(first), int(last)):
        slot = Slot(study=study, run=run, phase="train", round=number)
        try:
            ticket = ledger.reserve(slot, digest(b"%d" % number), event, admit)
        except BudgetExhausted:
            say(f"refused {number} -")
            continue
        if isinstance(ticket, StoredReply):
            say(f"stored {number} {ticket.reply.hex()}")
            continue
        say(f"reserved {number} {ticket.seq}")
        draw = os.urandom(8)
        reply = ledger.settle(ticket, digest(draw), lambda _position, draw=draw: draw)
        say(f"settled {number} {reply.hex()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
