"""From an order log to one row per customer, with an audit of what happened on the way."""
