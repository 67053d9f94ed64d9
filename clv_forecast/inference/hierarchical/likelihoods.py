r"""Log-likelihoods as PyTensor expressions: each customer's latent rate, dropout and spend integrated in closed form.

They sum over the tables of `clv_forecast.inference.hierarchical.part_data`, and equal the weighted sums of the NumPy
log-likelihoods of the models. ``theta`` holds the coordinates of each cell; with one cell its entries are used as
scalars, without gathering.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

Expression = Any


def log_likelihood(likelihood: str, theta: Expression, tables: Mapping[str, Expression], *, single: bool) -> Expression:
    """Log-likelihood of all rows, without its constant.

    Parameters
    ----------
    likelihood : str
        ``"bg_nbd"``, ``"mbg_nbd"``, ``"pareto_nbd"``, ``"gamma_gamma_orders"`` or ``"gamma_gamma_means"``.
    theta : tensor, shape (cell, k)
        Coordinates in scaled data.
    tables : mapping of str to tensor
        The arrays of `PartData`.
    single : bool
        Whether there is one cell.

    Returns
    -------
    tensor, scalar
    """

    def at(values: Expression, table: str) -> Expression:
        """Values of the cell of each row of a table."""
        return values[0] if single else values[tables[f"{table}_cell"]]

    return _LIKELIHOODS[likelihood](theta, tables, at)


def _bg_nbd(theta: Expression, t: Mapping[str, Expression], at: Callable[..., Expression]) -> Expression:
    return _beta_geometric(theta, t, at, initial=0.0)


def _mbg_nbd(theta: Expression, t: Mapping[str, Expression], at: Callable[..., Expression]) -> Expression:
    return _beta_geometric(theta, t, at, initial=1.0)


def _beta_geometric(
    theta: Expression, t: Mapping[str, Expression], at: Callable[..., Expression], *, initial: float
) -> Expression:
    pt = tensors()

    r, alpha = pt.exp(theta[:, 1]), pt.exp(theta[:, 1] - theta[:, 0])
    concentration = pt.exp(theta[:, 3])
    a, b = pt.sigmoid(theta[:, 2]) * concentration, pt.sigmoid(-theta[:, 2]) * concentration
    log_a = theta[:, 3] - pt.softplus(-theta[:, 2])
    j = t["steps_j"]
    survived = pt.log1p(at(a, "steps") / (at(b, "steps") + j + initial))
    total = pt.sum(t["steps_count"] * (pt.log(at(r, "steps") + j) - survived)) - _spans(r, alpha, t, at)
    if initial:
        total -= pt.sum(t["cell_customers"] * pt.log1p(a / b))
    x = t["rows_x"]
    silent = pt.log1p((t["rows_T"] - t["rows_recency"]) / (at(alpha, "rows") + t["rows_recency"]))
    odds = at(log_a, "rows") - pt.log(at(b, "rows") + x + (initial - 1.0)) + (at(r, "rows") + x) * silent
    return total + pt.sum(t["rows_count"] * pt.softplus(odds))


def _spans(r: Expression, alpha: Expression, t: Mapping[str, Expression], at: Callable[..., Expression]) -> Expression:
    """Minus the log of ``(1 + T/alpha)^-r (alpha + T)^-x``, over all customers."""
    pt = tensors()

    length = t["spans_T"]
    waited = t["spans_customers"] * at(r, "spans") * pt.log1p(length / at(alpha, "spans"))
    return pt.sum(waited + t["spans_purchases"] * pt.log(at(alpha, "spans") + length))


def _pareto_nbd(theta: Expression, t: Mapping[str, Expression], at: Callable[..., Expression]) -> Expression:
    pt = tensors()

    from clv_forecast.inference.hierarchical.decay_op import log_decay_integral

    r, alpha = pt.exp(theta[:, 1]), pt.exp(theta[:, 1] - theta[:, 0])
    s, beta = pt.exp(theta[:, 3]), pt.exp(theta[:, 3] - theta[:, 2])
    total = pt.sum(t["steps_count"] * pt.log(at(r, "steps") + t["steps_j"])) - _spans(r, alpha, t, at)
    total -= pt.sum(t["spans_customers"] * at(s, "spans") * pt.log1p(t["spans_T"] / at(beta, "spans")))
    t_x, since = t["rows_recency"], t["rows_T"] - t["rows_recency"]
    k_a, near_a = at(r, "rows") + t["rows_x"], at(alpha, "rows") + t_x
    k_b, near_b = at(s, "rows") + pt.zeros_like(t_x), at(beta, "rows") + t_x
    odds = (
        log_decay_integral(k_a, near_a, k_b + 1.0, near_b, since)
        + at(theta[:, 3], "rows")
        - pt.log(near_b)
        + k_a * pt.log1p(since / near_a)
        + k_b * pt.log1p(since / near_b)
    )
    return total + pt.sum(t["rows_count"] * pt.softplus(odds))


def _gamma_gamma_orders(theta: Expression, t: Mapping[str, Expression], at: Callable[..., Expression]) -> Expression:
    pt = tensors()

    p, q, log_v = _gamma_gamma(theta)
    n, customers = t["counts_n"], t["counts_customers"]
    each = (
        pt.gammaln(n * at(p, "counts") + at(q, "counts"))
        - at(pt.gammaln(q), "counts")
        - n * at(pt.gammaln(p) + p * log_v, "counts")
    )
    return pt.sum(customers * each + at(p, "counts") * t["counts_logs"]) - _spent(p, q, log_v, t, at)


def _gamma_gamma_means(theta: Expression, t: Mapping[str, Expression], at: Callable[..., Expression]) -> Expression:
    pt = tensors()

    p, q, log_v = _gamma_gamma(theta)
    n, customers = t["counts_n"], t["counts_customers"]
    shape = n * at(p, "counts")
    each = pt.gammaln(shape + at(q, "counts")) - pt.gammaln(shape) - at(pt.gammaln(q), "counts")
    each -= shape * at(log_v, "counts")
    return pt.sum(customers * each + at(p, "counts") * t["counts_logs"]) - _spent(p, q, log_v, t, at)


def _gamma_gamma(theta: Expression) -> tuple[Expression, Expression, Expression]:
    pt = tensors()

    return pt.exp(theta[:, 1]), 1.0 + pt.exp(theta[:, 2]), theta[:, 0] + theta[:, 2] - theta[:, 1]


def _spent(
    p: Expression, q: Expression, log_v: Expression, t: Mapping[str, Expression], at: Callable[..., Expression]
) -> Expression:
    pt = tensors()

    grown = pt.log1p(t["rows_total"] * at(pt.exp(-log_v), "rows"))
    return pt.sum(t["rows_count"] * (t["rows_n"] * at(p, "rows") + at(q, "rows")) * grown)


def tensors() -> Any:
    """PyTensor, which is loaded when a graph is built and not before; its functions are untyped."""
    import pytensor.tensor as pt

    return pt


_LIKELIHOODS: Final[dict[str, Callable[..., Expression]]] = {
    "bg_nbd": _bg_nbd,
    "mbg_nbd": _mbg_nbd,
    "pareto_nbd": _pareto_nbd,
    "gamma_gamma_orders": _gamma_gamma_orders,
    "gamma_gamma_means": _gamma_gamma_means,
}
