"""Names of columns, in one place: what tables carry and what others may build on."""

from __future__ import annotations

from typing import Final

CUSTOMER_ID: Final = "customer_id"
DATE: Final = "date"
AMOUNT: Final = "amount"
ORDER_ID: Final = "order_id"
CATEGORY: Final = "category"
MARGIN: Final = "margin"
CURRENCY: Final = "currency"
RECORDED_AT: Final = "recorded_at"

FIRST_PURCHASE: Final = "first_purchase"
LAST_PURCHASE: Final = "last_purchase"
FREQUENCY: Final = "frequency"
RECENCY: Final = "recency"
T: Final = "T"
MONETARY_VALUE: Final = "monetary_value"
FIRST_REVENUE: Final = "first_revenue"
TOTAL_REVENUE: Final = "total_revenue"
SPEND_COUNT_REPEAT: Final = "spend_count_repeat"
SPEND_SUM_REPEAT: Final = "spend_sum_repeat"
SPEND_SUM_LOG_REPEAT: Final = "spend_sum_log_repeat"
SPEND_COUNT_ALL: Final = "spend_count_all"
SPEND_SUM_ALL: Final = "spend_sum_all"
SPEND_SUM_LOG_ALL: Final = "spend_sum_log_all"
SUM_LOG_INTERVALS: Final = "sum_log_intervals"
TOTAL_MARGIN: Final = "total_margin"
ALREADY_THERE: Final = "already_there"

HISTORY: Final = (
    CUSTOMER_ID,
    FIRST_PURCHASE,
    LAST_PURCHASE,
    FREQUENCY,
    RECENCY,
    T,
    MONETARY_VALUE,
    FIRST_REVENUE,
    TOTAL_REVENUE,
    SPEND_COUNT_REPEAT,
    SPEND_SUM_REPEAT,
    SPEND_SUM_LOG_REPEAT,
    SPEND_COUNT_ALL,
    SPEND_SUM_ALL,
    SPEND_SUM_LOG_ALL,
    SUM_LOG_INTERVALS,
    ALREADY_THERE,
)

NAME: Final = "name"
PARENT_ID: Final = "parent_id"
OWNER: Final = "owner"
CHANNEL: Final = "channel"
ACQUIRED_ON: Final = "acquired_on"
REFERRED_BY: Final = "referred_by"
WALLET: Final = "wallet"
WALLET_LOWER: Final = "wallet_low"
WALLET_UPPER: Final = "wallet_high"
COST_TO_SERVE: Final = "cost_to_serve"
CONTRACTED: Final = "contracted_annual_value"
CONTRACT_END: Final = "contract_end"
BIG_LOGO: Final = "big_logo"
LIGHTHOUSE: Final = "lighthouse"
ADVOCACY: Final = "advocacy"
INNOVATION: Final = "innovation"
TREATED: Final = "treated"
SPEND_MADE: Final = "spend_made"

ACCOUNTS: Final = (
    NAME,
    PARENT_ID,
    OWNER,
    CHANNEL,
    ACQUIRED_ON,
    REFERRED_BY,
    WALLET,
    WALLET_LOWER,
    WALLET_UPPER,
    MARGIN,
    COST_TO_SERVE,
    CONTRACTED,
    CONTRACT_END,
    BIG_LOGO,
    LIGHTHOUSE,
    ADVOCACY,
    INNOVATION,
    TREATED,
    SPEND_MADE,
)
"""Columns of the accounts' table that have a meaning of their own; any other is an attribute."""

KIND: Final = "kind"
VALUE: Final = "value"
