"""Every file in `configs/` is read by the code that really reads it; a stray file fails."""

from pathlib import Path

import pytest
import yaml

from cordon_client.home import SiteHome
from cordon_client.qc.omop.recipe import load_recipe
from cordon_client.vault.policy import check_study, load_policy
from cordon_common.errors import PolicyRefused
from cordon_common.protocol.parse import load_study
from cordon_common.qc.profile import load_profile
from cordon_common.signing import SigningKey
from cordon_server.transport.job import JOB_FILES, build_job

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"


def load_site(path, folder):
    """Read a site's file where a site's folder has it."""
    (folder / "site.yaml").write_bytes(path.read_bytes())
    return SiteHome(folder).config()


LOADERS = {
    "studies": lambda path, folder: load_study(path),
    "policies": lambda path, folder: load_policy(path),
    "sites": load_site,
    "qc": lambda path, folder: load_profile(path),
    "omop": lambda path, folder: load_recipe(path),
    "job": lambda path, folder: build_job(path.parent),
}


def files():
    found = [path for path in sorted(CONFIGS.rglob("*")) if path.is_file()]
    return [path for path in found if path != CONFIGS / "README.md"]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(CONFIGS)))
def test_every_configuration_file_is_read_by_its_loader(path, tmp_path):
    kind = path.relative_to(CONFIGS).parts[0]
    assert kind in LOADERS, f"{path.name} lies in no folder that has a loader"
    if kind == "job":
        assert path.name in JOB_FILES
    assert LOADERS[kind](path, tmp_path)


@pytest.mark.parametrize("kind", LOADERS)
def test_every_kind_of_configuration_has_an_example(kind):
    assert [path for path in files() if path.parent.name == kind]


def test_the_readme_of_the_configurations_names_every_folder():
    text = (CONFIGS / "README.md").read_text()
    assert [kind for kind in LOADERS if f"`{kind}/`" not in text] == []


def test_no_study_template_names_a_real_key_or_site():
    """Studies are templates: the roster comes from enrolment, the noise from planning."""
    for path in (CONFIGS / "studies").glob("*.yaml"):
        value = yaml.safe_load(path.read_text())
        assert "roster" not in value
        assert "noise" not in value["privacy"]


def test_the_packaged_job_is_the_one_that_people_read():
    """The coordinator submits the copy inside its package, which a wheel brings along."""
    packaged = ROOT / "server" / "cordon_server" / "job"
    names = {path.name for path in packaged.iterdir()}
    assert names == {path.name for path in (CONFIGS / "job").iterdir()} == set(JOB_FILES)
    for name in names:
        assert (packaged / name).read_bytes() == (CONFIGS / "job" / name).read_bytes()


def test_the_standard_policy_trusts_nobody_yet():
    assert load_policy(CONFIGS / "policies" / "standard.yaml").trusted_keys == ()


@pytest.mark.parametrize(
    "study", sorted((CONFIGS / "studies").glob("*.yaml")), ids=lambda p: p.stem
)
def test_the_standard_policy_lets_no_site_in_that_is_not_on_the_roster(study):
    policy = load_policy(CONFIGS / "policies" / "standard.yaml")
    with pytest.raises(PolicyRefused) as refused:
        check_study(policy, load_study(study), "hospital-north", SigningKey.generate().public)
    assert refused.value.code == "PO101"
