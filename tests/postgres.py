"""A real Postgres server from Debian's package, for tests: started in a folder of its own, stopped by its own pid."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

PACKAGE = "postgresql"
USER = "clv"
SECONDS = 30
_PREFIX = "@@{database}@@"
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "32MB",
    "log_statement": "all",
    "log_line_prefix": _PREFIX.format(database="%d"),
    "listen_addresses": "127.0.0.1",
    "timezone": "UTC",
}


class PostgresServer:
    """One server in a temporary folder, reached on a free port of localhost with a password made for it.

    ``start`` and ``stop`` may alternate: data, port and password stay. Statements that reach it can be read back.
    """

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="clv_postgres_", dir="/tmp"))  # a path of a socket must be short
        self._log = self._folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self.password = secrets.token_hex(16)
        self.port = 0
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(self._folder, "postgres", "postgres")
        secret = self._folder / "password"
        secret.write_text(self.password, encoding="utf-8")
        options = [f"--username={USER}", "--auth=scram-sha-256", f"--pwfile={secret}", "--no-sync", "--encoding=UTF8"]
        command = [*self._as_user(), programs / "initdb", "--locale=C", *options, self._folder / "data"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self._folder)  # noqa: S603
        assert not done.returncode, done.stdout + done.stderr

    @staticmethod
    def _as_user() -> list[str]:
        """Run as nobody special, and never longer than the tests themselves."""
        drop = ["--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
        return ["setpriv", *drop, "--pdeathsig=INT"]

    @property
    def url(self) -> str:
        """Address of the database that is there from the start, password included."""
        return f"postgres://{USER}:{self.password}@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        if self._process is not None:
            return
        port = self.port or _free_port()
        settings = _SETTINGS | {"port": str(port), "unix_socket_directories": str(self._folder)}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [*self._as_user(), self._programs / "postgres", "-D", self._folder / "data", *flags]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)  # noqa: S603
        self.port = port
        until = time.monotonic() + SECONDS
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > until:
                    self.stop(at_once=True)
                    raise
                time.sleep(0.02)

    def stop(self, *, at_once: bool = False) -> None:
        """End the server; ``at_once`` as a crash does, open transactions and all."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def execute(self, statement: sql.Composable | str, database_url: str | None = None) -> None:
        with psycopg.connect(database_url or self.url, autocommit=True) as connection:
            connection.execute(statement.encode() if isinstance(statement, str) else statement)

    def new_database(self) -> str:
        """Create an empty database; returns its address."""
        name = f"test_{secrets.token_hex(6)}"
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def drop_database(self, url: str) -> None:
        name = urlsplit(url).path.lstrip("/")
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def statements(self, url: str) -> list[str]:
        """Every statement that reached one database so far, in order, as the server logged it."""
        name = urlsplit(url).path.lstrip("/")
        lines = self._log.read_text(encoding="utf-8", errors="replace")
        entries = re.split(r"^@@(\w*)@@", lines, flags=re.MULTILINE)[1:]
        found = []
        for database, entry in zip(entries[::2], entries[1::2], strict=True):
            match = re.match(r"LOG:\s+(?:statement|execute [^:]*): (.*)", entry, flags=re.DOTALL)
            if database == name and match:
                found.append(match[1].replace("\n\t", "\n").strip())
        return found


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _programs() -> Path:
    """Where Debian keeps the newest server; where there is none, skips, and fails under CI."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if not found or shutil.which("setpriv") is None:
        advice = f"Postgres is missing: install the Debian package {PACKAGE}."
        (pytest.fail if os.environ.get("CI") else pytest.skip)(advice)
    return found[-1].parent


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server of one's own, for tests that stop or crash it."""
    server = PostgresServer(_programs())
    try:
        server.start()
        yield server
    finally:
        server.remove()


_shared: list[PostgresServer] = []  # several conftest modules import the fixture: one server serves them all


@pytest.fixture(scope="session")
def postgres_server() -> Generator[PostgresServer]:
    """The server that all tests share; import this fixture and ``postgres_url`` in a ``conftest.py``."""
    if not _shared:
        _shared.append(PostgresServer(_programs()))
    try:
        _shared[0].start()
        yield _shared[0]
    finally:
        if _shared:
            _shared.pop().remove()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Generator[str]:
    """Address of an empty database, dropped after the test."""
    url = postgres_server.new_database()
    yield url
    postgres_server.drop_database(url)
