"""Hierarchical models: groups partially pooled, covariates of customers, sampled with all uncertainty kept.

Structure, priors, the PyMC graph around the models' compiled likelihoods, sampling, convergence and shrinkage.
Only `inference` calls it, when the method is NUTS; PyMC is loaded no earlier.
"""
