"""`compare_models`: backtested models side by side, by what each said of the future before it happened."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType
from typing import Any, Final, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.errors import DomainError
from clv_forecast.evaluation.stacking import stacked_log_density, stacking_replicates, stacking_weights
from clv_forecast.forecasting.horizons import Horizons
from clv_forecast.inference.leave_one_out import LooResult
from clv_forecast.notebook_html import notebook_html
from clv_forecast.streams import as_seed

Floats = NDArray[np.float64]

PURCHASES: Final = "purchases"
REVENUE: Final = "revenue"
_ALL: Final = "all"
_KEY: Final = ["customer_id", "origin"]
_SURE: Final = 2.0  # standard errors from which on a difference is said to be one
_SHOWN: Final = ["model", "elpd", "difference", "difference_se", "weight", "coverage_90", "crps", "bias", "gini"]


class Backtested(Protocol):
    """What a comparison reads of a certificate."""

    @property
    def title(self) -> str:
        """Name of the model."""
        ...

    @property
    def densities(self) -> pd.DataFrame:
        """Columns customer_id, origin, horizon, log_density."""
        ...

    @property
    def scores(self) -> pd.DataFrame:
        """One row per origin, horizon, group and quantity."""
        ...

    @property
    def verdict(self) -> Any:
        """With ``of(horizon, quantity)``: the status of the customers' bands."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ModelComparison:
    """Models by their forecasts of windows that they had not seen. Made by `compare_models`.

    Parameters
    ----------
    table : DataFrame
        One row per model, best first: model; elpd (sum over customers and origins of the exact log predictive
        densities of their purchases, in days); difference (to the best, 0 or below) and difference_se (paired,
        clustered by customer); weight and weight_se (stacking; the latter from customers drawn anew); loo and loo_se
        (purchases, leave-one-out; NaN where it was not given); coverage_90, crps, bias, gini of purchases;
        revenue_coverage_90, revenue_crps, revenue_bias, revenue_gini (NaN without a spend part); status of the
        customers' bands of purchases, revenue_status.
    by_origin : DataFrame
        origin, model, elpd, difference (to the best of all origins), customers.
    scores : DataFrame
        The certificates' scores of everyone, one below the other, with a column model.
    weights : mapping of str to float
        Stacking weights by model, in the order given.
    stacked_elpd : float
        Of the mixture with these weights, on the windows that they were learnt from.
    horizon : str
    origins : tuple of str
    customers : int
        Distinct ones.
    sentences : tuple of str
    """

    table: pd.DataFrame
    by_origin: pd.DataFrame
    scores: pd.DataFrame
    weights: Mapping[str, float]
    stacked_elpd: float
    horizon: str
    origins: tuple[str, ...]
    customers: int
    sentences: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What comes out, in one paragraph."""
        return " ".join(self.sentences)

    def __str__(self) -> str:
        table = self.table[_SHOWN].to_string(index=False, float_format=lambda value: f"{value:,.3f}", na_rep="-")
        return "\n".join([table, *self.sentences])

    def __repr__(self) -> str:
        return f"<ModelComparison of {len(self.table)} models over {self.horizon}, best: {self.table['model'].iloc[0]}>"

    def _repr_html_(self) -> str:
        title = f"{len(self.table)} models over {self.horizon}, the best first"
        return notebook_html(title, self.table, notes=self.sentences, see=[(".by_origin", "origin by origin")])


def compare_models(
    certificates: Sequence[Backtested] | Mapping[str, Backtested],
    *,
    horizon: str | None = None,
    loo: Mapping[str, LooResult] | None = None,
    replicates: int = 100,
    rng: int | np.random.Generator = 1,
) -> ModelComparison:
    """Compare backtested models, and find the weights of a mixture of them.

    Parameters
    ----------
    certificates : sequence of Certificate, or mapping of str to Certificate
        Backtests of the same customers, origins and horizons; a mapping gives the models their names, which otherwise
        are their titles, without what all of them end with; those of one title are numbered as they come.
    horizon : str, optional
        Which window to compare by; the longest by default. Horizons nest, so they are never added up.
    loo : mapping of str to LooResult, optional
        Leave-one-out results to show beside, by the model's name; a certificate's own is used where it has one.
    replicates : int
        How often the weights are learnt from customers drawn anew, for their standard error.
    rng : int or numpy Generator

    Returns
    -------
    ModelComparison

    Raises
    ------
    DomainError
        If there are fewer than two models, the horizon is unknown, or the certificates differ in
        origins, horizons, customers or what they bought.

    Notes
    -----
    Standard errors are those of independent customers. A season or a campaign that moves all of them at once is in
    none of them: ``by_origin`` shows whether the order of the models is the same at every origin.

    Examples
    --------
    >>> from clv_forecast.evaluation.backtest import backtest
    >>> from clv_forecast.history import load_cdnow
    >>> from clv_forecast.inference.recipe import Recipe
    >>> recipes = [Recipe(purchases=name, spend=None) for name in ("bg_nbd", "mbg_nbd")]
    >>> certificates = [
    ...     backtest(load_cdnow("1/10"), as_of="1998-06-30", horizon="39 weeks", recipe=recipe, draws=100, workers=1)
    ...     for recipe in recipes
    ... ]
    >>> compare_models(certificates, replicates=10)
    <ModelComparison of 2 models over 39 weeks, best: MBG/NBD>
    """
    named = _named(certificates)
    chosen = _horizon(named, horizon)
    frame = _aligned({name: _of_horizon(one, chosen) for name, one in named.items()})
    _check_outcomes(named)
    values, owners = frame.to_numpy(), frame.index.get_level_values("customer_id").to_numpy()
    weights = stacking_weights(values)
    spread = stacking_replicates(values, owners, replicates=replicates, rng=as_seed(rng)).std(axis=0)
    mixed = stacked_log_density(values, weights)
    table = _table(named, frame, chosen, weights=weights, spread=spread, loos=loo or {})
    origins = tuple(str(name) for name in frame.index.get_level_values("origin").unique())
    gain = (float(mixed.sum() - table["elpd"].iloc[0]), _clustered(mixed - frame[table["model"].iloc[0]], owners))
    return ModelComparison(
        table=table,
        by_origin=_by_origin(frame, str(table["model"].iloc[0])),
        scores=pd.concat([_everyone(one.scores).assign(model=name) for name, one in named.items()], ignore_index=True),
        weights=MappingProxyType(dict(zip(named, weights.tolist(), strict=True))),
        stacked_elpd=float(mixed.sum()),
        horizon=chosen,
        origins=origins,
        customers=len(np.unique(owners)),
        sentences=(
            *_order(table, chosen, origins, frame=frame),
            _mixture(table, gain),
            *_totals(table, chosen),
        ),
    )


def _named(certificates: Any) -> dict[str, Backtested]:
    if isinstance(certificates, Mapping):
        named = {str(name): one for name, one in certificates.items()}
    elif isinstance(certificates, Sequence) and not isinstance(certificates, str):
        titles = _without_shared_end([str(getattr(one, "title", "")) for one in certificates])
        named = dict(zip(_told_apart(titles), certificates, strict=True))
    else:
        named = {}
    strange = [one for one in named.values() if not all(hasattr(one, part) for part in ("densities", "scores"))]
    if len(named) < 2 or strange:
        raise DomainError(
            "compare_models takes at least two certificates, made by backtest.",
            value=type(strange[0]).__name__ if strange else len(named),
        )
    return named


def _without_shared_end(titles: list[str]) -> list[str]:
    """Leave out what all titles end with, from a comma or a plus on: BG/NBD rather than BG/NBD, NUTS."""
    parts = [re.split(r"(?=, | \+ )", title) for title in titles]
    while all(len(mine) > 1 for mine in parts) and len({mine[-1] for mine in parts}) == 1:
        parts = [mine[:-1] for mine in parts]
    return ["".join(mine) for mine in parts]


def _told_apart(titles: list[str]) -> list[str]:
    """Number those that are alike, by numbers that no other title has.

    Examples
    --------
    >>> _told_apart(["BG/NBD", "MBG/NBD", "BG/NBD"])
    ['BG/NBD (1)', 'MBG/NBD', 'BG/NBD (2)']
    """
    names: list[str] = []
    for title in titles:
        numbered = (f"{title} ({number})" for number in count(1))
        names.append(title if titles.count(title) == 1 else next(n for n in numbered if n not in {*titles, *names}))
    return names


def _horizon(named: Mapping[str, Backtested], asked: str | None) -> str:
    """Refuse certificates over different horizons; the longest, which tables list last, unless another is asked."""
    known = {name: tuple(str(label) for label in one.densities["horizon"].unique()) for name, one in named.items()}
    first_name, first = next(iter(known.items()))
    for name, labels in known.items():
        if set(labels) != set(first):
            raise DomainError(
                "Certificates must be over the same horizons to be compared.",
                value=f"{first_name}: {', '.join(first)}; {name}: {', '.join(labels)}",
            )
    if not first:
        raise DomainError("The certificates hold no forecast: every origin failed.")
    return first[-1] if asked is None else Horizons.parse(first).one(asked, of="Each certificate")


def _check_outcomes(named: Mapping[str, Backtested]) -> None:
    """Refuse certificates of logs in which something else happened."""
    found = {}
    for name, certificate in named.items():
        rows = _everyone(certificate.scores)
        counted = rows[rows["quantity"] == PURCHASES].set_index(["origin", "horizon"])
        found[name] = counted["actual_total"].sort_index()
    first_name, first = next(iter(found.items()))
    for name, totals in found.items():
        if not totals.equals(first):
            raise DomainError(
                "Certificates must be about the same purchases to be compared: their logs differ in the windows.",
                value=f"{first_name}: {first.sum():,.0f} purchases; {name}: {totals.sum():,.0f}",
            )


def _of_horizon(certificate: Backtested, horizon: str) -> pd.Series[Any]:
    table = certificate.densities
    return table[table["horizon"] == horizon].set_index(_KEY)["log_density"]


def _aligned(columns: Mapping[str, pd.Series[Any]]) -> pd.DataFrame:
    """One column per model, rows (customer, origin) in the order of the first; refuse what is not the same."""
    first_name, first = next(iter(columns.items()))
    origins = set(first.index.get_level_values("origin"))
    for name, column in columns.items():
        mine = set(column.index.get_level_values("origin"))
        if mine != origins:
            raise DomainError(
                "Certificates must be over the same origins to be compared.",
                value=f"{first_name}: {', '.join(sorted(map(str, origins)))}; {name}: "
                f"{', '.join(sorted(map(str, mine)))}",
            )
        odd = first.index.symmetric_difference(column.index)
        if len(odd) or column.index.has_duplicates:
            raise DomainError(
                "Certificates must be about the same customers to be compared.",
                value=f"{len(odd):,} of {first_name} and {name} without a counterpart",
                customer_ids=odd.get_level_values("customer_id"),
            )
    return pd.DataFrame({name: column.reindex(first.index) for name, column in columns.items()})


def _table(
    named: Mapping[str, Backtested],
    frame: pd.DataFrame,
    horizon: str,
    *,
    weights: Floats,
    spread: Floats,
    loos: Mapping[str, LooResult],
) -> pd.DataFrame:
    unknown = set(loos) - set(named)
    if unknown:
        raise DomainError("loo names a model that is not compared.", value=sorted(unknown), remedy=f"Known: {[*named]}")
    elpd = frame.sum()
    best = str(elpd.idxmax())
    owners = frame.index.get_level_values("customer_id").to_numpy()
    rows = []
    for position, (name, certificate) in enumerate(named.items()):
        found = loos.get(name, getattr(certificate, "loo", None))
        rows.append(
            {
                "model": name,
                "elpd": float(elpd[name]),
                "difference": float(elpd[name] - elpd[best]),
                "difference_se": _clustered(frame[name] - frame[best], owners),
                "weight": float(weights[position]),
                "weight_se": float(spread[position]),
                "loo": float("nan") if found is None else found.purchases.elpd,
                "loo_se": float("nan") if found is None else found.purchases.se,
                **_scores(certificate, horizon, PURCHASES, prefix=""),
                **_scores(certificate, horizon, REVENUE, prefix="revenue_"),
            }
        )
    return pd.DataFrame(rows).sort_values("elpd", ascending=False, kind="stable", ignore_index=True)


def _scores(certificate: Backtested, horizon: str, quantity: str, *, prefix: str) -> dict[str, Any]:
    scores = _everyone(certificate.scores)
    mine = scores[(scores["origin"] == _ALL) & (scores["horizon"] == horizon) & (scores["quantity"] == quantity)]
    named = ("coverage_90", "crps", "bias", "gini")
    if mine.empty:
        return {f"{prefix}{name}": float("nan") for name in named} | {f"{prefix}status": ""}
    told = {f"{prefix}{name}": float(mine[name].iloc[0]) for name in named}
    return told | {f"{prefix}status": str(certificate.verdict.of(horizon, quantity))}


def _everyone(scores: pd.DataFrame) -> pd.DataFrame:
    return scores[scores["group"] == _ALL]


def _by_origin(frame: pd.DataFrame, best: str) -> pd.DataFrame:
    grouped = frame.groupby(level="origin", sort=False)
    elpd, customers = grouped.sum(), grouped.size()
    return pd.DataFrame(
        [
            {
                "origin": str(origin),
                "model": name,
                "elpd": float(elpd.loc[origin, name]),
                "difference": float(elpd.loc[origin, name] - elpd.loc[origin, best]),
                "customers": int(customers[origin]),
            }
            for origin in elpd.index
            for name in frame.columns
        ]
    )


def _clustered(values: Any, owners: NDArray[Any]) -> float:
    """Standard error of a sum over rows, with the rows of one customer together."""
    _, owner = np.unique(owners, return_inverse=True)
    sums = np.bincount(owner, weights=np.asarray(values, dtype=np.float64))
    return float(np.sqrt(sums.size * sums.var(ddof=1))) if sums.size > 1 else float("nan")


def _order(table: pd.DataFrame, horizon: str, origins: Sequence[str], *, frame: pd.DataFrame) -> list[str]:
    best = str(table["model"].iloc[0])
    per_origin = frame.groupby(level="origin", sort=False).sum()
    wins = int((per_origin.idxmax(axis=1) == best).sum())
    where = f"at {wins} of {len(origins)} origins" if len(origins) > 1 else "at the one origin tested"
    others = []
    for row in table.iloc[1:].itertuples():
        gap, error = -float(row.difference), float(row.difference_se)  # type: ignore[arg-type]
        if gap <= _SURE * error:
            others.append(f"{row.model} cannot be told from it ({_number(gap)} +- {_number(error)} worse)")
        else:
            others.append(f"{row.model} is {_number(gap)} +- {_number(error)} worse")
    return [
        f"{best} predicts the {horizon} after an origin best (log predictive density, ahead {where}); "
        f"{'; '.join(others)}.",
        "The +- are standard errors of independent customers; a season or campaign that moves all at once is not in "
        "them.",
    ]


def _mixture(table: pd.DataFrame, gain: tuple[float, float]) -> str:
    parts = table[table["weight"] >= 0.005].sort_values("weight", ascending=False)
    told = ", ".join(f"{row.weight:.0%} {row.model}" for row in parts.itertuples())
    best = str(table["model"].iloc[0])
    if len(parts) == 1:
        return f"No mixture is better: stacking gives all weight to {parts['model'].iloc[0]}."
    more, error = gain
    if best not in set(parts["model"]):
        told += f" ({best}, the best alone, adds nothing to it)"
    worth = "which is no clear gain" if more <= _SURE * error else "a clear gain"
    return (
        f"The best mixture is {told}: {_number(more)} +- {_number(error)} better than {best} alone on the windows that "
        f"it was learnt from, {worth}."
    )


def _totals(table: pd.DataFrame, horizon: str) -> list[str]:
    """Which model comes closest to the total, where it is not the best one."""
    known = table[table["bias"].notna()]
    if known.empty:
        return []
    closest = known.iloc[int(np.argmin(known["bias"].abs()))]
    best = known.iloc[0]
    told = f"{closest['model']} comes closest to the total of purchases over {horizon} ({_signed(closest['bias'])})"
    if closest["model"] == best["model"]:
        return [f"{told}."]
    return [f"{told}, {best['model']} to {_signed(best['bias'])}."]


def _number(value: float) -> str:
    return f"{value:,.{0 if abs(value) >= 9.95 else 1}f}"


def _signed(bias: float) -> str:
    return f"{100.0 * bias:+z.1f} %"
