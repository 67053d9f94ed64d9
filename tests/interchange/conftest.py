"""CDNOW 1/10 as lifetimes ships it, and lifetimes' own fits to it, made once."""

import warnings
from contextlib import contextmanager
from importlib import metadata

import numpy as np
import pandas as pd
import pytest

from clv_forecast.history import history_from_summary
from clv_forecast.inference.fit import fit

FITTERS = {"bg_nbd": "BetaGeoFitter", "mbg_nbd": "ModifiedBetaGeoFitter", "pareto_nbd": "ParetoNBDFitter"}
AS_OF = "1997-09-30"


@contextmanager
def quiet():
    """Silence lifetimes, and keep what it does to the warning filters inside."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="session")
def lifetimes():
    with quiet():
        import lifetimes
    return lifetimes


@pytest.fixture(scope="session")
def cdnow():
    path = metadata.distribution("lifetimes").locate_file(
        "lifetimes/datasets/cdnow_customers_summary_with_transactions.csv"
    )
    names = {"ID": "customer_id", "x": "frequency", "t_x": "recency", "zbar": "monetary_value"}
    return pd.read_csv(str(path)).rename(columns=names)


@pytest.fixture(scope="session")
def fitters(lifetimes, cdnow):
    state = np.random.get_state()  # noqa: NPY002 (lifetimes starts Pareto/NBD from the global generator)
    np.random.seed(1)  # noqa: NPY002
    with quiet():
        made = {
            name: getattr(lifetimes, label)().fit(cdnow["frequency"], cdnow["recency"], cdnow["T"])
            for name, label in FITTERS.items()
        }
    np.random.set_state(state)  # noqa: NPY002
    return made


@pytest.fixture(scope="session")
def spend_fitter(lifetimes, cdnow):
    repeaters = cdnow[cdnow["frequency"] > 0]
    with quiet():
        return lifetimes.GammaGammaFitter().fit(repeaters["frequency"], repeaters["monetary_value"])


@pytest.fixture(scope="session")
def history(cdnow):
    return history_from_summary(cdnow, unit="week", as_of=AS_OF)


@pytest.fixture(scope="session")
def fits(history):
    """The same data fitted here."""
    return {name: fit(history, purchases=name, compare=False, draws=4000) for name in FITTERS}
