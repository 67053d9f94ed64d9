"""CDNOW's certificates: do the bands hold, and what reduces the shortfall of the total.

``python benchmarks/certificate.py`` takes the 1/10 sample, 39 weeks to fit and 39 to look at; ``--full`` the whole log
at three origins, 13 and 26 weeks ahead; ``--nuts`` adds fits by month of the first purchase, sampled.
"""

from __future__ import annotations

import argparse
import time

import pandas as pd

import clv_forecast as clv

RECIPES = [clv.Recipe(purchases=name, name=title) for name, title in
           (("bg_nbd", "BG/NBD"), ("mbg_nbd", "MBG/NBD"), ("pareto_nbd", "Pareto/NBD"))]  # fmt: skip
BY_COHORT = [
    clv.Recipe(purchases=name, name=f"{title} by cohort", method="nuts", groups="cohort_month")
    for name, title in (("bg_nbd", "BG/NBD"), ("mbg_nbd", "MBG/NBD"))
]
SHOWN = ["title", "origin", "horizon", "actual_total", "expected_total", "bias", "total_lower", "total_upper",
         "shocked_lower", "shocked_upper", "coverage_50", "coverage_80", "coverage_90", "coverage_95", "pit_ks", "crps",
         "elpd", "gini"]  # fmt: skip


def main() -> None:
    """Print the certificates side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--nuts", action="store_true")
    arguments = parser.parse_args()
    log = clv.load_cdnow(None if arguments.full else "1/10")
    history = clv.purchase_history(log, as_of="1998-06-30")
    origins = ["1997-06-30", "1997-09-30", "1997-12-30"] if arguments.full else ["1997-09-30"]
    horizon = ["13 weeks", "26 weeks"] if arguments.full else ["39 weeks"]
    certificates = []
    for recipe in [*RECIPES, *(BY_COHORT if arguments.nuts else [])]:
        start = time.perf_counter()
        certificates.append(clv.backtest(history, origins=origins, horizon=horizon, recipe=recipe))
        print(f"\n{recipe.title}: {time.perf_counter() - start:.0f} s")
        for sentence in certificates[-1].verdict:
            print(f"  {sentence}")
    tables = [certificate.scores.assign(title=certificate.title) for certificate in certificates]
    scores = pd.concat(tables)
    bought = scores[(scores["group"] == "all") & (scores["quantity"] == "purchases")]
    with pd.option_context("display.width", 250, "display.max_columns", None, "display.float_format", "{:.4g}".format):
        print(f"\n{bought[SHOWN].sort_values(['horizon', 'origin', 'title']).to_string(index=False)}")
        comparison = clv.compare_models(certificates)
        print(f"\n{comparison.table.to_string(index=False)}\n")
    for sentence in comparison.sentences:
        print(sentence)


if __name__ == "__main__":
    main()
