"""The certificate of a backtest: its tables, what it says, and its file.

Saved certificates: `read_certificate` reads what ``certificate.save`` wrote.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from clv_forecast.column_titles import RATIO
from clv_forecast.errors import ClvForecastError, StoreError
from clv_forecast.evaluation.score_tables import ALL, closer_totals
from clv_forecast.evaluation.verdict import Standing, Verdict, standing_of, summary_of
from clv_forecast.files import atomic_folder, json_text
from clv_forecast.forecasting.adjustments import CommonShock, Evidence
from clv_forecast.forecasting.horizons import Horizons
from clv_forecast.forecasting.totals import EVERYONE
from clv_forecast.inference.leave_one_out import PURCHASES, SPEND, LooResult
from clv_forecast.inference.loo import Loo
from clv_forecast.inference.recipe import Recipe
from clv_forecast.notebook_html import notebook_html
from clv_forecast.printable import printable, printable_table
from clv_forecast.records import plain, rebuilt
from clv_forecast.units import Horizon

SCHEMA_VERSION: Final = 1
FILE: Final = "certificate.json"
TABLES: Final = (
    "origins",
    "scores",
    "baselines",
    "calibration",
    "pit",
    "deciles",
    "tracking",
    "by_frequency",
    "newcomers",
    "densities",
)
_IN_FILE: Final = ("origins", "scores", "baselines", "calibration", "newcomers")
_VERSIONS: Final = ("clv-forecast", "numpy", "scipy", "pandas", "numba", "pymc", "pytensor", "nutpie")
_SHOWN: Final = (
    "origin", "horizon", "quantity", "customers", "actual_total", "expected_total", "bias", "total_lower",
    "total_upper", "coverage_90", "level_for_90", "rmse", "gini",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ShockReport:
    """What stands behind the common shock.

    Parameters
    ----------
    windows, independent : int
        Windows it was learnt from, and how many of them do not overlap.
    longest : str
        Longest horizon tested.
    longest_years : float
    level_interval, noise_interval : (float, float) or None
        Equal-tailed 90 % intervals.
    sentence : str
    """

    windows: int
    independent: int
    longest: str
    longest_years: float
    level_interval: tuple[float, float] | None
    noise_interval: tuple[float, float] | None
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Certificate:
    """Whether the bands of a recipe's forecasts are honest on this base, and what that was tested on.

    Tables name an origin by its day in ISO form, and all origins together by ``"all"``; everyone's group is ``"all"``.

    Parameters
    ----------
    title : str
        Of the recipe.
    recipe : Recipe
    horizons : tuple of str
    years : tuple of float
        Lengths of the horizons as tested, in whole days.
    origins : DataFrame
        origin, customers, status, message of the fit; failed.
    scores : DataFrame
        One row per origin, horizon, group and quantity (purchases, revenue): customers, actual_total, expected_total,
        bias (0.1 is 10 % too much), mae, rmse, gini, top_decile_capture; the 90 % band of the total total_lower,
        total_upper, total_covered, and shocked_* with the common shock learnt from the ``shock_windows`` windows that
        had closed by the origin; coverage_* by randomised PIT and band_coverage_* of the forecast's own bands;
        level_for_90, the level to ask for to cover 90 %; pit_ks, crps; log_score (mean log probability of the counts)
        and elpd (sum of exact log predictive densities).
    baselines : DataFrame
        The errors of the model and of naive forecasts; ``*_advantage`` of the naive one with its standard error.
    calibration : DataFrame
        nominal and observed coverage, standard_error clustered by customer.
    pit, deciles, tracking, by_frequency : DataFrame
        For figures: histogram of the PIT; tenths of the customers by expectation; totals week by week; purchases per
        customer by purchases before.
    newcomers : DataFrame
        Customers first seen after the origin and what they bought: no forecast is about them.
    densities : DataFrame
        customer_id, origin, horizon, log_density: exact log predictive density of the purchases in the window.
    shock : CommonShock or None
        Learnt from all windows, for forecasts from now on.
    shock_report : ShockReport
    evidence : Evidence or None
        For ``forecast(..., evidence=...)``; None if nothing is proven.
    verdict : Verdict
    loo : LooResult or None
        Of the fit at the last origin, by leaving customers out; None where that fit failed.
    undated : tuple of str
        Attributes used by the model, or to group by, that are known only as of today.
    notes : tuple of str
        How origins were chosen, and what the naive forecasts learnt.
    draws, seed : int
    unit : str
    currency : str or None
    as_of : Timestamp
        End of the log.
    """

    title: str
    recipe: Recipe
    horizons: tuple[str, ...]
    years: tuple[float, ...]
    origins: pd.DataFrame
    scores: pd.DataFrame
    baselines: pd.DataFrame
    calibration: pd.DataFrame
    pit: pd.DataFrame
    deciles: pd.DataFrame
    tracking: pd.DataFrame
    by_frequency: pd.DataFrame
    newcomers: pd.DataFrame
    densities: pd.DataFrame
    shock: CommonShock | None
    shock_report: ShockReport
    evidence: Evidence | None
    verdict: Verdict
    undated: tuple[str, ...]
    loo: LooResult | None
    notes: tuple[str, ...]
    draws: int
    seed: int
    unit: str
    currency: str | None
    as_of: pd.Timestamp

    def to_dict(self) -> dict[str, Any]:
        """Everything the verdict rests on, as plain values that JSON can hold; missing numbers are None."""
        content = {
            "schema_version": SCHEMA_VERSION,
            "title": self.title,
            "recipe": plain(self.recipe),
            "as_of": self.as_of,
            "unit": self.unit,
            "currency": self.currency,
            "horizons": [{"label": a, "years": b} for a, b in zip(self.horizons, self.years, strict=True)],
            "draws": self.draws,
            "seed": self.seed,
            "versions": {name: metadata.version(name) for name in _VERSIONS},
            "verdict": plain(self.verdict),
            "evidence": plain(self.evidence),
            "shock": plain(self.shock),
            "shock_report": plain(self.shock_report),
            "undated": self.undated,
            "loo": None if self.loo is None else self.loo.table.to_dict("records"),
            "notes": self.notes,
            **{name: getattr(self, name).to_dict("records") for name in _IN_FILE},
        }
        found: dict[str, Any] = _plain(content)
        return found

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``certificate.json`` and the tables as Parquet to a folder, in one step.

        Raises
        ------
        StoreError
            If the folder exists and is not a saved certificate, or cannot be written.
        """
        with atomic_folder(folder, replaces=lambda old: (old / FILE).exists()) as made:
            text = json_text(self.to_dict(), indent=1, ascii_only=False)
            (made / FILE).write_text(text + "\n", encoding="utf-8")
            for name in TABLES:
                _write_table(getattr(self, name), made / f"{name}.parquet")

    def standing(self, horizon: str | None = None) -> Standing:
        """How far forecasts over a horizon (the longest tested by default) can be trusted, in a word.

        Customers' bands, totals' bands and naive forecasts all count: see ``summary``.

        Raises
        ------
        DomainError
            If the horizon is no length of time.
        """
        return standing_of(self.verdict.statuses, self.verdict.naive_wins, self._tested(horizon)[0])

    def summary(self, horizon: str | None = None) -> str:
        """Say how customers' bands, totals and naive forecasts did over a horizon, and what was too little to tell.

        Parameters
        ----------
        horizon : str, optional
            The longest tested by default. Of one that was not tested, the shortest that contains it tells; one that is
            longer than all is said to be extrapolated from the longest.

        Raises
        ------
        DomainError
            If the horizon is no length of time.
        """
        tested, beyond = self._tested(horizon)
        fitted = self.origins.loc[~self.origins["failed"], "origin"].tolist()
        return summary_of(
            self.verdict.statuses,
            self.verdict.naive_wins,
            scores=self.scores,
            closer=closer_totals(self.baselines, fitted),
            horizon=tested,
            beyond=beyond,
        )

    def _tested(self, horizon: str | None) -> tuple[str, str]:
        """The tested horizon that tells of one, as ``Evidence`` chooses it, and what it is to that one, in words."""
        named = Horizons.parse(self.horizons)
        if horizon is None or horizon in named.labels:
            return horizon or named.labels[-1], ""
        asked = Horizon.parse(horizon)
        for label, years in zip(named.labels, named.years, strict=True):
            if years >= asked.years * (1.0 - 1e-9):
                return label, "" if math.isclose(years, asked.years) else f", which contains {asked.label}"
        return named.labels[-1], f", from which {asked.label} is extrapolated"

    def __str__(self) -> str:
        """Title, summary, verdict and the scores of everyone."""
        shown = printable_table(self._main())
        table = shown.to_string(index=False, float_format=lambda value: f"{value:.4g}", na_rep="-")
        return f"{self._heading()}\n{self.summary()}\n{self.verdict}\n{table}"

    def __repr__(self) -> str:
        """One line."""
        return f"<Certificate {self._heading()}>"

    def _repr_html_(self) -> str:
        limits = {"total_lower": ("Total, lower", RATIO), "total_upper": ("Total, upper", RATIO)}
        return notebook_html(
            self._heading(),
            self._main(),
            titles=limits,
            lead=(self.summary(),),
            see=[
                (".verdict", "what can be trusted"),
                (".scores", "all scores"),
                (".baselines", "against naive forecasts"),
                (".calibration", "coverage"),
                ("clv.figures.draw_calibration(certificate.calibration)", "draws it"),
            ],
            notes=tuple(self.verdict),
        )

    def _heading(self) -> str:
        count = int((~self.origins["failed"]).sum())
        origins = f"{count} origin{'s' if count != 1 else ''}"
        return f"{printable(self.title)}: {', '.join(self.horizons)} from {origins}, as of {self.as_of.date()}"

    def _main(self) -> pd.DataFrame:
        table = self.scores[self.scores["group"] == EVERYONE]
        if (table["origin"] != ALL).sum() == (table["origin"] == ALL).sum():  # one origin is all origins
            table = table[table["origin"] != ALL]
        return table[list(_SHOWN)]


def _plain(value: Any) -> Any:
    """Lists, dictionaries, text and finite numbers only."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, pd.Timestamp):
        return str(value.date())
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return None if value is None or value is pd.NA else str(value)


def _write_table(table: pd.DataFrame, path: Path) -> None:
    table.to_parquet(path, index=False)


_REMEDY: Final = "Restore the folder from a copy, or run the backtest again and save it."
_WRITTEN_BY: Final = "versions"


def read_certificate(folder: str | os.PathLike[str]) -> Certificate:
    """Read a saved certificate: its tables, verdict, evidence, shock and recipe as they were.

    Parameters
    ----------
    folder : path
        What was given to ``certificate.save``.

    Returns
    -------
    Certificate
        Of its leave-one-out the sums only: the numbers of single rows, and notes on the draws, are not in the file.

    Raises
    ------
    StoreError
        If the folder is missing, a file is missing, cut short or changed, or the schema version is another.

    Examples
    --------
    >>> import tempfile
    >>> import clv_forecast as clv
    >>> orders = clv.load_cdnow("1/10").head(1000)
    >>> made = clv.backtest(orders, as_of="1998-06-30", horizon="39 weeks", draws=100, recipe=Recipe(draws=100))
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     made.save(Path(parent) / "certificate")
    ...     found = read_certificate(Path(parent) / "certificate")
    >>> found.shock == made.shock, found.verdict == made.verdict, found.recipe == made.recipe
    (True, True, True)
    """
    source = Path(folder)
    content = _read_content(source)
    tables = {name: _read_table(source / f"{name}.parquet") for name in TABLES}
    try:
        made = _certificate(content, tables)
        same = {key: value for key, value in made.to_dict().items() if key != _WRITTEN_BY}
        changed = [key for key in same if same[key] != content[key]]
    except (KeyError, TypeError, ValueError, AttributeError, SyntaxError, ClvForecastError) as error:
        raise StoreError(
            "A saved certificate must hold every field of a certificate.",
            value=f"{source}: {type(error).__name__}: {error}",
            remedy=_REMEDY,
        ) from error
    if changed:
        raise StoreError(
            "The files of a saved certificate must tell the same.",
            value=f"{source} differs in {', '.join(changed)}",
            remedy=_REMEDY,
        )
    return made


def _read_content(source: Path) -> dict[str, Any]:
    if not (source / FILE).is_file():
        raise StoreError("There is no saved certificate at this path.", value=source, remedy="Check the path.")
    try:
        content = json.loads((source / FILE).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(
            "The file of a saved certificate must be JSON.", value=source / FILE, remedy=_REMEDY
        ) from error
    if not isinstance(content, dict) or "schema_version" not in content:
        raise StoreError("The file holds something other than a certificate.", value=source / FILE, remedy=_REMEDY)
    version = content["schema_version"]
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        remedy = "It was written by a later clv_forecast: use that." if newer else _REMEDY
        raise StoreError(f"A certificate of schema version {SCHEMA_VERSION} is read.", value=version, remedy=remedy)
    return content


def _read_table(path: Path) -> pd.DataFrame:
    import pyarrow as pa

    try:
        return pd.read_parquet(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise StoreError(
            "A table of the certificate cannot be read.", value=f"{path}: {error}", remedy=_REMEDY
        ) from error


def _certificate(content: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> Certificate:
    return Certificate(
        title=content["title"],
        recipe=rebuilt(Recipe, content["recipe"]),
        horizons=tuple(one["label"] for one in content["horizons"]),
        years=tuple(float(one["years"]) for one in content["horizons"]),
        shock=None if content["shock"] is None else rebuilt(CommonShock, content["shock"]),
        shock_report=rebuilt(ShockReport, content["shock_report"]),
        evidence=None if content["evidence"] is None else rebuilt(Evidence, content["evidence"]),
        verdict=rebuilt(Verdict, content["verdict"]),
        undated=tuple(content["undated"]),
        loo=_leave_one_out(content["loo"]),
        notes=tuple(content["notes"]),
        draws=content["draws"],
        seed=content["seed"],
        unit=content["unit"],
        currency=content["currency"],
        as_of=pd.Timestamp(content["as_of"]),
        **tables,
    )


def _leave_one_out(rows: list[dict[str, Any]] | None) -> LooResult | None:
    if rows is None:
        return None
    parts = {row["part"]: _loo(row) for row in rows}
    return LooResult(purchases=parts[PURCHASES], spend=parts.get(SPEND))


def _loo(row: Mapping[str, Any]) -> Loo:
    def number(name: str) -> float:
        return float("nan") if row[name] is None else float(row[name])

    return Loo(
        elpd=number("elpd"),
        se=number("se"),
        p_loo=number("p_loo"),
        customers=row["customers"],
        draws=row["draws"],
        k_threshold=number("k_threshold"),
        unreliable=row["unreliable"],
        k_max=number("k_max"),
        **{name: np.empty(0) for name in ("elpd_of_rows", "p_of_rows", "k_of_rows", "weights")},
    )
