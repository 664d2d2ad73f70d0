#!/bin/sh
# start.sh proxy | relay: nginx in the foreground, its few settings from the environment.
#   proxy: SUPERLINK (default coordinator:8443)      the coordinator's SuperLink
#          EDGE      (default /edge)                 server.crt, server.key, ca.crt
#   relay: COORDINATOR host:port, RELAY_PORT         the one address that a gateway reaches
# LISTEN and OPERATORS change the proxy's ports (8443, 8444); RUN is its folder for scratch files.
set -eu
mode=${1:-proxy}
here=$(dirname "$0")
RUN=${RUN:-/tmp}
case $mode in
proxy) : "${SUPERLINK:=coordinator:8443}" "${EDGE:=/edge}" "${LISTEN:=8443}" "${OPERATORS:=8444}" ;;
relay) : "${COORDINATOR:?set COORDINATOR to host:port}" "${RELAY_PORT:=${COORDINATOR##*:}}" ;;
*) echo "start.sh proxy | relay" >&2 && exit 2 ;;
esac
sed -e "s|@SUPERLINK@|${SUPERLINK:-}|g" -e "s|@EDGE@|${EDGE:-}|g" -e "s|@LISTEN@|${LISTEN:-}|g" \
    -e "s|@OPERATORS@|${OPERATORS:-}|g" -e "s|@COORDINATOR@|${COORDINATOR:-}|g" \
    -e "s|@RELAY_PORT@|${RELAY_PORT:-}|g" -e "s|@RUN@|$RUN|g" "$here/$mode.conf" >"$RUN/nginx.conf"
exec nginx -e stderr -c "$RUN/nginx.conf" -g 'daemon off;'
