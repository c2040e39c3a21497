"""What is known of patients besides their scans, as numbers for the arm `covariates`."""

from __future__ import annotations

import numpy as np
import pandas as pd

CODED = ("sex", "site", "scanner")


def covariate_table(patients: pd.DataFrame, scans: pd.DataFrame) -> pd.DataFrame:
    """Age, sex, site, scanner (of the first scan by voxel digest) and the study's own covariates; a row per patient.

    patients: columns patient, age, sex, site, covariate_1, …; scans: patient, order, scanner. A code becomes a column of
    zeros and ones for each of its values, NaN where it isn't known; columns are floats in sorted order of the values.
    """
    first = scans.sort_values("order", kind="stable").drop_duplicates("patient").set_index("patient")["scanner"]
    table = patients.set_index("patient").assign(scanner=first)
    numbers = ["age", *(name for name in table if str(name).startswith("covariate_"))]
    columns: dict[str, np.ndarray] = {str(name): table[name].to_numpy(dtype=float, na_value=np.nan) for name in numbers}
    for name in CODED:
        values = table[name].astype("string")
        unknown = values.isna().to_numpy(dtype=bool)
        for code in sorted(values.dropna().unique()):
            same = values.eq(code).fillna(False).to_numpy(dtype=bool)
            columns[f"{name}={code}"] = np.where(unknown, np.nan, same.astype(float))
    return pd.DataFrame(columns, index=table.index)
