"""What the documents name exists: functions in proofs, tests in the threat model, commands, links."""

import ast
import re
import shlex
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
CONSOLE = re.compile(r"^```console\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
REPOSITORY_PATH = re.compile(
    r"^(?:common|client|server|tests|docs|configs|tools|docker|benchmarks)/[\w./-]+$"
)


@pytest.fixture(scope="module")
def pages(tracked):
    """Name → text of every Markdown page."""
    return {n: (ROOT / n).read_text(encoding="utf-8") for n in tracked if n.endswith(".md")}


@cache
def definitions(path):
    """Names that a module defines at its top, and `Class.member` for what its classes define."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, ast.FunctionDef | ast.ClassDef):
                    names.add(f"{node.name}.{member.name}")
                elif isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
                    names.add(f"{node.name}.{member.target.id}")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def anchors(page, text):
    """(module file, dotted name) for every `module.name` whose module lies beside a proof."""
    for token in CODE.findall(text):
        module, _, name = token.partition(".")
        path = ROOT / Path(page).parent / f"{module}.py"
        if re.fullmatch(r"\w+", module) and re.fullmatch(r"[\w.]+", name) and path.is_file():
            yield path, name


def test_every_proof_names_the_functions_that_it_is_about(pages):
    proofs = {name: text for name, text in pages.items() if name.endswith("/PROOF.md")}
    assert proofs
    missing = []
    for page, text in proofs.items():
        named = list(anchors(page, text))
        if not named:
            missing.append(f"{page}: names no function of a module beside it")
        for path, name in named:
            if name != "py" and name not in definitions(path):
                missing.append(f"{page}: {path.name} defines no {name}")
    assert missing == []


def test_every_privacy_mechanism_has_a_proof(pages):
    rooms = (
        "common/cordon_common/privacy",
        "common/cordon_common/qc",
        "client/cordon_client/training",
    )
    assert [room for room in rooms if f"{room}/PROOF.md" not in pages] == []


def test_every_path_that_a_page_names_exists(pages):
    missing = []
    for page, text in pages.items():
        for token in CODE.findall(text):
            path, _, name = token.partition("::")
            if REPOSITORY_PATH.match(path):
                target = ROOT / path
                if not target.exists():
                    missing.append(f"{page}: {path}")
                elif name and name.partition("[")[0] not in definitions(target):
                    missing.append(f"{page}: {token}")
    assert missing == []


def test_every_relative_link_leads_somewhere(pages):
    missing = [
        f"{page}: {target}"
        for page, text in pages.items()
        for target in LINK.findall(text)
        if "://" not in target and not (ROOT / Path(page).parent / target).exists()
    ]
    assert missing == []


def test_every_claim_of_the_threat_model_names_its_test(pages):
    tables = re.findall(
        r"^\| claim \| shown by \|\n\|---\|---\|\n((?:\|.*\n)+)",
        pages["docs/threat-model.md"],
        flags=re.MULTILINE,
    )
    claims = [row for table in tables for row in table.splitlines()]
    assert len(claims) >= 40
    assert [
        row for row in claims if not re.search(r"`(?:tests|docker)/[\w/.]+::test_\w+`", row)
    ] == []


def test_decisions_are_short_numbered_and_listed(pages):
    index = pages["docs/decisions/README.md"]
    names = sorted(n for n in pages if re.fullmatch(r"docs/decisions/\d{4}-[\w-]+\.md", n))
    assert len({name[15:19] for name in names}) == len(names) > 10
    for name in names:
        text = pages[name]
        assert text.startswith(f"# {name[15:19]} ")
        assert name.removeprefix("docs/decisions/") in index
        assert all(f"**{part}.**" in text for part in ("Context", "Decision", "Consequences"))
        assert text.count("\n") <= 60


COMMAND = re.compile(r"(?:^\$ |^ +|; do )((?:cordon|make) .*?)(?:;| &|$)", flags=re.MULTILINE)


def commands_of(text):
    """The `cordon` and `make` commands of a page's console blocks, those in loops included."""
    for block in CONSOLE.findall(text):
        yield from COMMAND.findall(block.replace("\\\n", " "))


def check_cordon(words):
    """Why a `cordon …` line cannot be right, or nothing."""
    groups = {e.name: e for e in entry_points(group="cordon.commands.v1")}
    if not words or words[0] not in groups:
        return f"no command {words[:1]}"
    command = typer.main.get_command(groups[words[0]].load())
    rest = words[1:]
    while hasattr(command, "commands") and rest and rest[0] in command.commands:
        command, rest = command.commands[rest[0]], rest[1:]
    if hasattr(command, "commands") and not command.invoke_without_command:
        return f"no sub-command {rest[:1]}"
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    unknown = [w for w in rest if w.startswith("-") and w.partition("=")[0] not in known]
    return f"unknown options {unknown}" if unknown else ""


def test_every_command_of_the_readme_exists_with_its_options(pages):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    wrong, seen = [], 0
    for line in commands_of(pages["README.md"]):
        words = shlex.split(line)
        if words[0] == "cordon":
            seen += 1
            reason = check_cordon(words[1:])
            wrong += [f"{line}: {reason}"] if reason else []
        else:
            goals = [w for w in words[1:] if "=" not in w]
            wrong += [f"{line}: no target {g}" for g in goals if g not in targets]
    assert wrong == []
    assert seen >= 20
