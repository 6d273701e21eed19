# One image for every process: `docker run IMAGE coordinator`, `executor`, `projector`, `submit` and so on.
#
# BASE: any Debian with Python 3.11 or later and its venv module. What is missing of it, bubblewrap in the official
# images, is installed.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
COPY . /source
RUN python3 -m venv /opt/crunch-reuse \
    && /opt/crunch-reuse/bin/python -m pip install --no-cache-dir --constraint /source/constraints.txt '/source[views]'

FROM ${BASE}
RUN command -v bwrap || { apt-get update && apt-get install --yes --no-install-recommends bubblewrap \
    && rm -rf /var/lib/apt/lists/*; }
COPY --from=build /opt/crunch-reuse /opt/crunch-reuse
RUN install --directory --owner 10001 --group 10001 --mode 0700 /var/lib/crunch-reuse \
    && install --directory --owner 10001 --group 10001 /srv/crunch-reuse/store /srv/crunch-reuse/snapshots
ENV PATH=/opt/crunch-reuse/bin:$PATH \
    HOME=/var/lib/crunch-reuse \
    CRUNCH_REUSE_DATA_DIR=/var/lib/crunch-reuse \
    CRUNCH_REUSE_STORE_DIRECTORY=/srv/crunch-reuse/store \
    CRUNCH_REUSE_SNAPSHOTS_DIRECTORY=/srv/crunch-reuse/snapshots
# Each container's own: a cache, and where tasks run. The other two are for all.
VOLUME /var/lib/crunch-reuse
USER 10001:10001
WORKDIR /var/lib/crunch-reuse
ENTRYPOINT ["crunch-reuse"]
CMD ["--help"]
