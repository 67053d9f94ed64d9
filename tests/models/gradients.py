"""Derivatives of each customer's log-likelihood in the natural parameters, from the compiled likelihoods."""

from __future__ import annotations

import numpy as np

from clv_forecast.models import gamma_gamma
from clv_forecast.models.kernels import purchase_tables, spend_tables


def purchase_gradient(model, params, frequency, recency, T):
    """Log-likelihood of each customer, and its gradient, shape (k, customer), by one cell per customer."""
    columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(c, dtype=float)) for c in (frequency, recency, T)))
    tables = purchase_tables(*columns, *_one_cell_each(columns[0]))
    return model.log_likelihood(params, *columns), _natural(model, params, model.log_likelihood_of_cells, tables)


def spend_gradient(params, n, total, sum_log=None):
    """The same of Gamma-Gamma; of the mean orders where no sum of logarithms is given."""
    n, total = np.broadcast_arrays(*(np.atleast_1d(np.asarray(c, dtype=float)) for c in (n, total)))
    bought = n > 0
    logs = n * np.log(np.where(bought, total, 1.0)) if sum_log is None else np.broadcast_to(sum_log, n.shape)
    level = "means" if sum_log is None else "orders"
    tables = spend_tables(n[bought], total[bought], logs[bought], *_one_cell_each(n[bought]))
    gradient = np.zeros((3, n.size))
    if bought.any():
        gradient[:, bought] = _natural(gamma_gamma, params, gamma_gamma.KERNELS[level], tables)
    if sum_log is None:
        return gamma_gamma.log_likelihood(params, n, total / np.maximum(n, 1)), gradient
    return gamma_gamma.log_likelihood_orders(params, n, total, logs), gradient


def _one_cell_each(column):
    return np.ones(column.size), np.arange(column.size)


def _natural(model, params, kernel, tables):
    theta = model.unconstrain(params)
    _, free = kernel(np.tile(theta, (int(tables.rows[:, 0].max()) + 1, 1)), tables, True)
    return np.linalg.solve(model.constrain_jacobian(theta).T, free.T)
