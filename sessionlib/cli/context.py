"""What a verb works with: the options, the configuration, and the database, each opened when it is needed."""

import argparse
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sessionlib.cli.answer import Freshness
from sessionlib.errors import ConfigError, SchemaMissingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from sessionlib.cli import relay
    from sessionlib.config import Config
    from sessionlib.control import ControlClient
    from sessionlib.db.engine import Database
    from sessionlib.sync.second import SecondProcess

_LEAST_STALE = 180.0
_MISSED_LOOKS = 3
"""A mirror is stale when so many reconciles in a row have not vouched for it, or after 180 s."""


class Context:
    """One call of the command line.

    Args:
        options: As parsed.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self._fresh: Freshness | None = None

    @cached_property
    def config(self) -> "Config":
        """The settings in force.

        Raises:
            ConfigError: They cannot be used, or the database's URL on the command line has a password.
        """
        from sessionlib import config as configuration

        overrides: dict[str, dict[str, object]] = {}
        if self.options.database is not None:
            configuration.refuse_password(self.options.database)
            overrides["database"] = {"url": self.options.database}
        for name in ("state_dir", "runtime_dir"):
            if getattr(self.options, name) is not None:
                overrides.setdefault("daemon", {})[name] = getattr(self.options, name)
        return configuration.load(self.options.config, overrides=overrides)

    @contextmanager
    def blaming(self) -> Iterator[None]:
        """Let the error of a database URL that cannot be used say where the URL came from."""
        try:
            yield
        except ConfigError as error:
            if error.key == "database.url" and not error.source:
                error.source = self._url_source()
                error.message = f"{error.source}: {error.message}"
                error.args = (error.message,)
            raise

    def _url_source(self) -> str:
        from sessionlib.config import DATABASE_VARIABLE

        if self.options.database is not None:
            return "--database"
        return DATABASE_VARIABLE if os.environ.get(DATABASE_VARIABLE) else self.config.source

    @contextmanager
    def open_database(self, *, existing: bool = True) -> Iterator["Database"]:
        """Open the database; with `existing`, an SQLite file must be there already and is never made.

        Raises:
            SchemaMissingError: There is no such file.
            ConfigError: The URL cannot be used.
        """
        from sessionlib.db.engine import Database

        database = Database(self.config.database_url, pool_size=2, pgbouncer=self.config.database.pgbouncer)
        try:
            if existing and not has_file(database):
                raise SchemaMissingError(
                    f"there is no database {database.name} yet",
                    hint="run `sessiond run ROOT`, or `sessionctl sync PATH`",
                )
            yield database
        finally:
            database.close()

    @contextmanager
    def current_database(self) -> Iterator["Database"]:
        """Open a database that has the schema this program needs.

        Raises:
            SchemaMissingError: It has none, or an older one.
            SchemaMismatchError: It has a newer one.
            DatabaseError: It does not answer.
        """
        from sessionlib.db import schema

        with self.open_database() as database:
            schema.require_current(database)
            yield database

    @contextmanager
    def second_process(self) -> Iterator["SecondProcess"]:
        """Give a second process for the sessions of the paths that were named, or for all.

        It is started at once if those are all and there may be many of them: while this one imports what it
        takes to work with a database.
        """
        from sessionlib.sync.second import SecondProcess, may_be_many

        with closing(SecondProcess()) as second:
            if not self.options.paths and may_be_many(self.config.database_url):
                second.start()
            yield second

    @contextmanager
    def reading(self) -> Iterator["Connection"]:
        """Open a transaction for reading, once the mirror is as fresh as ``--max-age`` asks for.

        Raises:
            MirrorStaleError: It is not, or not in time.
            ControlError: A daemon that would know does not answer, and ``--max-age`` was given.
            SessionlibError: As `current_database`.
        """
        from sessionlib.cli import live

        max_age = self.options.max_age
        with self.current_database() as database:
            # Asked before the rows are read, so that they are never older than what is said of them.
            daemon = live.Daemon(self.client(live.PATIENCE), database)
            told = daemon.freshness(max_age)
            with database.read() as connection:
                if told is None or told.as_of is None:
                    beat = self._heartbeat(connection)
                    live.require(beat, max_age)
                    told = beat if told is None else told._replace(as_of=beat.as_of, age=beat.age)
                self._fresh = told
                yield connection

    def told(self, target: str, parameters: "Mapping[str, object]") -> "relay.Told | None":
        """Return what the running daemon answers in place of the database; None where that must be asked.

        Args:
            target: The path of a reading route, quoted.
            parameters: Of the route; None and False are left out.
        """
        from sessionlib.cli import relay

        return relay.ask(self.options, target, parameters)

    def client(self, timeout: float = 5.0) -> "ControlClient":
        """Return a client of the daemon that belongs to the configuration; nothing is connected yet."""
        from sessionlib.cli import live

        return live.client_of(self.config, config_file=self.options.config, timeout=timeout)

    def daemon(self) -> "ControlClient | None":
        """Return a client of the daemon that mirrors into our database; None when there is none.

        Raises:
            ControlError: A daemon is there and does not answer.
        """
        from sessionlib.cli import live

        with self.open_database(existing=False) as database:
            if live.Daemon(self.client(live.PATIENCE), database).ask() is None:
                return None
        return self.client()

    def freshness(self, connection: "Connection") -> Freshness:
        """Return how fresh the mirror is that `reading` has opened; else by the heartbeat."""
        return self._fresh or self._heartbeat(connection)

    def _heartbeat(self, connection: "Connection") -> Freshness:
        from sessionlib.db import queries
        from sessionlib.models.base import utc_now

        limit = max(_MISSED_LOOKS * self.config.watch.reconcile_interval, _LEAST_STALE)
        return Freshness.judge(queries.freshness(connection), utc_now(), limit)


def has_file(database: "Database") -> bool:
    """Tell whether there is something to connect to: to connect to SQLite would make an empty file."""
    # With uri=true the name is not a path; SQLite itself is told there whether it may make a file.
    return database.is_postgres or "uri" in database.url.query or Path(str(database.url.database)).exists()
