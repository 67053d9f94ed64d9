"""Connection URLs without their secrets: ``${NAME}`` stands for a variable of the environment until one connects."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

from clv_forecast.errors import DomainError

VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SCHEME: Final = re.compile(r"^(?:[A-Za-z][A-Za-z0-9+.\-]*|\$\{[A-Za-z_][A-Za-z0-9_]*\})://")
_SECRETS: Final = re.compile(r"pass|pwd|secret|token|key|credential|signature", re.IGNORECASE)
_LOGIN: Final = re.compile(r"://[^\s'\"]*@")
_FILE_ENGINES: Final = ("duckdb", "sqlite")
_HIDE: Final = "Write it as ${NAME}, and set that variable where the run is started."


def variables_in(url: str) -> tuple[str, ...]:
    """Names of the environment variables that a URL asks for, each once.

    Examples
    --------
    >>> variables_in("postgres://clv:${CLV_PASSWORD}@localhost/shop")
    ('CLV_PASSWORD',)
    """
    return tuple(dict.fromkeys(VARIABLE.findall(url)))


def check_url(url: str) -> str:
    """Return a URL when it is one and holds no secret in plain text.

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
    if not _SCHEME.match(url) or not url.isprintable():
        raise DomainError(
            "A connection is a URL such as postgres://user:${NAME}@host/database or duckdb://file.duckdb.",
            remedy="The whole URL may also be one variable, ${NAME}.",
        )
    if "${" in VARIABLE.sub("", url):
        raise DomainError("A variable in a URL is written ${NAME}: letters, digits and underscores.")
    login, _, query = _login_and_query(url)
    if login is not None and VARIABLE.sub("", login.partition(":")[2]):
        raise DomainError("A password must not stand in the configuration.", remedy=_HIDE)
    for part in re.split(r"[&;]", query):
        name, _, value = part.partition("=")
        if _SECRETS.search(name) and VARIABLE.sub("", value):
            raise DomainError(f"The secret {name!r} must not stand in the configuration.", remedy=_HIDE)
    return url


def resolve_url(url: str, environment: Mapping[str, str], *, folder: Path | None = None) -> str:
    """Put the environment's values in; for connecting at once, never to be stored or shown.

    Parameters
    ----------
    url : str
        As in the configuration. A variable that is the whole URL is taken as it is; in user, password and the values
        of the query the characters of a value that mean something in a URL are escaped.
    environment : mapping
    folder : Path, optional
        What the relative path of a DuckDB or SQLite file starts from.

    Raises
    ------
    DomainError
        If a variable is not set, or is empty.

    Examples
    --------
    >>> resolve_url("postgres://clv:${PASSWORD}@localhost/shop", {"PASSWORD": "a/b@c"})
    'postgres://clv:a%2Fb%40c@localhost/shop'
    """
    absent = [name for name in variables_in(url) if not environment.get(name)]
    if absent:
        raise DomainError(
            "The environment does not set what a connection needs.",
            value=", ".join(absent),
            remedy="Set it where the run is started: in the unit, the job, or the shell.",
        )

    def plain(text: str) -> str:
        return VARIABLE.sub(lambda found: environment[found[1]], text)

    def escaped(text: str) -> str:
        return VARIABLE.sub(lambda found: quote(environment[found[1]], safe=""), text)

    if VARIABLE.fullmatch(url):
        return _from_folder(plain(url), folder)
    login, rest, query = _login_and_query(url)
    scheme, _, _ = url.partition("://")
    head = f"{plain(scheme)}://" + ("" if login is None else f"{escaped(login)}@")
    return _from_folder(head + plain(rest) + (f"?{escaped(query)}" if query else ""), folder)


def masked(text: str) -> str:
    """Return text in which user and password of any URL are hidden.

    Examples
    --------
    >>> masked("no route to postgres://clv:hunter2@db/shop")
    'no route to postgres://***@db/shop'
    """
    return _LOGIN.sub("://***@", text)


def _login_and_query(url: str) -> tuple[str | None, str, str]:
    """User and password (None without), what follows, and the query."""
    _, _, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    at = rest.rfind("@")
    return (None, rest, query) if at < 0 else (rest[:at], rest[at + 1 :], query)


def _from_folder(url: str, folder: Path | None) -> str:
    """A DuckDB or SQLite file under a relative path, starting from ``folder``."""
    scheme, mark, rest = url.partition("://")
    path = rest.partition("?")[0]
    if folder is None or not mark or scheme not in _FILE_ENGINES or not path or path.startswith(("/", ":")):
        return url
    return f"{scheme}://{folder.resolve()}/{rest}"


def shown(url: str) -> str:
    """What may be told of a resolved URL: its scheme, host and path.

    Examples
    --------
    >>> shown("postgres://clv:hunter2@db:5432/shop?sslmode=require")
    'postgres://db:5432/shop'
    """
    scheme, mark, _ = url.partition("://")
    if not mark:
        return "***"
    _, rest, query = _login_and_query(url)
    # With an @ in the query it cannot be told where a password ends
    return f"{scheme}://***" if "@" in query else f"{scheme}://{rest}"
