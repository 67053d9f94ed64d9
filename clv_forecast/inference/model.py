"""The fitted model: parameters, their draws, and the report of the fit.

What a model was fitted to: distinct rows, without any customer's id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.inference.draws import ParameterDraws
from clv_forecast.inference.hierarchical.chains import Chains
from clv_forecast.inference.hierarchical.structure import Assignment
from clv_forecast.inference.report import FitReport
from clv_forecast.inference.sufficient import PurchaseRows, SpendRows
from clv_forecast.notebook_html import notebook_html
from clv_forecast.printable import printable_table
from clv_forecast.units import TimeUnit


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedRows:
    """The rows behind the likelihoods of a fit.

    Parameters
    ----------
    purchases : PurchaseRows
    spend : SpendRows or None
    assignment : Assignment or None
        The cells that rows belong to in a hierarchical fit.
    """

    purchases: PurchaseRows
    spend: SpendRows | None
    assignment: Assignment | None = None

    @property
    def cell(self) -> NDArray[np.intp]:
        """Cell of each customer of the fit; see ``Assignment.cell``."""
        if self.assignment is None:
            return np.zeros(self.purchases.row.size, dtype=np.intp)
        return self.assignment.cell


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Model:
    """A fitted model of purchases and, if wanted, of spend. Made by `fit`, kept by `save`.

    Parameters
    ----------
    purchases : str
        Name of the transaction model.
    spend : str or None
        ``"gamma_gamma"`` or None.
    method : str
        ``"mle"``, ``"laplace"`` or ``"nuts"``; ``"lifetimes"`` or ``"pymc-marketing"`` for a model fitted there.
    parameters : DataFrame
        One row per parameter: parameter, estimate, standard_error, lower, upper, prob, interval, note; in the user's
        units. What the data do not identify has no estimate there and a note instead.
    estimate, spend_estimate : Params
        At the optimum (the posterior mode for ``"laplace"``), scalar fields; on a boundary, at the edge.
    report : FitReport
    draws : ParameterDraws
    unit : str
        Time unit of the parameters.
    currency : str or None
    as_of : Timestamp
        End of the observation, inclusive.
    spend_from : str or None
        ``"repeat"``, ``"all"`` or ``"repeat+first"``: the amounts the spend model learnt from, and has to be given.
    spend_level : str or None
        ``"orders"`` or ``"means"``: the likelihood of the spend model.
    time_scale, money_scale : float
        What the data were divided by in the fit.
    seed : int
        Of the draws.
    priors : DataFrame or None
        What the fit held likely beforehand, one row per prior: name (as it is overridden), part, distribution,
        median, lower, upper (95 %), source. After maximum likelihood: what would be used at a boundary.
    rows : FittedRows or None
        The distinct rows that were fitted, without ids; None for a model fitted elsewhere.
    purchase_chains, spend_chains : Chains or None
        All draws of a sampler.
    """

    purchases: str
    spend: str | None
    method: str
    parameters: pd.DataFrame
    estimate: Any
    spend_estimate: Any | None
    report: FitReport
    draws: ParameterDraws
    unit: TimeUnit
    currency: str | None
    as_of: pd.Timestamp
    spend_from: str | None
    spend_level: str | None
    time_scale: float
    money_scale: float | None
    seed: int
    priors: pd.DataFrame | None = None
    rows: FittedRows | None = None
    purchase_chains: Chains | None = None
    spend_chains: Chains | None = None

    def purchases_of_cells(self, cells: NDArray[np.intp]) -> Any:
        """Purchase parameters of cells of the fitted rows, fields of shape (draw, cell); (draw, 1) when pooled."""
        hierarchy, assignment = self.draws.hierarchy, None if self.rows is None else self.rows.assignment
        if hierarchy is None or assignment is None:
            return self.draws.purchases
        return hierarchy.purchases_of(assignment, cells)

    def spend_of_cells(self, cells: NDArray[np.intp]) -> Any:
        """Spend parameters of cells of the fitted rows, in the same shapes; None without a spend part."""
        hierarchy, assignment = self.draws.hierarchy, None if self.rows is None else self.rows.assignment
        if hierarchy is None or assignment is None:
            return self.draws.spend
        return hierarchy.spend_of(assignment, cells)

    def __str__(self) -> str:
        """Title, parameters and report as text."""
        shown = self.parameters.drop(columns=["prob", "interval", "note"], errors="ignore")
        table = printable_table(shown).to_string(index=False, float_format=lambda value: f"{value:.5g}", na_rep="-")
        return "\n".join([self._title(), table, *self._footnotes(), str(self.report)])

    def __repr__(self) -> str:
        """One line."""
        return f"<Model {self._title()}: {self.report.status.value}>"

    def _repr_html_(self) -> str:
        see = [(".parameters", f"all {len(self.parameters):,}"), (".report", "how the fit went"), (".draws", "draws")]
        table = notebook_html(self._title(), self.parameters, see=see, rows=30)
        return table + self.report._repr_html_()

    def _footnotes(self) -> list[str]:
        """One line per note, with the parameters it is about."""
        if "note" not in self.parameters:
            return []
        noted = self.parameters[self.parameters["note"] != ""].groupby("note", sort=False)["parameter"]
        return [f"{', '.join(names)}: {note}" for note, names in noted]

    def _title(self) -> str:
        spend = "" if self.spend is None else f" + {self.spend} ({self.spend_from} orders, by {self.spend_level})"
        money = "" if self.currency is None else f", {self.currency}"
        return f"{self.purchases}{spend}, {self.method}, per {self.unit}{money}, as of {self.as_of:%Y-%m-%d}"
