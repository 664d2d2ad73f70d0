"""One consortium behind firewalls for all tests here; its namespaces and processes always go."""

import pytest
from firewalled import SITES, Consortium, Net


@pytest.fixture(scope="session")
def consortium(tmp_path_factory):
    """Running hospitals, enrolled and online; the studies are the tests' own."""
    net = Net()
    made = Consortium(tmp_path_factory.mktemp("c"), net)
    try:
        net.open()
        made.set_up()
        made.wait_online(len(SITES))
        yield made
    finally:
        made.close()
        net.close()
