"""What a look back teaches: readiness, its check in money, and what it would have predicted then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from clv_forecast import columns
from clv_forecast.printable import printable
from clv_forecast.ranking.look_back import LookBack
from clv_forecast.ranking.outlook import Floats
from clv_forecast.ranking.readiness import FOLDS, Lesson, Readiness, learn_readiness, reliability_table
from clv_forecast.ranking.readiness_features import FeatureSpec, feature_spec, features, penetration_room
from clv_forecast.ranking.wallets import GIVEN, WalletOptions, wallets_of
from clv_forecast.streams import customer_keys

_DOUBTFUL: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learnt:
    """What was learnt at an earlier day.

    Parameters
    ----------
    readiness : Readiness
    spec : FeatureSpec
    reliability : DataFrame
    predicted : ndarray, shape (account,)
        Revenue above the forecast in the window, as the other accounts' shares predict it; 0 where no wallet was known.
    notes : tuple of str
    """

    readiness: Readiness
    spec: FeatureSpec
    reliability: pd.DataFrame
    predicted: Floats
    notes: tuple[str, ...]


def learn_from(look: LookBack, *, wallet_options: WalletOptions, prob: float) -> Learnt | str:
    """Learn readiness from a look back, with wallets estimated as of that day in the same way as today.

    Parameters
    ----------
    look : LookBack
    wallet_options : WalletOptions
    prob : float
        Probability inside the bands of the reliability table.

    Returns
    -------
    Learnt, or str
        Why nothing could be learnt.
    """
    wallets = wallets_of(look.calibration, look.accounts, look.outlook, wallet_options)
    seed = wallet_options.seed
    headroom, room = penetration_room(wallets.wallet, look.outlook.annual_revenue)
    spec = feature_spec(look.accounts)
    lesson = Lesson(
        actual=look.actual,
        expected=look.outlook.revenue,
        sd=look.outlook.revenue_sd,
        headroom=headroom * look.outlook.years,
        p_alive=look.outlook.p_alive,
        x=features(
            spec, look.calibration, look.accounts, room=np.nan_to_num(room), purchases=look.calibration.purchases()
        ),
        fold=(customer_keys(seed, look.accounts.ids.tolist()) % np.uint64(FOLDS)).astype(np.intp),
        days=look.days,
    )
    found = learn_readiness(lesson, spec.names, seed=seed)
    if isinstance(found, str):
        return found
    readiness, predicted, above = found
    reliability = reliability_table(lesson, predicted, above, prob=prob, seed=seed)
    share = float(np.nansum(predicted)) / float(np.nansum(lesson.headroom))
    off = readiness.forecast_error
    common = "too low" if off >= 0.005 else "too high" if off <= -0.005 else ""
    besides = f"besides, all forecasts were {abs(off):.0%} {common}" if common else "forecasts were right on the whole"
    sentence = (
        f"Looking back to {look.origin.date()}, {share:.1%} of the headroom then would have been expected above the "
        f"forecast, each account judged by the others; "
        f"{besides}{', which is not taken for potential' if common else ''}."
    )
    if readiness.chance_of_nothing >= _DOUBTFUL:
        sentence += (
            f" Whether headroom tells anything here is in doubt: the probability that it tells nothing is "
            f"{readiness.chance_of_nothing:.2f}."
        )
    names = list(look.accounts.attributes())
    if (wallets.source == GIVEN).any():
        names.append(columns.WALLET)
    told = printable(", ".join(map(str, names)))
    undated = f"The accounts' table carries no date: taken to be known then were {told}." if names else ""
    return Learnt(
        readiness=readiness,
        spec=spec,
        reliability=reliability,
        predicted=np.nan_to_num(predicted),
        notes=tuple(note for note in (sentence, undated) if note),
    )
