"""Sampling of one part: compiled graphs kept within the process, chains of every variable.

The fit of one part by NUTS: sampled, judged, sampled again if need be, and turned into draws of effects.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clv_forecast.errors import FitError
from clv_forecast.inference.hierarchical.chains import Chains, Convergence, diagnose_chains
from clv_forecast.inference.hierarchical.effects import EffectDraws
from clv_forecast.inference.hierarchical.graph import GraphPlan, build_model, graph_data, plan_coords, plan_graph
from clv_forecast.inference.hierarchical.part_data import PartData
from clv_forecast.inference.hierarchical.priors import PURCHASES, SPEND, PartPriors, priors_table
from clv_forecast.inference.hierarchical.structure import Assignment, Structure
from clv_forecast.inference.recipe import Sampler
from clv_forecast.progress import Progress, silent

KEPT_GRAPHS: Final = 16
_PROGRESS_MILLISECONDS: Final = 250

_compiled: OrderedDict[GraphPlan, Any] = OrderedDict()
_lock = threading.Lock()

# nutpie's names of what PyMC and ArviZ call otherwise
_STATISTICS: Final[dict[str, str]] = {
    "diverging": "diverging",
    "energy": "energy",
    "logp": "lp",
    "lp": "lp",
    "mean_tree_accept": "acceptance_rate",
    "acceptance_rate": "acceptance_rate",
    "step_size": "step_size",
    "n_steps": "n_steps",
    "depth": "tree_depth",
    "tree_depth": "tree_depth",
}


def sample_part(
    plan: GraphPlan,
    arrays: Mapping[str, NDArray[Any]],
    sampler: Sampler,
    *,
    seed: int,
    coords: Mapping[str, Sequence[str]] | None = None,
    progress: Progress = silent,
) -> Chains:
    """Sample the posterior of a part.

    Parameters
    ----------
    plan : GraphPlan
    arrays : mapping of str to ndarray
        From `clv_forecast.inference.hierarchical.graph.graph_data`.
    sampler : Sampler
    seed : int
        The same seed gives the same draws, whatever the number of cores.
    coords : mapping, optional
        Labels of the dimensions, from `clv_forecast.inference.hierarchical.graph.plan_coords`.
    progress : Progress
        The stage is ``"sampling purchases"`` or ``"sampling spend"``.

    Returns
    -------
    Chains

    Raises
    ------
    FitError
        If the sampler cannot start.

    Notes
    -----
    Graphs compile for some 20 seconds; the last 16 are kept by plan, so that further data of the same plan (a
    backtest, a calibration study) do not wait.
    """
    total = sampler.chains * (sampler.tune + sampler.draws)
    stage = f"sampling {plan.part}"
    progress(stage, 0, total)
    if sampler.name == "pymc":
        tree = _sample_pymc(plan, arrays, sampler, seed=seed)
    else:
        tree = _sample_nutpie(plan, arrays, sampler, seed=seed, report=_report(progress, stage, total))
    progress(stage, total, total)
    return _chains(plan, tree, coords or {})


def compiled_graph(plan: GraphPlan, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """The compiled graph of a plan with these data, from the store where it was compiled before."""
    with _lock:
        known = _compiled.get(plan)
        if known is not None:
            _compiled.move_to_end(plan)
    if known is None:
        known = _compile(plan, arrays)
        with _lock:
            _compiled[plan] = known
            while len(_compiled) > KEPT_GRAPHS:
                _compiled.popitem(last=False)
    return known.with_data(**arrays)


def _compile(plan: GraphPlan, arrays: Mapping[str, NDArray[Any]]) -> Any:
    import nutpie  # type: ignore[import-untyped]

    return nutpie.compile_pymc_model(build_model(plan, arrays), var_names=list(plan.variables()))


def _sample_nutpie(
    plan: GraphPlan,
    arrays: Mapping[str, NDArray[Any]],
    sampler: Sampler,
    *,
    seed: int,
    report: Callable[[Any], None],
) -> Any:
    import nutpie

    graph = compiled_graph(plan, arrays)
    try:
        return nutpie.sample(
            graph,
            draws=sampler.draws,
            tune=sampler.tune,
            chains=sampler.chains,
            cores=sampler.cores,
            seed=seed % 2**63,
            target_accept=sampler.target_accept,
            save_warmup=False,
            progress_bar=False,
            progress_callback=report,
            progress_rate=_PROGRESS_MILLISECONDS,
        )
    except RuntimeError as error:
        raise FitError(
            f"The sampler could not sample the {plan.part}.",
            value=str(error)[:200],
            remedy="Look at the audit of the history, or fit with method='mle'.",
        ) from error


def _report(progress: Progress, stage: str, total: int) -> Callable[[Any], None]:
    def report(chains: Any) -> None:
        progress(stage, min(sum(int(chain.finished_draws) for chain in chains), total), total)

    return report


def _sample_pymc(plan: GraphPlan, arrays: Mapping[str, NDArray[Any]], sampler: Sampler, *, seed: int) -> Any:
    import pymc as pm  # type: ignore[import-untyped]

    with build_model(plan, arrays):
        return pm.sample(
            draws=sampler.draws,
            tune=sampler.tune,
            chains=sampler.chains,
            cores=sampler.cores,
            random_seed=seed % 2**32,
            target_accept=sampler.target_accept,
            nuts_sampler="pymc",
            progressbar=False,
            compute_convergence_checks=False,
            discard_tuned_samples=True,
        )


def _chains(plan: GraphPlan, tree: Any, coords: Mapping[str, Sequence[str]]) -> Chains:
    posterior, told = tree["posterior"], tree["sample_stats"]
    dims = plan.variables()
    used = {dim for names in dims.values() for dim in names}
    return Chains(
        variables={name: _frozen(posterior[name].values) for name in dims},
        dims=dims,
        coords={name: tuple(labels) for name, labels in coords.items() if name in used},
        sample_stats={
            ours: _frozen(told[theirs].values) for theirs, ours in _STATISTICS.items() if theirs in told.data_vars
        },
    )


def _frozen(values: Any) -> NDArray[Any]:
    array = np.ascontiguousarray(values)
    array.flags.writeable = False
    return array


Floats = NDArray[np.float64]

_STREAMS: Final = {PURCHASES: 1, SPEND: 2}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NutsPart:
    """One part, purchases or spend, fitted by NUTS.

    Parameters
    ----------
    part, model : str
    effects : EffectDraws
        All draws of all chains, chain after chain.
    chains : Chains
    convergence : Convergence
    priors : PartPriors
    priors_table : DataFrame
        In the user's units.
    sampler : Sampler
        As it was used in the end.
    attempts : int
        How often it was sampled.
    time_scale, money_scale : float
        What the data were divided by.
    """

    part: str
    model: str
    effects: EffectDraws
    chains: Chains
    convergence: Convergence
    priors: PartPriors
    priors_table: pd.DataFrame
    sampler: Sampler
    attempts: int
    time_scale: float
    money_scale: float


def fit_part_nuts(
    data: PartData,
    structure: Structure,
    assignment: Assignment,
    *,
    priors: PartPriors,
    sampler: Sampler | None = None,
    seed: int = 1,
    progress: Progress = silent,
) -> NutsPart:
    """Sample one part; once more, with smaller steps and twice the draws, where the chains have not converged.

    Parameters
    ----------
    data : PartData
    structure : Structure
    assignment : Assignment
        Of the customers of the data.
    priors : PartPriors
        Made with the scales of the data.
    sampler : Sampler, optional
    seed : int
    progress : Progress

    Returns
    -------
    NutsPart
        Judge it by ``convergence``: chains that have not converged are returned, not raised.

    Raises
    ------
    FitError
        If the sampler cannot start the first time.
    """
    chosen = (sampler or Sampler()).resolved(grouped=bool(structure.groups))
    plan = plan_graph(data, priors, structure)
    arrays = graph_data(plan, data, assignment, priors=priors)
    coords = plan_coords(plan, structure)
    best: tuple[Chains, Convergence, Sampler] | None = None
    attempts = 0
    for attempt in range(1 + chosen.retries):
        stream = int(
            np.random.SeedSequence([seed, attempt, _STREAMS[data.part]]).generate_state(1, np.uint64)[0] >> np.uint64(1)
        )
        try:
            chains = sample_part(plan, arrays, chosen, seed=stream, coords=coords, progress=progress)
        except FitError:
            if best is None:
                raise
            break  # what was sampled before is kept
        convergence = diagnose_chains(chains)
        attempts += 1
        if best is None or convergence.converged or _worth(convergence) < _worth(best[1]):
            best = (chains, convergence, chosen)
        if convergence.converged:
            break
        chosen = chosen.more_careful()
    chains, convergence, used = best if best is not None else (chains, convergence, chosen)
    return NutsPart(
        part=data.part,
        model=data.model,
        effects=effects_of_chains(plan, chains.variables),
        chains=chains,
        convergence=convergence,
        priors=priors,
        priors_table=priors_table([priors], structure),
        sampler=used,
        attempts=attempts,
        time_scale=data.time_scale,
        money_scale=data.money_scale,
    )


def _worth(convergence: Convergence) -> tuple[bool, float]:
    """Of two outcomes that are not converged, the smaller is the better one."""
    return convergence.broken, convergence.r_hat


def effects_of_chains(plan: GraphPlan, variables: Mapping[str, NDArray[Any]]) -> EffectDraws:
    """Flatten chains, one after the other, into draws of effects.

    Parameters
    ----------
    plan : GraphPlan
    variables : mapping of str to ndarray, shape (chain, draw, ...)

    Returns
    -------
    EffectDraws
    """

    def flat(name: str) -> Floats:
        values = variables[f"{plan.part}_{name}"]
        return np.asarray(values.reshape(-1, *values.shape[2:]), dtype=np.float64)

    intercept = flat("intercept")
    draws, k = intercept.shape
    varying, targets = np.array(plan.varying), list(plan.targets)
    effects, factors = [], []
    for term in plan.terms:
        effect = np.zeros((draws, term.levels, k))
        effect[:, :, varying] = flat(f"effect_{term.name}")
        sd = flat(f"sd_{term.name}")
        factor = np.zeros((draws, k, k))
        shape = (
            _cholesky(flat(f"correlation_{term.name}"))
            if term.correlated
            else np.broadcast_to(np.eye(len(varying)), (draws, len(varying), len(varying)))
        )
        factor[:, varying[:, None], varying] = sd[:, :, None] * shape
        effects.append(effect)
        factors.append(factor)
    coefficients = np.zeros((draws, plan.columns, k))
    if plan.columns:
        coefficients[:, :, targets] = flat("coefficient")
    return EffectDraws(
        coordinates=plan.coordinates,
        terms=[term.name for term in plan.terms],
        intercept=intercept,
        effects=effects,
        factors=factors,
        coefficients=coefficients,
    )


def _cholesky(correlation: Floats) -> Floats:
    """Factors of correlation matrices, also of those that rounding has made indefinite."""
    k = correlation.shape[-1]
    for jitter in (0.0, 1e-12, 1e-9):
        try:
            return np.linalg.cholesky(correlation + jitter * np.eye(k))
        except np.linalg.LinAlgError:
            continue
    return np.linalg.cholesky((1.0 - 1e-6) * correlation + 1e-6 * np.eye(k))
