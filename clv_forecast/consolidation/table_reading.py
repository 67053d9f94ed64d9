"""Tables beside the orders that lie in a database: accounts, a crosswalk."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from clv_forecast.consolidation.addresses import first_line, is_address, open_address, open_duckdb_file
from clv_forecast.consolidation.opened_source import find_table
from clv_forecast.consolidation.order_source import OrderSource
from clv_forecast.errors import ClvForecastError, InputError


def read_table_at(place: str | Path, table: str, name: str) -> pd.DataFrame:
    """Read a whole table of a database.

    Parameters
    ----------
    place : str or Path
        Address of the database, or the path of a DuckDB file.
    table : str
        With its schema or without.
    name : str
        What errors call it.

    Returns
    -------
    DataFrame

    Raises
    ------
    InputError
        If the database cannot be reached, or has no such table. The text never holds a password.

    Examples
    --------
    >>> import tempfile, duckdb
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with duckdb.connect(f"{folder}/crm.duckdb") as made:
    ...         _ = made.execute("CREATE TABLE accounts AS SELECT 7 AS customer_id, 'north' AS region")
    ...     read_table_at(f"{folder}/crm.duckdb", "accounts", "accounts")
       customer_id region
    0            7  north
    """
    source = OrderSource(name, place, table=table)
    backend = open_address(str(place), name) if is_address(place) else open_duckdb_file(place, name)
    try:
        return pd.DataFrame(backend.to_pyarrow(find_table(source, backend)).to_pandas())
    except ClvForecastError:
        raise
    except Exception as error:  # each database has errors of its own
        problem = first_line(error, str(place) if is_address(place) else "")
    finally:
        backend.disconnect()
    raise InputError(f"The table {name!r} cannot be read.", value=f"{source.place}: {problem}")
