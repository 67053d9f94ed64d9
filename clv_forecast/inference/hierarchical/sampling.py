"""Sampling of one part: compiled graphs kept within the process, chains of every variable."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clv_forecast.errors import FitError
from clv_forecast.inference.chains import Chains
from clv_forecast.inference.hierarchical.graph import GraphPlan, build_model
from clv_forecast.inference.hierarchical.sampler import Sampler
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
        tree = _sample_pymc(plan, arrays, sampler, seed)
    else:
        tree = _sample_nutpie(plan, arrays, sampler, seed, _report(progress, stage, total))
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


def _sample_pymc(plan: GraphPlan, arrays: Mapping[str, NDArray[Any]], sampler: Sampler, seed: int) -> Any:
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
