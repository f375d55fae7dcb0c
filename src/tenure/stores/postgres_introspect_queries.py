"""The statements of `postgres_introspect`: one for every kind of object, over pg_catalog, for Postgres 14 to 18.

They run with an empty search path, so every name inside a definition comes out qualified. A catalog column that only
newer servers have is read by way of `to_jsonb(row)`, which gives null where it does not exist: one text serves all.
"""

from __future__ import annotations


def _display(namespace: str, relation: str, name: str = "relname") -> str:
    """The SQL that writes an object as playbooks do; the arguments are aliases in the statements below."""
    return (
        f"CASE WHEN {namespace}.nspname = 'public' THEN {relation}.{name}::text "
        f"ELSE {namespace}.nspname || '.' || {relation}.{name} END"
    )


_USER_SCHEMA = "n.nspname <> 'information_schema' AND n.nspname <> 'tenure' AND n.nspname !~ '^pg_'"

_RELATIONS = f"""
relations AS MATERIALIZED (
    SELECT c.oid, c.relkind
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE {_USER_SCHEMA} AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
      AND NOT EXISTS (SELECT 1 FROM pg_depend d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
)"""

SERVER = """
SELECT current_setting('server_version_num')::int AS server_version, current_database()::text AS database,
       pg_is_in_recovery() AS in_recovery, r.rolname::text AS name, r.rolsuper AS superuser,
       r.rolsuper OR r.rolbypassrls AS bypasses_rls,
       has_database_privilege(current_database(), 'CREATE') AS can_create_schema,
       has_database_privilege(current_database(), 'TEMPORARY') AS can_create_temp
FROM pg_roles r WHERE r.rolname = current_user
"""

# Only superusers before Postgres 15; a privilege that can be granted since.
REPLICATION_ROLE_PRIVILEGE = "SELECT has_parameter_privilege('session_replication_role', 'SET') AS granted"

TABLES = f"""
WITH {_RELATIONS}
SELECT c.oid, n.nspname::text AS schema_name, c.relname::text AS name, c.relkind::text AS relkind,
       pg_get_userbyid(c.relowner)::text AS owner, pg_has_role(c.relowner, 'USAGE') AS owned,
       c.relrowsecurity AS row_security, c.relforcerowsecurity AS force_row_security,
       row_security_active(c.oid) AS row_security_active,
       c.relpersistence = 'u' AS unlogged, c.relreplident::text AS replica_identity,
       (SELECT {_display("pn", "p")} FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent
          JOIN pg_namespace pn ON pn.oid = p.relnamespace
          WHERE h.inhrelid = c.oid AND c.relispartition) AS partition_of,
       ARRAY(SELECT {_display("pn", "p")} FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent
          JOIN pg_namespace pn ON pn.oid = p.relnamespace
          WHERE h.inhrelid = c.oid AND NOT c.relispartition ORDER BY h.inhseqno) AS inherits,
       ARRAY(SELECT {_display("pn", "p")} FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhrelid
          JOIN pg_namespace pn ON pn.oid = p.relnamespace
          WHERE h.inhparent = c.oid AND c.relkind = 'p' ORDER BY pn.nspname, p.relname) AS partitions,
       pg_get_expr(c.relpartbound, c.oid) AS partition_bound,
       CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END AS partition_key,
       ARRAY(SELECT a.attname::text FROM pg_partitioned_table pt,
               unnest(pt.partattrs::int2[]) WITH ORDINALITY AS k(attnum, place), pg_attribute a
             WHERE pt.partrelid = c.oid AND a.attrelid = c.oid AND a.attnum = k.attnum
             ORDER BY k.place) AS partition_columns,
       coalesce((SELECT option_value::int FROM pg_options_to_table(c.reloptions)
                 WHERE option_name = 'fillfactor'), 100) AS fillfactor,
       coalesce(published.publications, '{{}}') AS publications,
       size.pages, coalesce(pg_total_relation_size(c.oid), 0) AS size_bytes,
       -- As the planner scales its statistics; a table never analysed is guessed from its width.
       CASE WHEN c.reltuples >= 0 AND c.relpages > 0 THEN round(c.reltuples / c.relpages * size.pages)
            WHEN c.relkind = 'f' THEN greatest(c.reltuples, 0)
            WHEN c.reltuples < 0 AND pg_stat_get_live_tuples(c.oid) > 0 THEN pg_stat_get_live_tuples(c.oid)
            ELSE round(size.pages * ((size.block - 24) / (28.0 + (
                SELECT coalesce(sum(CASE WHEN a.attlen > 0 THEN a.attlen ELSE 32 END), 0) FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))))
       END::bigint AS estimated_rows
FROM relations r JOIN pg_class c ON c.oid = r.oid JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT current_setting('block_size')::int AS block,
    coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::int AS pages) AS size
-- Once for all tables: the view works through every publication each time it is asked.
LEFT JOIN (SELECT t.schemaname, t.tablename,
                  array_agg(DISTINCT t.pubname::text ORDER BY t.pubname::text) AS publications
           FROM pg_publication_tables t GROUP BY 1, 2) AS published
       ON published.schemaname = n.nspname AND published.tablename = c.relname
WHERE c.relkind IN ('r', 'p', 'f')
ORDER BY n.nspname, c.relname
"""

COLUMNS = f"""
WITH RECURSIVE {_RELATIONS},
bases AS (  -- every domain with the type below it, step by step
    SELECT t.oid AS domain, t.typbasetype AS base, t.typtypmod AS typmod FROM pg_type t WHERE t.typtype = 'd'
    UNION ALL
    SELECT b.domain, t.typbasetype, CASE WHEN b.typmod >= 0 THEN b.typmod ELSE t.typtypmod END
    FROM bases b JOIN pg_type t ON t.oid = b.base AND t.typtype = 'd'
),
below AS (
    SELECT b.domain, b.base, b.typmod FROM bases b JOIN pg_type t ON t.oid = b.base AND t.typtype <> 'd'
)
SELECT a.attrelid AS relation, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
       format_type(base.oid, coalesce(below.typmod, a.atttypmod)) AS base_type,
       -- From Postgres 18 on attnotnull is set by a NOT NULL that was never validated.
       NOT (a.attnotnull AND NOT EXISTS (
           SELECT 1 FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'n'
              AND k.conkey = ARRAY[a.attnum] AND NOT k.convalidated)) AS nullable,
       CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END AS "default",
       CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END AS generation,
       a.attidentity <> '' AS identity, a.attgenerated::text AS generated,
       base.typname IN ('text', 'varchar', 'bpchar', 'citext') AS text_like,
       base.typname = 'uuid' AS uuid_like, base.typname IN ('int2', 'int4', 'int8') AS integer_like,
       a.attidentity <> '' OR EXISTS (
           SELECT 1 FROM pg_depend x JOIN pg_class s ON s.oid = x.refobjid AND s.relkind = 'S'
           WHERE x.classid = 'pg_attrdef'::regclass AND x.objid = d.oid AND x.refclassid = 'pg_class'::regclass
       ) AS sequence,
       (SELECT format('%I.%I', cn.nspname, co.collname) FROM pg_collation co
          JOIN pg_namespace cn ON cn.oid = co.collnamespace
          WHERE co.oid = a.attcollation AND a.attcollation <> type.typcollation) AS collation
FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid JOIN pg_type type ON type.oid = a.atttypid
LEFT JOIN below ON below.domain = a.atttypid
JOIN pg_type base ON base.oid = coalesce(below.base, a.atttypid)
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE r.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""

INDEXES = f"""
WITH {_RELATIONS}
SELECT i.indrelid AS relation, n.nspname::text AS schema_name, x.relname::text AS name,
       pg_get_indexdef(x.oid) AS definition, am.amname::text AS method, i.indisunique AS "unique",
       i.indisprimary AS "primary", i.indisvalid AS valid, i.indisready AS ready, i.indisexclusion AS exclusion,
       i.indisreplident AS replica_identity, pg_get_expr(i.indpred, i.indrelid) AS predicate,
       coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) AS nulls_not_distinct,
       x.relkind = 'I' AS on_partitioned, coalesce(pg_relation_size(x.oid), 0) AS size_bytes,
       coalesce(x.reloptions, '{{}}') AS options, k.conname::text AS "constraint",
       pg_get_constraintdef(k.oid) AS constraint_definition, coalesce(k.condeferrable, false) AS deferrable,
       coalesce(k.condeferred, false) AS initially_deferred,
       (SELECT p.relname::text FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent
        WHERE h.inhrelid = x.oid) AS parent,
       keys.columns, keys.expressions, keys.parts, keys.include,
       ARRAY(SELECT CASE WHEN opn.nspname = 'pg_catalog' THEN op.oprname::text
                         ELSE format('OPERATOR(%I.%s)', opn.nspname, op.oprname) END
             FROM unnest(k.conexclop) WITH ORDINALITY AS o(oid, place) JOIN pg_operator op ON op.oid = o.oid
             JOIN pg_namespace opn ON opn.oid = op.oprnamespace ORDER BY o.place) AS operators
FROM relations r JOIN pg_index i ON i.indrelid = r.oid JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = x.relnamespace JOIN pg_am am ON am.oid = x.relam
LEFT JOIN pg_constraint k ON k.conindid = x.oid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(a.attname::text ORDER BY place) FILTER (WHERE place <= i.indnkeyatts), '{{}}') AS columns,
           coalesce(array_agg(a.attname::text ORDER BY place) FILTER (WHERE place > i.indnkeyatts), '{{}}') AS include,
           coalesce(array_agg(text ORDER BY place) FILTER (WHERE place <= i.indnkeyatts AND key.attnum = 0), '{{}}')
               AS expressions,
           -- pg_get_indexdef of one column leaves out collation, operator class and order: they are put back here.
           coalesce(array_agg(
               text
               || coalesce((SELECT format(' COLLATE %I.%I', cn.nspname, co.collname)
                            FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace
                            WHERE co.oid = i.indcollation[place - 1]
                              AND co.oid <> coalesce(a.attcollation, ia.type_collation)), '')
               || coalesce((SELECT format(' %I.%I', cn.nspname, oc.opcname) FROM pg_opclass oc
                              JOIN pg_namespace cn ON cn.oid = oc.opcnamespace
                            WHERE oc.oid = i.indclass[place - 1]
                              AND (NOT oc.opcdefault OR ia.attoptions IS NOT NULL)), '')
               || coalesce((SELECT ' (' || string_agg(format('%I = %L', option_name, option_value), ', ') || ')'
                            FROM pg_options_to_table(ia.attoptions)), '')
               || CASE WHEN am.amname <> 'btree' THEN ''
                       ELSE (ARRAY['', ' DESC NULLS LAST', ' NULLS FIRST', ' DESC'])[i.indoption[place - 1] + 1] END
               ORDER BY place) FILTER (WHERE place <= i.indnkeyatts), '{{}}') AS parts
    FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS ordered(attnum, ordinal)
    CROSS JOIN LATERAL (SELECT ordered.attnum, ordered.ordinal::int AS place) AS key
    CROSS JOIN LATERAL (SELECT pg_get_indexdef(x.oid, key.place, false) AS text) AS definition
    LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = key.attnum AND key.attnum <> 0
    CROSS JOIN LATERAL (
        SELECT at.attoptions, t.typcollation AS type_collation
        FROM pg_attribute at JOIN pg_type t ON t.oid = at.atttypid
        WHERE at.attrelid = x.oid AND at.attnum = key.place) AS ia
) AS keys
ORDER BY i.indrelid, x.relname
"""

CONSTRAINTS = f"""
WITH {_RELATIONS}
SELECT k.conrelid AS relation, k.contype::text AS kind, k.conname::text AS name, k.convalidated AS validated,
       pg_get_constraintdef(k.oid) AS definition, k.condeferrable AS deferrable, k.condeferred AS initially_deferred,
       coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true) AS enforced,
       k.conparentid <> 0 OR (k.contype = 'c' AND NOT k.conislocal) AS inherited,
       CASE WHEN k.contype = 'c' AND cardinality(k.conkey) = 1 THEN (
           SELECT a.attname::text FROM pg_attribute a
           WHERE a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
             AND pg_get_expr(k.conbin, k.conrelid) = format('(%I IS NOT NULL)', a.attname)) END AS not_null_column,
       {_display("fn", "f")} AS ref_table, x.relname::text AS ref_index,
       k.confdeltype::text AS on_delete, k.confupdtype::text AS on_update, k.confmatchtype::text AS match,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS c(attnum, place)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.attnum ORDER BY place) AS columns,
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS c(attnum, place)
             JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = c.attnum ORDER BY place) AS ref_columns,
       ARRAY(SELECT a.attname::text
             FROM jsonb_array_elements_text(
                 CASE WHEN jsonb_typeof(to_jsonb(k) -> 'confdelsetcols') = 'array'
                      THEN to_jsonb(k) -> 'confdelsetcols' ELSE '[]' END) WITH ORDINALITY AS c(attnum, place)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.attnum::int2 ORDER BY place) AS set_columns
FROM relations r JOIN pg_constraint k ON k.conrelid = r.oid
LEFT JOIN pg_class f ON f.oid = k.confrelid LEFT JOIN pg_namespace fn ON fn.oid = f.relnamespace
LEFT JOIN pg_class x ON x.oid = k.conindid AND k.contype = 'f'
WHERE k.contype IN ('f', 'c')
  -- A key to a partitioned table has one more row for each partition of that table: bookkeeping, not a key.
  AND NOT EXISTS (SELECT 1 FROM pg_constraint up WHERE up.oid = k.conparentid AND up.conrelid = k.conrelid)
ORDER BY k.conrelid, k.conname
"""

TRIGGERS = f"""
WITH {_RELATIONS}
SELECT t.tgrelid AS relation, t.tgname::text AS name, {_display("pn", "p", "proname")} AS function,
       t.tgtype::int AS bits, t.tgenabled::text AS enabled, pg_get_triggerdef(t.oid) AS definition,
       t.tgqual IS NOT NULL AS has_condition, t.tgconstraint <> 0 AS "constraint",
       coalesce((to_jsonb(t) ->> 'tgparentid')::oid, 0::oid) <> 0::oid AS inherited,
       ARRAY(SELECT a.attname::text FROM unnest(t.tgattr::int2[]) WITH ORDINALITY AS c(attnum, place)
             JOIN pg_attribute a ON a.attrelid = t.tgrelid AND a.attnum = c.attnum ORDER BY place) AS update_columns
FROM relations r JOIN pg_trigger t ON t.tgrelid = r.oid
JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace pn ON pn.oid = p.pronamespace
WHERE NOT t.tgisinternal
ORDER BY t.tgrelid, t.tgname
"""

POLICIES = f"""
WITH {_RELATIONS}
SELECT p.polrelid AS relation, p.polname::text AS name, p.polpermissive AS permissive, p.polcmd::text AS command,
       ARRAY(SELECT CASE WHEN who = 0 THEN 'public' ELSE pg_get_userbyid(who)::text END
             FROM unnest(p.polroles) AS who ORDER BY 1) AS roles,
       pg_get_expr(p.polqual, p.polrelid) AS "using", pg_get_expr(p.polwithcheck, p.polrelid) AS with_check
FROM relations r JOIN pg_policy p ON p.polrelid = r.oid
ORDER BY p.polrelid, p.polname
"""

VIEWS = f"""
WITH {_RELATIONS}
SELECT c.oid, n.nspname::text AS schema_name, c.relname::text AS name, c.relkind = 'm' AS materialized,
       pg_get_viewdef(c.oid) AS definition,
       ARRAY(SELECT DISTINCT {_display("dn", "d")} FROM pg_rewrite w
             JOIN pg_depend x ON x.classid = 'pg_rewrite'::regclass AND x.objid = w.oid
                AND x.refclassid = 'pg_class'::regclass AND x.refobjid <> c.oid
             JOIN pg_class d ON d.oid = x.refobjid AND d.relkind IN ('r', 'p', 'f', 'v', 'm')
             JOIN pg_namespace dn ON dn.oid = d.relnamespace
             WHERE w.ev_class = c.oid ORDER BY 1) AS depends_on
FROM relations r JOIN pg_class c ON c.oid = r.oid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm')
ORDER BY n.nspname, c.relname
"""

FUNCTIONS = f"""
SELECT n.nspname::text AS schema_name, p.proname::text AS name,
       pg_get_function_identity_arguments(p.oid) AS identity_arguments, l.lanname::text AS language,
       coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) AS source, p.prosecdef AS security_definer
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE {_USER_SCHEMA} AND p.prokind IN ('f', 'p')
  AND NOT EXISTS (SELECT 1 FROM pg_depend d
                  WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY n.nspname, p.proname, 3
"""

SLOTS = """
SELECT s.slot_name::text AS name, s.slot_type AS kind, coalesce(s.plugin::text, '') AS plugin, s.active,
       coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                                     ELSE pg_current_wal_lsn() END, s.restart_lsn), 0)::bigint AS retained_bytes
FROM pg_replication_slots s WHERE s.database IS NULL OR s.database = current_database() ORDER BY 1
"""

# A trusted extension may be created by whoever may create schemas in the database, any other by superusers.
BTREE_GIST = """
SELECT CASE WHEN EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'btree_gist') THEN 'installed'
            WHEN EXISTS (SELECT 1 FROM pg_available_extension_versions v JOIN pg_roles r ON r.rolname = current_user
                         WHERE v.name = 'btree_gist' AND (r.rolsuper OR v.trusted
                           AND has_database_privilege(current_database(), 'CREATE'))) THEN 'available'
            ELSE '' END AS btree_gist
"""

PUBLICATIONS = "SELECT pubname::text AS name FROM pg_publication ORDER BY 1"
