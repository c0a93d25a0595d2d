-- Twelve partitions a table: one a base pixel of HEALPix; a tile is a pixel of order 6, 4096 to a base pixel.
DO $$
DECLARE
    parent text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['source', 'dia_source', 'dia_source_snap', 'forced_source', 'forced_dia_source'] LOOP
        FOR base_pixel IN 0..11 LOOP
            EXECUTE format('CREATE TABLE :catalogue.%I PARTITION OF :catalogue.%I FOR VALUES FROM (%s) TO (%s)',
                           parent || '_' || to_char(base_pixel, 'FM00'), parent, base_pixel * 4096, (base_pixel + 1) * 4096);
        END LOOP;
    END LOOP;
END
$$;
