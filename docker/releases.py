"""Sign the list of releases that `cordon site doctor` holds an image against.

    python docker/releases.py KEY.pem releases.json IMAGE...

KEY.pem is the publisher's Ed25519 key (PKCS#8). Each image is asked for its two digests; an earlier
list in releases.json is kept and extended. Run it where the images were built.
"""

import json
import subprocess
import sys
from pathlib import Path

from cordon_common.canonical import canonical_bytes
from cordon_common.signing import SigningKey, seal

TYPE = "cordon.releases.v1"
LABEL = '{{index .Config.Labels "org.opencontainers.image.version"}}'


def digests(image: str) -> dict[str, str]:
    """What an image is called, its version label, and the digests that lie in it."""
    version = _docker("inspect", "-f", LABEL, image).strip()
    folder = "/usr/share/sbom"
    script = f"sha256sum {folder}/files.sha256 {folder}/*.cdx.json"
    told = _docker("run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", script)
    files, sbom = (f"sha256:{line.split()[0]}" for line in told.splitlines())
    return {"image": image, "version": version, "files": files, "sbom": sbom}


def main(key: Path, out: Path, images: list[str]) -> None:
    """Write the list, signed again as a whole."""
    known = json.loads(out.read_text())["payload"]["releases"] if out.is_file() else []
    new = [digests(image) for image in images]
    kept = [each for each in known if each["files"] not in {entry["files"] for entry in new}]
    envelope = seal(SigningKey.load(key), TYPE, {"releases": [*kept, *new]})
    out.write_bytes(canonical_bytes(envelope.model_dump(mode="json")))
    print(f"{len(kept) + len(new)} releases, signed by {envelope.key}", file=sys.stderr)


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
