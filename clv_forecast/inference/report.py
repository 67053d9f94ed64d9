"""The report of a fit: what one must know before trusting its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import pandas as pd

from clv_forecast.inference.hierarchical.convergence import Convergence
from clv_forecast.inference.status import FitStatus

_SEVERITY = (FitStatus.CONVERGED, FitStatus.NEARLY_CONVERGED, FitStatus.RIDGE, FitStatus.BOUNDARY, FitStatus.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class PartReport:
    """The report of one likelihood: purchases or spend.

    Parameters
    ----------
    model : str
    status : FitStatus
    message : str
        In plain words.
    log_likelihood, aic, bic : float
        In the user's units of time and money; AIC and BIC count every parameter.
    gradient_norm : float
        Euclidean norm of the gradient in the unconstrained coordinates, over the free ones.
    condition : float
        Condition number of the Hessian there.
    evaluations : int
        Evaluations of the likelihood and its gradient, diagnosis included.
    n_customers, n_rows : int
        Customers in this likelihood, and distinct rows.
    correlations : DataFrame
        Of the estimates in the unconstrained coordinates; NaN where not identified.
    draws_kind : str
        ``"asymptotic"`` or ``"laplace posterior"``.
    k_hat : float or None
        Pareto k-hat of the importance weights, for Laplace draws.
    convergence : Convergence or None
        R-hat, effective sample sizes and divergences, for a sampler's draws. There AIC, BIC, gradient and condition
        are NaN, and the log-likelihood is that of the posterior mean.
    """

    model: str
    status: FitStatus
    message: str
    log_likelihood: float
    aic: float
    bic: float
    gradient_norm: float
    condition: float
    evaluations: int
    n_customers: int
    n_rows: int
    correlations: pd.DataFrame
    draws_kind: str
    k_hat: float | None = None
    convergence: Convergence | None = None

    def __repr__(self) -> str:
        """One line."""
        return f"<PartReport {self.model}: {self.status.value}, {self.n_customers:,} customers>"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class FitReport:
    """The report of a fitted model.

    Parameters
    ----------
    purchases : PartReport
    spend : PartReport or None
    n_customers : int
        Customers in the history.
    alternatives : DataFrame or None
        The sibling models on the same rows: model, log_likelihood, aic, difference (log-likelihood minus that of the
        fitted model); None when no comparison was asked for.
    notes : tuple of str
        What was decided along the way, as sentences.
    """

    purchases: PartReport
    spend: PartReport | None
    n_customers: int
    alternatives: pd.DataFrame | None
    notes: tuple[str, ...]

    @property
    def parts(self) -> tuple[PartReport, ...]:
        """The parts that were fitted."""
        return (self.purchases,) if self.spend is None else (self.purchases, self.spend)

    @property
    def status(self) -> FitStatus:
        """The worst status of the parts."""
        return max((part.status for part in self.parts), key=_SEVERITY.index)

    @property
    def message(self) -> str:
        """The messages of the parts."""
        return " ".join(part.message for part in self.parts)

    @property
    def log_likelihood(self) -> float:
        """Log-likelihood of the purchases."""
        return self.purchases.log_likelihood

    @property
    def aic(self) -> float:
        """AIC of the purchases."""
        return self.purchases.aic

    @property
    def bic(self) -> float:
        """BIC of the purchases."""
        return self.purchases.bic

    def __repr__(self) -> str:
        """One line."""
        models = " + ".join(part.model for part in self.parts)
        return f"<FitReport {models}: {self.status.value}, {self.n_customers:,} customers>"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    def __str__(self) -> str:
        """Readable text, a few lines."""
        lines = [f"Fit: {self.status.value}, {self.n_customers:,} customers"]
        for part in self.parts:
            lines += [f"  {part.message}", *_figures(part)]
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)


def _figures(part: PartReport) -> list[str]:
    size = f"{part.n_customers:,} customers in {part.n_rows:,} distinct rows"
    if part.convergence is not None:
        return [f"    log-likelihood {part.log_likelihood:,.3f} at the posterior mean; {size}"]
    return [
        f"    log-likelihood {part.log_likelihood:,.3f}, AIC {part.aic:,.1f}, BIC {part.bic:,.1f}; {size}",
        f"    gradient norm {part.gradient_norm:.1e}, condition {part.condition:.3g}, "
        f"{part.evaluations} evaluations; draws: {part.draws_kind}"
        + ("" if part.k_hat is None else f", k-hat {part.k_hat:.2f}"),
    ]
