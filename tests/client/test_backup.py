"""A ledger comes back whole from its backup; an older copy is refused until a newer one is restored."""

import stat
import zipfile

import pytest
from pair import RUN, Pair, ticking
from small_site import POLICY

from cordon_client.backup import reconcile, restore_backup, write_backup
from cordon_client.enrol import create_site
from cordon_client.home import Dataset, SiteConfig, SiteHome
from cordon_common.cli.main import main as cordon
from cordon_common.errors import CordonError, IntegrityError
from cordon_common.ledger.bundle import export_coordinator_bundle
from cordon_common.ledger.site import SiteLedger
from cordon_common.signing import SigningKey

DATASET = "breast"


class Hospital(Pair):
    """A pair whose ledger lies in a real site's folder, as the commands make it."""

    def __init__(self, folder):
        self.home = SiteHome(folder / "site")
        config = SiteConfig(name="north", dataset=Dataset(id=DATASET, file="/data/cohort.csv"))
        create_site(self.home, config, POLICY, clock=ticking())
        self.key = SigningKey.load(self.home.identity_key)
        super().__init__(folder)

    def open_site(self, create=False):
        self.site_key = self.key
        return SiteLedger.open(
            self.home.ledger, key=self.key, site="north", dataset=DATASET, clock=ticking()
        )

    def backed_up(self, name):
        file = self.folder / name
        write_backup(self.home, file, ticking())
        return file

    def restored(self, file):
        """The same hospital after its disk died: everything from the backup."""
        self.ledger.close()
        self.home = SiteHome(self.folder / f"restored-from-{file.stem}")
        restore_backup(file, self.home, ticking())
        self.ledger = self.open_site()
        return self.ledger


@pytest.fixture
def hospital(tmp_path):
    made = Hospital(tmp_path)
    yield made
    made.ledger.close()
    made.log.close()


def released(hospital, number):
    """One release that left, and whose receipt stands in the coordinator's log."""
    hospital.exchange(hospital.slot(number))
    hospital.log.append(hospital.received(hospital.release(hospital.slot(number))))


def code_of(call, *arguments):
    with pytest.raises(CordonError) as caught:
        call(*arguments)
    return caught.value.code


def test_a_backup_brings_back_every_entry_and_every_key(hospital):
    released(hospital, 0)
    before = hospital.ledger.log.snapshot()
    file = hospital.backed_up("full.zip")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    old = hospital.home
    restored = hospital.restored(file)
    assert restored.log.snapshot() == before
    for path in ("vault/keys/identity.pem", "vault/keys/split.key", "gateway/supernode"):
        assert (hospital.home.root / path).read_bytes() == (old.root / path).read_bytes()
        assert stat.S_IMODE((hospital.home.root / path).stat().st_mode) == 0o600


def test_an_older_copy_is_refused_until_a_newer_backup_is_restored(hospital):
    released(hospital, 0)
    older = hospital.backed_up("older.zip")
    released(hospital, 1)
    newer = hospital.backed_up("newer.zip")
    bundle = hospital.folder / "coordinator.zip"
    export_coordinator_bundle(hospital.log, bundle)

    hospital.restored(older)
    assert hospital.refused(hospital.offer(), hospital.slot(2)) == "IN115"
    assert hospital.refused(
        hospital.offer(run="run-2"), hospital.slot(2, run="run-2"), "run-2"
    ) == ("IN115")
    with pytest.raises(IntegrityError, match="IN115") as caught:
        reconcile(hospital.home, bundle, ticking())
    assert f"the first: train 1 of {RUN}" in caught.value.why

    hospital.restored(newer)
    assert reconcile(hospital.home, bundle, ticking()).receipts == 2
    assert hospital.exchange(hospital.slot(2)) > 0


def test_a_folder_with_a_site_in_it_is_never_overwritten(hospital):
    file = hospital.backed_up("b.zip")
    before = hospital.home.ledger.read_bytes()
    assert code_of(restore_backup, file, hospital.home, ticking()) == "US003"
    assert hospital.home.ledger.read_bytes() == before


@pytest.mark.parametrize("damage", ["bytes", "missing", "extra", "swapped key", "no zip"])
def test_a_damaged_backup_restores_nothing(hospital, damage):
    file = hospital.backed_up("b.zip")
    with zipfile.ZipFile(file) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    if damage == "bytes":
        files["vault/ledger.db"] = files["vault/ledger.db"][:-1] + b"x"
    elif damage == "missing":
        del files["vault/keys/identity.pem"]
    elif damage == "extra":
        files["../../outside"] = b"x"
    elif damage == "swapped key":
        files["vault/keys/identity.pem"] = files["vault/keys/split.key"]
    broken = hospital.folder / "broken.zip"
    with zipfile.ZipFile(broken, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    if damage == "no zip":
        broken.write_bytes(b"PK no")
    target = SiteHome(hospital.folder / "target")
    assert code_of(restore_backup, broken, target, ticking()) == "US074"
    assert not target.root.exists()
    assert not (hospital.folder.parent / "outside").exists()


def test_the_commands_say_what_to_do_next(hospital, capsys):
    file, target = hospital.folder / "b.zip", hospital.folder / "again"
    assert cordon(["site", "backup", str(hospital.home.root), "-o", str(file)]) == 0
    assert cordon(["site", "restore", str(file), str(target)]) == 0
    assert "cordon site reconcile" in capsys.readouterr().err
    bundle = hospital.folder / "coordinator.zip"
    assert cordon(["site", "reconcile", str(target), str(bundle)]) == 2
    export_coordinator_bundle(hospital.log, bundle)
    assert cordon(["site", "reconcile", str(target), str(bundle)]) == 0
