"""URLs of databases: read once and strictly, shown from the parts that may be shown, never from their text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeGuard
from urllib.parse import quote, quote_plus, unquote, unquote_plus, urlencode

from clv_forecast.errors import DomainError
from clv_forecast.printable import HIDDEN, printable, without_logins

VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
FILE_ENGINES: Final = ("duckdb", "sqlite")
POSTGRES: Final = ("postgres", "postgresql")
# With a mistake in it, too: one slash, none, or the pairs that libpq also takes
_MEANT: Final = re.compile(
    r"\s*[A-Za-z][A-Za-z0-9+.\-]+:/|\s*(?:postgres|postgresql|mysql|mssql|snowflake|duckdb|sqlite|oracle):"
    r"|.*\bpass(?:word|wd)?\s*=|.*://",
    re.IGNORECASE | re.DOTALL,
)
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\[\]:]*)(?::[0-9]{1,5})?")
_NO_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SECRET: Final = re.compile(r"pass|pwd|secret|token|key|credential|sig|auth|sas", re.IGNORECASE)
_HIDE: Final = "Write it as ${NAME}, and set that variable where the run is started."
_ESCAPE: Final = (
    "It is scheme://host:port/database, user and password before the host, options behind the database. In these write "
    "special characters percent-encoded: %40 for @, %3A for :, %2F for /, %3F for ?, %23 for #, %25 for %."
)
_WHOLE_WORD_BELOW: Final = 4
_LONGEST_NAME: Final = 63  # to so many bytes Postgres cuts a user's name before it says it
# What libpq and Ibis take; a driver for Python would take any other name for an argument of its own
_POSTGRES_OPTIONS: Final = frozenset(
    (
        *("user", "password", "host", "hostaddr", "port", "schema", "service", "passfile", "connect_timeout"),
        *("client_encoding", "options", "application_name", "fallback_application_name", "keepalives"),
        *("keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "channel_binding"),
        *("gssencmode", "gsslib", "gssdelegation", "krbsrvname", "replication", "require_auth", "requirepeer"),
        *("sslmode", "sslnegotiation", "sslcompression", "sslcert", "sslkey", "sslpassword", "sslcertmode"),
        *("sslrootcert", "sslcrl", "sslcrldir", "sslsni", "ssl_min_protocol_version", "ssl_max_protocol_version"),
        *("target_session_attrs", "load_balance_hosts"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ConnectionUrl:
    """The URL of a database in its parts. Made by `connection_url`; as text it is what may be shown.

    Parameters
    ----------
    scheme : str
        Kind of database, such as ``postgres``.
    user, password : str or None
        Without escapes.
    host : str
        With its port; of Postgres several, separated by commas. Empty for files.
    path : str
        Of a file; or ``/`` and the database.
    options : tuple of (str, str)
        Of the query.
    shown : str
        Scheme, host and database, or the variable that the whole URL is.
    hidden : tuple of str
        What no message may hold: user, password, values of options and of variables.

    Examples
    --------
    >>> url = connection_url("postgres://clv:s3cr3t@warehouse:5432/sales?sslpassword=x")
    >>> str(url), url.password
    ('postgres://warehouse:5432/sales', 's3cr3t')
    """

    scheme: str
    user: str | None
    password: str | None
    host: str
    path: str
    options: tuple[tuple[str, str], ...]
    shown: str
    hidden: tuple[str, ...]

    def __str__(self) -> str:
        return printable(self.shown)

    def __repr__(self) -> str:
        return f"<ConnectionUrl {self}>"

    @property
    def text(self) -> str:
        """The URL with all that is hidden, for a driver."""
        login = "" if self.user is None else quote(self.user, safe="")
        login += "" if self.password is None else f":{quote(self.password, safe='')}"
        path = quote(self.path, safe="/:!$&'()*+,;=~") if self.scheme not in FILE_ENGINES else self.path
        query = f"?{urlencode(self.options, quote_via=quote)}" if self.options else ""
        return f"{self.scheme}://{login}{'@' if login else ''}{self.host}{path}{query}"

    @property
    def postgres_arguments(self) -> dict[str, Any]:
        """The parts as Ibis takes them for Postgres."""
        database, _, schema = self.path.removeprefix("/").partition("/")
        hosts = [re.fullmatch(r"\[?(.*?)\]?(?::(\d+))?", one) for one in self.host.split(",")]
        named = [(found[1], found[2] or "5432") for found in hosts if found is not None]
        known = {
            "user": self.user,
            "password": self.password,
            "host": ",".join(name for name, _ in named),
            "port": ",".join(port for _, port in named),
            "database": database,
            "schema": schema,
        }
        return {name: value for name, value in known.items() if value} | dict(self.options)

    def with_options(self, defaults: Mapping[str, str]) -> ConnectionUrl:
        """The same with options where it names none."""
        return replace(self, options=tuple((dict(defaults) | dict(self.options)).items()))

    def without_secrets(self, text: str) -> str:
        """Take out of a driver's message what this URL hides.

        Examples
        --------
        >>> connection_url("postgres://clv:a%2Fb%3Fc@warehouse/sales").without_secrets('"a/b?c" and a%2Fb%3Fc')
        '"***" and ***'
        """
        pieces = {piece for one in self.hidden for piece in (one, *one.splitlines(), *re.split(r"[\s=]+", one))}
        pieces |= {one.encode()[:_LONGEST_NAME].decode(errors="ignore") for one in pieces}
        forms = {form for one in pieces for form in (one, quote(one), quote(one, safe=""), quote_plus(one))}
        for secret in sorted(filter(None, forms), key=len, reverse=True):
            edge = r"(?<!\w){}(?!\w)" if len(secret) < _WHOLE_WORD_BELOW else "{}"
            text = re.sub(edge.format(re.escape(secret)), HIDDEN, text)
        return without_logins(text)


def is_url(data: Any) -> TypeGuard[str | ConnectionUrl]:
    """Whether this is meant as the URL of a database, and not as a path or a table.

    Examples
    --------
    >>> [is_url(data) for data in ("postgres://host/db", "postgres:/host/db", "orders/2024-*.csv", "C:/a.csv")]
    [True, True, False, False]
    """
    if isinstance(data, ConnectionUrl):
        return True
    return isinstance(data, str) and _MEANT.match(data) is not None


def variables_in(url: str) -> tuple[str, ...]:
    """Names of the environment variables that a URL asks for, each once.

    Examples
    --------
    >>> variables_in("postgres://clv:${CLV_PASSWORD}@localhost/shop")
    ('CLV_PASSWORD',)
    """
    return tuple(dict.fromkeys(VARIABLE.findall(url)))


def check_url(url: str) -> str:
    """Return a URL as a configuration may hold it: readable, and without a secret in plain text.

    Raises
    ------
    DomainError
        Otherwise; the error never shows the URL.

    Examples
    --------
    >>> check_url("postgres://clv:${CLV_PASSWORD}@localhost/shop")
    'postgres://clv:${CLV_PASSWORD}@localhost/shop'
    >>> check_url("postgres://clv:hunter2@localhost/shop")
    Traceback (most recent call last):
        ...
    clv_forecast.errors.DomainError: A password must not stand in the configuration. Write it as ${NAME}, and set that \
variable where the run is started.
    """
    if VARIABLE.fullmatch(url):
        return url
    if "${" in VARIABLE.sub("", url):
        raise DomainError("A variable in a URL is written ${NAME}: letters, digits and underscores.")
    found = _Template.of(url)
    if found.password is not None and VARIABLE.sub("", found.password):
        raise DomainError("A password must not stand in the configuration.", remedy=_HIDE)
    for name, value in found.options:
        if _SECRET.search(unquote_plus(name)) and VARIABLE.sub("", value):
            which = repr(name) if re.fullmatch(r"[A-Za-z_]+", name) else "in the options of a URL"
            raise DomainError(f"The secret {which} must not stand in the configuration.", remedy=_HIDE)
    if not VARIABLE.search(found.scheme + found.host + found.path):
        found.filled(None, None)  # reads, or raises
    return url


def shown_url(url: str) -> str:
    """What may be shown of a URL as a configuration holds it: scheme, host and database, with their variables.

    Examples
    --------
    >>> shown_url("postgres://clv:${PASSWORD}@${HOST}/shop?sslmode=require"), shown_url("${DB}")
    ('postgres://${HOST}/shop', '${DB}')
    """
    try:
        return url if VARIABLE.fullmatch(url) else str(_Template.of(url).filled(None, None))
    except DomainError:
        return "a URL that cannot be read"


def connection_url(
    url: str | ConnectionUrl, environment: Mapping[str, str] | None = None, *, folder: Path | None = None
) -> ConnectionUrl:
    """Read the URL of a database.

    Parameters
    ----------
    url : str
        ``scheme://user:password@host:port/database?option=value``, with special characters percent-encoded; or
        ``duckdb://file.duckdb``.
    environment : mapping, optional
        Where ``${NAME}`` in it comes from. A variable stands for what it holds, special characters included, within
        its part of the URL; or for the whole URL. Without an environment there are no variables.
    folder : Path, optional
        What the relative path of a DuckDB or SQLite file starts from.

    Raises
    ------
    DomainError
        If a variable is not set or empty, or the URL can be read in two ways or in none. The error shows nothing of
        its value.

    Examples
    --------
    >>> print(connection_url("postgres://clv:${PASSWORD}@${HOST}/shop", {"PASSWORD": "a/b@c", "HOST": "db:5433"}))
    postgres://${HOST}/shop
    """
    if isinstance(url, ConnectionUrl):
        return url
    if environment is None:
        return _Template.of(url).filled(None, folder)
    absent = [name for name in variables_in(url) if not environment.get(name)]
    if absent:
        raise DomainError(
            "The environment does not set what a connection needs.",
            value=", ".join(absent),
            remedy="Set it where the run is started: in the unit, the job, or the shell.",
        )
    whole = VARIABLE.fullmatch(url)
    if whole is not None:
        return replace(_Template.of(environment[whole[1]]).filled(None, folder), shown=url)
    return _Template.of(url).filled(environment, folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Template:
    """The parts of a URL as they are written, with escapes and variables."""

    scheme: str
    user: str | None
    password: str | None
    host: str
    path: str
    options: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, text: str) -> _Template:
        """Take a URL apart where that can be done in one way only."""
        scheme, mark, rest = text.partition("://")
        of_file = scheme.lower() in FILE_ENGINES
        if not mark or not text.isprintable() or not (_SCHEME.fullmatch(scheme) or VARIABLE.fullmatch(scheme)):
            raise _unreadable()
        place, _, query = rest.partition("?")
        options = tuple(_options(query))
        if of_file or VARIABLE.fullmatch(scheme):
            if re.search(r":.*@", place):  # a login, which a file has not
                raise _unreadable()
            return cls(scheme=scheme, user=None, password=None, host="", path=place, options=options)
        authority, slash, path = place.partition("/")
        login, at, host = authority.rpartition("@")
        ambiguous = "@" in login or "@" in path or "@" in query or re.search(r"[\s#]", rest)
        if ambiguous or re.search(r"[\[\]]", login + path + query) or _NO_ESCAPE.search(rest):
            raise _unreadable()
        user, colon, password = login.partition(":")
        return cls(
            scheme=scheme,
            user=user if at else None,
            password=password if colon else None,
            host=host,
            path=slash + path,
            options=options,
        )

    def filled(self, environment: Mapping[str, str] | None, folder: Path | None) -> ConnectionUrl:
        """Put the values of variables in, without letting them change what is which part."""

        def fill(raw: str, decode: Callable[[str], str] = unquote) -> str:
            pieces = [raw] if environment is None else VARIABLE.split(raw)
            return "".join(
                decode(one) if environment is None or number % 2 == 0 else environment[one]
                for number, one in enumerate(pieces)
            )

        scheme, host, path = fill(self.scheme, str), fill(self.host, str), fill(self.path)
        in_file = scheme.lower() in FILE_ENGINES
        if not _SCHEME.fullmatch(scheme):
            raise _unreadable()
        if not in_file and not _is_host(host, several=scheme.lower() in POSTGRES):
            raise _unreadable()
        if not path.isprintable() or (not in_file and re.search(r"[\s?#@\[\]]", path)):
            raise _unreadable()
        if in_file and folder is not None and path and not path.startswith(("/", ":")):
            path = f"{folder.resolve()}/{path}"
        if scheme.lower() in POSTGRES and not {unquote_plus(name) for name, _ in self.options} <= _POSTGRES_OPTIONS:
            raise DomainError(
                "The URL of the connection has an option that Postgres does not know, so nothing of it is shown.",
                remedy="Options are those of libpq, such as sslmode and connect_timeout.",
            )
        user = None if self.user is None else fill(self.user)
        password = None if self.password is None else fill(self.password)
        options = tuple((fill(name, unquote_plus), fill(value, unquote_plus)) for name, value in self.options)
        written = "\n".join([self.user or "", self.password or "", *(value for _, value in self.options)])
        everything = "".join([self.scheme, self.host, self.path, written])
        values = () if environment is None else tuple(environment[name] for name in variables_in(everything))
        hidden = [user or "", password or "", *(value for _, value in options), *written.split("\n"), *values]
        return ConnectionUrl(
            scheme=scheme.lower(),
            user=user,
            password=password,
            host=host,
            path=path,
            options=options,
            shown=f"{self.scheme}://{self.host}{self.path}",
            hidden=tuple(dict.fromkeys(one for one in hidden if one and not VARIABLE.fullmatch(one))),
        )


def _options(query: str) -> Iterator[tuple[str, str]]:
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if not name or not equals:
            raise _unreadable()
        yield name, value


def _is_host(text: str, *, several: bool) -> bool:
    hosts = text.split(",") if several else [text]
    return text.isprintable() and not re.search(r"[\s@/?#]", text) and all(map(_HOST.fullmatch, hosts))


def _unreadable() -> DomainError:
    return DomainError("The URL of the connection cannot be read, so nothing of it is shown.", remedy=_ESCAPE)
