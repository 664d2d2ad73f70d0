# engine.sh: a Docker engine for tests, started by hand and stopped without a trace. Source it.
#
#   engine_start FOLDER     dockerd in a network namespace of its own; sets DOCKER_HOST
#   engine_stop             ends it, removes its namespace
#   engine_tools FOLDER     compose v2 and buildx from Debian's packages, unpacked, not installed
#
# The engine's namespace has no way out: containers reach one another and nothing else, and the
# machine's own firewall is never touched. Builds go through a second engine on the machine's
# network (engine_start FOLDER host), because they fetch Debian's packages.

engine_start() { # engine_start FOLDER [host]
  local folder=$1 kind=${2:-apart} launch=()
  mkdir -p "$folder"
  if [[ $kind == apart ]]; then
    ENGINE_NETNS=cordon-engine-$$
    ip netns add "$ENGINE_NETNS"
    ip netns exec "$ENGINE_NETNS" ip link set lo up
    # not `ip netns exec`: it would mount another /sys and hide the control groups
    launch=(nsenter "--net=/run/netns/$ENGINE_NETNS")
    set -- --bip=172.30.0.1/24 --default-address-pool base=172.31.0.0/16,size=24
  else
    set -- --iptables=false --ip6tables=false --bridge=none
  fi
  "${launch[@]}" dockerd --storage-driver=overlay2 "$@" --data-root="$folder/data" \
    --exec-root="$folder/exec" --pidfile="$folder/pid" -H "unix://$folder/docker.sock" \
    >"$folder/log" 2>&1 &
  export DOCKER_HOST=unix://$folder/docker.sock
  ENGINE_FOLDERS+=("$folder")
  local waited=0
  until docker version >/dev/null 2>&1; do
    sleep 0.5
    ((waited += 1))
    if ((waited > 120)) || ! kill -0 $! 2>/dev/null; then
      echo "the Docker engine did not start:" >&2
      tail -5 "$folder/log" >&2
      return 1
    fi
  done
}

engine_stop() { # every engine that was started, by its pid file
  local folder pid
  for folder in "${ENGINE_FOLDERS[@]:-}"; do
    [[ -f $folder/pid ]] || continue
    pid=$(<"$folder/pid")
    kill "$pid" 2>/dev/null || true
    for _ in {1..60}; do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.5
    done
  done
  [[ -z ${ENGINE_NETNS:-} ]] || ip netns del "$ENGINE_NETNS" 2>/dev/null || true
  ENGINE_FOLDERS=()
}
