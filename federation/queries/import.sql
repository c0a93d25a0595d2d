-- reserved: words that are no names of columns
SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')

-- taken: whether the caller has a product of this name
SELECT EXISTS (SELECT FROM level3.tables WHERE owner = level3.me() AND name = %(name)s)

-- home: the caller's own schema
SELECT nspname FROM pg_namespace WHERE nspname = 'user_' || level3.me()

-- name: give a stored table the name that its owner calls it by
SELECT level3.name_import(%(relation)s::regclass, %(name)s, %(description)s)

-- describe: record how the columns were in the file
SELECT level3.describe_import(%(relation)s::regclass, %(names)s, %(originals)s::text[], %(types)s::text[], %(units)s::text[],
                              %(ucds)s::text[], %(descriptions)s::text[], %(derived)s::boolean[])

-- find: the relation that a name of the caller's stands for, and its description
SELECT relation, description FROM level3.tables WHERE owner = level3.me() AND name = %(name)s AND relation IS NOT NULL

-- was: how the columns of a product were in its file
SELECT name, original_name, original_type, unit, ucd, description, derived
FROM level3.columns WHERE owner = level3.me() AND table_name = %(name)s ORDER BY number

-- usage: what the caller's space holds and may hold, and whether that is too much
SELECT pg_size_pretty(used), pg_size_pretty(quota), login, used > quota FROM level3.usage()
