"""The CDNOW purchases: the field's shared example, read from the files that lifetimes ships."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final, Literal

import pandas as pd

from clv_forecast import columns as c
from clv_forecast.errors import DomainError, StoreError

_FILES: Final = {None: "CDNOW_master.txt", "1/10": "CDNOW_sample.txt"}


def load_cdnow(sample: Literal["1/10"] | None = None) -> pd.DataFrame:
    """Purchases of music CDs by customers new to CDNOW in early 1997, until the end of June 1998.

    Parameters
    ----------
    sample : {None, "1/10"}
        None gives all 23,570 customers; ``"1/10"`` the 2,357 of the papers, under their ids of the full file.

    Returns
    -------
    DataFrame
        customer_id (int), date (datetime64, a day), amount (float, US dollars); one row per order, in the file's order.

    Raises
    ------
    DomainError
        If ``sample`` is neither.
    StoreError
        If lifetimes or its data files are not installed.

    Notes
    -----
    Everyone in the file bought first in the 12 weeks from 1997-01-01: it is a cohort, not a company's whole log.
    Eighty orders have the amount 0. The package lifetimes is not imported: its ``datasets`` module no longer loads.

    References
    ----------
    Fader & Hardie (2001), "Forecasting Repeat Sales at CDNOW: A Case Study", Interfaces 31(3), S94-S107,
    doi:10.1287/inte.31.3s.94.9683.

    Examples
    --------
    >>> purchases = load_cdnow("1/10")
    >>> len(purchases), purchases["customer_id"].nunique()
    (6919, 2357)
    """
    if sample not in _FILES:
        raise DomainError("sample must be None (the whole file) or '1/10'.", value=repr(sample))
    names = [c.CUSTOMER_ID, c.DATE, "compact_discs", c.AMOUNT]
    header: int | None = 0
    if sample is not None:  # the sample file has no header and a second id, counted within the sample
        names, header = [names[0], "id_in_sample", *names[1:]], None
    frame = pd.read_csv(_data_file(_FILES[sample]), sep=r"\s+", names=names, header=header, dtype={c.DATE: str})
    frame[c.DATE] = pd.to_datetime(frame[c.DATE], format="%Y%m%d")
    return frame[[c.CUSTOMER_ID, c.DATE, c.AMOUNT]]


def _data_file(name: str) -> Path:
    try:
        path = Path(str(distribution("lifetimes").locate_file(f"lifetimes/datasets/{name}")))
    except PackageNotFoundError:
        raise StoreError("The CDNOW files come with the package lifetimes.", remedy="pip install lifetimes.") from None
    if not path.is_file():
        raise StoreError("The installed lifetimes has no such data file.", value=name, remedy="Reinstall lifetimes.")
    return path
