"""Accounts of a business-to-business company, simulated with the truth beside the data.

What a company would know of the simulated accounts: the accounts' table.

What winning the simulated accounts cost: by quarter of arrival and channel.

What a forecast of the simulated accounts should say: the truth beside the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.arguments import finite_number, number_of, parse_day
from clv_forecast.errors import DomainError
from clv_forecast.simulation.orders import (
    KINDS,
    Happenings,
    Lines,
    Orders,
    draw_amounts,
    draw_happenings,
    draw_lines,
    draw_orders,
    survival,
)
from clv_forecast.simulation.parameters import (
    CHANNELS,
    REGIONS,
    SEGMENTS,
    Clock,
    Floats,
    TrueParameters,
    draw_parameters,
    penetration,
)
from clv_forecast.streams import as_seed
from clv_forecast.units import DAYS_PER_YEAR, MOST_YEARS

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
    referred_by = _referrers(acquired, 1.0 + np.square(score), ids, rng=rng)
    contracted, contract_end = _contracts(parameters, left, rng, clock=clock)
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
    acquired: pd.DatetimeIndex, weight: Floats, ids: NDArray[np.object_], *, rng: np.random.Generator
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
    parameters: TrueParameters, left: Floats, rng: np.random.Generator, *, clock: Clock
) -> tuple[Floats, pd.DatetimeIndex]:
    """Some regular accounts that are there at the end of the log have agreed on about what they buy now."""
    path = (parameters.u0, parameters.growth, parameters.start)
    now = parameters.wallet * penetration(*path, clock.years)
    agreed = np.round(now * rng.uniform(0.6, 1.0, len(now)), -2)
    ends = clock.days(clock.years + rng.uniform(-0.25, 2.0, len(now)))
    bound = parameters.regular & (left >= clock.years) & (rng.random(len(now)) < CONTRACT_SHARE)
    return np.where(bound, agreed, np.nan), pd.DatetimeIndex(ends.where(bound))


COST_OF_ONE: Final[Mapping[str, float]] = MappingProxyType({"field": 9_000.0, "partner": 4_000.0, "online": 1_500.0})
"""Mean cost of one account by channel."""
FIXED_SHARE: Final = 0.4
"""Share of a channel's cost that is spent in every quarter, however many come."""
COST_LOG_SD: Final = 0.15
OPENING_MONTHS: Final = 12


def acquisition_cost_table(
    transactions: pd.DataFrame, accounts: pd.DataFrame, *, as_of: pd.Timestamp, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw what was spent in each quarter and channel.

    Parameters
    ----------
    transactions : DataFrame
        The log up to ``as_of``.
    accounts : DataFrame
    as_of : Timestamp
    rng : Generator

    Returns
    -------
    DataFrame
        cohort (such as "2024Q1"), channel, amount: every channel in every quarter from the end of the log's opening
        year on (of a quarter of the log where it is shorter than two years).

    Notes
    -----
    The cost of an account, by channel, is spent per account that arrives and per quarter: in quarters in which few
    come an account is dear. Log-normal noise with a standard deviation of 0.15 lies on top.
    """
    ordered = transactions.groupby(columns.ORDER_ID).agg({columns.DATE: "min", columns.AMOUNT: "sum"})
    begin = ordered.loc[ordered[columns.AMOUNT] > 0.0, columns.DATE].min()
    if pd.isna(begin):
        begin = transactions[columns.DATE].min()
    opening = begin + pd.DateOffset(months=OPENING_MONTHS)
    if begin + pd.DateOffset(months=2 * OPENING_MONTHS) > as_of:
        opening = begin + pd.Timedelta(days=((as_of - begin).days + 1) // 4)
    quarters = pd.period_range(opening, as_of, freq="Q")
    arrived = accounts[columns.ACQUIRED_ON].dt.to_period("Q").value_counts()
    arrived = arrived.reindex(quarters, fill_value=0).to_numpy(dtype=np.float64)
    shares = accounts[columns.CHANNEL].value_counts(normalize=True).reindex(list(COST_OF_ONE), fill_value=0.0)
    rows = []
    for channel, each in COST_OF_ONE.items():
        came = (accounts[columns.CHANNEL] == channel).to_numpy()
        here = accounts[columns.ACQUIRED_ON][came].dt.to_period("Q").value_counts().reindex(quarters, fill_value=0)
        usual = arrived.mean() * float(shares[channel])
        spent = each * ((1.0 - FIXED_SHARE) * here.to_numpy(dtype=np.float64) + FIXED_SHARE * usual)
        spent *= np.exp(rng.normal(0.0, COST_LOG_SD, len(quarters)))
        rows += [(str(q), channel, round(float(a), 2)) for q, a in zip(quarters, spent, strict=True)]
    table = pd.DataFrame(rows, columns=["cohort", columns.CHANNEL, columns.AMOUNT])
    return table.sort_values(["cohort", columns.CHANNEL], kind="stable", ignore_index=True)


_NODES: Final = 24


def truth_table(
    parameters: TrueParameters, happenings: Happenings, ids: NDArray[np.object_], *, next_revenue: Floats, clock: Clock
) -> pd.DataFrame:
    """Write down the truth of each account.

    Parameters
    ----------
    parameters : TrueParameters
    happenings : Happenings
    ids : ndarray of str, shape (account,)
    next_revenue : ndarray, shape (account,)
        Realised in the future.
    clock : Clock

    Returns
    -------
    DataFrame
        One row per account.
    """
    path = (parameters.u0, parameters.growth, parameters.start)
    share_now = penetration(*path, clock.years)
    alive = happenings.left >= clock.years
    there, stationary, gained = (np.where(alive, values, 0.0) for values in _ahead(parameters, happenings, clock))
    return pd.DataFrame(
        {
            columns.CUSTOMER_ID: ids,
            "wallet": parameters.wallet,
            "penetration": share_now,
            "annual_revenue_now": parameters.wallet * share_now,
            "alive": alive,
            "left_on": clock.days(np.where(happenings.left < clock.end, happenings.left, np.inf)),
            "stays": there,
            "growing": parameters.growing,
            "growth_rate": parameters.growth,
            "growth_starts": clock.days(np.where(parameters.growing, parameters.start, np.inf)),
            "regular": parameters.regular,
            "irregular": parameters.irregular,
            "order_size": parameters.order_size,
            "expected_next_revenue": stationary + gained,
            "stationary_next_revenue": stationary,
            "expected_growth": gained,
            "next_revenue": next_revenue,
            "margin": parameters.margin,
        }
    )


def _ahead(parameters: TrueParameters, happenings: Happenings, clock: Clock) -> tuple[Floats, Floats, Floats]:
    """Probability of staying to the end of the future, revenue at today's share, and what growth adds."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    length = clock.end - clock.years
    ahead = np.append((nodes + 1.0) / 2.0 * length, length)
    there = survival(parameters, happenings, now=clock.years, ahead=ahead)
    weighted = there[:, :-1] * (weights / 2.0 * length)
    path = (parameters.u0[:, None], parameters.growth[:, None], parameters.start[:, None])
    now = penetration(*path, clock.years)
    gained = (weighted * (penetration(*path, clock.years + ahead[:-1]) - now)).sum(axis=1)
    stationary = now[:, 0] * weighted.sum(axis=1)
    return there[:, -1], parameters.wallet * stationary, parameters.wallet * gained


LEAST_YEARS: Final = 0.25
MOST_CATEGORIES: Final = 1000
MOST_ACCOUNTS: Final = 1_000_000
MOST_WALLET_SD: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class SimulatedAccounts:
    """An order log, what the company knows of its accounts, and what is true of them.

    Parameters
    ----------
    transactions : DataFrame
        customer_id, date, amount, order_id, category, margin (money): lines of orders up to ``as_of``.
    accounts : DataFrame
        One row per account with at least one order up to ``as_of``.
    events : DataFrame
        customer_id, date, kind, value; also those after ``as_of``, until the end of the future.
    future : DataFrame
        The lines of the same accounts after ``as_of``.
    truth : DataFrame
        One row per account, in the order of ``accounts``; see `simulate_accounts`.
    as_of : Timestamp
    acquisition_cost : DataFrame
        cohort, channel, amount: what was spent on winning accounts, by the quarter in which they came.
    """

    transactions: pd.DataFrame
    accounts: pd.DataFrame
    events: pd.DataFrame
    future: pd.DataFrame
    truth: pd.DataFrame
    as_of: pd.Timestamp
    acquisition_cost: pd.DataFrame

    def __repr__(self) -> str:
        return (
            f"<SimulatedAccounts: {len(self.accounts):,} accounts, {len(self.transactions):,} lines up to "
            f"{self.as_of:%Y-%m-%d}, {len(self.future):,} after>"
        )


def simulate_accounts(
    n: int,
    *,
    rng: int | np.random.Generator = 1,
    as_of: Any = "2024-12-31",
    years: float = 3.0,
    future_years: float = 1.0,
    growing: float = 0.35,
    own_wallet_sd: float = 0.8,
    categories: int = 7,
    messy: bool = True,
) -> SimulatedAccounts:
    r"""Simulate accounts with attributes, wallets, growth, events, leaving and referrals, and say what is true.

    Parameters
    ----------
    n : int
        Accounts, up to a million, each with at least one order up to ``as_of``.
    rng : int or Generator
    as_of : date
        Last day of the log.
    years, future_years : float
        Length of the log (at least 0.25) and of the future behind it (> 0); at most 100 each.
    growing : float
        Share of accounts on the way to their wallet, in [0, 1]; 0 makes a base in which nobody grows.
    own_wallet_sd : float
        Standard deviation of log wallet that no attribute tells, >= 0: the smaller, the more peers say.
    categories : int
    messy : bool
        Whether 3 % of the lines come back some days later (negative lines of the same order and category).

    Returns
    -------
    SimulatedAccounts

    Raises
    ------
    DomainError
        If an argument lies outside its domain.

    Notes
    -----
    **Wallet** (annual revenue that the account could bring):

    .. math:: \ln w = \ln 60000 + a_{region} + b_{segment} + 0.45 \ln(employees / 40) + N(0, \sigma^2)

    with :math:`\sigma` the ``own_wallet_sd``.

    **Share of the wallet**: constant for most accounts, :math:`u_0 \sim Beta(2.2, 2.2)`. The growing ones begin with
    :math:`u_0 \sim Beta(1.5, 6)` and from a day that is uniform over log and future (or from their arrival) follow
    :math:`du/dt = g (1 - u)`, :math:`\ln g \sim N(\ln 0.5, 0.3^2)`. The chance of being one depends on segment and
    innovation through its log-odds, so that growth shows both in attributes and in a recent upward trend.

    **Orders** come at the rate :math:`w\,u(t) / m` while the account is there: as a Poisson process, for 15 % of the
    accounts with Erlang-5 gaps (in operational time, the integral of the rate); the mean order is
    :math:`m = 4000 (w / 60000)^{0.6} e^{N(0, 0.5^2)}`, amounts are Gamma with coefficient of variation 0.5, and 4 % of
    the accounts make one order in twelve that is fifteen times as large. 60 % of the accounts were there before the
    log; the others arrive uniformly through it, with an order on that day.

    **Leaving**: the hazard is Gamma over accounts (mean 0.08 a year, a little lower for large ones), and complaints
    and late deliveries raise it for some months after; surveys do not. See `clv_forecast.simulation.orders`.

    **Truth**: ``wallet``; ``penetration`` u at ``as_of``; ``annual_revenue_now`` = w u, given that it is there;
    ``alive``; ``left_on`` (NaT when it stays beyond the future); ``stays`` (probability of being there at the end of
    the future); ``growing``, ``growth_rate``, ``growth_starts``; ``regular``, ``irregular``, ``order_size``;
    ``expected_next_revenue`` :math:`= w \int u(t) S(t) dt` over the future, 0 for those who left: expected over
    future events, leaving and orders, given its own parameters and past events; ``stationary_next_revenue``, the same
    with u as it is now; their difference ``expected_growth``; ``next_revenue``, realised in ``future`` net of what
    comes back; ``margin`` (rate). Order amounts are scaled so that revenue net of returns is w u on average.

    **Acquisition cost**, by quarter and channel, has nothing to do with what the accounts are worth; see
    `clv_forecast.simulation.simulated_accounts`.

    Whose orders all came back by ``as_of`` stands in ``accounts`` and ``truth`` and has no row in a purchase history:
    join on ``customer_id``.

    The same seed gives the same tables with the same versions of NumPy. ``messy`` changes amounts and adds lines,
    but neither who orders nor when.

    Examples
    --------
    >>> sim = simulate_accounts(200, rng=1)
    >>> sim.accounts[["customer_id", "region", "segment", "employees"]].head(2)
      customer_id region segment  employees
    0     A000001  south  health         18
    1     A000002  north  retail         73
    >>> bool((sim.transactions["date"] <= sim.as_of).all()), bool((sim.future["date"] > sim.as_of).all())
    (True, True)
    """
    count = number_of(n, "n", most=MOST_ACCOUNTS)
    clock = _clock(as_of, years, future_years)
    share = finite_number(growing, "growing")
    if not 0.0 <= share <= 1.0:
        raise DomainError("growing must lie in [0, 1].", value=growing)
    own_sd = finite_number(own_wallet_sd, "own_wallet_sd")
    if not 0.0 <= own_sd <= MOST_WALLET_SD:
        raise DomainError(f"own_wallet_sd must not be negative, and at most {MOST_WALLET_SD:g}.", value=own_wallet_sd)
    kinds = number_of(categories, "categories", most=MOST_CATEGORIES)
    # what is added later takes a seed of its own, so that the other tables stay as they were
    sequences = np.random.SeedSequence(as_seed(rng)).spawn(4)
    base, commercial, happened = (np.random.default_rng(s) for s in sequences[:3])
    parameters, happenings, orders = _with_an_order(count, rng=base, growing=share, own_sd=own_sd, clock=clock)
    ids = np.array([f"A{number + 1:06d}" for number in range(count)], dtype=object)
    accounts = account_table(parameters, ids, happenings.left, rng=commercial, clock=clock)
    amounts = draw_amounts(parameters, orders, rng=happened)
    lines = draw_lines(parameters, orders, amounts, rng=happened, categories=kinds, messy=bool(messy))
    log = _log(lines, orders, ids, clock=clock)
    later = (log[columns.DATE] > clock.as_of).to_numpy()
    transactions, future = (log[part].reset_index(drop=True) for part in (~later, later))
    spending = np.random.default_rng(sequences[3])
    return SimulatedAccounts(
        transactions=transactions,
        accounts=accounts,
        events=_event_table(happenings, ids, rng=happened, clock=clock),
        future=future,
        truth=truth_table(parameters, happenings, ids, next_revenue=_by_account(future, ids), clock=clock),
        as_of=clock.as_of,
        acquisition_cost=acquisition_cost_table(transactions, accounts, as_of=clock.as_of, rng=spending),
    )


def _clock(as_of: Any, years: float, future_years: float) -> Clock:
    day = pd.Timestamp(parse_day(as_of, "as_of"))
    if not LEAST_YEARS <= finite_number(years, "years") <= MOST_YEARS:
        raise DomainError(f"years must be at least {LEAST_YEARS} and at most {MOST_YEARS:g}.", value=years)
    if not 0.0 < finite_number(future_years, "future_years") <= MOST_YEARS:
        raise DomainError(f"future_years must be above 0 and at most {MOST_YEARS:g}.", value=future_years)
    return Clock(
        as_of=day,
        log_days=round(years * DAYS_PER_YEAR),
        future_days=max(round(future_years * DAYS_PER_YEAR), 1),
    )


def _with_an_order(
    count: int, *, rng: np.random.Generator, growing: float, own_sd: float, clock: Clock
) -> tuple[TrueParameters, Happenings, Orders]:
    """Draw accounts until enough of them have ordered by the end of the log."""
    drawn = count + count // 5 + 20
    while True:
        parameters = draw_parameters(
            drawn, rng=rng, growing=growing, own_wallet_sd=own_sd, years=clock.years, end=clock.end
        )
        happenings = draw_happenings(parameters, rng=rng, end=clock.end)
        orders = draw_orders(parameters, happenings.left, rng=rng, end=clock.end)
        ordered = np.unique(orders.account[orders.time < clock.years])
        if len(ordered) >= count:
            places = ordered[:count]
            return parameters.take(places), happenings.take(places, drawn), orders.take(places, drawn)
        drawn *= 2


def _log(lines: Lines, orders: Orders, ids: NDArray[np.object_], *, clock: Clock) -> pd.DataFrame:
    """Sort the lines by time; orders are numbered in the order of their first line."""
    number = np.empty(len(orders.time), dtype=np.int64)
    number[np.argsort(orders.time, kind="stable")] = np.arange(1, len(number) + 1)
    within = np.flatnonzero(lines.time < clock.end)
    order = within[np.lexsort((lines.category[within], number[lines.order[within]], lines.time[within]))]
    names = pd.Series([f"category {place + 1}" for place in range(int(lines.category.max()) + 1)], dtype="str")
    return pd.DataFrame(
        {
            columns.CUSTOMER_ID: pd.Series(ids, dtype="str").take(orders.account[lines.order[order]]).to_numpy(),
            columns.DATE: clock.days(lines.time[order]),
            columns.AMOUNT: lines.amount[order],
            columns.ORDER_ID: number[lines.order[order]],
            columns.CATEGORY: names.take(lines.category[order]).to_numpy(),
            columns.MARGIN: lines.margin[order],
        }
    )


def _event_table(
    happenings: Happenings, ids: NDArray[np.object_], *, rng: np.random.Generator, clock: Clock
) -> pd.DataFrame:
    """Events with a value: severity of a complaint (1 to 5), days of delay, score of a survey (0 to 10)."""
    count = len(happenings.time)
    values = np.array([rng.integers(1, 6, count), 1 + rng.poisson(4.0, count), rng.integers(0, 11, count)])
    table = pd.DataFrame(
        {
            columns.CUSTOMER_ID: pd.Series(ids, dtype="str").take(happenings.account).to_numpy(),
            columns.DATE: clock.days(happenings.time),
            columns.KIND: np.take(KINDS, happenings.kind),
            columns.VALUE: values[happenings.kind, np.arange(count)].astype(np.float64),
        }
    )
    return table.sort_values([columns.DATE, columns.CUSTOMER_ID], kind="stable", ignore_index=True)


def _by_account(log: pd.DataFrame, ids: NDArray[np.object_]) -> Floats:
    sums = log.groupby(columns.CUSTOMER_ID)[columns.AMOUNT].sum()
    return sums.reindex(ids, fill_value=0.0).to_numpy(dtype=np.float64)
