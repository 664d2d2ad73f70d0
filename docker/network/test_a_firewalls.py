"""A study crosses real firewalls: outbound to one address, nothing inbound, hospitals apart."""

import time

import pytest
from firewalled import OPERATORS, PORT, SERVER, SITES, sh

TRY = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)"


def reaches(consortium, member, host, port):
    done = sh(*consortium.net.inside(member, "python3", "-c", TRY, host, port), check=False)
    return done.returncode == 0


def test_a_clean_study_needs_one_outbound_port_and_the_firewalls_refuse_nothing(consortium):
    before = {site: consortium.net.refused(site) for site in SITES}
    consortium.agree("clean", rounds=4)
    consortium.launch("clean")
    took = consortium.finish("clean")
    after = {site: consortium.net.refused(site) for site in SITES}
    print(f"\nclean: 4 rounds through proxy and firewalls in {took:.0f} s; refused packets {after}")
    assert after == before == dict.fromkeys(SITES, (0, 0))
    assert consortium.verify("clean") == "PASS"


@pytest.mark.parametrize("site", SITES)
def test_a_hospital_reaches_the_proxy_and_nothing_else(consortium, site):
    assert reaches(consortium, site, SERVER, PORT)
    assert not reaches(consortium, site, SERVER, OPERATORS)
    assert not reaches(consortium, site, SERVER, 18443)
    for number, other in enumerate(SITES):
        if other != site:
            assert not reaches(consortium, site, f"10.77.0.{11 + number}", 8443)
    assert consortium.net.refused(site)[1] >= 4


def test_nobody_reaches_into_a_hospital(consortium):
    for number, site in enumerate(SITES):
        before = consortium.net.refused(site)[0]
        for port in (22, 8000, 8443, 9094):
            assert not reaches(consortium, "hub", f"10.77.0.{11 + number}", port)
        assert consortium.net.refused(site)[0] > before
        listening = sh(*consortium.net.inside(site, "ss", "-Hltn")).stdout
        assert listening.strip() == ""


def test_a_hospital_that_is_cut_off_in_mid_round_comes_back_and_the_study_verifies(consortium):
    consortium.agree("cut", rounds=8)
    consortium.launch("cut")
    cut = {}

    def meanwhile(state):
        if state["phase"] == "train" and state["round"] >= 2 and not cut:
            consortium.net.cut("east")
            cut["since"] = time.monotonic()
        if cut and "back" not in cut and time.monotonic() - cut["since"] > 8:
            consortium.net.join("east")
            cut["back"] = True

    took = consortium.finish("cut", meanwhile=meanwhile)
    print(f"\ncut: 8 rounds, one hospital without a cable for 8 s: {took:.0f} s")
    assert cut.get("back") is True
    assert consortium.verify("cut") == "PASS"


def test_a_slow_and_a_lossy_line_cost_time_and_nothing_else(consortium):
    consortium.wait_online(3)
    consortium.net.ip("east", "link", "show", "eth0")
    sh("tc", "-n", consortium.net.name("east"), "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "10mbit", "burst", "32kbit", "latency", "400ms")  # fmt: skip
    consortium.net.nft("south", "insert rule inet fw in iif eth0 numgen random mod 100 < 5 drop\n")
    try:
        consortium.agree("slow", rounds=4)
        consortium.launch("slow")
        took = consortium.finish("slow")
    finally:
        sh("tc", "-n", consortium.net.name("east"), "qdisc", "del", "dev", "eth0", "root")
        consortium.net.nft("south", "flush chain inet fw in\nadd rule inet fw in iif lo accept\nadd rule inet fw in ct state established,related accept\nadd rule inet fw in counter name refused_in\n")  # fmt: skip
    print(f"\nslow: 4 rounds with 10 Mbit/s and with 5 % loss: {took:.0f} s")
    assert consortium.verify("slow") == "PASS"
