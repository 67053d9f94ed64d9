"""pymc-marketing's side of `nuts.py`; run by it, in an environment of its own.

Run: ``python benchmarks/nuts.py --peer``. By hand, where pymc-marketing is installed: ``python benchmarks/nuts_peer.py
data.csv draws.npz SAMPLER PRIORS TUNE DRAWS CHAINS CORES SEED``, with a csv of frequency, recency and T in weeks;
SAMPLER is ``pymc`` or ``nutpie``; PRIORS is ``default``, or our locations and scales as JSON. Writes the draws of r,
alpha, a and b, and prints what it took as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version

PARAMETERS = ("r", "alpha", "a", "b")
PACKAGES = ("pymc-marketing", "pymc", "nutpie", "pytensor", "numba", "numpy")


def priors(location: list[float], scale: list[float]) -> dict[str, object]:
    """Ours in its parameters, for log rate, log shape, logit dropout and log concentration in weeks.

    Its alpha is a parameter of its own where ours is shape / rate: independent of r here, with the same marginal.
    """
    from pymc_extras.prior import Prior

    rate, shape, dropout, concentration = range(4)
    return {
        "r": Prior("LogNormal", mu=location[shape], sigma=scale[shape]),
        "alpha": Prior(
            "LogNormal",
            mu=location[shape] - location[rate],
            sigma=(scale[shape] ** 2 + scale[rate] ** 2) ** 0.5,
        ),
        "phi_dropout": Prior("LogitNormal", mu=location[dropout], sigma=scale[dropout]),
        "kappa_dropout": Prior("LogNormal", mu=location[concentration], sigma=scale[concentration]),
    }


def main() -> None:
    """Fit, and write what came of it."""
    if len(sys.argv) == 1:
        print("The peer's side of nuts.py; run: python benchmarks/nuts.py --peer")
        return
    source, target, sampler, prior, *numbers = sys.argv[1:]
    tune, draws, chains, cores, seed = (int(number) for number in numbers)
    import numpy as np
    import pandas as pd
    from pymc_marketing.clv import BetaGeoModel

    data = pd.read_csv(source)
    data["customer_id"] = np.arange(len(data))
    config = None if prior == "default" else priors(*json.loads(prior))
    model = BetaGeoModel(model_config=config)
    start = time.perf_counter()
    tree = model.fit(
        data,
        method="mcmc",
        nuts_sampler=sampler,
        tune=tune,
        draws=draws,
        chains=chains,
        cores=cores,
        random_seed=seed,
        progressbar=False,
        compute_convergence_checks=False,
    )
    wall = time.perf_counter() - start
    posterior = tree["posterior"]
    np.savez(target, **{name: posterior[name].to_numpy() for name in PARAMETERS})
    sampling = float(posterior.attrs["sampling_time"])
    found = {
        "sampling": sampling,
        "other": wall - sampling,
        "divergences": int(np.sum(tree["sample_stats"]["diverging"].to_numpy())),
        "versions": {name: version(name) for name in PACKAGES},
        "priors": {name: str(model.model_config[name]) for name in ("r", "alpha", "phi_dropout", "kappa_dropout")},
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
