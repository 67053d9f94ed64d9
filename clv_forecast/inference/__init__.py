"""From a purchase history to a fitted model: parameters, a fit report, and parameter draws.

Maximum likelihood, Laplace and leave-one-out here, the sampler in `hierarchical`; whatever the method, draws of one
shape come out, are saved and read back. Forecasts and evaluation call it; it asks the models for likelihoods, limits
and words, and names none of them.
"""
