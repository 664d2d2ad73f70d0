"""A real engine, real images, a real federation of containers; everything is gone afterwards.

`docker/ci.sh` starts the engine and builds the images; these tests fail, and never skip, without.
"""

import os
from pathlib import Path

import pytest
from consortium import (
    SITES,
    Federation,
    agree,
    coordinator_project,
    docker,
    set_up_coordinator,
    set_up_site,
    site_project,
    study_file,
    wait_until,
)


@pytest.fixture(scope="session")
def engine():
    """The engine of docker/ci.sh; there is no test without it."""
    assert os.environ.get("DOCKER_HOST", "").startswith("unix://"), "run docker/ci.sh"
    docker("version")
    return os.environ["DOCKER_HOST"]


@pytest.fixture(scope="session")
def federation(engine, tmp_path_factory):
    """The whole consortium, set up as the guides say and running; removed with its volumes."""
    from cordon_server.demo.data import write_breast_cancer_cohorts

    folder = tmp_path_factory.mktemp("consortium")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)  # the containers' account walks through
    data = folder / "data"
    write_breast_cancer_cohorts(data)
    made = Federation(folder, coordinator_project(folder))
    made.sites = {
        site: site_project(folder, site, 80 + number, data) for number, site in enumerate(SITES)
    }
    try:
        set_up_coordinator(made)
        for site in SITES:
            set_up_site(made, site)
        agree(made, study_file(made.work, rounds=8))
        for site, project in made.sites.items():
            for part in ("vault", "gateway"):
                what = f"the {part} of {site}"
                wait_until(lambda p=project, s=part: p.healthy(s), what, 400)
        yield made
    finally:
        for project in (*made.sites.values(), made.coordinator):
            logs = project.compose("logs", "--no-color", "--tail=400", check=False).stdout
            (Path(os.environ.get("CI_LOGS", folder)) / f"{project.name}.log").write_text(logs)
            project.compose("down", "-v", "-t", "5", "--remove-orphans", check=False)
