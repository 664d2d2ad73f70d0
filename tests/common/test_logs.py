"""Logs are one JSON object per line, and hold no text that an error carried."""

import io
import json
import logging
from datetime import UTC, datetime

import pytest

from cordon_common import logs

CANARY = "PATIENT-7f3a-CANARY"


@pytest.fixture
def lines():
    """What the process's log says, parsed; the handlers of before come back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure(stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:], root.level = handlers, level


def failing(record):
    """An error as a data library raises it, with the record in its text."""
    message = f"could not convert string to float: {record!r}"
    raise ValueError(message)


def test_an_exceptions_text_with_a_patient_in_it_never_reaches_the_log(lines):
    try:
        failing(CANARY)
    except ValueError:
        logging.getLogger("cordon.vault").exception("could not read the cohort")
    (line,) = lines()
    assert CANARY not in json.dumps(line)
    assert line["exception"].startswith("ValueError at test_logs.py:")
    assert line["level"] == "error"


def test_a_chain_of_exceptions_hides_all_their_texts(lines):
    try:
        try:
            failing(CANARY)
        except ValueError as error:
            raise RuntimeError(CANARY) from error
    except RuntimeError:
        logging.getLogger("x").critical("failed", exc_info=True, stack_info=True)
    assert CANARY not in json.dumps(lines())


def test_every_line_is_one_object_with_time_level_and_origin(lines):
    logging.getLogger("cordon.gateway").info("two\nlines", extra={"rpc": "train", "seconds": 0.5})
    (line,) = lines()
    assert line["message"] == "two\nlines"
    assert (line["rpc"], line["seconds"], line["logger"]) == ("train", 0.5, "cordon.gateway")
    assert datetime.fromisoformat(line["time"]).tzinfo == UTC
