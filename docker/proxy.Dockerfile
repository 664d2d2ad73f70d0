# The proxy in front of a coordinator, and the relay in front of a gateway: nginx from Debian.
ARG BASE=debian:bookworm-slim@sha256:4b50eb66f977b4062683ff434ef18ac191da862dbe966961bc11990cf5791a8d

FROM ${BASE}
ARG DEBIAN_FRONTEND=noninteractive
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libnginx-mod-stream nginx-light \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /var/cache/debconf/* /var/log/* /etc/nginx/sites-enabled \
    && find / -xdev -type f -perm /6000 -delete \
    && groupadd --gid 10001 cordon \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin cordon \
    && install -d -o 10001 -g 10001 -m 0700 /edge \
    && install -d /usr/share/sbom \
    && dpkg-query --show --showformat '${Package} ${Version} ${Architecture}\n' > /usr/share/sbom/debian.txt
COPY proxy.conf relay.conf start.sh /etc/cordon/
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["/bin/sh", "-c", "kill -0 \"$(cat /tmp/nginx.pid)\""]
ENTRYPOINT ["/bin/sh", "/etc/cordon/start.sh"]
CMD ["proxy"]
