-- releases: all releases and mini-DRs
SELECT name, kind, release, state, is_current, changed FROM hub.science_database
WHERE kind <> 'level1' ORDER BY release

-- history: the life of a Science Database
SELECT from_state, to_state, actor, reason, written FROM hub.life_cycle WHERE name = %(name)s ORDER BY event_id

-- facts: what a release is made from, and the revision that it is frozen at
SELECT (SELECT min(midpoint_tai) FROM visit), (SELECT max(midpoint_tai) FROM visit), version_num FROM hven.alembic_version

-- register: a release that becomes public
INSERT INTO hub.data_release (release, name, first_tai, cutoff_tai, software_version, software_commit, schema_revision, published)
VALUES (%(release)s, %(name)s, %(first_tai)s, %(cutoff_tai)s, %(software_version)s, %(software_commit)s, %(schema_revision)s, now())
ON CONFLICT (release) DO UPDATE
SET first_tai = excluded.first_tai, cutoff_tai = excluded.cutoff_tai, schema_revision = excluded.schema_revision,
    published = excluded.published

-- make_current: the one release that users mean by `current`; the old one first, as only one may be
WITH old AS (
    UPDATE hub.science_database SET is_current = false
    WHERE is_current AND name <> %(name)s RETURNING name
)
UPDATE hub.science_database SET is_current = true
WHERE name = %(name)s AND NOT is_current AND (SELECT count(*) FROM old) >= 0
