#!/usr/bin/env bash
# wheelhouse.sh IMAGE FOLDER: the wheels that docker/locks/IMAGE.txt names, each with its hash.
# Run it where a package index can be reached; carry the folder to where it cannot. A folder that is
# complete already is left as it is, so it doubles as a cache.
set -euo pipefail
image=$1 folder=$2
docker=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lock=$docker/locks/$image.txt
PYTHON=${PYTHON:-$docker/../.venv/bin/python}

[[ -f $lock ]] || { echo "there is no lock for $image; make it with: python docker/locks.py $image" >&2; exit 2; }
mkdir -p "$folder"
stamp=$folder/$(sha256sum "$lock" | cut -c1-64).complete
[[ -f $stamp ]] && exit 0
"$PYTHON" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
  --require-hashes --requirement "$lock" --dest "$folder" 2> >(grep -v '^WARNING: Location' >&2)
touch "$stamp"
