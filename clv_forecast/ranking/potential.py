"""The verb ``potential``: what every account could bring beyond its forecast, and how much of it is to be expected.

What a look back teaches: readiness, its check in money, and what it would have predicted then.

Draws of what accounts realise of their headroom: uncertain wallets, uncertain shares, and luck.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from clv_forecast import columns
from clv_forecast.arguments import finite_number, instance_of
from clv_forecast.errors import Absent, DomainError
from clv_forecast.forecasting.plan import Plan
from clv_forecast.forecasting.predictive import band
from clv_forecast.forecasting.result import Forecast
from clv_forecast.history.purchase_history import PurchaseHistory
from clv_forecast.inference.recipe import Recipe
from clv_forecast.notebook_html import notebook_html
from clv_forecast.printable import printable
from clv_forecast.progress import Progress, automatic, shows_progress
from clv_forecast.ranking.accounts import Accounts, accounts_of
from clv_forecast.ranking.look_back import LookBack, look_back, years_of
from clv_forecast.ranking.outlook import Outlook, outlook_of
from clv_forecast.ranking.ranking_check import RankingCheck, check_orders
from clv_forecast.ranking.readiness import (
    FOLDS,
    FeatureSpec,
    Lesson,
    Readiness,
    feature_spec,
    features,
    learn_readiness,
    penetration_room,
    reliability_table,
)
from clv_forecast.ranking.trailing import trailing_revenue
from clv_forecast.ranking.wallets import GIVEN, WalletOptions, Wallets, check_source, wallets_of
from clv_forecast.ranking.whitespace import Whitespace
from clv_forecast.streams import (
    STAGE_READINESS,
    STAGE_WALLET,
    as_seed,
    customer_keys,
    normal,
    standard_gamma,
    uniform_pair,
)
from clv_forecast.threads import in_spans
from clv_forecast.units import Horizon

Floats = NDArray[np.float64]

_DOUBTFUL: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learnt:
    """What was learnt at an earlier day.

    Parameters
    ----------
    readiness : Readiness
    spec : FeatureSpec
    reliability : DataFrame
    predicted : ndarray, shape (account,)
        Revenue above the forecast in the window, as the other accounts' shares predict it; 0 where no wallet was known.
    notes : tuple of str
    """

    readiness: Readiness
    spec: FeatureSpec
    reliability: pd.DataFrame
    predicted: Floats
    notes: tuple[str, ...]


def learn_from(look: LookBack, *, wallet_options: WalletOptions, prob: float) -> Learnt | Absent:
    """Learn readiness from a look back, with wallets estimated as of that day in the same way as today.

    Parameters
    ----------
    look : LookBack
    wallet_options : WalletOptions
    prob : float
        Probability inside the bands of the reliability table.

    Returns
    -------
    Learnt or Absent
    """
    wallets = wallets_of(look.calibration, look.accounts, look.outlook, options=wallet_options)
    seed = wallet_options.seed
    headroom, room = penetration_room(wallets.wallet, look.outlook.annual_revenue)
    spec = feature_spec(look.accounts)
    lesson = Lesson(
        actual=look.actual,
        expected=look.outlook.revenue,
        sd=look.outlook.revenue_sd,
        headroom=headroom * look.outlook.years,
        p_alive=look.outlook.p_alive,
        x=features(
            spec, look.calibration, look.accounts, room=np.nan_to_num(room), purchases=look.calibration.purchases()
        ),
        fold=(customer_keys(seed, look.accounts.ids.tolist()) % np.uint64(FOLDS)).astype(np.intp),
        days=look.days,
    )
    found = learn_readiness(lesson, spec.names, seed=seed)
    if isinstance(found, Absent):
        return found
    readiness, predicted, above = found
    reliability = reliability_table(lesson, predicted, above, prob=prob, seed=seed)
    share = float(np.nansum(predicted)) / float(np.nansum(lesson.headroom))
    off = readiness.forecast_error
    common = "too low" if off >= 0.005 else "too high" if off <= -0.005 else ""
    besides = f"besides, all forecasts were {abs(off):.0%} {common}" if common else "forecasts were right on the whole"
    sentence = (
        f"Looking back to {look.origin.date()}, {share:.1%} of the headroom then would have been expected above the "
        f"forecast, each account judged by the others; "
        f"{besides}{', which is not taken for potential' if common else ''}."
    )
    if readiness.chance_of_nothing >= _DOUBTFUL:
        sentence += (
            f" Whether headroom tells anything here is in doubt: the probability that it tells nothing is "
            f"{readiness.chance_of_nothing:.2f}."
        )
    names = list(look.accounts.attributes())
    if (wallets.source == GIVEN).any():
        names.append(columns.WALLET)
    told = printable(", ".join(map(str, names)))
    undated = f"The accounts' table carries no date: taken to be known then were {told}." if names else ""
    return Learnt(
        readiness=readiness,
        spec=spec,
        reliability=reliability,
        predicted=np.nan_to_num(predicted),
        notes=tuple(note for note in (sentence, undated) if note),
    )


_SPAN: Final = 4096
_SMALLEST_SIZE: Final = 0.02  # below it, the Beta is all or nothing


def draw_realised(
    headroom: Floats, log_sd: Floats, shares: Floats, *, spread: float, keys: NDArray[np.uint64], draws: int
) -> Floats:
    r"""Draw the money that each account realises of its headroom.

    Draw ``d`` is :math:`h\,\omega\,S` with :math:`\ln \omega \sim N(-\sigma^2/2, \sigma)`, so that its mean is 1, and
    :math:`S \sim \text{Beta}` of mean :math:`s_d` and variance :math:`\phi s_d`: mean :math:`h s` in all. Where no
    share between 0 and 1 varies as much, all of the headroom is realised with probability :math:`s_d`, and else
    nothing.

    Parameters
    ----------
    headroom, log_sd : ndarray, shape (account,)
        >= 0.
    shares : ndarray, shape (account, parameter draw)
        Expected shares, from 0 to 1; taken again and again where there are more draws.
    spread : float
        :math:`\phi`, >= 0; at 0 an account realises its expected share.
    keys : ndarray of uint64, shape (account,)
        See ``streams.customer_keys``.
    draws : int

    Returns
    -------
    ndarray, shape (account, draw)

    Examples
    --------
    >>> one = np.ones(1)
    >>> key = np.array([7], dtype=np.uint64)
    >>> drawn = draw_realised(100 * one, 0.2 * one, 0.1 * one[:, None], spread=0.3, keys=key, draws=40_000)
    >>> bool(abs(drawn.mean() - 10.0) < 4 * drawn.std() / 200)
    True
    """
    out = np.zeros((len(headroom), draws))
    in_spans(
        _draw,
        len(headroom),
        np.ascontiguousarray(headroom),
        np.ascontiguousarray(log_sd),
        np.ascontiguousarray(shares),
        spread,
        keys,
        out,
        smallest=max(1, _SPAN // draws),
    )
    return out


def realised_if_active(
    headroom: Floats,
    log_sd: Floats,
    shares: Floats,
    *,
    spread: float,
    keys: NDArray[np.uint64],
    active: NDArray[np.bool_],
) -> Floats:
    """Draw as ``draw_realised`` does, with nothing realised in draws in which an account is not active.

    In the others its expected share is larger by as much, so that the mean stays. An account expected to realise more
    than it could in its active draws alone realises some in all of them.

    Parameters
    ----------
    headroom, log_sd, shares, spread, keys
        See ``draw_realised``.
    active : ndarray of bool, shape (account, draw)

    Returns
    -------
    ndarray, shape (account, draw)

    Examples
    --------
    >>> one, key = np.ones(1), np.array([7], dtype=np.uint64)
    >>> active = np.arange(8)[None, :] < 2
    >>> realised_if_active(100 * one, 0 * one, 0.1 * one[:, None], spread=0.0, keys=key, active=active)
    array([[40., 40.,  0.,  0.,  0.,  0.,  0.,  0.]])
    >>> realised_if_active(100 * one, 0 * one, 0.5 * one[:, None], spread=0.0, keys=key, active=active)
    array([[50., 50., 50., 50., 50., 50., 50., 50.]])
    """
    chance = active.mean(axis=1)
    within = chance >= shares.max(axis=1)
    chance = np.where(within, np.maximum(chance, 1.0 / active.shape[1]), 1.0)
    drawn = draw_realised(headroom, log_sd, shares / chance[:, None], spread=spread, keys=keys, draws=active.shape[1])
    return np.asarray(np.where(active | ~within[:, None], drawn, 0.0))


@njit(cache=True, nogil=True)
def _draw(headroom, log_sd, shares, spread, keys, out, start, stop):  # type: ignore[no-untyped-def]  # noqa: PLR0917 - compiled
    for i in range(start, stop):
        if not headroom[i] > 0.0:
            continue
        for d in range(out.shape[1]):
            share = shares[i, d % shares.shape[1]]
            if share <= 0.0:
                continue
            if spread > 0.0 and share < 1.0:
                size = (1.0 - share) / spread - 1.0  # of the Beta: its two parameters add up to it
                realised, rest = 0.0, 0.0
                if size > _SMALLEST_SIZE:
                    realised, used = standard_gamma(keys[i], d, STAGE_READINESS, 0, share * size)
                    rest, _ = standard_gamma(keys[i], d, STAGE_READINESS, used, (1.0 - share) * size)
                if realised + rest > 0.0:
                    share = realised / (realised + rest)
                else:  # all or nothing; so also where both variates are too small for a float
                    u, _ = uniform_pair(keys[i], d, STAGE_READINESS, 0)
                    share = 1.0 if u < share else 0.0
            sd = log_sd[i]
            out[i, d] = headroom[i] * share * np.exp(sd * normal(keys[i], d, STAGE_WALLET, 0) - 0.5 * sd * sd)


_MOST_LOG_SD: Final = 1.0
_DRAWS_FOR_BANDS: Final = 400
_ROWS_AT_ONCE: Final = 20_000
_SUMMED: Final = ("annual_revenue", "headroom", "potential_revenue", "potential_value")
_SHOWN: Final = (
    "p_alive", "current_revenue", "annual_revenue", "wallet", "wallet_source", "headroom", "readiness",
    "potential_revenue", "potential_value",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Potential:
    """What accounts could bring beyond their forecast. Made by `potential`.

    Parameters
    ----------
    table : DataFrame
        One row per account: see ``potential``.
    reliability : DataFrame or None
        By decile of the money predicted above the forecast at the earlier day: what came. None where nothing could be
        learnt.
    readiness : Readiness or None
    whitespace : Whitespace or None
        Categories that an account does not buy and its peers do (``whitespace.table``); None without categories.
    check : RankingCheck or None
        Orders of accounts by today's methods at the earlier day, against what came.
    horizon : str
    years, prob : float
    seed : int
    accounts : Accounts
    history : PurchaseHistory
    notes : tuple of str
    headroom : ndarray, shape (account,)
        Within the horizon, given alive; 0 where no wallet is known.
    log_sd : ndarray, shape (account,)
        Uncertainty of the headroom's logarithm.
    shares : ndarray, shape (account, parameter draw)
        Expected share of headroom realised, survival included.
    outlook : Outlook
        What the forecast expects over the horizon.
    plan : Plan
        The forecast's: potential is priced under its margins and costs.
    keys : ndarray of uint64, shape (account,)
    """

    table: pd.DataFrame
    reliability: pd.DataFrame | None
    readiness: Readiness | None
    whitespace: Whitespace | None
    check: RankingCheck | None
    horizon: str
    years: float
    prob: float
    seed: int
    accounts: Accounts
    history: PurchaseHistory
    notes: tuple[str, ...]
    headroom: Floats
    log_sd: Floats
    shares: Floats
    outlook: Outlook
    plan: Plan
    keys: NDArray[np.uint64]

    def revenue_draws(self, rows: NDArray[np.intp], draws: int, *, active: NDArray[np.bool_] | None = None) -> Floats:
        """Draws of the revenue above the forecast within the horizon, shape (row, draw); 0 without a wallet.

        A draw multiplies the headroom, uncertain as it is, with a realised share between 0 and 1, around the expected
        share of that draw: see ``draw_realised``. The mean is headroom x readiness. A draw depends on the seed, the
        account's id and the number of the draw alone, and on whether the account is ``active`` in it (shape
        (row, draw)): see ``realised_if_active``.
        """
        spread = 0.0 if self.readiness is None else self.readiness.spread
        if active is None:
            return self._draws(rows, self.shares[rows], spread, draws=draws)
        return realised_if_active(
            self.headroom[rows],
            self.log_sd[rows],
            self.shares[rows],
            spread=spread,
            keys=self.keys[rows],
            active=active,
        )

    def expected_draws(self, rows: NDArray[np.intp], draws: int) -> Floats:
        """Draws of the *expected* revenue above the forecast: wallets and shares uncertain, luck left out."""
        return self._draws(rows, self.shares[rows], 0.0, draws=draws)

    def headroom_draws(self, rows: NDArray[np.intp], draws: int) -> Floats:
        """Draws of the headroom of a year."""
        return self._draws(rows, np.ones((len(rows), 1)), 0.0, draws=draws) / self.years

    def _draws(self, rows: NDArray[np.intp], shares: Floats, spread: float, *, draws: int) -> Floats:
        return draw_realised(
            self.headroom[rows], self.log_sd[rows], shares, spread=spread, keys=self.keys[rows], draws=draws
        )

    def __repr__(self) -> str:
        return f"<Potential of {len(self.table):,} accounts over {self.horizon}>"

    def __str__(self) -> str:
        known = self.table["headroom"].notna()
        expected = (
            "how much of it to expect is not known"
            if self.readiness is None
            else f"{self.table['potential_revenue'].sum():,.0f} of revenue expected from it over {self.horizon}"
        )
        lines = [
            f"Potential of {len(self.table):,} accounts: headroom {self.table['headroom'].sum():,.0f} a year on "
            f"{int(known.sum()):,} accounts with a wallet, {expected}"
        ]
        return "\n".join([*lines, *(f"  Note: {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        by = "headroom" if self.readiness is None else "potential_value"
        see = [(".table", f"all {len(self.table):,} accounts")]
        if self.reliability is not None:
            see.append(
                (".reliability", "by tenth, what was expected above the forecast at the earlier day and what came")
            )
        if self.whitespace is not None:
            see.append((".whitespace.table", "categories not bought yet"))
        return notebook_html(
            f"Potential of {len(self.table):,} accounts over {self.horizon}, the largest first",
            self.table.sort_values(by, ascending=False, kind="stable"),
            shown=(columns.CUSTOMER_ID, *_SHOWN),
            total={columns.CUSTOMER_ID: "All"} | {name: self.table[name].sum(min_count=1) for name in _SUMMED},
            see=[*see, ("clv.rank(forecast, potential=...)", "puts accounts in order")],
            notes=self.notes,
        )


@shows_progress
def potential(
    history: PurchaseHistory,
    forecast: Forecast,
    *,
    accounts: Any = None,
    horizon: str = "12 months",
    source: str = "auto",
    quantile: float = 0.8,
    segment: str | None = None,
    origin: Any = None,
    recipe: Recipe | None = None,
    rng: int | np.random.Generator = 1,
    progress: Progress = automatic,
) -> Potential:
    r"""Estimate what every account could bring beyond its forecast, and how much of that is to be expected.

    ``wallet`` is what an account could spend with us in a year: given by the business, or *reachable revenue with us*,
    the ``quantile`` of what its peers, accounts with like attributes, are expected to bring. ``headroom`` is the wallet
    less the account's own expected annual revenue given that it is alive, so that an account about to leave does not
    look promising. ``readiness`` is the share of headroom that is expected to be realised within the horizon *above the
    forecast*, survival included, learnt by looking back: what accounts brought above their forecast since an earlier
    day, set against the headroom that they had. Then, within the horizon,

    .. math:: \text{potential value} = \text{headroom} \times \text{readiness} \times \text{contribution}.

    Parameters
    ----------
    history : PurchaseHistory
    forecast : Forecast
        Of that history, with a spend part.
    accounts : table, optional
        One row per account (``customer_id``): ``wallet``, ``wallet_low``, ``wallet_high`` (annual revenue; the ends
        are read as a 90 % band), and attributes. Default: the customers' table of the history.
    horizon : str
    source : {"auto", "given", "peers", "whitespace"}
        Where wallets come from; ``"auto"``: given where known, else peers, else categories not bought.
    quantile : float
        Of the peers' expected revenue.
    segment : str, optional
        Attribute that peers share where accounts are few.
    origin : date, Timestamp or ISO text, optional
        The earlier day that readiness is learnt at. Default: the horizon before ``as_of``; half the log where it is
        shorter than two horizons.
    recipe : Recipe, optional
        How to fit at the earlier day. Default: the forecast's transaction model, by maximum likelihood.
    rng : int or Generator
    progress : callable

    Returns
    -------
    Potential
        Its ``table`` has customer_id, horizon, p_alive, current_revenue (trailing 12 months; absent where the log is
        shorter), annual_revenue (expected, given alive), wallet with wallet_lower and wallet_upper, wallet_source,
        peers, share_of_wallet (current over given wallet; absent where none was given), headroom (a year), readiness
        with readiness_lower and readiness_upper, potential_revenue, potential_value with potential_lower and
        potential_upper (of the horizon), value_at_risk, prob, as_of, currency. What is not known is missing, never 0.

    Raises
    ------
    DomainError
        If an argument is outside its domain, or forecast and history do not belong together.
    InputError
        If a wallet is negative or outside its own band, or the source asked for has nothing to go by.

    Notes
    -----
    An account's own revenue never enters its own reachable revenue. P(alive) multiplies readiness and enters neither
    headroom nor the features, so a lower P(alive) alone never raises potential.

    References
    ----------
    Perlich, Rosset, Lawrence, Zadrozny (2007), "High-quantile modeling for customer wallet estimation and other
    applications", KDD, doi:10.1145/1281192.1281297.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1998-06-30", observed_from="1997-01-01")
    >>> fc = clv.forecast(clv.fit(history, compare=False), history, horizons=["12 months"], draws=200)
    >>> found = potential(history, fc)
    >>> found.table["wallet_source"].unique().tolist()
    ['peers: the whole base']
    """
    instance_of(history, PurchaseHistory, "history", made_by="purchase_history")
    instance_of(forecast, Forecast, "forecast", made_by="forecast")
    if forecast.history is not history:
        raise DomainError("The forecast must be one of this history.", remedy="Pass the history it was made from.")
    if not forecast.plan.has_spend:
        raise DomainError(
            "Potential is money: the forecast needs a spend part.", remedy="Fit with spend='gamma_gamma'."
        )
    if not 0.0 < finite_number(quantile, "quantile") < 1.0:
        raise DomainError("quantile must lie between 0 and 1.", value=quantile)
    horizon = Horizon.parse(horizon).label
    chosen, seed, years = check_source(source), as_seed(rng), years_of(forecast, horizon)
    known = accounts_of(history, accounts)
    today = outlook_of(forecast.plan, years, progress=progress)
    options = WalletOptions(source=chosen, quantile=quantile, segment=segment, seed=seed)
    wallets = wallets_of(history, known, today, options=options, progress=progress)
    seen = look_back(
        history, forecast, accounts=known, horizon=horizon, origin=origin, recipe=recipe, rng=seed, progress=progress
    )
    notes = [*wallets.notes]
    learnt = seen if isinstance(seen, Absent) else learn_from(seen, wallet_options=options, prob=forecast.prob)
    lesson = None if isinstance(learnt, Absent) else learnt
    if isinstance(learnt, Absent):
        notes.append(f"{learnt} Readiness and potential are missing; headroom is not.")
    headroom, room = penetration_room(wallets.wallet, today.annual_revenue)
    check = None
    if not isinstance(seen, Absent):
        notes.extend(seen.notes)
        check = check_orders(seen, None if lesson is None else lesson.predicted, seed=seed)
    shares = np.zeros((len(headroom), 1))
    ready = np.full((3, len(headroom)), np.nan)
    table = _table(history, known, today, wallets=wallets, headroom=headroom, forecast=forecast)
    if lesson is not None:
        notes.extend(lesson.notes)
        x = features(lesson.spec, history, known, room=np.nan_to_num(room), purchases=history.purchases())
        shares = today.p_alive[:, None] * lesson.readiness.expected_shares(x)
        ready[:] = shares.mean(axis=1), *band(shares, forecast.prob)
        ready[:, np.isnan(headroom)] = np.nan
    table["readiness"], table["readiness_lower"], table["readiness_upper"] = ready
    spread = np.divide(
        np.nan_to_num(wallets.log_sd) * wallets.wallet,
        headroom,
        out=np.zeros(len(headroom)),
        where=np.nan_to_num(headroom) > 0.0,
    )
    found = Potential(
        table=table,
        reliability=None if lesson is None else lesson.reliability,
        readiness=None if lesson is None else lesson.readiness,
        whitespace=wallets.whitespace,
        check=check,
        horizon=horizon,
        years=years,
        prob=forecast.prob,
        seed=seed,
        accounts=known,
        history=history,
        notes=tuple(notes),
        headroom=np.nan_to_num(headroom) * years,
        log_sd=np.minimum(spread, _MOST_LOG_SD),
        shares=shares,
        outlook=today,
        plan=forecast.plan,
        keys=customer_keys(seed, known.ids.tolist()),
    )
    return replace(found, table=_with_money(found, today))


def _table(
    history: PurchaseHistory,
    accounts: Accounts,
    today: Outlook,
    *,
    wallets: Wallets,
    headroom: Floats,
    forecast: Forecast,
) -> pd.DataFrame:
    table = forecast.customers[forecast.customers["horizon"] == forecast.horizons.labels[0]]
    table = table[[columns.CUSTOMER_ID, "p_alive"]].reset_index(drop=True)
    current = trailing_revenue(history)
    if current is not None:
        table["current_revenue"] = current
    table["annual_revenue"] = today.annual_revenue
    table["wallet"] = wallets.wallet
    table["wallet_lower"], table["wallet_upper"] = wallets.band(today.annual_revenue, forecast.prob)
    table["wallet_source"] = pd.array(wallets.source, dtype="string")
    table["peers"] = wallets.peers
    given = wallets.given
    if np.isfinite(given).any() and current is not None:
        table["share_of_wallet"] = np.divide(current, given, out=np.full(len(given), np.nan), where=given > 0.0)
    table["headroom"] = headroom
    return table


def _with_money(found: Potential, today: Outlook) -> pd.DataFrame:
    """The table with the money of the horizon; missing where no wallet, or no readiness, is known."""
    table = found.table.copy()
    table.insert(1, "horizon", found.horizon)
    unknown = table["headroom"].isna().to_numpy() | (found.readiness is None)
    revenue = np.where(unknown, np.nan, found.headroom * found.shares.mean(axis=1))
    table["potential_revenue"] = revenue
    table["potential_value"] = revenue * today.contribution
    low, high = np.full(len(table), np.nan), np.full(len(table), np.nan)
    rows = np.flatnonzero(~unknown)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows[start : start + _ROWS_AT_ONCE]
        drawn = found.revenue_draws(some, _DRAWS_FOR_BANDS) * today.contribution[some, None]
        low[some], high[some] = band(drawn, found.prob)
    table["potential_lower"], table["potential_upper"] = low, high
    table["value_at_risk"] = today.value_at_risk
    table["prob"], table["as_of"], table["currency"] = found.prob, found.history.as_of, found.history.currency
    return table
