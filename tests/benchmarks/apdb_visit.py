"""A Visit in LSST's Alert Production Database, run by the peers' own Python.

`make DSN FILE` makes its tables and fills them with the Objects and the year's history of a file of arrays;
`visit DSN FILE` prints how long one Visit takes [s]: reading Objects and 12 months of history, association, storing.
The package has no association: this is the rule of LSST's ap_association, an arcsecond, negative log likelihood and
SciPy's matching.
"""

import io
import sys
import time

import numpy as np
import pandas as pd
from astropy.time import Time
from lsst.dax.apdb import ApdbTables
from lsst.dax.apdb.sql import ApdbSql, ApdbSqlConfig
from lsst.sphgeom import Angle, Circle, LonLat, UnitVector3d
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

RADIUS_ARCSEC = 1.0
NEW_COST = 20.0  # above any pair's
FIELD_DEG = 1.75
KINDS = {"double": "f8", "float": "f4", "long": "i8", "int": "i4", "short": "i2", "boolean": "?"}


def config(dsn: str) -> ApdbSqlConfig:
    """The configuration that reads fewest columns of Objects."""
    return ApdbSqlConfig(db_url=dsn, dia_object_index="last_object_table", read_sources_months=12,
                         read_forced_sources_months=12)  # fmt: skip


def make(dsn: str, given) -> None:
    """Tables, Objects and history."""
    ApdbSql.init_database(db_url=dsn, dia_object_index="last_object_table", read_sources_months=12,
                          read_forced_sources_months=12)  # fmt: skip
    apdb = ApdbSql(config(dsn))
    objects = pd.DataFrame({
        "diaObjectId": given["object_id"], "ra": given["ra"], "dec": given["dec"], "raErr": 0.02 / 3600,
        "decErr": 0.02 / 3600, "ra_dec_Cov": 0.0, "nDiaSources": 12, "validityStartMjdTai": 56300.0,
    })  # fmt: skip
    objects = apdb._add_spatial_index(objects)
    _copy(apdb, "DiaObjectLast", objects)
    _copy(apdb, "DiaObject", objects.assign(**{f"{band}_psfFluxNdata": 2 for band in "ugrizy"}))
    seen, forced = (objects.iloc[given[name]] for name in ("seen", "forced"))
    for month, tai in enumerate(given["months"].tolist()):
        _copy(apdb, "DiaSource", apdb._add_spatial_index(sources(apdb, seen, 1 + month, tai)))
        _copy(apdb, "DiaForcedSource", forced_sources(forced, 1 + month, tai))
    with apdb._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")


def _copy(apdb, table: str, frame: pd.DataFrame) -> None:
    names = ", ".join(f'"{name}"' for name in frame.columns)
    connection = apdb._engine.raw_connection()
    text = io.StringIO(frame.to_csv(index=False, header=False))
    connection.cursor().copy_expert(f'COPY "{table}" ({names}) FROM STDIN (FORMAT csv)', text)
    connection.commit()
    connection.close()


def sources(apdb, places: pd.DataFrame, visit: int, tai: float) -> pd.DataFrame:
    """DiaSources with a value in every number and flag."""
    count, random = len(places), np.random.default_rng(visit)
    rows = {}
    for column in apdb.tableDef(ApdbTables.DiaSource).columns:
        kind = KINDS.get(str(column.datatype).rpartition(".")[2])
        if kind:
            rows[column.name] = (np.zeros(count) if kind == "?" else random.normal(100, 20, count)).astype(kind)
    del rows["pixelId"]
    rows |= {"diaSourceId": (visit << 31) + np.arange(count), "visit": visit, "detector": np.zeros(count, "i2"),
             "ra": places["ra"].to_numpy(), "dec": places["dec"].to_numpy(), "raErr": 0.05 / 3600,
             "decErr": 0.05 / 3600, "band": "r", "midpointMjdTai": tai, "timeProcessedMjdTai": tai}  # fmt: skip
    if "diaObjectId" in places:
        rows["diaObjectId"] = places["diaObjectId"].to_numpy()
    rows = {name: column for name, column in rows.items() if name not in ("ssObjectId", "timeWithdrawnMjdTai")}
    return pd.DataFrame(rows)


def forced_sources(places: pd.DataFrame, visit: int, tai: float) -> pd.DataFrame:
    """ForcedDiaSources."""
    count, random = len(places), np.random.default_rng(visit)
    flux = random.normal(0, 10, (2, count))
    return pd.DataFrame({
        "diaForcedSourceId": (visit << 31) + np.arange(count), "diaObjectId": places["diaObjectId"].to_numpy(),
        "ra": places["ra"].to_numpy(), "dec": places["dec"].to_numpy(), "visit": visit,
        "detector": np.zeros(count, "i2"), "psfFlux": flux[0], "psfFluxErr": 10.0, "scienceFlux": flux[1],
        "scienceFluxErr": 10.0, "band": "r",
        "midpointMjdTai": tai, "timeProcessedMjdTai": tai,
    })  # fmt: skip


def visit(dsn: str, given) -> float:
    """Time one Visit [s]; what it measures is made beforehand, and the connection is warm."""
    apdb, tai = ApdbSql(config(dsn)), float(given["tai"])
    found = sources(apdb, pd.DataFrame({"ra": given["found_ra"], "dec": given["found_dec"]}), 99, tai)
    centre = UnitVector3d(LonLat.fromDegrees(*given["centre"].tolist()))
    apdb.getDiaObjects(Circle(centre, Angle.fromDegrees(0.01)))
    forced_ids = given["object_id"][given["forced"]]
    begin = time.perf_counter()
    objects = apdb.getDiaObjects(Circle(centre, Angle.fromDegrees(FIELD_DEG)))
    found["diaObjectId"] = associated(found, objects)
    history = found["diaObjectId"].tolist()
    when = Time(tai, format="mjd", scale="tai")
    apdb.getDiaSources(Circle(centre, Angle.fromDegrees(FIELD_DEG)), history, when)
    apdb.getDiaForcedSources(Circle(centre, Angle.fromDegrees(FIELD_DEG)), history, when)
    known = objects.set_index("diaObjectId").reindex(found["diaObjectId"])
    count = np.nan_to_num(known["nDiaSources"].to_numpy()).astype("i4") + 1
    updated = pd.DataFrame({"diaObjectId": found["diaObjectId"], "ra": found["ra"], "dec": found["dec"],
                            "raErr": 0.02 / 3600, "decErr": 0.02 / 3600, "ra_dec_Cov": 0.0, "nDiaSources": count,
                            "firstDiaSourceMjdTai": tai, "lastDiaSourceMjdTai": tai, "r_psfFluxMean": found["psfFlux"],
                            "r_psfFluxMeanErr": found["psfFluxErr"], "r_psfFluxSigma": found["psfFlux"],
                            "validityStartMjdTai": tai})  # fmt: skip
    updated = updated.assign(**{f"{band}_psfFluxNdata": count for band in "ugrizy"})
    places = objects.set_index("diaObjectId").loc[forced_ids].reset_index()
    apdb.store(when, updated, found, forced_sources(places, 99, tai))
    return time.perf_counter() - begin


def associated(found: pd.DataFrame, objects: pd.DataFrame) -> np.ndarray:
    """Object of each DiaSource; new ones get the DiaSource's id, as in LSST."""
    unit = [np.radians([frame["ra"], frame["dec"]]) for frame in (found, objects)]
    unit = [np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1) for a, d in unit]
    chord = 2 * np.sin(np.radians(RADIUS_ARCSEC / 3600) / 2)
    pairs = cKDTree(unit[0]).sparse_distance_matrix(cKDTree(unit[1]), chord, output_type="ndarray")
    errors = [np.hypot(frame["raErr"], frame["decErr"]).to_numpy() * 3600 / np.sqrt(2) for frame in (found, objects)]
    variance = errors[0][pairs["i"]] ** 2 + errors[1][pairs["j"]] ** 2
    cost = 0.5 * (np.degrees(pairs["v"]) * 3600) ** 2 / variance + np.log(2 * np.pi * variance)
    keep = cost < NEW_COST
    _, target = np.unique(pairs["j"][keep], return_inverse=True)
    count, width = len(found), int(target.max(initial=-1)) + 1
    ends = np.append(pairs["i"][keep], np.arange(count)), np.append(target, width + np.arange(count))
    costs = np.append(cost[keep] + NEW_COST, np.full(count, 2 * NEW_COST))
    chosen = min_weight_full_bipartite_matching(csr_array((costs, ends), shape=(count, width + count)))[1]
    near = np.unique(pairs["j"][keep])
    parents = found["diaSourceId"].to_numpy().copy()
    parents[chosen < width] = objects["diaObjectId"].to_numpy()[near[chosen[chosen < width]]]
    return parents


if __name__ == "__main__":
    action, dsn, file = sys.argv[1:]
    result = {"make": make, "visit": visit}[action](dsn, np.load(file))
    if result is not None:
        print(result)
