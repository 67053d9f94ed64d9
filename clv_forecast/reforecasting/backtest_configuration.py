"""The verb ``backtest_configuration``: the configured model tested on the configured sources; nothing is published."""

from __future__ import annotations

import os
from typing import Any

import pandas as pd

from clv_forecast.arguments import parse_day
from clv_forecast.atomic_folder import scratch_folder
from clv_forecast.configuration.configuration import Configuration
from clv_forecast.configuration.read_configuration import read_configuration
from clv_forecast.evaluation.certificate import Certificate
from clv_forecast.progress import Progress, automatic, shows_progress
from clv_forecast.reforecasting.inputs import read_inputs
from clv_forecast.reforecasting.reforecast import today
from clv_forecast.reforecasting.results import made_certificate


@shows_progress
def backtest_configuration(
    configuration: str | os.PathLike[str] | Configuration, *, as_of: Any = None, progress: Progress = automatic
) -> Certificate:
    """Read the sources and test the model as a run would, whether a test is due or not.

    Parameters
    ----------
    configuration : path or Configuration
    as_of : date, Timestamp or ISO text, optional
        Default: by the clock, as ``reforecast``.
    progress : callable

    Returns
    -------
    Certificate

    Raises
    ------
    DomainError
        If the configuration is wrong, or the log is too short to be tested.
    InputError
        If a source cannot be read or used.
    """
    told = configuration if isinstance(configuration, Configuration) else read_configuration(configuration)
    day = today(told) if as_of is None else pd.Timestamp(parse_day(as_of, "as_of"))
    with scratch_folder() as folder:
        inputs = read_inputs(told, folder, as_of=day, progress=progress)
        return made_certificate(told, inputs.history(told, day), progress=progress)
