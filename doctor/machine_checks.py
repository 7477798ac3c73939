"""This machine: files that hold secrets, room on the disk, the port, the cores, Redis."""

import asyncio
import contextlib
import errno
import shutil
import socket
import ssl
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from config.settings import Settings
from doctor.findings import Finding, ok, problem

_LEAST_FREE_BYTES = 1024**3
"""About 18 hours of recordings of one call, and what the database needs beside them."""
_WAIT_SECS = 3.0


async def check_secret_files(settings: Settings, env_file: Path | None) -> list[Finding]:
    """See that nobody else on this machine reads the server's secrets."""
    return await asyncio.to_thread(_check_secret_files, settings, env_file)


def _check_secret_files(settings: Settings, env_file: Path | None) -> list[Finding]:
    found: list[Finding] = []
    for path in (env_file, settings.data_dir / "secret.key"):
        with contextlib.suppress(OSError):  # none there is no fault: both are optional before the first start
            if path is not None:
                open_to = stat.S_IMODE(path.stat().st_mode) & 0o077
                if open_to:
                    found.append(problem(str(path), f"others on this machine may read it; run: chmod 600 {path}"))
                else:
                    found.append(ok(str(path), "only its owner may read it"))
    return found


async def check_room(folder: Path) -> Finding:
    """See how much room there is for recordings and the database."""
    what = "disk"
    there = await asyncio.to_thread(_nearest, folder)
    try:
        free = (await asyncio.to_thread(shutil.disk_usage, there)).free
    except OSError as error:
        return problem(what, f"{there} cannot be looked at ({error.strerror}); correct TRUNKLINE_DATA_DIR")
    told = f"{free / 1024**3:.1f} GiB free below {there}"
    if free < _LEAST_FREE_BYTES:
        return problem(what, f"{told}; make room, or set TRUNKLINE_DATA_DIR to a larger disk")
    return ok(what, told)


def _nearest(folder: Path) -> Path:
    return next((path for path in (folder, *folder.absolute().parents) if path.is_dir()), Path("/"))


async def check_port(settings: Settings) -> Finding:
    """See whether the server could listen, or does already."""
    what, where = "port", f"{settings.host}:{settings.port}"
    if settings.port == 0:
        return ok(what, "a free one is taken at start")
    try:
        await asyncio.to_thread(_bind, settings.host.strip("[]"), settings.port)
    except OSError as error:
        if error.errno == errno.EACCES:
            return problem(what, f"{where} may not be listened on; set TRUNKLINE_PORT to one above 1023")
        if error.errno != errno.EADDRINUSE:
            cure = "set TRUNKLINE_HOST to an address of this machine"
            return problem(what, f"{where} cannot be listened on ({error.strerror}); {cure}")
        if await _is_ours(settings):
            return ok(what, f"a server of ours listens on {where}")
        return problem(what, f"another program listens on {where}; stop it, or set TRUNKLINE_PORT to a free port")
    return ok(what, f"{where} is free for the server")


def _bind(host: str, port: int) -> None:
    [(family, kind, protocol, _name, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


async def _is_ours(settings: Settings) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host.strip("[]"), settings.host.strip("[]"))
    try:
        async with asyncio.timeout(_WAIT_SECS):
            reader, writer = await asyncio.open_connection(host, settings.port)
            try:
                writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return b'"alive"' in await reader.read(4096)
            finally:
                writer.transport.abort()
    except OSError:
        return False


def check_processes(settings: Settings, cores: int) -> Finding:
    """Hold the number of processes against the cores."""
    what, wanted = "processes", settings.processes
    if wanted is not None and wanted > cores:
        cure = f"set it to {cores}, or leave it unset"
        return problem(what, f"TRUNKLINE_PROCESSES={wanted}, and {cores} cores: voices stutter under load; {cure}")
    return ok(what, f"{wanted or cores} on {cores} cores")


async def check_redis(settings: Settings) -> list[Finding]:
    """Ask Redis (or Valkey) for an answer, where one is set."""
    if settings.redis_url is None:
        return []
    what = "Redis"
    try:
        async with asyncio.timeout(_WAIT_SECS):
            reply = await _ping(settings.redis_url)
    except (OSError, EOFError, ValueError) as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
        return [problem(what, f"it cannot be reached ({why}); start it, or correct TRUNKLINE_REDIS_URL")]
    if reply.startswith(b"+PONG"):
        return [ok(what, "it answers")]
    if reply.startswith((b"-NOAUTH", b"-WRONGPASS", b"-ERR AUTH", b"-ERR invalid password")):
        return [problem(what, "it refuses the password; correct the one in TRUNKLINE_REDIS_URL")]
    told = reply.decode("ascii", "replace").strip()[:60]
    return [problem(what, f"it answers {told!r} to PING; see its log, or correct TRUNKLINE_REDIS_URL")]


async def _ping(url: str) -> bytes:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        reader, writer = await asyncio.open_unix_connection(parts.path)
    else:
        tls = await asyncio.to_thread(ssl.create_default_context) if parts.scheme == "rediss" else None
        reader, writer = await asyncio.open_connection(parts.hostname or "localhost", parts.port or 6379, ssl=tls)
    try:
        if parts.password:
            names = [unquote(parts.username)] if parts.username else []
            writer.write(_command("AUTH", *names, unquote(parts.password)))
            if not (reply := await reader.readline()).startswith(b"+OK"):
                return reply
        writer.write(_command("PING"))
        return await reader.readline()
    finally:
        writer.transport.abort()


def _command(*words: str) -> bytes:
    """A command in Redis's own protocol, RESP: https://redis.io/docs/latest/develop/reference/protocol-spec/."""
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
