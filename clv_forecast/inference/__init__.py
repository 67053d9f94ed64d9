"""From a purchase history to a fitted model: parameters, a fit report, and parameter draws."""
