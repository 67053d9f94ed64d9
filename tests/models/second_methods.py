"""Slow or naive second methods, to hold the package's fast ones against."""

from __future__ import annotations

import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import pytest

ORACLES = Path(__file__).parent / "oracles"


def oracle_cases(name: str) -> list[Any]:
    cases = tomllib.loads((ORACLES / f"{name}.toml").read_text())["case"]
    return [pytest.param(case, id=f"{case['function']}: {case['name']}") for case in cases]


def hold_against_oracle(module: Any, case: dict[str, Any]) -> None:
    function = getattr(module, case["function"])
    value = function(module.Params(**case["params"]), **case["input"])
    np.testing.assert_allclose(np.ravel(value), [case["expect"]], rtol=case["rtol"], atol=0.0)


def log_decay_by_fine_quadrature(k_a, a, k_b, b, length, discount=0.0):
    """1,200 fixed Gauss-Legendre nodes in time counted logarithmically from the integrand's own first scale."""
    nodes, weights = np.polynomial.legendre.leggauss(30)
    slope = k_a / a + k_b / b + discount
    scale = np.minimum(np.minimum(a, b), 1.0 / slope)
    end = np.log1p(length / scale)
    total = np.full(np.shape(end), -np.inf)
    for panel in range(40):
        for node, weight in zip(nodes, weights, strict=True):
            w = end * (panel + 0.5 * (1.0 + node)) / 40
            u = scale * np.expm1(w)
            log_f = -discount * u - k_a * np.log1p(u / a) - k_b * np.log1p(u / b)
            total = np.logaddexp(total, np.log(weight * end * scale / 80) + w + log_f)
    return total


def pareto_log_likelihood_2f1(r, alpha, s, beta, x, t_x, T):
    """The papers' closed form, branching on alpha versus beta, at mpmath's working precision."""
    r, alpha, s, beta, x, t_x, T = map(mp.mpf, (r, alpha, s, beta, x, t_x, T))
    k = r + s + x

    def antiderivative(y):
        if alpha >= beta:
            return mp.hyp2f1(k, s + 1, k + 1, (alpha - beta) / (alpha + y)) / (alpha + y) ** k
        return mp.hyp2f1(k, r + x, k + 1, (beta - alpha) / (beta + y)) / (beta + y) ** k

    died = s / k * (antiderivative(t_x) - antiderivative(T))
    prefix = mp.loggamma(r + x) - mp.loggamma(r) + r * mp.log(alpha) + s * mp.log(beta)
    return prefix + mp.log((alpha + T) ** -(r + x) * (beta + T) ** -s + died)


def pareto_pmf_by_mpmath(r, alpha, s, beta, n, horizon):
    r, alpha, s, beta, n, h = map(mp.mpf, (r, alpha, s, beta, n, horizon))

    def integrand(w):
        u = alpha * mp.expm1(w)
        return (1 + u / beta) ** (-s - 1) * (alpha / (alpha + u)) ** r * (u / (alpha + u)) ** n * (alpha + u)

    lived = (alpha / (alpha + h)) ** r * (h / (alpha + h)) ** n * (beta / (beta + h)) ** s
    died = s / beta * mp.quad(integrand, mp.linspace(0, mp.log1p(h / alpha), 31))
    return mp.rf(r, n) / mp.factorial(n) * (lived + died)


def cdnow_summary(*, with_spend: bool = False) -> Any:
    """Read the CDNOW 1/10 summary that the lifetimes wheel carries, without importing that package."""
    spec = find_spec("lifetimes")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    name = "cdnow_customers_summary_with_transactions.csv" if with_spend else "cdnow_customers_summary.csv"
    return np.genfromtxt(Path(spec.submodule_search_locations[0]) / "datasets" / name, delimiter=",", names=True)
