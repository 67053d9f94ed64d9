"""Probabilistic customer lifetime value: from an order log to value with honest bands."""

import copyreg
import types

from clv_forecast import figures
from clv_forecast.arguments import read_only
from clv_forecast.errors import ClvForecastError, DomainError, FitError, InputError, LockedError, StoreError
from clv_forecast.evaluation.backtest import backtest
from clv_forecast.evaluation.certificate import Certificate, read_certificate
from clv_forecast.evaluation.customer_path import customer_path
from clv_forecast.evaluation.fit_tables import heterogeneity, purchase_frequencies, recency_frequency_matrix
from clv_forecast.evaluation.model_comparison import ModelComparison, compare_models
from clv_forecast.finance.allowable_spend import allowable_spend
from clv_forecast.finance.budget import Budget, allocate_budget
from clv_forecast.finance.cohorts import Cohorts, cohorts
from clv_forecast.finance.effects import Uplift
from clv_forecast.finance.losing_accounts import losing_accounts
from clv_forecast.finance.spend import AllowableSpend
from clv_forecast.forecasting.adjustments import CommonShock, Correction, Evidence
from clv_forecast.forecasting.forecast import forecast
from clv_forecast.forecasting.new_customers import new_customer_value
from clv_forecast.forecasting.result import Forecast, ValueDraws
from clv_forecast.forecasting.stack import Stack, stack
from clv_forecast.history import PurchaseHistory, Split, history_from_summary, load_cdnow, purchase_history
from clv_forecast.history.audit import Audit, Finding
from clv_forecast.history.consolidation.consolidate import Consolidated, consolidate
from clv_forecast.history.consolidation.order_source import OrderSource
from clv_forecast.inference.datatree import to_datatree
from clv_forecast.inference.fit import fit
from clv_forecast.inference.hierarchical.priors import Prior
from clv_forecast.inference.hierarchical.shrinkage import shrinkage_table
from clv_forecast.inference.leave_one_out import LooResult, loo
from clv_forecast.inference.model import Model
from clv_forecast.inference.predictive_checks import PredictiveCheck, posterior_predictive_check, prior_predictive_check
from clv_forecast.inference.recipe import Recipe, Sampler
from clv_forecast.inference.storage import load_model, save
from clv_forecast.interchange import (
    from_lifetimes,
    from_pymc_marketing,
    summary_from_lifetimes,
    summary_to_lifetimes,
    to_lifetimes,
)
from clv_forecast.progress import progress_bars
from clv_forecast.ranking.account_card import AccountCard
from clv_forecast.ranking.concentration import concentration, lorenz_curves
from clv_forecast.ranking.grading import Grading, grade
from clv_forecast.ranking.loss_drivers import loss_drivers
from clv_forecast.ranking.matrix import MatrixRule, matrix_summary
from clv_forecast.ranking.metrics import account_metrics
from clv_forecast.ranking.migration import migration, migration_summary
from clv_forecast.ranking.potential import Potential, potential
from clv_forecast.ranking.ranking import Ranking, rank
from clv_forecast.ranking.ranking_check import RankingCheck
from clv_forecast.report.card import card, stored_card
from clv_forecast.report.crm import CrmFile, write_crm
from clv_forecast.report.page import write_page
from clv_forecast.report.report import Report, make_report
from clv_forecast.report.run_folder import write_run
from clv_forecast.report.stored_run import StoredRun, read_run
from clv_forecast.report.workbook import write_workbook
from clv_forecast.runs.comparison.compare_runs import Comparison, compare_runs
from clv_forecast.runs.comparison.over_time import account_over_runs, bands_over_runs, value_over_runs
from clv_forecast.runs.comparison.value_bridge import ValueBridge
from clv_forecast.runs.configuration.commented_file import configuration_reference
from clv_forecast.runs.configuration.configuration import Configuration, read_configuration
from clv_forecast.runs.configuration.first_configuration import first_configuration
from clv_forecast.runs.reforecasting.check import check
from clv_forecast.runs.reforecasting.one_run import Reforecast
from clv_forecast.runs.reforecasting.reforecast import backfill, publish_run, reforecast, run_table
from clv_forecast.runs.store.run_entry import RunEntry
from clv_forecast.runs.store.store import RunStore, open_store
from clv_forecast.simulation import SimulatedAccounts, simulate_accounts

__version__ = "0.6.0"

# Results hold read-only mappings; Python alone would refuse to copy and to pickle them
copyreg.pickle(types.MappingProxyType, lambda mapping: (read_only, (dict(mapping),)))

__all__ = [
    "AccountCard",
    "AllowableSpend",
    "Audit",
    "Budget",
    "Certificate",
    "ClvForecastError",
    "Cohorts",
    "CommonShock",
    "Comparison",
    "Configuration",
    "Consolidated",
    "Correction",
    "CrmFile",
    "DomainError",
    "Evidence",
    "Finding",
    "FitError",
    "Forecast",
    "Grading",
    "InputError",
    "LockedError",
    "LooResult",
    "MatrixRule",
    "Model",
    "ModelComparison",
    "OrderSource",
    "Potential",
    "PredictiveCheck",
    "Prior",
    "PurchaseHistory",
    "Ranking",
    "RankingCheck",
    "Recipe",
    "Reforecast",
    "Report",
    "RunEntry",
    "RunStore",
    "Sampler",
    "SimulatedAccounts",
    "Split",
    "Stack",
    "StoreError",
    "StoredRun",
    "Uplift",
    "ValueBridge",
    "ValueDraws",
    "account_metrics",
    "account_over_runs",
    "allocate_budget",
    "allowable_spend",
    "backfill",
    "backtest",
    "bands_over_runs",
    "card",
    "check",
    "cohorts",
    "compare_models",
    "compare_runs",
    "concentration",
    "configuration_reference",
    "consolidate",
    "customer_path",
    "figures",
    "first_configuration",
    "fit",
    "forecast",
    "from_lifetimes",
    "from_pymc_marketing",
    "grade",
    "heterogeneity",
    "history_from_summary",
    "load_cdnow",
    "load_model",
    "loo",
    "lorenz_curves",
    "losing_accounts",
    "loss_drivers",
    "make_report",
    "matrix_summary",
    "migration",
    "migration_summary",
    "new_customer_value",
    "open_store",
    "posterior_predictive_check",
    "potential",
    "prior_predictive_check",
    "progress_bars",
    "publish_run",
    "purchase_frequencies",
    "purchase_history",
    "rank",
    "read_certificate",
    "read_configuration",
    "read_run",
    "recency_frequency_matrix",
    "reforecast",
    "run_table",
    "save",
    "shrinkage_table",
    "simulate_accounts",
    "stack",
    "stored_card",
    "summary_from_lifetimes",
    "summary_to_lifetimes",
    "to_datatree",
    "to_lifetimes",
    "value_over_runs",
    "write_crm",
    "write_page",
    "write_run",
    "write_workbook",
]
