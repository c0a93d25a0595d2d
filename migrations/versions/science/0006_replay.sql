ALTER TABLE :catalogue.alert ADD COLUMN is_replayed BOOLEAN DEFAULT false NOT NULL;
