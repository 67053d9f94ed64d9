r"""How customers differ, according to a model: the spread of purchase rate, dropout and mean spend.

The model's own distributions, in closed form: purchase rate ``Gamma(r, alpha)``; dropout probability ``Beta(a, b)``
(BG/NBD, MBG/NBD) or dropout rate ``Gamma(s, beta)`` (Pareto/NBD); a customer's mean order ``p / nu`` with
``nu ~ Gamma(q, v)``, an inverse Gamma distribution of shape ``q`` and scale ``p v``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import betainc, gammainc, gammaincc, gammaincinv

from clv_forecast.arguments import count_of, instance_of
from clv_forecast.errors import DomainError
from clv_forecast.forecasting.bands import band, check_prob
from clv_forecast.inference.model import Model

_BINS: Final = 50
_MOST_BINS: Final = 1000
_COVERED: Final = 0.99

Cumulative = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def heterogeneity(model: Model, *, bins: int = _BINS, prob: float = 0.9) -> pd.DataFrame:
    """Share of customers in bins of purchase rate, dropout and mean spend, with intervals over parameter draws.

    Parameters
    ----------
    model : Model
        Of a model with groups the customers around the typical one are shown.
    bins : int
        Equal bins, from 0 to where 99 % of the customers lie below (dropout probabilities: to 1).
    prob : float
        Probability inside the intervals.

    Returns
    -------
    DataFrame
        One row per quantity ("purchase rate", "dropout probability" or "dropout rate", and "mean spend" where spend
        was fitted) and bin: quantity, unit, left, right, share (of all customers, mean over draws), lower, upper;
        density, density_lower, density_upper (share over width: the mean density within the bin, finite where the
        density itself has a pole); share_beyond (above the last bin); prob.

    Raises
    ------
    DomainError
        If an argument lies outside its domain.

    Examples
    --------
    >>> import clv_forecast as clv
    >>> history = clv.purchase_history(clv.load_cdnow("1/10"), as_of="1997-09-30", unit="week")
    >>> model = clv.fit(history, draws=200, compare=False)
    >>> heterogeneity(model).groupby("quantity")["share"].sum().round(2).to_dict()
    {'dropout probability': 1.0, 'mean spend': 0.99, 'purchase rate': 0.99}
    """
    instance_of(model, Model, "model", "fit")
    check_prob(prob)
    count = count_of(bins, "bins") or _BINS
    if count > _MOST_BINS:
        raise DomainError(f"bins may be at most {_MOST_BINS}.", value=count)
    tables = []
    for quantity, unit, top, cumulative in _quantities(model):
        edges = np.linspace(0.0, top, count + 1)
        below = cumulative(edges)  # (draw, edge)
        shares = np.diff(below, axis=1).T
        lower, upper = band(shares, prob)
        width = top / count
        table = pd.DataFrame(
            {
                "quantity": quantity,
                "unit": unit,
                "left": edges[:-1],
                "right": edges[1:],
                "share": shares.mean(axis=1),
                "lower": lower,
                "upper": upper,
            }
        )
        for name, column in (("density", "share"), ("density_lower", "lower"), ("density_upper", "upper")):
            table[name] = table[column] / width
        tables.append(table.assign(share_beyond=float((1.0 - below[:, -1]).mean())))
    return pd.concat(tables, ignore_index=True).assign(prob=prob)


def _quantities(model: Model) -> list[tuple[str, str, float, Cumulative]]:
    """Name, unit, upper end and distribution function (edges to (draw, edge)) of what the model spreads over customers.

    A dropout that the draws do not name as Beta(a, b) or Gamma(s, beta) is left out.
    """
    params = model.draws.purchases
    found: list[tuple[str, str, float, Cumulative]] = [
        (
            "purchase rate",
            f"purchases per {model.unit} while a customer",
            _top_of_gamma(params.r, params.alpha),
            lambda x: np.asarray(gammainc(params.r, params.alpha * x)),
        )
    ]
    if hasattr(params, "a") and hasattr(params, "b"):
        found.append(
            (
                "dropout probability",
                "after each purchase" if model.purchases.startswith("mbg") else "after each repeat purchase",
                1.0,
                lambda x: np.asarray(betainc(params.a, params.b, x)),
            )
        )
    elif hasattr(params, "s") and hasattr(params, "beta"):
        found.append(
            (
                "dropout rate",
                f"per {model.unit}",
                _top_of_gamma(params.s, params.beta),
                lambda x: np.asarray(gammainc(params.s, params.beta * x)),
            )
        )
    spend = model.draws.spend
    if spend is not None:
        top = _typical(spend.p * spend.v / gammaincinv(spend.q, 1.0 - _COVERED))
        found.append(("mean spend", f"{model.currency or 'money'} per order", top, lambda x: _below_spend(spend, x)))
    return found


def _below_spend(spend: Any, amounts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of customers whose mean order lies below each amount: ``P(nu > p / amount)``."""
    with np.errstate(divide="ignore"):
        return np.asarray(gammaincc(spend.q, spend.p * spend.v / amounts))


def _top_of_gamma(shape: NDArray[np.float64], rate: NDArray[np.float64]) -> float:
    return _typical(gammaincinv(shape, _COVERED) / rate)


def _typical(ends: NDArray[np.float64]) -> float:
    return float(np.median(ends))
