"""The verb ``publish_run``: make a run current that is there already, forward or back, or one that was held."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from clv_forecast.configuration.configuration import Configuration
from clv_forecast.configuration.read_configuration import read_configuration
from clv_forecast.errors import DomainError
from clv_forecast.reforecasting.gates import check_accepted
from clv_forecast.reforecasting.one_run import database_of
from clv_forecast.reforecasting.record import accepted_record, holding
from clv_forecast.run_store.lock import locked
from clv_forecast.run_store.publication import Publication, publish
from clv_forecast.run_store.store import open_store

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


def publish_run(
    configuration: str | os.PathLike[str] | Configuration, run: str, *, accept: Mapping[str, str] = _NOTHING
) -> Publication:
    """Make a run the current one: roll back, roll forward, or release what a gate held.

    Parameters
    ----------
    configuration : path or Configuration
        Says where the store is, and the database.
    run : str
        Its id, or the beginning of it.
    accept : mapping of str to str
        Gates that held it, each with the reason, which stands in its record from then on.

    Returns
    -------
    Publication

    Raises
    ------
    DomainError
        If there is no such run, a gate that holds it is not accepted, or a gate is unknown.
    StoreError
        If the run is damaged, or the store or the database cannot be written.
    LockedError
        If another run holds the lock.
    """
    told = configuration if isinstance(configuration, Configuration) else read_configuration(configuration)
    check_accepted(accept)
    store = open_store(told.store, create=False, readable_by=told.outputs.readable_by)
    with locked(store, run=f"publish {run}"):
        entry = store.find(run)
        if entry.status == "held":
            record = accepted_record(entry.record, accept)
            held = holding(record)
            if held:
                raise DomainError(
                    "A run is published when every gate that holds it is accepted.",
                    value=f"{entry.run_id}: {' '.join(held)}",
                    remedy="Name each: --accept GATE --reason TEXT.",
                )
            entry = store.release(entry.run_id, record)
        return publish(store, entry, database_of(told), roll_back=True)
