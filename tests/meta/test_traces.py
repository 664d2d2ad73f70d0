"""What is published names no machine, no registry host and no foreign web address to load from."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = {".png", ".safetensors", ".sqlite", ".gz", ".bam", ".parquet"}
# A character class inside each pattern keeps this file from matching itself.
MACHINE_PATHS = re.compile(
    r"(?<![\w.<>{}-])/(?:wor[k]|roo[t]|opt/pyp[i]|opt/wheel[s]|User[s])/[\w.]"
)
REGISTRY_HOSTS = re.compile(
    r"pyp[i]\.org|pythonhoste[d]|registry\.npmj[s]|deb\.debia[n]|download\.pytorc[h]|crates\.i[o]"
    r"|conda\.anacond[a]|ghcr\.i[o]|docker\.i[o]|quay\.i[o]"
)
FOREIGN_ASSETS = re.compile(
    r"jsdelivr|unpk[g]|cdnj[s]|googleapi[s]|gstati[c]|(?:src|href)=[\"'](?:https?:)?//(?!127\.0\.0\.1)"
)
SECRETS = re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\\?n?\s*[\w+/]{32}")
JUNK = re.compile(r"(^|/)(\.DS_Store|__pycache__|.*\.(pyc|swp|orig|rej|log|sqlite(-wal|-shm)?))$")
MAX_FILE_BYTES = 512 * 1024


def findings(tracked, pattern, *, within=("",)):
    """`file:line: match` for every match in the project's text files."""
    found = []
    for name in tracked:
        path = ROOT / name
        if path.suffix in BINARY or not name.startswith(tuple(within)):
            continue
        text = path.read_text(encoding="utf-8")
        for number, line in enumerate(text.splitlines(), start=1):
            found += [f"{name}:{number}: {match[0]}" for match in pattern.finditer(line)]
    return found


def test_no_file_names_a_path_of_one_machine(tracked):
    assert findings(tracked, MACHINE_PATHS) == []


def test_no_file_names_a_package_registry(tracked):
    assert findings(tracked, REGISTRY_HOSTS) == []


def test_no_page_or_report_loads_anything_from_elsewhere(tracked):
    within = ("common/", "client/", "server/")
    assert findings(tracked, FOREIGN_ASSETS, within=within) == []


def test_no_private_key_is_published(tracked):
    texts = [n for n in tracked if (ROOT / n).suffix not in BINARY]
    assert [n for n in texts if SECRETS.search((ROOT / n).read_text(encoding="utf-8"))] == []


def test_nothing_that_a_program_left_behind_is_tracked(tracked):
    assert [name for name in tracked if JUNK.search(name)] == []


def test_no_file_is_too_large_to_be_source(tracked):
    large = {n: size for n in tracked if (size := (ROOT / n).stat().st_size) > MAX_FILE_BYTES}
    assert large == {}


def test_the_patterns_find_what_they_are_for(tmp_path):
    assert MACHINE_PATHS.search("open('/wor" + "k/main/x')")
    assert not MACHINE_PATHS.search("site/wor" + "k/results")
    assert REGISTRY_HOSTS.search("https://pyp" + "i.org/simple")
    assert FOREIGN_ASSETS.search("<script src='https:" + "//example.org/x.js'>")
    assert not FOREIGN_ASSETS.search("<a href='#top'>")
    body = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwN"
    assert SECRETS.search(f"-----BEGIN PRIVATE KEY-----\n{body}\n")
    assert SECRETS.search(f"-----BEGIN EC PRIVATE KEY-----\\n{body}\\n")
    assert not SECRETS.search("-----BEGIN PRIVATE KEY-----\n")
