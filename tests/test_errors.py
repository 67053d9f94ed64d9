"""Errors say the rule, the value, the first customers and the remedy, and can be caught by kind."""

from __future__ import annotations

import itertools

import pytest

from clv_forecast.errors import ClvForecastError, DomainError, FitError, InputError, StoreError


def test_all_parts_in_order() -> None:
    error = InputError("Amounts are finite.", value=-1.5, customer_ids=["a", "b"], remedy="Drop the rows.")
    assert str(error) == "Amounts are finite. Got: -1.5. First customers: a, b. Drop the rows."
    assert (error.rule, error.value, error.customer_ids, error.remedy) == (
        "Amounts are finite.",
        -1.5,
        ("a", "b"),
        "Drop the rows.",
    )


def test_absent_parts_leave_no_trace() -> None:
    assert str(DomainError("The rule.")) == "The rule."


@pytest.mark.parametrize("value", [0, False, "", float("nan")])
def test_a_falsy_value_is_still_shown(value: object) -> None:
    assert str(DomainError("The rule.", value=value)) == f"The rule. Got: {value}."


def test_only_the_first_five_customers_even_of_an_endless_iterable() -> None:
    error = InputError("The rule.", customer_ids=itertools.count(7))
    assert str(error) == "The rule. First customers: 7, 8, 9, 10, 11."


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [(InputError, ValueError), (DomainError, ValueError), (FitError, RuntimeError), (StoreError, RuntimeError)],
)
def test_each_kind_is_ours_and_the_language_s(kind: type[ClvForecastError], builtin: type[Exception]) -> None:
    assert issubclass(kind, ClvForecastError)
    assert issubclass(kind, builtin)


def test_bad_data_and_bad_arguments_are_told_apart() -> None:
    assert not issubclass(InputError, DomainError)
    assert not issubclass(DomainError, InputError)
