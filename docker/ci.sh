#!/usr/bin/env bash
# ci.sh: what a hospital's firewall review would try, tried here: images, running containers, a whole
# federation in compose, hospitals behind firewalls, attacks. A step that cannot run is a failure.
#
#   ci.sh            everything
#   ci.sh images     build and check the images only
#   ci.sh network    firewalls and attacks only (no engine)
#
# Starts a Docker engine of its own in network namespaces of its own; nothing outside is touched, and
# nothing of it is left. Caches (base image, wheels, compose) lie under $CORDON_CACHE, outside the tree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CI=true OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=
BIN=.venv/bin
CACHE=${CORDON_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cordon}
SUITE=bookworm NEXT_SUITE=trixie
what=${1:-all}

stage() { # stage NAME COMMAND...
  local name=$1 started=$SECONDS status=0
  shift
  printf '\n-- docker: %s\n' "$name"
  "$@" || status=$?
  printf -- '-- docker: %s: %s after %d s\n' "$name" "$([[ $status -eq 0 ]] && echo ok || echo FAILED)" \
    $((SECONDS - started))
  return "$status"
}

packages() {
  local wanted=(docker.'io' mmdebstrap nftables iptables iproute2 nginx-light libnginx-mod-stream tini) missing=() package
  for package in "${wanted[@]}"; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true) == installed ]] ||
      missing+=("$package")
  done
  [[ ${#missing[@]} -eq 0 ]] && return 0
  local as_root=()
  [[ $(id -u) -eq 0 ]] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  # no service of these packages is to start on this machine
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

mirror() { # where this machine takes Debian from
  sed -n 's/^URIs: //p' /etc/apt/sources.list.d/debian.sources | head -1
}

base_image() { # a stand-in for the pinned base: the same release, made from packages
  local tar=$CACHE/base-$SUITE-$(date +%Y-%m).tar
  [[ -s $tar ]] || {
    mmdebstrap --quiet --variant=minbase --mode=root --aptopt='Acquire::Languages "none"' \
      --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
      --dpkgopt='path-exclude=/usr/share/locale/*' \
      --format=tar "$SUITE" "$tar.part" /etc/apt/sources.list.d/debian.sources >/dev/null 2>&1 || return 1
    mv "$tar.part" "$tar"
  }
  docker import -c 'CMD ["bash"]' "$tar" debian:bookworm-slim >/dev/null
}

compose_tools() { # compose v2 and buildx of the next Debian, unpacked and not installed
  export DOCKER_CONFIG=$CACHE/docker-config
  [[ -x $DOCKER_CONFIG/cli-plugins/docker-compose ]] && return 0
  local work
  work=$(mktemp -d)
  mkdir -p "$work"/{lists,cache/archives,state}/partial "$DOCKER_CONFIG/cli-plugins"
  : >"$work/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) $NEXT_SUITE main" \
    >"$work/sources.list"
  local apt=(apt-get -qq -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State=$work/state" -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache"
    -o "Dir::State::status=$work/status" -o APT::Sandbox::User=root)
  "${apt[@]}" update
  (cd "$work" && "${apt[@]}" download docker-compose docker-buildx && for deb in *.deb; do dpkg-deb -x "$deb" x; done)
  cp "$work"/x/usr/libexec/docker/cli-plugins/* "$DOCKER_CONFIG/cli-plugins/"
  rm -rf "$work"
}

lint() {
  "$BIN/hadolint" docker/Dockerfile docker/proxy.Dockerfile || return 1
  local file
  for file in site coordinator; do
    CORDON_DATA=/tmp CORDON_DESK=/tmp CORDON_WORK=/tmp CORDON_COORDINATOR_HOST=c.example.org \
      docker compose -f "docker/$file.compose.yaml" config -q || return 1
  done
  "$BIN/kubernetes-validate" --strict --quiet docker/kubernetes/*.yaml
}

images() {
  engine_start "$SCRATCH/engine" host || return 1
  base_image || return 1
  BASE=debian:bookworm-slim BUILD_ARGS=--network=host WHEELHOUSE=$CACHE/wheels DOCKER=/usr/bin/docker \
    docker/build.sh proxy gateway coordinator vault >"$SCRATCH/build.log" 2>&1 || {
    tail -40 "$SCRATCH/build.log" >&2
    return 1
  }
  docker image ls --filter 'reference=cordon/*:latest' --format 'table {{.Repository}}\t{{.Size}}'
  engine_stop
}

containers() {
  engine_start "$SCRATCH/engine" apart || return 1
  local status=0
  CI_LOGS=$SCRATCH "$BIN/python" -m pytest -q -x -p no:cacheprovider -s -o timeout=1800 docker/tests || status=$?
  [[ $status -eq 0 ]] || tail -30 "$SCRATCH"/ci-*.log >&2
  engine_stop
  return "$status"
}

firewalls() {
  "$BIN/python" -m pytest -q -p no:cacheprovider -s -o timeout=1800 docker/network
}

# shellcheck source=docker/engine.sh
source docker/engine.sh
SCRATCH=$(mktemp -d)
export NAMESPACES=cordon$$
ENGINE_FOLDERS=()
cleanup() {
  local status=$?
  engine_stop
  # the engine's mounts are gone with it; what is left of them would keep the folder
  local namespace
  for namespace in $(ip netns list | grep -o "^$NAMESPACES-[a-z]*"); do
    ip netns pids "$namespace" | xargs -r kill -9 2>/dev/null || true
    ip netns del "$namespace" || true
  done
  grep -o "$SCRATCH[^ ]*" /proc/mounts | sort -r | xargs -r umount -l 2>/dev/null || true
  rm -rf "$SCRATCH" || true
  exit "$status"
}
trap cleanup EXIT
mkdir -p "$CACHE"
docker() { /usr/bin/docker "$@"; } # Debian's client: newer ones want other plugins
started=$SECONDS

stage "packages" packages
stage "compose and buildx" compose_tools
stage "lint" lint
if [[ $what == all || $what == network ]]; then stage "firewalls and attacks" firewalls; fi
if [[ $what == all || $what == images ]]; then stage "images" images; fi
if [[ $what == all ]]; then stage "containers" containers; fi
printf '\ndocker/ci.sh: everything held, %d s\n' $((SECONDS - started))
