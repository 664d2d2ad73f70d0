"""Write an image's bill of materials and the digest of every file of its Python environment.

    python sbom.py NAME OUTPUT_FOLDER

Runs inside the build stage, with the environment's own interpreter and the standard library only.
`NAME.cdx.json` is CycloneDX 1.6 JSON: every Python distribution (with its licence as declared) and
every Debian package that is really there, not what some list says should be. `files.sha256` is what
`sha256sum --check` reads. Equal environments give equal bytes: no time, no random serial.
"""

import hashlib
import json
import os
import re
import sys
import sysconfig
import uuid
from importlib.metadata import Distribution, distributions
from pathlib import Path
from urllib.parse import quote

DPKG_STATUS = Path("/var/lib/dpkg/status")
NAMESPACE = uuid.UUID("6a4d9d0e-52f5-5b0c-9a2e-0c0f3a1d7c55")


def python_component(found: Distribution) -> dict[str, object]:
    """One Python distribution as a CycloneDX component."""
    name = re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()
    purl = f"pkg:pypi/{name}@{quote(found.version, safe='.')}"
    component: dict[str, object] = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": found.version,
        "purl": purl,
    }
    licence = found.metadata.get("License-Expression") or found.metadata.get("License") or ""
    if licence and "\n" not in licence and len(licence) < 100:
        component["licenses"] = [{"license": {"name": licence}}]
    return component


def debian_components(status: str) -> list[dict[str, object]]:
    """The installed packages of dpkg's status file."""
    found = []
    for paragraph in status.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Architecture|Status): (.*)$", paragraph, re.M))
        if not fields.get("Status", "").endswith(" installed"):
            continue
        name, release = fields["Package"], fields["Version"]
        purl = f"pkg:deb/debian/{name}@{quote(release, safe='.')}?arch={fields['Architecture']}"
        found.append(
            {"type": "library", "bom-ref": purl, "name": name, "version": release, "purl": purl}
        )
    return found


def bill(name: str, components: list[dict[str, object]]) -> dict[str, object]:
    """The whole document; its serial number follows from what it lists."""
    components = sorted(components, key=lambda each: str(each["bom-ref"]))
    listed = "\n".join(str(each["bom-ref"]) for each in components)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, name + ' ' + listed)}",
        "version": 1,
        "metadata": {"component": {"type": "container", "bom-ref": name, "name": name}},
        "components": components,
    }


def file_digests(root: Path) -> str:
    """`<sha256>  <path>` for every regular file below `root`, sorted by path."""
    lines = []
    for folder, _, names in os.walk(root):
        for path in (Path(folder) / name for name in names):
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path}")
    return "\n".join(sorted(lines, key=lambda line: line[66:])) + "\n"


def main(name: str, output: Path) -> None:
    """Write both files."""
    output.mkdir(parents=True, exist_ok=True)
    components = [python_component(found) for found in distributions()]
    components += debian_components(DPKG_STATUS.read_text(encoding="utf-8"))
    text = json.dumps(bill(name, components), indent=1, sort_keys=True)
    (output / f"{name}.cdx.json").write_text(text + "\n", encoding="utf-8")
    environment = Path(sysconfig.get_paths()["data"])
    (output / "files.sha256").write_text(file_digests(environment), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
