#!/usr/bin/env bash
# build.sh IMAGE...: builds cordon/vault, cordon/vault-omics, cordon/vault-cuda, cordon/gateway,
# cordon/coordinator, cordon/proxy with the Docker engine that the environment names.
#
#   BASE          another base image, e.g. from a mirror; by default the digest in the Dockerfile
#   WHEELHOUSE    where the wheels lie or are fetched to (default: the user's cache)
#   TAG           version tag (default: the version in common/pyproject.toml)
#   BUILD_ARGS    further arguments to `docker build`
#
# Air-gapped: fill WHEELHOUSE with docker/wheelhouse.sh elsewhere and carry it here.
set -euo pipefail
docker=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$docker")
PYTHON=${PYTHON:-$root/.venv/bin/python}
WHEELHOUSE=${WHEELHOUSE:-${XDG_CACHE_HOME:-$HOME/.cache}/cordon/wheels}
TAG=${TAG:-$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/common/pyproject.toml")}
DOCKER=${DOCKER:-docker}
read -ra extra <<<"${BUILD_ARGS:-}"
[[ -n ${BASE:-} ]] && extra+=(--build-arg "BASE=$BASE")

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT

own_wheels() { # own_wheels FOLDER PROJECT...: the project's wheels; the same tree gives the same bytes
  local folder=$1
  shift
  for project in "$@"; do
    (cd "$root/$project" && SOURCE_DATE_EPOCH=1767225600 "$PYTHON" -m hatchling build \
      --directory "$folder" --target wheel >/dev/null)
  done
}

python_image() { # python_image IMAGE TARGET PROJECT
  local image=$1 target=$2 project=$3 folder=$context/$1
  "$docker/wheelhouse.sh" "$image" "$WHEELHOUSE/$image"
  "$docker/wheelhouse.sh" build "$WHEELHOUSE/build"
  mkdir -p "$folder/wheels" "$folder/build"
  cp -l "$WHEELHOUSE/$image"/*.whl "$folder/wheels/" 2>/dev/null || cp "$WHEELHOUSE/$image"/*.whl "$folder/wheels/"
  cp "$WHEELHOUSE"/build/*.whl "$folder/build/"
  cp "$docker/sbom.py" "$docker/starts.py" "$folder/"
  cp "$docker/locks/$image.txt" "$folder/lock.txt"
  own_wheels "$folder/own" common "$project"
  DOCKER_BUILDKIT=1 "$DOCKER" build --progress=plain --file "$docker/Dockerfile" --target "$target" \
    --build-arg "IMAGE=$image" --label "org.opencontainers.image.version=$TAG" \
    --tag "cordon/$image:$TAG" --tag "cordon/$image:latest" "${extra[@]}" "$folder"
}

for image in "$@"; do
  case $image in
    vault | vault-omics | vault-cuda) python_image "$image" vault client ;;
    gateway) python_image gateway gateway client ;;
    coordinator) python_image coordinator coordinator server ;;
    proxy)
      DOCKER_BUILDKIT=1 "$DOCKER" build --progress=plain --file "$docker/proxy.Dockerfile" \
        --label "org.opencontainers.image.version=$TAG" --tag "cordon/proxy:$TAG" \
        --tag cordon/proxy:latest "${extra[@]}" "$docker/proxy"
      ;;
    *) echo "there is no image $image" >&2; exit 2 ;;
  esac
done
