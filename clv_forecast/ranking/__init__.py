"""From a forecast to an order of accounts: metrics, potential, referral, ranking, matrix, drivers."""
