"""Probabilistic customer lifetime value: from an order log to value with honest bands."""
