# One image for every role: `serve` answers calls; any other verb of cli.py is one argument away.

FROM python:3.11-slim AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
COPY requirements-server.lock /tmp/requirements-server.lock
RUN python -m venv /venv \
    && /venv/bin/python -m pip install --require-hashes -r /tmp/requirements-server.lock

FROM python:3.11-slim
# 10001 belongs to nobody on a usual host, and a number lets an orchestrator see that it is not root.
RUN groupadd --gid 10001 trunkline \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin trunkline \
    && install -d -m 0750 -o 10001 -g 10001 /data
COPY --from=builder /venv /venv
WORKDIR /app
COPY . .
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TRUNKLINE_HOST=0.0.0.0 \
    TRUNKLINE_DATA_DIR=/data
VOLUME /data
EXPOSE 7860
USER 10001:10001
# Without the proxy handler HTTP_PROXY would send the question away from this machine.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:' + os.environ.get('TRUNKLINE_PORT', '7860') + '/livez', timeout=2)"]
ENTRYPOINT ["python", "cli.py"]
CMD ["serve"]
