"""Figures: each is drawn from a finished table onto the caller's axes. matplotlib is loaded on the first drawing.

Nothing is computed here but places on the paper. Notebooks, cards and the command line call it; any room above may.
"""

from clv_forecast.figures.account_card import draw_account_card, draw_customer_alive, draw_customer_purchases
from clv_forecast.figures.calibration import (
    draw_calibration,
    draw_deciles,
    draw_holdout_by_frequency,
    draw_pit,
    draw_purchase_frequencies,
)
from clv_forecast.figures.cells import draw_expected_purchases_matrix, draw_matrix, draw_p_alive_matrix
from clv_forecast.figures.cohorts import draw_cohorts, draw_same_age
from clv_forecast.figures.concentration import draw_lorenz, draw_rank_bands
from clv_forecast.figures.heterogeneity import draw_heterogeneity, draw_shrinkage
from clv_forecast.figures.migration import draw_migration
from clv_forecast.figures.over_runs import draw_run_bands, draw_value_over_runs
from clv_forecast.figures.totals import draw_totals, draw_tracking
from clv_forecast.figures.value_bridge import draw_value_bridge
from clv_forecast.figures.value_potential import draw_value_potential

__all__ = [
    "draw_account_card",
    "draw_calibration",
    "draw_cohorts",
    "draw_customer_alive",
    "draw_customer_purchases",
    "draw_deciles",
    "draw_expected_purchases_matrix",
    "draw_heterogeneity",
    "draw_holdout_by_frequency",
    "draw_lorenz",
    "draw_matrix",
    "draw_migration",
    "draw_p_alive_matrix",
    "draw_pit",
    "draw_purchase_frequencies",
    "draw_rank_bands",
    "draw_run_bands",
    "draw_same_age",
    "draw_shrinkage",
    "draw_totals",
    "draw_tracking",
    "draw_value_bridge",
    "draw_value_over_runs",
    "draw_value_potential",
]
