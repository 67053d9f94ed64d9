"""A configuration in which every key is given, for tests."""

from __future__ import annotations

FULL = """
title = "Weekly value"
store = "runs"
seed = 7
days_back = 2
time_zone = "Europe/Berlin"

[[sources]]
name = "shop"
path = "orders/*.csv"
customer = "customer"
date = "day"
amount = "money"
order_id = "order_id"
category = "category"
margin = "margin"
currency = "currency"
recorded_at = "recorded_at"
encoding = "cp1252"
delimiter = ";"
quote = "'"
decimal = ","
thousands = "."
date_format = "%d.%m.%Y"
sheet = "Orders"

[[sources]]
name = "erp"
url = "postgres://clv:${CLV_TEST_PASSWORD}@localhost:5432/erp?sslpassword=${CLV_TEST_SSL}"
table = "sales.orders"

[log]
unit = "week"
refunds = "net"
observed_from = "2023-01-01"
max_unreadable = 0.02

[rates]
of = {EUR = 1, USD = 0.92}
encoding = "cp1252"
delimiter = ";"
quote = "'"
decimal = ","
thousands = "."
date_format = "%d.%m.%Y"
sheet = "Orders"

[consolidation]
crosswalk_url = "duckdb://crosswalk.duckdb"
crosswalk_table = "crosswalk"
crosswalk_encoding = "cp1252"
crosswalk_delimiter = ";"
unmatched = "drop"
same_orders = false

[accounts]
path = "accounts.csv"
customer = "account"
encoding = "cp1252"
delimiter = ";"
quote = "'"
decimal = ","
thousands = "."
date_format = "%d.%m.%Y"
sheet = "Orders"

[acquisition_cost]
path = "cost.csv"
encoding = "cp1252"
delimiter = ";"
quote = "'"
decimal = ","
thousands = "."
date_format = "%d.%m.%Y"
sheet = "Orders"

[events]
path = "events.csv"
encoding = "cp1252"
delimiter = ";"
quote = "'"
decimal = ","
thousands = "."
date_format = "%d.%m.%Y"
sheet = "Orders"

[model]
purchases = "mbg_nbd"
spend = "gamma_gamma"
method = "nuts"
spend_from = "all"
groups = ["region"]
covariates = ["employees"]
draws = 400
refit = "every 4 runs"
drift_z = 2.5
allow_unconverged = true

[forecast]
horizons = ["6 months", "12 months", "lifetime"]
discount_rate_annual = 0.08
margin = {region = {EU = 0.3, US = 0.25}}
cost_to_serve = "cost_to_serve"
cost_per_order = 2
margin_where_unknown = 0.25
cost_where_unknown = 0.0
lifetime_years = 8
by = "region"
draws = 300
prob = 0.8

[backtest]
enabled = true
every = 2
horizon = ["13 weeks", "26 weeks"]
draws = 200
origins = 2

[potential]
enabled = true
source = "peers"
quantile = 0.75
segment = "region"

[ranking]
enabled = true
horizon = "12 months"
order_by = "lower"
top_k = 50
referral_credit = [0.5, 0.2]
draws = 200

[grading]
weights = {value = 3, cagr = 1}
cuts = {A = 70, B = 0}
lower_is_better = ["cagr"]
least_weight = 0.4
cut_on = "place"

[finance]
horizon = "12 months"
target_roi = 0.3
confidence = 0.9
payback = "6 months"
bases = ["ceiling", "retain", "grow", "acquire"]

[finance.retain]
share = 0.2
lower = 0.1
upper = 0.3
prob = 0.9

[finance.grow]
share = 0.1

[finance.acquire]
share = 0.5

[cohorts]
enabled = true
period = "month"
by = "channel"

[outputs]
crm_fields = {value = "CLV__c"}
readable_by = "group"
simulated = true

[outputs.database]
url = "${CLV_TEST_URL}"
schema = "analytics"
tables = ["forecast", "matrix"]

[gates]
source_age_days = 3
rows_ratio = 0.95
money_ratio = false
recent_rows_ratio = 0.4
recent_money_factor = 5.0
left_out_share = 0.05
matched_share = 0.8
total_move = 0.5
fit = false
certificate = false

[alerts]
total_move = 0.1
parameter_drift = 3.0
band_coverage = 0.8
top_accounts_lost = 5
cell_moves = 0.2

[retention]
runs = 30
held = 2
months = 12
"""

SECRETS = {
    "CLV_TEST_PASSWORD": "pa/ss@wo:rd",
    "CLV_TEST_SSL": "other&secret",
    "CLV_TEST_URL": "postgres://clv:thirdsecret@localhost/results",
}
"""What the environment holds for ``FULL``: made up, of no server."""

SMALL = '[[sources]]\nname = "shop"\npath = "orders.csv"\n'
