"""What makes a good account, in a business's own judgement: weights, cut-offs, and how to read them from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, get_args

from clv_forecast import columns
from clv_forecast.arguments import finite_number
from clv_forecast.errors import DomainError
from clv_forecast.toml_file import read_toml

CutOn = Literal["score", "place"]

BEST: Final = 100.0
CUTS: Final[Mapping[str, float]] = {"A": 80.0, "B": 60.0, "C": 40.0, "D": 0.0}
_OWN: Final = (columns.CUSTOMER_ID, "score", "grade", "graded_on", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grading:
    """What makes a good account, in a business's own judgement.

    Parameters
    ----------
    weights : mapping of str to float
        Weight (> 0) of each column to grade by; only their ratios matter.
    cuts : mapping of str to float
        Least points of each grade, 0 to 100; the last grade begins at 0.
    lower_is_better : tuple of str
        Columns of ``weights`` in which the smallest number is the best.
    least_weight : float
        An account gets a grade if it has a number for at least this share of the weight; in (0, 1].
    cut_on : {"score", "place"}
        Whether cuts are points of the score, or shares of accounts: with "place", ``{"A": 80}`` makes the best fifth A.

    Raises
    ------
    DomainError
        If a number is outside its domain, two grades begin at the same point or none at 0, or a column is named in
        ``lower_is_better`` and has no weight.

    Examples
    --------
    >>> Grading(weights={"value": 3, "cagr": 1}).cuts
    {'A': 80.0, 'B': 60.0, 'C': 40.0, 'D': 0.0}
    """

    weights: Mapping[str, float]
    cuts: Mapping[str, float] = field(default_factory=lambda: dict(CUTS))
    lower_is_better: tuple[str, ...] = ()
    least_weight: float = 0.5
    cut_on: CutOn = "score"

    def __post_init__(self) -> None:
        if not isinstance(self.weights, Mapping) or not self.weights:
            raise DomainError("weights must name at least one column, with its weight.", value=repr(self.weights))
        for name, weight in self.weights.items():
            if finite_number(weight, f"The weight of {name!r}") <= 0.0:
                raise DomainError(
                    f"The weight of {name!r} must be more than 0.",
                    value=weight,
                    remedy="Name it in lower_is_better if less of it is better; leave it out if it does not count.",
                )
        clash = [name for name in self.weights if name in _OWN]
        if clash:
            raise DomainError("These names belong to the table of grades.", value=", ".join(clash))
        _check_cuts(self.cuts)
        if not isinstance(self.lower_is_better, tuple) or not set(self.lower_is_better) <= set(self.weights):
            raise DomainError(
                "lower_is_better must be a tuple of columns with a weight.", value=repr(self.lower_is_better)
            )
        if not 0.0 < finite_number(self.least_weight, "least_weight") <= 1.0:
            raise DomainError("least_weight must lie above 0 and be at most 1.", value=self.least_weight)
        if self.cut_on not in get_args(CutOn):
            raise DomainError("cut_on must be 'score' or 'place'.", value=repr(self.cut_on))

    @classmethod
    def from_toml(cls, path: str | Path) -> Grading:
        """Read the table ``[grading]`` of a configuration file.

        Parameters
        ----------
        path : str or Path
            With for example ``weights = {value = 3, cagr = 1}`` below ``[grading]``; every field may stand there.

        Returns
        -------
        Grading

        Raises
        ------
        DomainError
            If there is no such file or table, it is no TOML, or a field is unknown or outside its domain.
        """
        found, _ = read_toml(path)
        if not isinstance(found.get("grading"), dict):
            raise DomainError("The configuration has no table [grading].", value=str(path))
        return grading_from({"weights": {}, **found["grading"]})


def _check_cuts(cuts: Mapping[str, float]) -> None:
    if not isinstance(cuts, Mapping) or not cuts:
        raise DomainError("cuts must name at least one grade.", value=repr(cuts))
    points = [finite_number(least, f"The cut of grade {name!r}") for name, least in cuts.items()]
    if min(points) != 0.0 or max(points) > BEST or len(set(points)) < len(points):
        raise DomainError(
            "Each grade must begin at a point of its own from 0 to 100, the last at 0.",
            value=dict(cuts),
            remedy="Give the worst grade 0, so that every score has a grade.",
        )


def grading_from(given: Mapping[str, Any]) -> Grading:
    """Grading from the fields of its table; a mapping without ``weights`` is the weights.

    Raises
    ------
    DomainError
        If it is no mapping, or a field is unknown or outside its domain.

    Examples
    --------
    >>> grading_from({"value": 1, "complaints": 1}).cut_on
    'score'
    >>> grading_from({"weights": {"value": 1, "complaints": 1}, "lower_is_better": ["complaints"]}).lower_is_better
    ('complaints',)
    """
    if not isinstance(given, Mapping):
        raise DomainError(
            "A grading is a Grading, or a mapping of columns to weights.",
            value=repr(given),
            remedy="Pass for example {'value': 3, 'cagr': 1}, or Grading.from_toml(path).",
        )
    if "weights" not in given:
        return Grading(weights=dict(given))
    known = {part.name for part in fields(Grading)}
    strange = [name for name in given if name not in known]
    if strange:
        raise DomainError(
            f"A grading has {', '.join(sorted(known))}.",
            value=", ".join(map(str, strange)),
            remedy="Remove the others.",
        )
    options = dict(given)
    if isinstance(options.get("lower_is_better"), list):
        options["lower_is_better"] = tuple(options["lower_is_better"])
    return Grading(**options)
