"""Hierarchical models: groups partially pooled, covariates of customers, sampled with all uncertainty kept."""
