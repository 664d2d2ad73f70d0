"""Files and classes stay small, facades stay empty, and nothing that runs foreign code is used."""

import ast
import re

import pytest

MAX_FILE_LINES = 430
MAX_CLASS_LINES = 200
CATCH_ALL_NAMES = {"utils.py", "util.py", "helpers.py", "helper.py", "misc.py", "common.py"}
FOREIGN_CODE = {
    "pickle",
    "cloudpickle",
    "dill",
    "joblib",
    "marshal",
    "shelve",
    "importlib.machinery",
}
FORBIDDEN_CALLS = {"print", "eval", "exec", "compile", "__import__", "breakpoint"}
SPEAKS_HTTP = {"requests", "urllib.request", "urllib3", "http.client", "httpx", "aiohttp"}
FACES_THE_NETWORK = (
    "client/cordon_client/gateway/",
    "server/cordon_server/",
    "common/cordon_common/probe.py",
)


def imported_modules(tree):
    """Dotted names of every import statement, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def dotted(node):
    """`a.b.c` for a chain of attributes, else an empty string."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join(reversed([*parts, node.id])) if isinstance(node, ast.Name) else ""


def test_the_rules_look_at_a_real_tree(sources, shipped):
    assert len(shipped) > 30
    assert any(source.name.startswith("tests/") for source in sources)
    assert {name.split("/")[0] for name in (s.name for s in shipped)} == {
        "common",
        "client",
        "server",
    }


def test_no_file_is_longer_than_a_reader_can_hold(sources):
    long = {s.name: n for s in sources if (n := s.text.count("\n")) > MAX_FILE_LINES}
    assert long == {}


def test_no_class_grows_into_a_god(shipped):
    long = {}
    for source in shipped:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef):
                lines = node.end_lineno - node.lineno + 1
                if lines > MAX_CLASS_LINES:
                    long[f"{source.name}::{node.name}"] = lines
    assert long == {}


def test_no_file_is_named_after_nothing(sources):
    assert [s.name for s in sources if s.path.name in CATCH_ALL_NAMES] == []


def test_a_package_file_holds_its_docstring_and_nothing_else(shipped):
    wrong = []
    for source in shipped:
        if source.path.name == "__init__.py":
            body = source.tree.body
            if len(body) != 1 or not ast.get_docstring(source.tree):
                wrong.append(source.name)
    assert wrong == []


def test_nobody_imports_through_a_package_facade(sources):
    """A name comes from the module that defines it, so that a package's file may stay empty."""
    packages = {
        s.name.removesuffix("/__init__.py").split("/", 1)[1].replace("/", ".")
        for s in sources
        if s.is_shipped and s.path.name == "__init__.py"
    }
    modules = {
        s.name.removesuffix(".py").split("/", 1)[1].replace("/", ".")
        for s in sources
        if s.is_shipped
    }
    generated = {"cordon_common.rpc.vault_pb2", "cordon_common.rpc.vault_pb2_grpc"}
    wrong = [
        f"{s.name}: from {node.module} import {alias.name}"
        for s in sources
        for node in ast.walk(s.tree)
        if isinstance(node, ast.ImportFrom) and node.module in packages
        for alias in node.names
        if f"{node.module}.{alias.name}" not in modules | packages | generated
    ]
    assert wrong == []


def test_nothing_shipped_can_run_foreign_code(shipped):
    wrong = [
        f"{source.name}: {name}"
        for source in shipped
        for name in imported_modules(source.tree)
        if name in FOREIGN_CODE or name == "torch.load"
    ]
    calls = [
        f"{source.name}:{node.lineno}: {node.func.id}()"
        for source in shipped
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in FORBIDDEN_CALLS
    ]
    attributes = [
        f"{source.name}:{node.lineno}: {dotted(node)}"
        for source in shipped
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute)
        and (
            dotted(node) in {"torch.load", "os.system", "torch.hub"}
            or dotted(node).startswith("torch.hub.")
        )
    ]
    assert wrong + calls + attributes == []


def test_only_the_sides_that_face_the_network_can_speak_http(shipped):
    """The vault's rooms and all that an auditor runs have no means to phone home or download."""
    wrong = [
        f"{source.name}: {name}"
        for source in shipped
        if not source.name.startswith(FACES_THE_NETWORK)
        for name in imported_modules(source.tree)
        if name in SPEAKS_HTTP
    ]
    assert wrong == []


def test_numpy_never_loads_pickled_objects(shipped):
    wrong = [
        f"{source.name}:{node.lineno}"
        for source in shipped
        for node in ast.walk(source.tree)
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle"
    ]
    assert wrong == []


def is_broad(handler):
    """Whether an `except` catches everything and does not simply pass it on."""
    caught = dotted(handler.type) if handler.type is not None else "BaseException"
    last = handler.body[-1]
    passes_on = isinstance(last, ast.Raise) and last.exc is None
    return caught in {"Exception", "BaseException"} and not passes_on


def test_a_broad_handler_passes_on_or_says_why_it_is_broad(shipped):
    wrong = []
    for source in shipped:
        lines = source.text.splitlines()
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ExceptHandler) and is_broad(node):
                line = lines[node.lineno - 1]
                if not re.search(r"# (?:noqa: BLE001 - )?[a-z]", line):
                    wrong.append(f"{source.name}:{node.lineno}: {line.strip()}")
    assert wrong == []


@pytest.mark.parametrize(
    "side", ["common/cordon_common", "client/cordon_client", "server/cordon_server"]
)
def test_every_distribution_ships_its_types(tracked, side):
    assert f"{side}/py.typed" in tracked
