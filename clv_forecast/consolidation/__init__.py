"""Several order logs brought together: sources, crosswalk, orders known to two systems, reconciliation."""
