"""What every run of the suite shares: hypothesis profiles, and no silent skip where all must run.

With CI=true a skipped test is a failed one: a missing privilege, package or data set must not turn
a promise into a dot. Only a test marked `gpu` may be skipped there.
"""

import logging
import os

import pytest
from hypothesis import settings

IN_CI = os.environ.get("CI") == "true"

_LATE = ("slow", "federation")

settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True)
settings.load_profile("ci" if IN_CI else "dev")


def _fail_skipped(report):
    if IN_CI and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped where everything must run: {reason}"


def pytest_collection_modifyitems(items):
    """Quick tests first: a run that must fail does so early."""
    items.sort(key=lambda item: sum(item.get_closest_marker(m) is not None for m in _LATE))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if item.get_closest_marker("gpu") is None:
        _fail_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    _fail_skipped(report)
    return report


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium, started once for each file of tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tool:
        program = tool.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-quic"],
        )
        yield program
        program.close()


@pytest.fixture(autouse=True)
def _log_handlers_end_with_their_test():
    """A handler on a test's captured stderr must not outlive the test: later ones would write to it."""
    before = list(logging.getLogger().handlers)
    yield
    root = logging.getLogger()
    for handler in list(root.handlers):
        if handler not in before and type(handler) is logging.StreamHandler:
            root.removeHandler(handler)
