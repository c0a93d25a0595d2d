"""The hub's own tables: databases and their states, releases, sites, calibration products."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ForeignKey,
    Identity,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from db.columns import NOW, check, column, flag, key, link, mjd, one_of, table

WHEN = TIMESTAMP(timezone=True)

science_database = table(
    "science_database", "hub",
    column("name", Text, unit="", ucd="meta.id;meta.main", primary_key=True, doc="Name that users know: level1, dr1, mini_sn"),
    column("database", Text, unit="", ucd="meta.id", nullable=False, doc="The PostgreSQL database that the name points to now"),
    column("kind", Text, unit="", ucd="meta.code.class", nullable=False, doc="level1, release, bootstrap or mini"),
    column("release", SmallInteger, unit="", ucd="meta.version", nullable=False, doc="Release number in its ids: of level1, the release that it continues"),
    column("state", Text, unit="", ucd="meta.code.status", nullable=False, server_default="creating",
           doc="creating, building, validated, frozen, published, withdrawn or live"),
    flag("is_current", "The release that users mean by `current`", nullable=False, server_default="false"),
    column("changed", WHEN, unit="", ucd="time", nullable=False, server_default=NOW, doc="When the row last changed"),
    one_of("kind", "level1", "release", "bootstrap", "mini"),
    one_of("state", "creating", "building", "validated", "frozen", "published", "withdrawn", "live"),
    check("release", "CASE kind WHEN 'bootstrap' THEN release = 0 WHEN 'release' THEN release BETWEEN 1 AND 47"
          " WHEN 'mini' THEN release BETWEEN 48 AND 63 ELSE release BETWEEN 0 AND 47 END",
          doc="release is 0 for bootstrap, 1 to 47 for a release, 48 to 63 for a mini-DR, 0 to 47 for level1"),
    Index("science_database_current_idx", "is_current", unique=True, postgresql_where=text("is_current")),
    Index("science_database_release_idx", "release", unique=True, postgresql_where=text("kind <> 'level1'")),
    doc="Science Databases: what users' names point to",
    science=False,
)

data_release = table(
    "data_release", "hub",
    column("release", SmallInteger, unit="", ucd="meta.version;meta.main", primary_key=True, autoincrement=False, doc="Number of the release"),
    column("name", Text, unit="", ucd="meta.id", nullable=False, unique=True, doc="Name, such as dr1"),
    mjd("first_tai", "Earliest exposure", ucd="time.start;obs"),
    mjd("cutoff_tai", "Latest exposure", ucd="time.end;obs"),
    column("software_version", Text, unit="", ucd="meta.version;meta.software", doc="The one version of Hven that built it"),
    column("software_commit", Text, unit="", ucd="meta.version;meta.software", doc="Its commit"),
    column("parameters", JSONB, unit="", ucd="meta.note", doc="The one set of parameters"),
    column("schema_revision", Text, unit="", ucd="meta.version", doc="Alembic revision that it was frozen at"),
    column("doi", Text, unit="", ucd="meta.ref.doi", doc="Digital object identifier"),
    column("published", WHEN, unit="", ucd="time.release", doc="When it became public"),
    doc="Data Releases: one version, one set of parameters, one cutoff",
)

life_cycle = table(
    "life_cycle", "hub",
    column("event_id", BigInteger, Identity(always=True), unit="", ucd="meta.id;meta.main", primary_key=True, doc="Order of events"),
    column("name", Text, unit="", ucd="meta.id", nullable=False, doc="The Science Database's name"),
    column("from_state", Text, unit="", ucd="meta.code.status", doc="State before; NULL at creation"),
    column("to_state", Text, unit="", ucd="meta.code.status", nullable=False, doc="State after"),
    column("actor", Text, unit="", ucd="meta.id", nullable=False, server_default=text("session_user"), doc="Who did it"),
    column("reason", Text, unit="", ucd="meta.note", doc="Why, where a person decided"),
    column("written", WHEN, unit="", ucd="time", nullable=False, server_default=NOW, doc="When"),
    doc="Audit trail of every Science Database",
    science=False,
)

site = table(
    "site", "hub",
    column("site", Text, unit="", ucd="meta.id;meta.main", primary_key=True, doc="Name of the site, such as base or archive"),
    flag("is_here", "This hub stands at this site", nullable=False, server_default="false"),
    column("connection", Text, unit="", ucd="meta.ref.uri", doc="How the other site's hub is reached (libpq), without password"),
    column("file_root", Text, unit="", ucd="meta.ref.uri", doc="Root of the site's file store"),
    Index("site_here_idx", "is_here", unique=True, postgresql_where=text("is_here")),
    doc="Sites that process the same exposures",
    science=False,
)

calibration_product = table(
    "calibration_product", "hub",
    column("calibration_id", BigInteger, Identity(always=True), unit="", ucd="meta.id;meta.main", primary_key=True, doc="Number of the product"),
    column("kind", Text, unit="", ucd="meta.code.class", nullable=False,
           doc="bias, dark, flat, monochromatic_flat, pupil_ghost, crosstalk, illumination, fringe, linearity, defects or atmosphere"),
    column("instrument", Text, unit="", ucd="meta.id;instr", nullable=False, doc="The instrument"),
    column("detector_id", SmallInteger, unit="", ucd="meta.id;instr.det", nullable=False, doc="The detector"),
    column("filter", Text, unit="", ucd="meta.id;instr.filter", nullable=False, server_default="",
           doc="Name of the band; empty where the product is the same for all"),
    column("readout_mode", Text, unit="", ucd="meta.code;instr.setup", nullable=False, server_default="", doc="Read-out mode that it applies to"),
    mjd("valid_from_tai", "First exposure that it may be used for", ucd="time.start", nullable=False),
    mjd("valid_to_tai", "First exposure that it may no longer be used for", ucd="time.end", nullable=False),
    column("version", SmallInteger, unit="", ucd="meta.version", nullable=False, server_default="1", doc="Highest certified version wins"),
    column("state", Text, unit="", ucd="meta.code.status", nullable=False, server_default="made", doc="made, certified or rejected"),
    column("sha256", Text, unit="", ucd="meta.checksum;meta.file", nullable=False, doc="Checksum of the file, hexadecimal"),
    link("file_id", doc="The file, a row of the hub's file", ucd="meta.id;meta.file"),
    link("job_id", doc="The job that made it", ucd="meta.id"),
    column("comparison", JSONB, unit="", ucd="meta.note", doc="How it differs from the product before it"),
    column("inputs", ARRAY(Text), unit="", ucd="meta.id;meta.file", doc="Checksums of the raw frames that went in"),
    column("written", WHEN, unit="", ucd="time", nullable=False, server_default=NOW, doc="When"),
    one_of("kind", "bias", "dark", "flat", "monochromatic_flat", "pupil_ghost", "crosstalk", "illumination", "fringe",
           "linearity", "defects", "atmosphere"),
    one_of("state", "made", "certified", "rejected"),
    check("validity", "valid_from_tai < valid_to_tai", doc="valid_from_tai is before valid_to_tai"),
    Index("calibration_product_find_idx", "instrument", "detector_id", "kind", "filter", "readout_mode",
          "valid_from_tai", postgresql_where=text("state = 'certified'")),
    doc="Calibration products with their validity",
)

worker_share = table(
    "worker_share", "hub",
    column("pool", Text, unit="", ucd="meta.id", nullable=False, doc="Pool of workers"),
    column("name", Text, ForeignKey("hub.science_database.name", ondelete="CASCADE", onupdate="CASCADE"), unit="", ucd="meta.id.assoc",
           nullable=False, doc="Science Database that the pool serves"),
    key("weight", ucd="stat.weight", doc="Share of the pool's time"),
    PrimaryKeyConstraint("pool", "name"),
    check("weight", "weight > 0", doc="weight is positive"),
    doc="Which databases a pool of workers serves, and how much",
    science=False,
)
