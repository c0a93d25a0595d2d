-- HEALPix, NESTED: the index of a position, as healpy computes it, and what surrounds it.
-- minimum revision: base
-- databases: hub level1 release
-- requires: fail sky/shapes
-- execute: public

CREATE OR REPLACE FUNCTION hven.healpix29(ra_deg float8, dec_deg float8)
RETURNS bigint
LANGUAGE plpgsql
IMMUTABLE STRICT PARALLEL SAFE COST 30
-- healpix_cxx's loc2pix behind healpy's lonlat: every rounding is copied, since the pixel is part of ids.
AS $$
DECLARE
    theta float8;
    z float8;
    col float8;  -- right ascension in quarters of the sky
    along float8;
    reach float8;
    jp bigint;
    jm bigint;
    x bigint;
    y bigint;
    face bigint;
BEGIN
    IF NOT (abs(dec_deg) <= 90 AND abs(ra_deg) < 'Infinity'::float8) THEN
        RETURN hven.fail(0::bigint, 'VN010',
            'healpix29: position is (' || ra_deg || ', ' || dec_deg || '), allowed are a finite right ascension'
            ' and a declination from -90 to 90 deg', 'check the order and the unit of the coordinates');
    END IF;
    theta := 1.5707963267948966::float8 - radians(dec_deg);
    z := cos(theta);
    col := radians(ra_deg) * 0.6366197723675813430755350534900574::float8;
    IF col < 0 OR col >= 4 THEN
        col := col - 4 * trunc(col / 4);
        IF col < 0 THEN
            col := col + 4;
            IF col = 4 THEN col := 0; END IF;
        END IF;
    END IF;

    IF abs(z) <= 2.0::float8 / 3.0::float8 THEN
        jp := trunc(536870912 * (0.5::float8 + col) - 536870912 * (z * 0.75::float8));
        jm := trunc(536870912 * (0.5::float8 + col) + 536870912 * (z * 0.75::float8));
        face := CASE WHEN jp >> 29 = jm >> 29 THEN (jp >> 29) | 4
                     WHEN jp >> 29 < jm >> 29 THEN jp >> 29
                     ELSE (jm >> 29) + 8 END;
        x := jm & 536870911;
        y := 536870911 - (jp & 536870911);
    ELSE
        face := least(3, trunc(col)::bigint);
        along := col - face;
        IF abs(z) >= 0.99::float8 AND (theta < 0.01::float8 OR theta > 3.14159::float8 - 0.01::float8) THEN
            reach := 536870912 * sin(theta) / sqrt((1 + abs(z)) / 3);
        ELSE
            reach := 536870912 * sqrt(3 * (1 - abs(z)));
        END IF;
        jp := least(trunc(along * reach)::bigint, 536870911);
        jm := least(trunc((1 - along) * reach)::bigint, 536870911);
        IF z >= 0 THEN
            x := 536870911 - jm;
            y := 536870911 - jp;
        ELSE
            x := jp;
            y := jm;
            face := face + 8;
        END IF;
    END IF;

    x := (x | (x << 16)) & 281470681808895;
    x := (x | (x << 8)) & 71777214294589695;
    x := (x | (x << 4)) & 1085102592571150095;
    x := (x | (x << 2)) & 3689348814741910323;
    x := (x | (x << 1)) & 6148914691236517205;
    y := (y | (y << 16)) & 281470681808895;
    y := (y | (y << 8)) & 71777214294589695;
    y := (y | (y << 4)) & 1085102592571150095;
    y := (y | (y << 2)) & 3689348814741910323;
    y := (y | (y << 1)) & 6148914691236517205;
    RETURN (face << 58) | x | (y << 1);
END
$$;

COMMENT ON FUNCTION hven.healpix29(float8, float8) IS
'Order-29 NESTED HEALPix pixel of a position [deg, ICRS]; equals healpy.ang2pix(2**29, ra, dec, nest=True, lonlat=True) bit for bit.';


CREATE OR REPLACE FUNCTION hven.pixels_of(ra_deg float8[], dec_deg float8[])
RETURNS bigint[]
LANGUAGE plpython3u
IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS $python$
-- include: healpix.py
return pixels(np.array(ra_deg, float), np.array(dec_deg, float)).tolist()
$python$;

COMMENT ON FUNCTION hven.pixels_of(float8[], float8[]) IS 'healpix29 of arrays without checks.';


CREATE OR REPLACE FUNCTION hven.healpix29(ra_deg float8[], dec_deg float8[])
RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1000
RETURN CASE WHEN hven.sky_are_positions('healpix29', ra_deg, dec_deg) THEN hven.pixels_of(ra_deg, dec_deg) END;

COMMENT ON FUNCTION hven.healpix29(float8[], float8[]) IS
'Order-29 NESTED HEALPix pixels of many positions [deg, ICRS] at once, without NULLs.';


CREATE OR REPLACE FUNCTION hven.healpix_parent(healpix29 bigint, parent_order integer)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 5
RETURN CASE
    WHEN parent_order < 0 OR parent_order > 29 THEN hven.fail(
        0::bigint, 'VN015', 'healpix_parent: order is ' || parent_order::text || ', allowed is 0 to 29',
        'nside is 2 to the power of the order')
    ELSE healpix29 >> (2 * (29 - parent_order))
END;

COMMENT ON FUNCTION hven.healpix_parent(bigint, integer) IS
'Pixel of a lower order (nside = 2^order) that an order-29 pixel lies in.';


CREATE OR REPLACE FUNCTION hven.healpix_is_pixel(pixel bigint, pixel_order integer)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 5
RETURN CASE
    WHEN pixel_order BETWEEN 0 AND 29 AND pixel >= 0 AND pixel < 12::bigint << (2 * pixel_order) THEN true
    ELSE hven.fail(false, 'VN015', 'there is no pixel ' || pixel::text || ' of order ' || pixel_order::text
        || ', allowed are orders 0 to 29 and their 12 * 4^order pixels', 'nside is 2 to the power of the order')
END;

COMMENT ON FUNCTION hven.healpix_is_pixel(bigint, integer) IS
'true for a pixel that an order has, NULL for NULL, else VN015.';


CREATE OR REPLACE FUNCTION hven.centre_of(pixel bigint, pixel_order integer)
RETURNS TABLE (ra float8, "dec" float8)
LANGUAGE plpython3u
IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 1
AS $python$
-- include: healpix.py
x, y, z = centres([pixel], pixel_order)[0]
return [(float(np.degrees(np.arctan2(y, x))) % 360, float(np.degrees(np.arctan2(z, np.hypot(x, y)))))]
$python$;

COMMENT ON FUNCTION hven.centre_of(bigint, integer) IS 'healpix_centre without checks.';


CREATE OR REPLACE FUNCTION hven.healpix_centre(pixel bigint, pixel_order integer)
RETURNS TABLE (ra float8, "dec" float8)
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1000 ROWS 1
AS $$ SELECT c.* FROM hven.centre_of(pixel, pixel_order) c WHERE hven.healpix_is_pixel(pixel, pixel_order) $$;

COMMENT ON FUNCTION hven.healpix_centre(bigint, integer) IS
'Centre [deg, ICRS] of a NESTED pixel of an order (nside = 2^order).';


CREATE OR REPLACE FUNCTION hven.neighbours_of(pixel bigint, pixel_order integer)
RETURNS SETOF bigint
LANGUAGE plpython3u
IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 8
AS $python$
-- include: healpix.py
return [p for p in neighbours(pixel, pixel_order)[0].tolist() if p >= 0]
$python$;

COMMENT ON FUNCTION hven.neighbours_of(bigint, integer) IS 'healpix_neighbours without checks.';


CREATE OR REPLACE FUNCTION hven.healpix_neighbours(pixel bigint, pixel_order integer)
RETURNS SETOF bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1000 ROWS 8
AS $$
    SELECT n FROM hven.neighbours_of(pixel, pixel_order) n WHERE hven.healpix_is_pixel(pixel, pixel_order)
$$;

COMMENT ON FUNCTION hven.healpix_neighbours(bigint, integer) IS
'The pixels, 8 or seldom 7 (6 at order 0), that touch a NESTED pixel of an order (nside = 2^order).';


CREATE OR REPLACE FUNCTION hven.healpix_spread(coordinate bigint)
RETURNS bigint
LANGUAGE plpgsql
IMMUTABLE STRICT PARALLEL SAFE COST 10
AS $$
DECLARE
    v bigint := coordinate;
BEGIN
    v := (v | (v << 16)) & 281470681808895;
    v := (v | (v << 8)) & 71777214294589695;
    v := (v | (v << 4)) & 1085102592571150095;
    v := (v | (v << 2)) & 3689348814741910323;
    RETURN (v | (v << 1)) & 6148914691236517205;
END
$$;

COMMENT ON FUNCTION hven.healpix_spread(bigint) IS
'The bits of a coordinate below 2^31 at the even places, as x has them in a pixel.';
