# `make image` builds it. To pin what it stands on, give PYTHON_IMAGE with its digest.
ARG PYTHON_IMAGE=docker.io/library/python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# Of the last commit: nothing in the image then tells when it was built.
ARG SOURCE_DATE_EPOCH=0
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
COPY requirements/build.lock requirements/run.lock requirements/
RUN python -m venv /build \
    && /build/bin/pip install --require-hashes --only-binary :all: -r requirements/build.lock \
    && python -m venv --without-pip /app \
    && /build/bin/pip --python /app/bin/python install --no-compile \
        --require-hashes --only-binary :all: -r requirements/run.lock
COPY LICENSE README.md pyproject.toml ./
COPY schemas schemas
COPY sandbox sandbox
COPY worker worker
RUN /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels ./schemas ./sandbox .
# Bytecode that is never checked against its source: the root is read-only, and no times get into it.
RUN /build/bin/pip --python /app/bin/python install --no-compile --no-deps --no-index \
        --find-links /wheels recording-worker recording-worker-sandbox recording-worker-schemas \
    && python -m compileall -q -f --invalidation-mode unchecked-hash /app/lib \
    && mkdir /state

FROM ${PYTHON_IMAGE}
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="recording-worker" \
      org.opencontainers.image.description="Records RealtimeKit meetings by commands from RabbitMQ" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN echo 'worker:x:10001:' >> /etc/group \
    && echo 'worker:x:10001:10001::/var/lib/recording-worker:/usr/sbin/nologin' >> /etc/passwd
COPY --from=build /app /app
COPY --from=build --chown=10001:10001 /state /var/lib/recording-worker
ENV PATH=/app/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Where SQLite's file is without a DATABASE_URL, and all that may be written to.
WORKDIR /var/lib/recording-worker
USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "-I", "-c", "import http.client as h, os, sys; a = os.environ.get('HTTP_HOST', '').strip(' []'); c = h.HTTPConnection('127.0.0.1' if a in ('', '::', '0.0.0.0') else a, int(os.environ.get('HTTP_PORT') or 8080), timeout=4); c.request('GET', '/livez'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["recording-worker"]
CMD ["run"]
