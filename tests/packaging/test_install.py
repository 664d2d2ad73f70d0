"""`make install` takes exactly the pins, never CUDA by accident, and nothing twice."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "install.py"


@pytest.fixture(scope="module")
def tool():
    spec = util.spec_from_file_location("install_tool", TOOL)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def workspace(tmp_path):
    """A copy of everything that the fingerprint covers."""
    for name in ("constraints.txt", "pyproject.toml", "tools/install.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for project in ("common", "client", "server"):
        (tmp_path / project).mkdir()
        shutil.copy(ROOT / project / "pyproject.toml", tmp_path / project)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["constraints.txt", "pyproject.toml", "common/pyproject.toml", "tools/install.py"]
)
def test_a_changed_pin_or_project_asks_for_a_new_installation(tool, workspace, name):
    before = tool.fingerprint(workspace, "3.11")
    assert tool.fingerprint(workspace, "3.11") == before
    with (workspace / name).open("a") as file:
        file.write("\n")
    assert tool.fingerprint(workspace, "3.11") != before


def test_another_interpreter_or_place_asks_for_a_new_installation(tool, workspace, tmp_path):
    before = tool.fingerprint(workspace, "3.11")
    assert tool.fingerprint(workspace, "3.12") != before
    moved = tmp_path / "moved"
    shutil.copytree(workspace, moved, ignore=shutil.ignore_patterns("moved"))
    assert tool.fingerprint(moved, "3.11") != before


def test_only_a_finished_installation_counts(tool, tmp_path):
    environment = tool.Environment(tmp_path, "")
    assert not environment.is_current("abc")
    (environment.venv / "bin").mkdir(parents=True)
    (environment.venv / "bin" / "cordon").touch()
    environment.stamp.write_text("{")
    assert not environment.is_current("abc")
    environment.stamp.write_text(json.dumps({"fingerprint": "abc"}))
    assert environment.is_current("abc")
    assert not environment.is_current("abd")
    (environment.venv / "bin" / "cordon").unlink()
    assert not environment.is_current("abc")


def test_the_pin_is_read_as_a_whole_line(tool):
    constraints = "numpy-typing-compat==1\npip==26.3\nnumpy==2.4.6\n"
    assert tool.pin_of("numpy", constraints) == "numpy==2.4.6"
    with pytest.raises(tool.InstallError, match="does not pin torch"):
        tool.pin_of("torch", constraints)


def test_every_cuda_package_is_recognised_and_no_other(tool):
    names = ["torch", "nvidia-cublas", "nvidia_nccl_cu13", "triton", "cuda-bindings", "numpy"]
    report = {"version": "1", "install": [{"metadata": {"name": name}} for name in names]}
    expected = ["cuda-bindings", "nvidia-cublas", "nvidia_nccl_cu13", "triton"]
    assert tool.cuda_packages(report) == expected


def write_wheel(folder, name, version, requires=()):
    """A wheel that holds nothing but its metadata."""
    info = f"{name}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Requires-Dist: {each}" for each in requires]
    tag = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "\n".join(metadata) + "\n\n")
        wheel.writestr(f"{info}/WHEEL", tag)
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def bare_environment(tool, tmp_path, monkeypatch):
    """A real, empty virtual environment whose pip sees the folder `wheels` and nothing else."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (tmp_path / "constraints.txt").write_text("torch==2.13.0\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    environment = tool.Environment(tmp_path, "")
    environment.create()
    return environment, wheels


def test_a_cuda_build_of_torch_is_refused_with_the_way_out(tool, bare_environment):
    environment, wheels = bare_environment
    write_wheel(wheels, "torch", "2.13.0", ["nvidia-cublas", "triton"])
    write_wheel(wheels, "nvidia_cublas", "13.0")
    write_wheel(wheels, "triton", "3.5")
    with pytest.raises(tool.InstallError) as refused:
        environment.refuse_cuda("torch==2.13.0")
    assert "TORCH_FIND_LINKS=" in str(refused.value)
    assert "ALLOW_CUDA=1" in str(refused.value)
    listed = subprocess.run(
        [environment.python, "-m", "pip", "freeze"], capture_output=True, text=True, check=True
    )
    assert listed.stdout == ""


def test_the_cpu_build_is_preferred_where_a_folder_offers_it(tool, bare_environment, tmp_path):
    _, wheels = bare_environment
    write_wheel(wheels, "torch", "2.13.0", ["triton"])
    write_wheel(wheels, "triton", "3.5")
    cpu_wheels = tmp_path / "cpu"
    cpu_wheels.mkdir()
    write_wheel(cpu_wheels, "torch", "2.13.0+cpu")
    pointed = tool.Environment(tmp_path, str(cpu_wheels))
    pointed.refuse_cuda("torch==2.13.0")
    pointed.pip_install(["torch==2.13.0"], "installing torch")
    listed = subprocess.run(
        [pointed.python, "-m", "pip", "freeze"], capture_output=True, text=True, check=True
    )
    assert listed.stdout.split() == ["torch==2.13.0+cpu"]


def test_what_pip_cannot_find_is_said_in_pips_words(tool, bare_environment):
    environment, _ = bare_environment
    with pytest.raises(tool.InstallError, match=r"ERROR: .*torch==2\.13\.0"):
        environment.refuse_cuda("torch==2.13.0")


@pytest.mark.parametrize("version", [(3, 6, 15), (3, 10, 13)])
def test_an_older_python_is_told_plainly(version):
    program = (
        f"import sys, runpy; sys.version_info = {(*version, 'final', 0)!r}; "
        f"runpy.run_path({str(TOOL)!r}, run_name='__main__')"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert f"needs Python 3.11 or newer, this is {version[0]}.{version[1]}" in answer.stderr


def test_a_python_without_venv_is_told_which_package_to_install(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(tool.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(tool.InstallError, match="apt-get install python3-venv"):
        tool.require_machine(tmp_path / ".venv")


def test_too_little_disk_space_is_told_before_anything_is_written(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "FREE_BYTES", 2**62)
    with pytest.raises(tool.InstallError, match="needs about 2 GB"):
        tool.require_machine(tmp_path / ".venv")
    assert list(tmp_path.iterdir()) == []


def test_make_says_which_interpreter_is_missing():
    answer = subprocess.run(
        ["make", "-s", "install", "PYTHON=no-such-python"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode != 0
    assert "no-such-python is not here" in answer.stderr


def test_make_without_a_target_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE).group(1).split()
    answer = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.findall(r"make (\S+)", answer.stdout) == phony
