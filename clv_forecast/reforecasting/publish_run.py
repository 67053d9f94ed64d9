"""The verb ``publish_run``: make a run current that is there already, forward or back, or one that was held."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from clv_forecast.configuration.configuration import Configuration
from clv_forecast.configuration.read_configuration import read_configuration
from clv_forecast.configuration.toml_text import toml_value
from clv_forecast.errors import HeldError
from clv_forecast.reforecasting.gates import accepting, check_accepted
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
        If there is no such run, or a gate is unknown.
    HeldError
        If a gate that holds it is not accepted: a DomainError that names each gate and its key.
    StoreError
        If the run is damaged, or the store or the database cannot be written.
    LockedError
        If another run holds the lock.
    """
    told = configuration if isinstance(configuration, Configuration) else read_configuration(configuration)
    check_accepted(accept)
    store = open_store(told.store, create=False, readable_by=told.outputs.readable_by)
    with locked(store.folder, run=f"publish {run}"):
        entry = store.find(run)
        if entry.status == "held":
            record = accepted_record(entry.record, accept)
            held = holding(record)
            if held:
                names = tuple(dict.fromkeys(str(gate["name"]) for gate in held))
                keys = ", ".join(f"{name} = {toml_value(getattr(told.gates, name))}" for name in names)
                raise HeldError(
                    f"Run {entry.run_id} is held, and is published when every gate that holds it is accepted.",
                    lines=[f"  gate {gate['name']}: {gate['sentence']}" for gate in held],
                    remedy=f"{accepting(entry.run_id, names)} For later runs: [gates] in clv.toml has {keys}.",
                )
            entry = store.release(entry.run_id, record)
        return publish(store, entry, database_of(told), roll_back=True)
