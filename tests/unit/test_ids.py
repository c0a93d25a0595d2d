import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.ids import (
    BITS,
    HIGHEST,
    ExposureId,
    IdError,
    Kind,
    MeasurementId,
    ObjectId,
    VisitId,
    bounds,
    night_of,
    object_pixel,
    pack,
    slot_of_day,
    unpack,
)

CTIO = -70.81489


def parts_of(kind):
    fields = zip(kind._fields, BITS[kind], strict=True)
    return st.tuples(*(st.integers(0, HIGHEST.get((kind, f), 2**b - 1)) for f, b in fields)).map(
        lambda t: kind(*t)
    )


@pytest.mark.parametrize("kind", BITS)
def test_no_id_needs_the_sign_bit(kind):
    assert sum(BITS[kind]) <= 63


@given(st.sampled_from(list(BITS)).flatmap(parts_of))
def test_unpacking_inverts_packing(parts):
    assert unpack(type(parts), pack(parts)) == parts


@given(st.lists(parts_of(MeasurementId), min_size=1))
def test_arrays_pack_like_integers(rows):
    columns = MeasurementId(*(np.array(column, dtype=np.int64) for column in zip(*rows, strict=True)))
    assert pack(columns).tolist() == [pack(row) for row in rows]
    assert [tuple(row) for row in np.transpose(unpack(MeasurementId, pack(columns))).tolist()] == rows


@given(st.lists(parts_of(MeasurementId)))
def test_ids_sort_by_their_parts(rows):
    assert sorted(pack(row) for row in rows) == [pack(row) for row in sorted(rows)]


def test_parts_are_broadcast():
    assert pack(VisitId(1, np.arange(3))).tolist() == [4096, 4097, 4098]


def test_golden_values():
    assert pack(ObjectId(2, 3, 1)) == 2 * 2**57 + 3 * 8 + 1
    assert pack(VisitId(6598, 77)) == 6598 * 4096 + 77
    assert pack(ExposureId(5, 9, 2, Kind.DIFFERENCE)) == 5 * 4096 + 9 * 16 + 2 * 4 + 2
    assert pack(MeasurementId(1, 5, 9, 2, 100, 3)) == 2**57 + 5 * 2**31 + 9 * 2**23 + 2 * 2**21 + 100 * 16 + 3


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (VisitId(16384, 0), "night is 16384, allowed is 0 to 16383"),
        (VisitId(0, -1), "sequence is -1, allowed is 0 to 4095"),
        (ObjectId(1, 12 * 4**25, 0), "pixel is 13510798882111488, allowed is 0 to 13510798882111487"),
        (ExposureId(1, 1, 1, 3), "kind is 3, allowed is 0 to 2"),
        (VisitId(np.array([1, 20000, 2]), 0), "night is 20000"),
        (VisitId(1.5, 0), "night is float64, allowed are integers"),
    ],
)
def test_a_part_out_of_range_is_named(parts, message):
    with pytest.raises(IdError, match=message):
        pack(parts)


@pytest.mark.parametrize("bad", [-1, 2**26, np.array([3, -7])])
def test_no_id_out_of_range_is_unpacked(bad):
    with pytest.raises(IdError, match=r"VisitId is -?\d+, allowed is 0 to 67108863"):
        unpack(VisitId, bad)


@given(parts_of(MeasurementId))
def test_bounds_hold_all_measurements_of_a_visit(parts):
    lowest, highest = bounds(parts.release, parts.visit_id)
    assert lowest <= pack(parts) <= highest
    assert unpack(MeasurementId, highest).visit_id == parts.visit_id


def test_an_object_pixel_is_the_order_25_pixel_of_its_place():
    healpy = pytest.importorskip("healpy")
    of = [healpy.ang2pix(2**order, 53.1, -27.8, nest=True, lonlat=True) for order in (29, 25)]
    assert object_pixel(of[0]) == of[1]


def test_a_night_begins_at_local_noon():
    noon = 56598.5 - CTIO / 360  # UTC
    assert night_of(np.array([noon - 1e-4, noon + 1e-4, noon + 0.99]), CTIO).tolist() == [6597, 6598, 6598]
    assert (slot_of_day(noon + 1e-4, CTIO), slot_of_day(noon - 1e-4, CTIO)) == (0, 4095)
