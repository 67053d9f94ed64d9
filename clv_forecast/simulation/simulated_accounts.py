r"""Accounts of a business-to-business company, simulated with the truth beside the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.arguments import finite_number, number_of, parse_day
from clv_forecast.errors import DomainError
from clv_forecast.simulation.account_table import account_table
from clv_forecast.simulation.acquisition_costs import acquisition_cost_table
from clv_forecast.simulation.clock import Clock
from clv_forecast.simulation.leaving import KINDS, Happenings, draw_happenings
from clv_forecast.simulation.lines import Lines, draw_lines
from clv_forecast.simulation.orders import Orders, draw_amounts, draw_orders
from clv_forecast.simulation.parameters import Floats, TrueParameters, draw_parameters
from clv_forecast.simulation.truth import truth_table
from clv_forecast.streams import as_seed
from clv_forecast.units import DAYS_PER_YEAR, MOST_YEARS

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
    and late deliveries raise it for some months after; surveys do not. See `clv_forecast.simulation.leaving`.

    **Truth**: ``wallet``; ``penetration`` u at ``as_of``; ``annual_revenue_now`` = w u, given that it is there;
    ``alive``; ``left_on`` (NaT when it stays beyond the future); ``stays`` (probability of being there at the end of
    the future); ``growing``, ``growth_rate``, ``growth_starts``; ``regular``, ``irregular``, ``order_size``;
    ``expected_next_revenue`` :math:`= w \int u(t) S(t) dt` over the future, 0 for those who left: expected over
    future events, leaving and orders, given its own parameters and past events; ``stationary_next_revenue``, the same
    with u as it is now; their difference ``expected_growth``; ``next_revenue``, realised in ``future`` net of what
    comes back; ``margin`` (rate). Order amounts are scaled so that revenue net of returns is w u on average.

    **Acquisition cost**, by quarter and channel, has nothing to do with what the accounts are worth; see
    `clv_forecast.simulation.acquisition_costs`.

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
    log = _log(lines, orders, ids, clock)
    later = (log[columns.DATE] > clock.as_of).to_numpy()
    transactions, future = (log[part].reset_index(drop=True) for part in (~later, later))
    spending = np.random.default_rng(sequences[3])
    return SimulatedAccounts(
        transactions=transactions,
        accounts=accounts,
        events=_event_table(happenings, ids, rng=happened, clock=clock),
        future=future,
        truth=truth_table(parameters, happenings, ids, _by_account(future, ids), clock=clock),
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


def _log(lines: Lines, orders: Orders, ids: NDArray[np.object_], clock: Clock) -> pd.DataFrame:
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
