"""What a company would know of the simulated accounts: the accounts' table."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.simulation.clock import Clock
from clv_forecast.simulation.parameters import CHANNELS, REGIONS, SEGMENTS, Floats, TrueParameters
from clv_forecast.simulation.penetration import penetration

ACCOUNTS_PER_OWNER: Final = 40
REFERRED_SHARE: Final = 0.25
CHILD_SHARE: Final = 0.03
WALLET_KNOWN: Final = 0.15
WALLET_LOG_SD: Final = 0.2
NORMAL_90: Final = 1.2815515655446004
CONTRACT_SHARE: Final = 0.4
SCORED_SHARE: Final = 0.6


def account_table(
    parameters: TrueParameters, ids: NDArray[np.object_], left: Floats, *, rng: np.random.Generator, clock: Clock
) -> pd.DataFrame:
    """Draw the commercial facts about the accounts.

    Parameters
    ----------
    parameters : TrueParameters
    ids : ndarray of str, shape (account,)
    left : ndarray, shape (account,)
        When each leaves, in years from the start of the log.
    rng : Generator
    clock : Clock

    Returns
    -------
    DataFrame
        One row per account; missing where the company does not know.
    """
    count = len(ids)
    acquired = clock.days(parameters.acquired)
    owners = max(round(count / ACCOUNTS_PER_OWNER), 1)
    large = np.log(parameters.wallet / np.median(parameters.wallet))
    score = np.clip(np.rint(6.0 + 2.5 * rng.normal(size=count)), 0.0, 10.0)
    advocacy = np.where(rng.random(count) < SCORED_SHARE, score, np.nan)
    referred_by = _referrers(acquired, 1.0 + np.square(score), ids, rng)
    contracted, contract_end = _contracts(parameters, left, rng, clock)
    wallet, low, high = _wallet_notes(parameters.wallet, rng)
    return pd.DataFrame(
        {
            columns.CUSTOMER_ID: ids,
            columns.NAME: [f"Account {number + 1}" for number in range(count)],
            columns.OWNER: [f"Owner {number + 1:02d}" for number in rng.integers(owners, size=count)],
            "region": np.take(REGIONS, parameters.region),
            "segment": np.take(SEGMENTS, parameters.segment),
            columns.CHANNEL: np.take(CHANNELS, parameters.channel),
            "employees": parameters.employees,
            columns.ACQUIRED_ON: acquired,
            columns.REFERRED_BY: referred_by,
            columns.PARENT_ID: _parents(ids, rng),
            columns.WALLET: wallet,
            columns.WALLET_LOWER: low,
            columns.WALLET_UPPER: high,
            columns.MARGIN: np.round(parameters.margin, 3),
            columns.COST_TO_SERVE: np.round(600.0 * np.exp(0.5 * large + rng.normal(0.0, 0.6, count)), 2),
            columns.CONTRACTED: contracted,
            columns.CONTRACT_END: contract_end,
            columns.BIG_LOGO: rng.random(count) < 0.3 * (parameters.employees > 150),
            columns.LIGHTHOUSE: rng.random(count) < np.where(parameters.innovation, 0.10, 0.01),
            columns.ADVOCACY: advocacy,
            columns.INNOVATION: parameters.innovation,
        }
    )


def _text(values: NDArray[np.object_]) -> pd.Series[Any]:
    return pd.Series(values, dtype="str")


def _referrers(
    acquired: pd.DatetimeIndex, weight: Floats, ids: NDArray[np.object_], rng: np.random.Generator
) -> pd.Series[Any]:
    """Some accounts were referred by an account acquired on an earlier day, the keener advocates more often."""
    days = acquired.to_numpy()
    order = np.argsort(days, kind="stable")
    running = np.cumsum(weight[order])
    earlier = np.searchsorted(days[order], days, side="left")
    known = np.where(earlier > 0, running[np.maximum(earlier, 1) - 1], 0.0)
    place = np.searchsorted(running, rng.random(len(ids)) * known, side="right")
    referred = (rng.random(len(ids)) < REFERRED_SHARE) & (earlier > 0)
    found = np.full(len(ids), None, dtype=object)
    found[referred] = ids[order[np.minimum(place, np.maximum(earlier, 1) - 1)]][referred]
    return _text(found)


def _parents(ids: NDArray[np.object_], rng: np.random.Generator) -> pd.Series[Any]:
    """Few accounts belong to another one, which belongs to none."""
    child = rng.random(len(ids)) < CHILD_SHARE
    found = np.full(len(ids), None, dtype=object)
    heads = np.flatnonzero(~child)
    if len(heads):
        found[child] = ids[heads[rng.integers(len(heads), size=int(child.sum()))]]
    return _text(found)


def _wallet_notes(wallet: Floats, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """A noisy note of the wallet for some accounts, with limits that hold the truth for 80 % of them."""
    noted = wallet * np.exp(rng.normal(0.0, WALLET_LOG_SD, len(wallet)))
    noted = np.where(rng.random(len(wallet)) < WALLET_KNOWN, np.round(noted, -2), np.nan)
    spread = np.exp(NORMAL_90 * WALLET_LOG_SD)
    return noted, np.round(noted / spread, -2), np.round(noted * spread, -2)


def _contracts(
    parameters: TrueParameters, left: Floats, rng: np.random.Generator, clock: Clock
) -> tuple[Floats, pd.DatetimeIndex]:
    """Some regular accounts that are there at the end of the log have agreed on about what they buy now."""
    path = (parameters.u0, parameters.growth, parameters.start)
    now = parameters.wallet * penetration(*path, clock.years)
    agreed = np.round(now * rng.uniform(0.6, 1.0, len(now)), -2)
    ends = clock.days(clock.years + rng.uniform(-0.25, 2.0, len(now)))
    bound = parameters.regular & (left >= clock.years) & (rng.random(len(now)) < CONTRACT_SHARE)
    return np.where(bound, agreed, np.nan), pd.DatetimeIndex(ends.where(bound))
