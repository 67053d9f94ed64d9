"""Value of each customer: expectations in closed form, bands from predictive draws."""
