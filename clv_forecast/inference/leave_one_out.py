"""`loo`: leave-one-customer-out of a fitted model, purchases and spend apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.arguments import finite_number, instance_of
from clv_forecast.errors import DomainError
from clv_forecast.inference.datatree import chains_of_draws
from clv_forecast.inference.draws import ASYMPTOTIC, POINT, POSTERIOR
from clv_forecast.inference.loo import Loo, loo_in_blocks, purchase_log_likelihood, spend_log_likelihood
from clv_forecast.inference.model import FittedRows, Model
from clv_forecast.notebook_html import notebook_html
from clv_forecast.progress import Progress, automatic, shows_progress

Floats = NDArray[np.float64]

PURCHASES: Final = "purchases"
SPEND: Final = "spend"
_STAND_IN: Final = (
    "The draws of {} are those of maximum likelihood, which stand in for a posterior: take the elpd as an "
    "approximation."
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class LooResult:
    """Leave-one-out of a model. Purchases and spend are two likelihoods of different data: they are not added up.

    Parameters
    ----------
    purchases : Loo
    spend : Loo or None
    notes : tuple of str
        What to know about the draws behind it.
    """

    purchases: Loo
    spend: Loo | None
    notes: tuple[str, ...] = ()

    @property
    def table(self) -> pd.DataFrame:
        """One row per part: part, elpd, se, p_loo, looic, customers, draws, k_max, k_threshold, unreliable."""
        named = ("elpd", "se", "p_loo", "looic", "customers", "draws", "k_max", "k_threshold", "unreliable")
        parts = {PURCHASES: self.purchases} | ({} if self.spend is None else {SPEND: self.spend})
        return pd.DataFrame(
            [{"part": part} | {name: getattr(result, name) for name in named} for part, result in parts.items()]
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """Results and reliability in plain words."""
        told = [f"Purchases: {self.purchases.sentence}"]
        if self.spend is not None:
            told.append(f"Spend: {self.spend.sentence}")
        return (*told, *self.notes)

    def __str__(self) -> str:
        return "\n".join(self.sentences)

    def __repr__(self) -> str:
        spend = "" if self.spend is None else f"; spend elpd {self.spend.elpd:,.1f} (se {self.spend.se:,.1f})"
        return f"<LooResult purchases elpd {self.purchases.elpd:,.1f} (se {self.purchases.se:,.1f}){spend}>"

    def _repr_html_(self) -> str:
        return notebook_html("Leave-one-out", self.table, notes=self.sentences)


@shows_progress
def loo(model: Model, *, r_eff: float | None = None, progress: Progress = automatic) -> LooResult:
    """Estimate how well a model predicts a customer whom it has not seen, from the draws of its one fit.

    Parameters
    ----------
    model : Model
        From ``fit``, with draws that spread; its rows are those of the fit.
    r_eff : float, optional
        Effective draws per draw. By default 1 for independent draws, and the mean over the parameters for the draws
        of a sampler.
    progress : Progress

    Returns
    -------
    LooResult

    Raises
    ------
    DomainError
        If the model was fitted elsewhere or holds no draws that spread, or ``r_eff`` is not positive.

    Notes
    -----
    Leaving a customer out tells how the model fits customers of the same time, not how it predicts the future: to
    choose a model for forecasts, compare by time holdout. Models are comparable on the same customers and unit only.

    Examples
    --------
    >>> from clv_forecast.history import load_cdnow, purchase_history
    >>> from clv_forecast.inference.fit import fit
    >>> history = purchase_history(load_cdnow("1/10"), as_of="1997-09-30")
    >>> result = loo(fit(history, spend=None, method="laplace", draws=400, compare=False))
    >>> result.purchases.customers, result.purchases.unreliable
    (2349, 0)
    """
    instance_of(model, Model, "model", made_by="fit")
    rows = _fitted_rows(model)
    efficiency = _efficiency(model) if r_eff is None else finite_number(r_eff, "r_eff")
    bought = _part(
        lambda block: purchase_log_likelihood(
            model.purchases_of_cells(rows.purchases.cell[block]), model.purchases, rows.purchases, chosen=block
        ),
        rows.purchases.weights,
        model.draws.n_draws,
        r_eff=efficiency,
        progress=progress,
        part=PURCHASES,
    )
    spend, level, spent = rows.spend, model.spend_level, None
    if spend is not None and level is not None:
        spent = _part(
            lambda block: spend_log_likelihood(model.spend_of_cells(spend.cell[block]), level, spend, chosen=block),
            spend.weights,
            model.draws.n_draws,
            r_eff=efficiency,
            progress=progress,
            part=SPEND,
        )
    stand_in = [
        part for part, kind in ((PURCHASES, model.draws.kind), (SPEND, model.draws.spend_kind)) if kind == ASYMPTOTIC
    ]
    notes = (_STAND_IN.format(" and ".join(stand_in)),) if stand_in else ()
    return LooResult(purchases=bought, spend=spent, notes=notes)


def _part(
    values_of: Callable[[slice], Floats],
    weights: Floats,
    draws: int,
    *,
    r_eff: float,
    progress: Progress,
    part: str,
) -> Loo:
    return loo_in_blocks(
        values_of, weights, draws, r_eff=r_eff, done=lambda rows: progress(f"loo {part}", rows, weights.size)
    )


def _fitted_rows(model: Model) -> FittedRows:
    if model.rows is None:
        raise DomainError(
            "Leave-one-out needs the rows that the model was fitted to, and a model fitted elsewhere has none.",
            value=model.method,
            remedy="Fit it here with fit(...).",
        )
    if POINT in (model.draws.kind, model.draws.spend_kind):
        raise DomainError(
            "Leave-one-out needs draws that spread, and those of this model are a point estimate.",
            remedy="Fit it with method='laplace' or method='nuts'.",
        )
    return model.rows


def _efficiency(model: Model) -> float:
    """Effective draws per draw, for the mean of each parameter and averaged over them, as ArviZ takes it."""
    chains = chains_of_draws(model)
    if chains == 1 or POSTERIOR not in (model.draws.kind, model.draws.spend_kind):
        return 1.0
    from arviz_stats.base import array_stats

    parts: list[Any] = [model.draws.purchases] + ([] if model.draws.spend is None else [model.draws.spend])
    effective = [
        float(
            array_stats.ess(getattr(params, field.name).reshape(chains, -1), chain_axis=0, draw_axis=1, method="mean")
        )
        for params in parts
        for field in fields(params)
    ]
    return float(np.mean(effective)) / model.draws.n_draws
