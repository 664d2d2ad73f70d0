"""Flower's internals are where this version expects them, and the gateway says so if they move."""

import ast
import inspect
import subprocess
import sys

import pytest
from flwr.supercore.inflatable import inflatable_utils
from flwr.supernode import start_client_internal

from cordon_client.gateway import supernode
from cordon_common.errors import CordonError


def test_the_installed_flower_is_the_one_this_is_built_on():
    supernode.check_flower()


def test_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(supernode, "version", lambda _: "1.42.0")
    with pytest.raises(CordonError) as refused:
        supernode.check_flower()
    assert refused.value.code == "TR001"
    assert "1.42.0" in refused.value.why


def test_a_moved_internal_name_is_named(monkeypatch):
    monkeypatch.delattr(start_client_internal, "time")
    with pytest.raises(CordonError) as refused:
        supernode.check_flower()
    assert refused.value.why == "flwr.supernode.start_client_internal.time is gone"


def test_lost_back_off_arguments_are_named(monkeypatch):
    monkeypatch.setattr(inflatable_utils.pull_objects, "__kwdefaults__", {})
    with pytest.raises(CordonError, match="TR001"):
        supernode.check_flower()


def test_the_supernodes_loop_uses_nothing_of_time_but_sleep():
    tree = ast.parse(inspect.getsource(start_client_internal))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "time"
    }
    assert used == {"sleep"}


def test_the_gateway_starts_light():
    """Import budget: within three seconds of CPU, without torch, pandas, SQL or a web server."""
    program = (
        "import sys, time; started = time.process_time()\n"
        "from cordon_client.gateway.node import leave_out_sql; leave_out_sql()\n"
        "import cordon_client.gateway.session\n"
        "heavy = {'torch', 'pandas', 'sqlalchemy', 'alembic', 'uvicorn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "print(time.process_time() - started)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 3.0


def test_the_supervisor_imports_neither_flower_nor_grpc():
    program = (
        "import sys, cordon_client.gateway.run\n"
        "assert not {'flwr', 'grpc', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
