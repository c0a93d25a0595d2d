"""A Visit of the simulated night with Alerts that wait, and stamps of its DiaSources in a store."""

import numpy as np

from db.ids import ExposureId, Kind, pack
from pipelines.image import Exposure, MaskedImage, Observation, Wcs
from pipelines.productions import stamps

SCALE = 0.4  # arcsec a pixel
SIGMA = 1.5  # pixels of a star
NOISE = 10.0
PATCH = np.arange(-6, 7)


def alert(night, store, index=0, **parameters):
    """Stage, associate and select the Alerts of a Visit, with stamps; return its visit_id and how many Alerts."""
    night.predict(index)
    night.run(index)
    draw_stamps(night, store, index)
    found = night.alerts(index, **parameters)["alerts"]
    night.session.commit()
    return night.ids[index], found


def draw_stamps(night, store, index=0, kinds=("science", "difference_1", "difference_2", "template")):
    """Make Exposures of a Visit with a star at each DiaSource, and save their stamps."""
    visit_id = night.ids[index]
    query = "SELECT detector_id, dia_source_id, ra, dec FROM level1.dia_source WHERE visit_id = %s"
    found = night.rows(query, visit_id)
    columns = [np.array(column) for column in zip(*found, strict=True)]
    with night.session.cursor() as cursor:
        for detector in np.unique(columns[0]):
            ids, ra, dec = (column[columns[0] == detector] for column in columns[1:])
            add_exposure(night, visit_id, int(detector), index)
            image = draw(ra, dec, np.random.default_rng(int(detector)))
            content = stamps.make(dict.fromkeys(kinds, image), {"dia_source_id": ids, "ra": ra, "dec": dec})
            stamps.save(cursor, store, exposure_id(visit_id, detector), content, None)


def exposure_id(visit_id, detector):
    """The Difference Exposure of the Visit's sum."""
    return int(pack(ExposureId(visit_id, int(detector), 0, Kind.DIFFERENCE)))


def add_exposure(night, visit_id, detector, index):
    """Enter a Difference Exposure, without outline."""
    night.do(
        "INSERT INTO level1.exposure (exposure_id, visit_id, detector_id, snap, kind, filter_id, midpoint_tai,"
        " exposure_time, psf_fwhm, zeropoint, wcs) SELECT %s, visit_id, %s, 0, 'difference', filter_id, midpoint_tai,"
        " 30, 0.7, 31.4, %s FROM level1.visit WHERE visit_id = %s ON CONFLICT DO NOTHING",
        exposure_id(visit_id, detector), detector, "WCSAXES = 2 / <& not XML>", visit_id
    )  # fmt: skip


def draw(ra, dec, rng):
    """An Exposure with a star of 1000 counts at each place."""
    middle = (ra.min() + ra.max()) / 2, (dec.min() + dec.max()) / 2
    step = SCALE / 3600
    size = int(max(np.ptp(ra) * np.cos(np.radians(middle[1])), np.ptp(dec)) / step) + 80
    wcs = Wcs.tangent(*middle, size / 2, size / 2, [[-step, 0], [0, step]])
    pixels = rng.normal(0, NOISE, (size, size)).astype("f4")
    for x, y in zip(*wcs.pixel(ra, dec), strict=True):
        at_x, at_y = round(x) + PATCH, round(y) + PATCH
        star = np.exp(-((at_x - x) ** 2 + ((at_y - y) ** 2)[:, None]) / 2 / SIGMA**2)
        pixels[at_y[0] : at_y[-1] + 1, at_x[0] : at_x[-1] + 1] += 1000 * star
    observation = Observation("simulated", 0, 0, "difference", "r", 58107.3, 30.0)
    return Exposure(MaskedImage.from_image(pixels, NOISE**2), observation, wcs=wcs)
