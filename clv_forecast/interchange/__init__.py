"""Tables, fitters and draws of other packages, in and out: lifetimes and pymc-marketing.

What comes in is a model of ours with its own report; what goes out answers in the other package as ours does here.
Users call it; no other room does.
"""

from __future__ import annotations

from clv_forecast.interchange.lifetimes_fitters import from_lifetimes, to_lifetimes
from clv_forecast.interchange.lifetimes_tables import summary_from_lifetimes, summary_to_lifetimes
from clv_forecast.interchange.pymc_marketing import from_pymc_marketing

__all__ = [
    "from_lifetimes",
    "from_pymc_marketing",
    "summary_from_lifetimes",
    "summary_to_lifetimes",
    "to_lifetimes",
]
