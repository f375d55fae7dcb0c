// neo4j_constraints_and_backfill.cypher: project_id on every node and relationship, and uniqueness per project_id.
//
// For Neo4j 5.26 Community or Enterprise, in Cypher 5. First copy these files, which the SQL file
// wrote, into the server's import directory:
//   tenants.csv: every value that means a tenant: the registry and the aliases
//   rows_interview_files_filename.csv: interview_files.filename and the tenant of its rows
//   rows_entrevista_fragmentos_id.csv: entrevista_fragmentos.id and the tenant of its rows
//
// cypher-shell --fail-fast -f neo4j_constraints_and_backfill.cypher
// Or over Bolt, each statement in an auto-commit transaction: leave out the lines that start with //, and
// cut after every line that ends with a semicolon. May be run again at any time.
//
// Where the syntax of servers differs (`tenure render --neo4j-version` writes it):
//   before 5.23  CALL { WITH n ... } instead of CALL (n) { ... }
//   before 5.21  no CYPHER 5 in front of a statement
//   4.4          CREATE INDEX instead of CREATE RANGE INDEX
//
// Rendered by `tenure render`; change the playbook, not this file.
// playbook 06f95fb3fb1eb58d7666c51765ef7da343580bf20aed9629648de3bb4afdb57b
// plan     965a18ab7ce99f200d02a62fb18faae7672789fc2f6b30c5239182aedf9e0a2e


// 1. Look at this first: each must give no row, or the constraint per tenant cannot be made.

CYPHER 5 MATCH (x:`Categoria`) WHERE x.`nombre` IS NOT NULL
WITH x.`project_id` AS tenant, x.`nombre` AS v0, count(x) AS times WHERE times > 1
RETURN 'Categoria.nombre' AS object, tenant, v0, times
LIMIT 100;
CYPHER 5 MATCH (x:`Codigo`) WHERE x.`nombre` IS NOT NULL
WITH x.`project_id` AS tenant, x.`nombre` AS v0, count(x) AS times WHERE times > 1
RETURN 'Codigo.nombre' AS object, tenant, v0, times
LIMIT 100;
CYPHER 5 MATCH (x:`Entrevista`) WHERE x.`nombre` IS NOT NULL
WITH x.`project_id` AS tenant, x.`nombre` AS v0, count(x) AS times WHERE times > 1
RETURN 'Entrevista.nombre' AS object, tenant, v0, times
LIMIT 100;
CYPHER 5 MATCH (x:`Fragmento`) WHERE x.`id` IS NOT NULL
WITH x.`project_id` AS tenant, x.`id` AS v0, count(x) AS times WHERE times > 1
RETURN 'Fragmento.id' AS object, tenant, v0, times
LIMIT 100;

// 2. What an interrupted run may have left, and indexes that this file looks things up by.

CYPHER 5 MATCH (v:tenure_value)
CALL (v) {
  DELETE v
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 MATCH (n:`Entrevista`) WHERE n.tenure_says_0 IS NOT NULL OR n.tenure_value_0 IS NOT NULL
CALL (n) {
  REMOVE n.tenure_says_0, n.tenure_value_0
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 MATCH (n:`Fragmento`) WHERE n.tenure_says_0 IS NOT NULL OR n.tenure_value_0 IS NOT NULL OR n.tenure_says_1 IS NOT NULL OR n.tenure_value_1 IS NOT NULL OR n.tenure_more IS NOT NULL
CALL (n) {
  REMOVE n.tenure_says_0, n.tenure_value_0, n.tenure_says_1, n.tenure_value_1, n.tenure_more
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 MATCH (n:`Codigo`) WHERE n.tenure_says_0 IS NOT NULL OR n.tenure_value_0 IS NOT NULL OR n.tenure_more IS NOT NULL OR n.tenure_says IS NOT NULL OR n.tenure_several IS NOT NULL
CALL (n) {
  REMOVE n.tenure_says_0, n.tenure_value_0, n.tenure_more, n.tenure_says, n.tenure_several
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 MATCH (n:`Categoria`) WHERE n.tenure_says_0 IS NOT NULL OR n.tenure_value_0 IS NOT NULL OR n.tenure_more IS NOT NULL OR n.tenure_says IS NOT NULL OR n.tenure_several IS NOT NULL
CALL (n) {
  REMOVE n.tenure_says_0, n.tenure_value_0, n.tenure_more, n.tenure_says, n.tenure_several
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 MATCH ()-[x:`REL`]->() WHERE x.tenure_owned IS NOT NULL OR x.tenure_more IS NOT NULL
CALL (x) {
  REMOVE x.tenure_owned, x.tenure_more
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 CREATE RANGE INDEX tenure_value IF NOT EXISTS FOR (v:tenure_value) ON (v.value);
CYPHER 5 CALL db.awaitIndexes(3600);

// 3. Which value means which tenant: the registry and the aliases, as nodes that the end removes.

CYPHER 5 LOAD CSV WITH HEADERS FROM 'file:///tenants.csv' AS row
CALL (row) {
  CREATE (:tenure_value {value: replace(replace(replace(replace(replace(row.value, '%22', '"'), '%5C', '\u005C\u005C'), '%0A', '\u000A'), '%0D', '\u000D'), '%25', '%'), tenant: replace(replace(replace(replace(replace(row.tenant, '%22', '"'), '%5C', '\u005C\u005C'), '%0A', '\u000A'), '%0D', '\u000D'), '%25', '%')})
} IN TRANSACTIONS OF 5000 ROWS;

// 4. The nodes, label by label; what decides others comes first.

// Entrevista
CYPHER 5 LOAD CSV WITH HEADERS FROM 'file:///rows_interview_files_filename.csv' AS row
CALL (row) {
  WITH row, replace(replace(replace(replace(replace(row.value, '%22', '"'), '%5C', '\u005C\u005C'), '%0A', '\u000A'), '%0D', '\u000D'), '%25', '%') AS said, replace(replace(replace(replace(replace(row.tenant, '%22', '"'), '%5C', '\u005C\u005C'), '%0A', '\u000A'), '%0D', '\u000D'), '%25', '%') AS tenant
  WITH row, tenant, [said] + [x IN [toIntegerOrNull(said), toFloatOrNull(said)] WHERE CASE WHEN x = toStringOrNull(x) THEN x WHEN toStringOrNull(x) ENDS WITH '.0' THEN toString(toInteger(x)) ELSE toStringOrNull(x) END = said] AS values
  MATCH (n:`Entrevista`) WHERE n.`nombre` IN values
  SET n.tenure_says_0 = row.says, n.tenure_value_0 = tenant
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 MATCH (n:`Entrevista`) WHERE (n.`project_id` IS NULL OR n.`project_id` IN ['', 'default'])
CALL (n) {
  WITH *, [coalesce(n.tenure_says_0, 'nothing')] AS n_says, [n.tenure_value_0] AS n_values
  WITH *, [i IN range(0, 0) WHERE NOT n_says[i] IN ['nothing', 'shared']][0] AS n_place
  WITH *, CASE
      WHEN 'quarantined' IN n_says THEN 'quarantine'
      WHEN n_place IS NULL AND 'shared' IN n_says THEN 'shared'
      WHEN n_place IS NULL OR n_says[n_place] = 'unknown' THEN 'unassigned'
      WHEN n_says[n_place] = 'several' THEN 'conflict'
      WHEN any(i IN range(n_place + 1, 0) WHERE n_says[i] = 'several' OR (n_says[i] = 'tenant' AND n_values[i] <> n_values[n_place])) THEN 'conflict'
      ELSE 'assigned' END AS n_b,
    CASE WHEN n_place IS NULL OR 'quarantined' IN n_says OR n_says[n_place] IN ['unknown', 'several'] THEN null ELSE n_values[n_place] END AS n_t
  WITH *, 'nothing' AS n_e, null AS n_ev, null AS n_px, n_b AS n_d, n_t AS n_w
  WITH *, CASE WHEN n_e IN ['quarantined', 'shared'] THEN null ELSE CASE n_d WHEN 'assigned' THEN n_w WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN '__quarantine__' ELSE '__quarantine__' END END AS n_key
  FOREACH (_ IN CASE WHEN n_key IS NOT NULL AND n_key <> coalesce(n_px, '') THEN [1] ELSE [] END | SET n.`project_id` = n_key)
  REMOVE n.tenure_says_0, n.tenure_value_0
} IN TRANSACTIONS OF 5000 ROWS;
// Fragmento
CYPHER 5 LOAD CSV WITH HEADERS FROM 'file:///rows_entrevista_fragmentos_id.csv' AS row
CALL (row) {
  WITH row, replace(replace(replace(replace(replace(row.value, '%22', '"'), '%5C', '\u005C\u005C'), '%0A', '\u000A'), '%0D', '\u000D'), '%25', '%') AS said, replace(replace(replace(replace(replace(row.tenant, '%22', '"'), '%5C', '\u005C\u005C'), '%0A', '\u000A'), '%0D', '\u000D'), '%25', '%') AS tenant
  WITH row, tenant, [said] + [x IN [toIntegerOrNull(said), toFloatOrNull(said)] WHERE CASE WHEN x = toStringOrNull(x) THEN x WHEN toStringOrNull(x) ENDS WITH '.0' THEN toString(toInteger(x)) ELSE toStringOrNull(x) END = said] AS values
  MATCH (n:`Fragmento`) WHERE n.`id` IN values
  SET n.tenure_says_0 = row.says, n.tenure_value_0 = tenant
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 MATCH (n:`Fragmento`) WHERE (n.`project_id` IS NULL OR n.`project_id` IN ['', 'default'])
CALL (n) {
  CALL (n) {
    MATCH (n)-[:`TIENE_FRAGMENTO`]-(m) WHERE m <> n
    WITH *, m.`project_id` AS m_p
    WITH *, CASE WHEN m_p = toStringOrNull(m_p) THEN m_p WHEN toStringOrNull(m_p) ENDS WITH '.0' THEN toString(toInteger(m_p)) ELSE toStringOrNull(m_p) END AS m_px
    OPTIONAL MATCH (m_k:tenure_value) WHERE m_k.value = m_px
    WITH *, CASE WHEN m_p IS NULL OR m_p = [] OR m_p IN ['', 'default'] THEN 'nothing' WHEN m_px = '__quarantine__' THEN 'quarantined' WHEN m_px = '__shared__' THEN 'shared' WHEN m_k IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS m_e, coalesce(m_k.tenant, m_px) AS m_ev
    WITH *, CASE WHEN m:`Entrevista` THEN m_e WHEN m:`Fragmento` THEN 'nothing' WHEN m:`Codigo` THEN coalesce(m.tenure_says, 'nothing') WHEN m:`Categoria` THEN coalesce(m.tenure_says, 'nothing') ELSE 'nothing' END AS m_who,
      CASE WHEN m:`Entrevista` THEN CASE m_e WHEN 'tenant' THEN [m_ev] ELSE [] END WHEN m:`Fragmento` THEN [] WHEN m:`Codigo` THEN coalesce(m.tenure_several, []) WHEN m:`Categoria` THEN coalesce(m.tenure_several, []) ELSE [] END AS m_of
    WITH m_who AS who, m_of AS of, count(*) AS times
    RETURN collect([who, of, times]) AS found_0
  }
  WITH n, found_0 AS found
  WITH n, found, [f IN found WHERE f[0] = 'tenant' AND size(f[1]) = 1] AS single, [f IN found WHERE f[0] = 'tenant' AND size(f[1]) > 1 | f[1]] AS several
  WITH n, found, single, reduce(seen = [], t IN [f IN single | f[1][0]] + reduce(joined = [], part IN several | joined + part) | CASE WHEN t IN seen THEN seen ELSE seen + t END) AS tenants
  WITH n, found, tenants, [t IN tenants | [t, reduce(sum = 0, f IN single | sum + CASE WHEN f[1][0] = t THEN f[2] ELSE 0 END)]] AS scored
  SET n.tenure_says_1 = CASE WHEN size(tenants) > 1 THEN 'several' WHEN size(tenants) = 1 THEN 'tenant' WHEN any(f IN found WHERE f[0] = 'quarantined') THEN 'quarantined' WHEN any(f IN found WHERE f[0] = 'shared') THEN 'shared' ELSE 'nothing' END,
      n.tenure_value_1 = CASE WHEN size(tenants) > 1 THEN null ELSE tenants[0] END,
      n.tenure_more = CASE WHEN size(coalesce(n.tenure_more, [])) > 0 THEN n.tenure_more WHEN size(tenants) > 1 THEN [] ELSE [] END
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 MATCH (n:`Fragmento`) WHERE (n.`project_id` IS NULL OR n.`project_id` IN ['', 'default'])
CALL (n) {
  WITH *, [coalesce(n.tenure_says_0, 'nothing'), coalesce(n.tenure_says_1, 'nothing')] AS n_says, [n.tenure_value_0, n.tenure_value_1] AS n_values
  WITH *, [i IN range(0, 1) WHERE NOT n_says[i] IN ['nothing', 'shared']][0] AS n_place
  WITH *, CASE
      WHEN 'quarantined' IN n_says THEN 'quarantine'
      WHEN n_place IS NULL AND 'shared' IN n_says THEN 'shared'
      WHEN n_place IS NULL OR n_says[n_place] = 'unknown' THEN 'unassigned'
      WHEN n_says[n_place] = 'several' THEN 'conflict'
      WHEN any(i IN range(n_place + 1, 1) WHERE n_says[i] = 'several' OR (n_says[i] = 'tenant' AND n_values[i] <> n_values[n_place])) THEN 'conflict'
      ELSE 'assigned' END AS n_b,
    CASE WHEN n_place IS NULL OR 'quarantined' IN n_says OR n_says[n_place] IN ['unknown', 'several'] THEN null ELSE n_values[n_place] END AS n_t
  WITH *, 'nothing' AS n_e, null AS n_ev, null AS n_px, n_b AS n_d, n_t AS n_w
  WITH *, CASE WHEN n_e IN ['quarantined', 'shared'] THEN null ELSE CASE n_d WHEN 'assigned' THEN n_w WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN '__quarantine__' ELSE '__quarantine__' END END AS n_key
  FOREACH (_ IN CASE WHEN n_key IS NOT NULL AND n_key <> coalesce(n_px, '') THEN [1] ELSE [] END | SET n.`project_id` = n_key)
  REMOVE n.tenure_says_0, n.tenure_value_0, n.tenure_says_1, n.tenure_value_1, n.tenure_more
} IN TRANSACTIONS OF 5000 ROWS;
// Codigo
CYPHER 5 MATCH (n:`Codigo`)
CALL (n) {
  CALL (n) {
    MATCH (n)-[:`TIENE_CODIGO`]-(m) WHERE m <> n
    WITH *, m.`project_id` AS m_p
    WITH *, CASE WHEN m_p = toStringOrNull(m_p) THEN m_p WHEN toStringOrNull(m_p) ENDS WITH '.0' THEN toString(toInteger(m_p)) ELSE toStringOrNull(m_p) END AS m_px
    OPTIONAL MATCH (m_k:tenure_value) WHERE m_k.value = m_px
    WITH *, CASE WHEN m_p IS NULL OR m_p = [] OR m_p IN ['', 'default'] THEN 'nothing' WHEN m_px = '__quarantine__' THEN 'quarantined' WHEN m_px = '__shared__' THEN 'shared' WHEN m_k IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS m_e, coalesce(m_k.tenant, m_px) AS m_ev
    WITH *, CASE WHEN m:`Entrevista` THEN m_e WHEN m:`Fragmento` THEN m_e WHEN m:`Codigo` THEN 'nothing' WHEN m:`Categoria` THEN coalesce(m.tenure_says, 'nothing') ELSE 'nothing' END AS m_who,
      CASE WHEN m:`Entrevista` THEN CASE m_e WHEN 'tenant' THEN [m_ev] ELSE [] END WHEN m:`Fragmento` THEN CASE m_e WHEN 'tenant' THEN [m_ev] ELSE [] END WHEN m:`Codigo` THEN [] WHEN m:`Categoria` THEN coalesce(m.tenure_several, []) ELSE [] END AS m_of
    WITH m_who AS who, m_of AS of, count(*) AS times
    RETURN collect([who, of, times]) AS found_0
  }
  WITH n, found_0 AS found
  WITH n, found, [f IN found WHERE f[0] = 'tenant' AND size(f[1]) = 1] AS single, [f IN found WHERE f[0] = 'tenant' AND size(f[1]) > 1 | f[1]] AS several
  WITH n, found, single, reduce(seen = [], t IN [f IN single | f[1][0]] + reduce(joined = [], part IN several | joined + part) | CASE WHEN t IN seen THEN seen ELSE seen + t END) AS tenants
  WITH n, found, tenants, [t IN tenants | [t, reduce(sum = 0, f IN single | sum + CASE WHEN f[1][0] = t THEN f[2] ELSE 0 END)]] AS scored
  WITH *, n.`project_id` AS n_p
  WITH *, CASE WHEN n_p = toStringOrNull(n_p) THEN n_p WHEN toStringOrNull(n_p) ENDS WITH '.0' THEN toString(toInteger(n_p)) ELSE toStringOrNull(n_p) END AS n_px
  OPTIONAL MATCH (n_k:tenure_value) WHERE n_k.value = n_px
  WITH *, CASE WHEN n_p IS NULL OR n_p = [] OR n_p IN ['', 'default'] THEN 'nothing' WHEN n_px = '__quarantine__' THEN 'quarantined' WHEN n_px = '__shared__' THEN 'shared' WHEN n_k IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS n_e, coalesce(n_k.tenant, n_px) AS n_ev
  SET n.tenure_says_0 = CASE WHEN size(tenants) > 1 THEN 'tenant' WHEN size(tenants) = 1 THEN 'tenant' WHEN any(f IN found WHERE f[0] = 'quarantined') THEN 'quarantined' WHEN any(f IN found WHERE f[0] = 'shared') THEN 'shared' ELSE 'nothing' END,
      n.tenure_value_0 = CASE WHEN size(tenants) > 1 THEN CASE WHEN n_e = 'tenant' AND n_ev IN tenants THEN n_ev ELSE reduce(best = head(scored), one IN scored | CASE WHEN one[1] > best[1] OR (one[1] = best[1] AND one[0] < best[0]) THEN one ELSE best END)[0] END ELSE tenants[0] END,
      n.tenure_more = CASE WHEN size(coalesce(n.tenure_more, [])) > 0 THEN n.tenure_more WHEN size(tenants) > 1 THEN tenants ELSE [] END
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 MATCH (n:`Codigo`)
CALL (n) {
  WITH *, [coalesce(n.tenure_says_0, 'nothing')] AS n_says, [n.tenure_value_0] AS n_values
  WITH *, [i IN range(0, 0) WHERE NOT n_says[i] IN ['nothing', 'shared']][0] AS n_place
  WITH *, CASE
      WHEN 'quarantined' IN n_says THEN 'quarantine'
      WHEN n_place IS NULL AND 'shared' IN n_says THEN 'shared'
      WHEN n_place IS NULL OR n_says[n_place] = 'unknown' THEN 'unassigned'
      WHEN n_says[n_place] = 'several' THEN 'conflict'
      WHEN any(i IN range(n_place + 1, 0) WHERE n_says[i] = 'several' OR (n_says[i] = 'tenant' AND n_values[i] <> n_values[n_place])) THEN 'conflict'
      ELSE 'assigned' END AS n_b,
    CASE WHEN n_place IS NULL OR 'quarantined' IN n_says OR n_says[n_place] IN ['unknown', 'several'] THEN null ELSE n_values[n_place] END AS n_t
  WITH *, n.`project_id` AS n_p
  WITH *, CASE WHEN n_p = toStringOrNull(n_p) THEN n_p WHEN toStringOrNull(n_p) ENDS WITH '.0' THEN toString(toInteger(n_p)) ELSE toStringOrNull(n_p) END AS n_px
  OPTIONAL MATCH (n_k:tenure_value) WHERE n_k.value = n_px
  WITH *, CASE WHEN n_p IS NULL OR n_p = [] OR n_p IN ['', 'default'] THEN 'nothing' WHEN n_px = '__quarantine__' THEN 'quarantined' WHEN n_px = '__shared__' THEN 'shared' WHEN n_k IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS n_e, coalesce(n_k.tenant, n_px) AS n_ev
  WITH *, CASE WHEN n_e = 'nothing' OR (n_e = 'tenant' AND n_b = 'assigned' AND n_t = n_ev) THEN n_b WHEN n_e = 'quarantined' THEN 'quarantine' WHEN n_e = 'shared' THEN 'shared' WHEN n_e = 'tenant' AND n_b = 'unassigned' THEN 'assigned' WHEN n_e = 'unknown' AND n_b IN ['unassigned', 'quarantine'] THEN n_b WHEN n_e = 'tenant' THEN 'conflict' ELSE 'conflict' END AS n_d,
    CASE WHEN n_e = 'nothing' OR (n_e = 'tenant' AND n_b = 'assigned' AND n_t = n_ev) THEN n_t WHEN n_e = 'quarantined' THEN null WHEN n_e = 'shared' THEN null WHEN n_e = 'tenant' AND n_b = 'unassigned' THEN n_ev WHEN n_e = 'unknown' AND n_b IN ['unassigned', 'quarantine'] THEN null WHEN n_e = 'tenant' THEN coalesce(n_t, n_ev) ELSE n_t END AS n_w
  WITH *, CASE WHEN n_e IN ['quarantined', 'shared'] THEN null ELSE CASE n_d WHEN 'assigned' THEN n_w WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN null ELSE '__quarantine__' END END AS n_key
  FOREACH (_ IN CASE WHEN n_key IS NOT NULL AND n_key <> coalesce(n_px, '') AND (n.`project_id` IS NULL OR n.`project_id` IN ['', 'default']) THEN [1] ELSE [] END | SET n.`project_id` = n_key)
  SET n.tenure_says = CASE WHEN n_key IS NULL AND n_d IN ['unassigned', 'conflict'] THEN 'nothing' WHEN coalesce(n_key, n_ev) = '__quarantine__' THEN 'quarantined' WHEN coalesce(n_key, n_ev) = '__shared__' THEN 'shared' WHEN coalesce(n_key, n_ev) IS NULL THEN 'nothing' ELSE 'tenant' END,
      n.tenure_several = CASE WHEN n_d = 'assigned' AND size(coalesce(n.tenure_more, [])) > 1 THEN n.tenure_more ELSE [t IN [coalesce(n_key, n_ev)] WHERE t IS NOT NULL] END
  REMOVE n.tenure_says_0, n.tenure_value_0, n.tenure_more
} IN TRANSACTIONS OF 5000 ROWS;
// Categoria
CYPHER 5 MATCH ()-[x:`REL`]->() WHERE x.tenure_owned IS NOT NULL OR x.tenure_more IS NOT NULL
CALL (x) {
  REMOVE x.tenure_owned, x.tenure_more
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 MATCH ()-[x:`REL`]->() WHERE x.`evidencia` IS NOT NULL
CALL (x) {
  UNWIND [] + x.`evidencia` AS entry
  MATCH (m:`Fragmento`) WHERE m.`id` = entry
  WITH *, m.`project_id` AS m_p
  WITH *, CASE WHEN m_p = toStringOrNull(m_p) THEN m_p WHEN toStringOrNull(m_p) ENDS WITH '.0' THEN toString(toInteger(m_p)) ELSE toStringOrNull(m_p) END AS m_px
  OPTIONAL MATCH (m_k:tenure_value) WHERE m_k.value = m_px
  WITH *, CASE WHEN m_p IS NULL OR m_p = [] OR m_p IN ['', 'default'] THEN 'nothing' WHEN m_px = '__quarantine__' THEN 'quarantined' WHEN m_px = '__shared__' THEN 'shared' WHEN m_k IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS m_e, coalesce(m_k.tenant, m_px) AS m_ev
  WITH *, CASE WHEN m:`Entrevista` THEN m_e WHEN m:`Fragmento` THEN m_e WHEN m:`Codigo` THEN coalesce(m.tenure_says, 'nothing') WHEN m:`Categoria` THEN 'nothing' ELSE 'nothing' END AS m_who,
    CASE WHEN m:`Entrevista` THEN CASE m_e WHEN 'tenant' THEN [m_ev] ELSE [] END WHEN m:`Fragmento` THEN CASE m_e WHEN 'tenant' THEN [m_ev] ELSE [] END WHEN m:`Codigo` THEN coalesce(m.tenure_several, []) WHEN m:`Categoria` THEN [] ELSE [] END AS m_of
  WITH x, collect(CASE WHEN m_who = 'tenant' AND size(m_of) = 1 THEN m_of[0] END) AS owned, collect(CASE WHEN m_who = 'tenant' AND size(m_of) > 1 THEN m_of END) AS several
  SET x.tenure_owned = coalesce(x.tenure_owned, []) + owned, x.tenure_more = coalesce(x.tenure_more, []) + reduce(joined = [], part IN several | joined + part)
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 MATCH (n:`Categoria`)
CALL (n) {
  CALL (n) {
    MATCH (n)-[r:`REL`]-(m) WHERE m <> n
    WITH *, m.`project_id` AS m_p
    WITH *, CASE WHEN m_p = toStringOrNull(m_p) THEN m_p WHEN toStringOrNull(m_p) ENDS WITH '.0' THEN toString(toInteger(m_p)) ELSE toStringOrNull(m_p) END AS m_px
    OPTIONAL MATCH (m_k:tenure_value) WHERE m_k.value = m_px
    WITH *, CASE WHEN m_p IS NULL OR m_p = [] OR m_p IN ['', 'default'] THEN 'nothing' WHEN m_px = '__quarantine__' THEN 'quarantined' WHEN m_px = '__shared__' THEN 'shared' WHEN m_k IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS m_e, coalesce(m_k.tenant, m_px) AS m_ev
    WITH *, CASE WHEN m:`Entrevista` THEN m_e WHEN m:`Fragmento` THEN m_e WHEN m:`Codigo` THEN coalesce(m.tenure_says, 'nothing') WHEN m:`Categoria` THEN 'nothing' ELSE 'nothing' END AS m_who,
      CASE WHEN m:`Entrevista` THEN CASE m_e WHEN 'tenant' THEN [m_ev] ELSE [] END WHEN m:`Fragmento` THEN CASE m_e WHEN 'tenant' THEN [m_ev] ELSE [] END WHEN m:`Codigo` THEN coalesce(m.tenure_several, []) WHEN m:`Categoria` THEN [] ELSE [] END AS m_of
    WITH *, null AS r_who, [] AS r_of
    WITH *, CASE WHEN size(m_of) > 1 THEN [t IN m_of WHERE t IN coalesce(r.tenure_owned, []) + coalesce(r.tenure_more, [])] ELSE [] END AS both
    WITH coalesce(r_who, m_who) AS who, CASE WHEN r_who IS NOT NULL THEN r_of WHEN size(both) > 0 THEN both ELSE m_of END AS of, count(*) AS times
    RETURN collect([who, of, times]) AS found_1
  }
  WITH n, found_1 AS found
  WITH n, found, [f IN found WHERE f[0] = 'tenant' AND size(f[1]) = 1] AS single, [f IN found WHERE f[0] = 'tenant' AND size(f[1]) > 1 | f[1]] AS several
  WITH n, found, single, reduce(seen = [], t IN [f IN single | f[1][0]] + reduce(joined = [], part IN several | joined + part) | CASE WHEN t IN seen THEN seen ELSE seen + t END) AS tenants
  WITH n, found, tenants, [t IN tenants | [t, reduce(sum = 0, f IN single | sum + CASE WHEN f[1][0] = t THEN f[2] ELSE 0 END)]] AS scored
  WITH *, n.`project_id` AS n_p
  WITH *, CASE WHEN n_p = toStringOrNull(n_p) THEN n_p WHEN toStringOrNull(n_p) ENDS WITH '.0' THEN toString(toInteger(n_p)) ELSE toStringOrNull(n_p) END AS n_px
  OPTIONAL MATCH (n_k:tenure_value) WHERE n_k.value = n_px
  WITH *, CASE WHEN n_p IS NULL OR n_p = [] OR n_p IN ['', 'default'] THEN 'nothing' WHEN n_px = '__quarantine__' THEN 'quarantined' WHEN n_px = '__shared__' THEN 'shared' WHEN n_k IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS n_e, coalesce(n_k.tenant, n_px) AS n_ev
  SET n.tenure_says_0 = CASE WHEN size(tenants) > 1 THEN 'tenant' WHEN size(tenants) = 1 THEN 'tenant' WHEN any(f IN found WHERE f[0] = 'quarantined') THEN 'quarantined' WHEN any(f IN found WHERE f[0] = 'shared') THEN 'shared' ELSE 'nothing' END,
      n.tenure_value_0 = CASE WHEN size(tenants) > 1 THEN CASE WHEN n_e = 'tenant' AND n_ev IN tenants THEN n_ev ELSE reduce(best = head(scored), one IN scored | CASE WHEN one[1] > best[1] OR (one[1] = best[1] AND one[0] < best[0]) THEN one ELSE best END)[0] END ELSE tenants[0] END,
      n.tenure_more = CASE WHEN size(coalesce(n.tenure_more, [])) > 0 THEN n.tenure_more WHEN size(tenants) > 1 THEN tenants ELSE [] END
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 MATCH (n:`Categoria`)
CALL (n) {
  WITH *, [coalesce(n.tenure_says_0, 'nothing')] AS n_says, [n.tenure_value_0] AS n_values
  WITH *, [i IN range(0, 0) WHERE NOT n_says[i] IN ['nothing', 'shared']][0] AS n_place
  WITH *, CASE
      WHEN 'quarantined' IN n_says THEN 'quarantine'
      WHEN n_place IS NULL AND 'shared' IN n_says THEN 'shared'
      WHEN n_place IS NULL OR n_says[n_place] = 'unknown' THEN 'unassigned'
      WHEN n_says[n_place] = 'several' THEN 'conflict'
      WHEN any(i IN range(n_place + 1, 0) WHERE n_says[i] = 'several' OR (n_says[i] = 'tenant' AND n_values[i] <> n_values[n_place])) THEN 'conflict'
      ELSE 'assigned' END AS n_b,
    CASE WHEN n_place IS NULL OR 'quarantined' IN n_says OR n_says[n_place] IN ['unknown', 'several'] THEN null ELSE n_values[n_place] END AS n_t
  WITH *, n.`project_id` AS n_p
  WITH *, CASE WHEN n_p = toStringOrNull(n_p) THEN n_p WHEN toStringOrNull(n_p) ENDS WITH '.0' THEN toString(toInteger(n_p)) ELSE toStringOrNull(n_p) END AS n_px
  OPTIONAL MATCH (n_k:tenure_value) WHERE n_k.value = n_px
  WITH *, CASE WHEN n_p IS NULL OR n_p = [] OR n_p IN ['', 'default'] THEN 'nothing' WHEN n_px = '__quarantine__' THEN 'quarantined' WHEN n_px = '__shared__' THEN 'shared' WHEN n_k IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS n_e, coalesce(n_k.tenant, n_px) AS n_ev
  WITH *, CASE WHEN n_e = 'nothing' OR (n_e = 'tenant' AND n_b = 'assigned' AND n_t = n_ev) THEN n_b WHEN n_e = 'quarantined' THEN 'quarantine' WHEN n_e = 'shared' THEN 'shared' WHEN n_e = 'tenant' AND n_b = 'unassigned' THEN 'assigned' WHEN n_e = 'unknown' AND n_b IN ['unassigned', 'quarantine'] THEN n_b WHEN n_e = 'tenant' THEN 'conflict' ELSE 'conflict' END AS n_d,
    CASE WHEN n_e = 'nothing' OR (n_e = 'tenant' AND n_b = 'assigned' AND n_t = n_ev) THEN n_t WHEN n_e = 'quarantined' THEN null WHEN n_e = 'shared' THEN null WHEN n_e = 'tenant' AND n_b = 'unassigned' THEN n_ev WHEN n_e = 'unknown' AND n_b IN ['unassigned', 'quarantine'] THEN null WHEN n_e = 'tenant' THEN coalesce(n_t, n_ev) ELSE n_t END AS n_w
  WITH *, CASE WHEN n_e IN ['quarantined', 'shared'] THEN null ELSE CASE n_d WHEN 'assigned' THEN n_w WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN null ELSE '__quarantine__' END END AS n_key
  FOREACH (_ IN CASE WHEN n_key IS NOT NULL AND n_key <> coalesce(n_px, '') AND (n.`project_id` IS NULL OR n.`project_id` IN ['', 'default']) THEN [1] ELSE [] END | SET n.`project_id` = n_key)
  SET n.tenure_says = CASE WHEN n_key IS NULL AND n_d IN ['unassigned', 'conflict'] THEN 'nothing' WHEN coalesce(n_key, n_ev) = '__quarantine__' THEN 'quarantined' WHEN coalesce(n_key, n_ev) = '__shared__' THEN 'shared' WHEN coalesce(n_key, n_ev) IS NULL THEN 'nothing' ELSE 'tenant' END,
      n.tenure_several = CASE WHEN n_d = 'assigned' AND size(coalesce(n.tenure_more, [])) > 1 THEN n.tenure_more ELSE [t IN [coalesce(n_key, n_ev)] WHERE t IS NOT NULL] END
  REMOVE n.tenure_says_0, n.tenure_value_0, n.tenure_more
} IN TRANSACTIONS OF 5000 ROWS;

// 5. The relationships, type by type.

// TIENE_FRAGMENTO
CYPHER 5 MATCH (a)-[x:`TIENE_FRAGMENTO`]->(b) WHERE (x.`project_id` IS NULL OR x.`project_id` IN ['', 'default'])
CALL (a, x, b) {
  WITH *, a.`project_id` AS a_p
  WITH *, CASE WHEN a_p = toStringOrNull(a_p) THEN a_p WHEN toStringOrNull(a_p) ENDS WITH '.0' THEN toString(toInteger(a_p)) ELSE toStringOrNull(a_p) END AS a_px
  OPTIONAL MATCH (a_k:tenure_value) WHERE a_k.value = a_px
  WITH *, CASE WHEN a_p IS NULL OR a_p = [] OR a_p IN ['', 'default'] THEN 'nothing' WHEN a_px = '__quarantine__' THEN 'quarantined' WHEN a_px = '__shared__' THEN 'shared' WHEN a_k IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS a_e, coalesce(a_k.tenant, a_px) AS a_ev
  WITH *, CASE WHEN a:`Entrevista` THEN a_e WHEN a:`Fragmento` THEN a_e WHEN a:`Codigo` THEN coalesce(a.tenure_says, 'nothing') WHEN a:`Categoria` THEN coalesce(a.tenure_says, 'nothing') ELSE 'nothing' END AS a_who,
    CASE WHEN a:`Entrevista` THEN CASE a_e WHEN 'tenant' THEN [a_ev] ELSE [] END WHEN a:`Fragmento` THEN CASE a_e WHEN 'tenant' THEN [a_ev] ELSE [] END WHEN a:`Codigo` THEN coalesce(a.tenure_several, []) WHEN a:`Categoria` THEN coalesce(a.tenure_several, []) ELSE [] END AS a_of
  WITH *, b.`project_id` AS b_p
  WITH *, CASE WHEN b_p = toStringOrNull(b_p) THEN b_p WHEN toStringOrNull(b_p) ENDS WITH '.0' THEN toString(toInteger(b_p)) ELSE toStringOrNull(b_p) END AS b_px
  OPTIONAL MATCH (b_k:tenure_value) WHERE b_k.value = b_px
  WITH *, CASE WHEN b_p IS NULL OR b_p = [] OR b_p IN ['', 'default'] THEN 'nothing' WHEN b_px = '__quarantine__' THEN 'quarantined' WHEN b_px = '__shared__' THEN 'shared' WHEN b_k IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS b_e, coalesce(b_k.tenant, b_px) AS b_ev
  WITH *, CASE WHEN b:`Entrevista` THEN b_e WHEN b:`Fragmento` THEN b_e WHEN b:`Codigo` THEN coalesce(b.tenure_says, 'nothing') WHEN b:`Categoria` THEN coalesce(b.tenure_says, 'nothing') ELSE 'nothing' END AS b_who,
    CASE WHEN b:`Entrevista` THEN CASE b_e WHEN 'tenant' THEN [b_ev] ELSE [] END WHEN b:`Fragmento` THEN CASE b_e WHEN 'tenant' THEN [b_ev] ELSE [] END WHEN b:`Codigo` THEN coalesce(b.tenure_several, []) WHEN b:`Categoria` THEN coalesce(b.tenure_several, []) ELSE [] END AS b_of
  WITH *, CASE WHEN a_who = 'shared' THEN b_of WHEN b_who = 'shared' THEN a_of ELSE [t IN a_of WHERE t IN b_of] END AS common
  WITH *, CASE WHEN size(common) > 1 THEN [t IN common WHERE t IN []] ELSE common END AS entries
  WITH *, CASE WHEN 'quarantined' IN [a_who, b_who] THEN 'quarantined' WHEN a_who = 'shared' AND b_who = 'shared' THEN 'shared' WHEN NOT (a_who IN ['shared', 'tenant'] AND b_who IN ['shared', 'tenant']) THEN 'nothing' WHEN size(entries) > 0 THEN 'tenant' ELSE 'several' END AS ends_says,
    CASE WHEN size(entries) > 1 THEN reduce(best = head([t IN entries | [t, size([o IN coalesce(x.tenure_owned, []) WHERE o = t])]]), one IN [t IN entries | [t, size([o IN coalesce(x.tenure_owned, []) WHERE o = t])]] | CASE WHEN one[1] > best[1] OR (one[1] = best[1] AND one[0] < best[0]) THEN one ELSE best END)[0] ELSE entries[0] END AS ends_value
  WITH *, [ends_says] AS x_says, [ends_value] AS x_values
  WITH *, [i IN range(0, 0) WHERE NOT x_says[i] IN ['nothing', 'shared']][0] AS x_place
  WITH *, CASE
      WHEN 'quarantined' IN x_says THEN 'quarantine'
      WHEN x_place IS NULL AND 'shared' IN x_says THEN 'shared'
      WHEN x_place IS NULL OR x_says[x_place] = 'unknown' THEN 'unassigned'
      WHEN x_says[x_place] = 'several' THEN 'conflict'
      WHEN any(i IN range(x_place + 1, 0) WHERE x_says[i] = 'several' OR (x_says[i] = 'tenant' AND x_values[i] <> x_values[x_place])) THEN 'conflict'
      ELSE 'assigned' END AS x_b,
    CASE WHEN x_place IS NULL OR 'quarantined' IN x_says OR x_says[x_place] IN ['unknown', 'several'] THEN null ELSE x_values[x_place] END AS x_t
  WITH *, 'nothing' AS x_e, null AS x_ev, null AS x_px, x_b AS x_d, x_t AS x_w
  WITH *, CASE WHEN x_e IN ['quarantined', 'shared'] THEN null ELSE CASE x_d WHEN 'assigned' THEN x_w WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN '__quarantine__' ELSE null END END AS x_key
  FOREACH (_ IN CASE WHEN x_key IS NOT NULL AND x_key <> coalesce(x_px, '') THEN [1] ELSE [] END | SET x.`project_id` = x_key)
} IN TRANSACTIONS OF 5000 ROWS;
// TIENE_CODIGO
CYPHER 5 MATCH (a)-[x:`TIENE_CODIGO`]->(b) WHERE (x.`project_id` IS NULL OR x.`project_id` IN ['', 'default'])
CALL (a, x, b) {
  WITH *, a.`project_id` AS a_p
  WITH *, CASE WHEN a_p = toStringOrNull(a_p) THEN a_p WHEN toStringOrNull(a_p) ENDS WITH '.0' THEN toString(toInteger(a_p)) ELSE toStringOrNull(a_p) END AS a_px
  OPTIONAL MATCH (a_k:tenure_value) WHERE a_k.value = a_px
  WITH *, CASE WHEN a_p IS NULL OR a_p = [] OR a_p IN ['', 'default'] THEN 'nothing' WHEN a_px = '__quarantine__' THEN 'quarantined' WHEN a_px = '__shared__' THEN 'shared' WHEN a_k IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS a_e, coalesce(a_k.tenant, a_px) AS a_ev
  WITH *, CASE WHEN a:`Entrevista` THEN a_e WHEN a:`Fragmento` THEN a_e WHEN a:`Codigo` THEN coalesce(a.tenure_says, 'nothing') WHEN a:`Categoria` THEN coalesce(a.tenure_says, 'nothing') ELSE 'nothing' END AS a_who,
    CASE WHEN a:`Entrevista` THEN CASE a_e WHEN 'tenant' THEN [a_ev] ELSE [] END WHEN a:`Fragmento` THEN CASE a_e WHEN 'tenant' THEN [a_ev] ELSE [] END WHEN a:`Codigo` THEN coalesce(a.tenure_several, []) WHEN a:`Categoria` THEN coalesce(a.tenure_several, []) ELSE [] END AS a_of
  WITH *, b.`project_id` AS b_p
  WITH *, CASE WHEN b_p = toStringOrNull(b_p) THEN b_p WHEN toStringOrNull(b_p) ENDS WITH '.0' THEN toString(toInteger(b_p)) ELSE toStringOrNull(b_p) END AS b_px
  OPTIONAL MATCH (b_k:tenure_value) WHERE b_k.value = b_px
  WITH *, CASE WHEN b_p IS NULL OR b_p = [] OR b_p IN ['', 'default'] THEN 'nothing' WHEN b_px = '__quarantine__' THEN 'quarantined' WHEN b_px = '__shared__' THEN 'shared' WHEN b_k IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS b_e, coalesce(b_k.tenant, b_px) AS b_ev
  WITH *, CASE WHEN b:`Entrevista` THEN b_e WHEN b:`Fragmento` THEN b_e WHEN b:`Codigo` THEN coalesce(b.tenure_says, 'nothing') WHEN b:`Categoria` THEN coalesce(b.tenure_says, 'nothing') ELSE 'nothing' END AS b_who,
    CASE WHEN b:`Entrevista` THEN CASE b_e WHEN 'tenant' THEN [b_ev] ELSE [] END WHEN b:`Fragmento` THEN CASE b_e WHEN 'tenant' THEN [b_ev] ELSE [] END WHEN b:`Codigo` THEN coalesce(b.tenure_several, []) WHEN b:`Categoria` THEN coalesce(b.tenure_several, []) ELSE [] END AS b_of
  WITH *, CASE WHEN a_who = 'shared' THEN b_of WHEN b_who = 'shared' THEN a_of ELSE [t IN a_of WHERE t IN b_of] END AS common
  WITH *, CASE WHEN size(common) > 1 THEN [t IN common WHERE t IN []] ELSE common END AS entries
  WITH *, CASE WHEN 'quarantined' IN [a_who, b_who] THEN 'quarantined' WHEN a_who = 'shared' AND b_who = 'shared' THEN 'shared' WHEN NOT (a_who IN ['shared', 'tenant'] AND b_who IN ['shared', 'tenant']) THEN 'nothing' WHEN size(entries) > 0 THEN 'tenant' ELSE 'several' END AS ends_says,
    CASE WHEN size(entries) > 1 THEN reduce(best = head([t IN entries | [t, size([o IN coalesce(x.tenure_owned, []) WHERE o = t])]]), one IN [t IN entries | [t, size([o IN coalesce(x.tenure_owned, []) WHERE o = t])]] | CASE WHEN one[1] > best[1] OR (one[1] = best[1] AND one[0] < best[0]) THEN one ELSE best END)[0] ELSE entries[0] END AS ends_value
  WITH *, [ends_says] AS x_says, [ends_value] AS x_values
  WITH *, [i IN range(0, 0) WHERE NOT x_says[i] IN ['nothing', 'shared']][0] AS x_place
  WITH *, CASE
      WHEN 'quarantined' IN x_says THEN 'quarantine'
      WHEN x_place IS NULL AND 'shared' IN x_says THEN 'shared'
      WHEN x_place IS NULL OR x_says[x_place] = 'unknown' THEN 'unassigned'
      WHEN x_says[x_place] = 'several' THEN 'conflict'
      WHEN any(i IN range(x_place + 1, 0) WHERE x_says[i] = 'several' OR (x_says[i] = 'tenant' AND x_values[i] <> x_values[x_place])) THEN 'conflict'
      ELSE 'assigned' END AS x_b,
    CASE WHEN x_place IS NULL OR 'quarantined' IN x_says OR x_says[x_place] IN ['unknown', 'several'] THEN null ELSE x_values[x_place] END AS x_t
  WITH *, 'nothing' AS x_e, null AS x_ev, null AS x_px, x_b AS x_d, x_t AS x_w
  WITH *, CASE WHEN x_e IN ['quarantined', 'shared'] THEN null ELSE CASE x_d WHEN 'assigned' THEN x_w WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN '__quarantine__' ELSE null END END AS x_key
  FOREACH (_ IN CASE WHEN x_key IS NOT NULL AND x_key <> coalesce(x_px, '') THEN [1] ELSE [] END | SET x.`project_id` = x_key)
} IN TRANSACTIONS OF 5000 ROWS;
// REL
CYPHER 5 MATCH ()-[x:`REL`]->() WHERE x.tenure_owned IS NOT NULL OR x.tenure_more IS NOT NULL
CALL (x) {
  REMOVE x.tenure_owned, x.tenure_more
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 MATCH ()-[x:`REL`]->() WHERE x.`evidencia` IS NOT NULL
CALL (x) {
  UNWIND [] + x.`evidencia` AS entry
  MATCH (m:`Fragmento`) WHERE m.`id` = entry
  WITH *, m.`project_id` AS m_p
  WITH *, CASE WHEN m_p = toStringOrNull(m_p) THEN m_p WHEN toStringOrNull(m_p) ENDS WITH '.0' THEN toString(toInteger(m_p)) ELSE toStringOrNull(m_p) END AS m_px
  OPTIONAL MATCH (m_k:tenure_value) WHERE m_k.value = m_px
  WITH *, CASE WHEN m_p IS NULL OR m_p = [] OR m_p IN ['', 'default'] THEN 'nothing' WHEN m_px = '__quarantine__' THEN 'quarantined' WHEN m_px = '__shared__' THEN 'shared' WHEN m_k IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS m_e, coalesce(m_k.tenant, m_px) AS m_ev
  WITH *, CASE WHEN m:`Entrevista` THEN m_e WHEN m:`Fragmento` THEN m_e WHEN m:`Codigo` THEN coalesce(m.tenure_says, 'nothing') WHEN m:`Categoria` THEN coalesce(m.tenure_says, 'nothing') ELSE 'nothing' END AS m_who,
    CASE WHEN m:`Entrevista` THEN CASE m_e WHEN 'tenant' THEN [m_ev] ELSE [] END WHEN m:`Fragmento` THEN CASE m_e WHEN 'tenant' THEN [m_ev] ELSE [] END WHEN m:`Codigo` THEN coalesce(m.tenure_several, []) WHEN m:`Categoria` THEN coalesce(m.tenure_several, []) ELSE [] END AS m_of
  WITH x, collect(CASE WHEN m_who = 'tenant' AND size(m_of) = 1 THEN m_of[0] END) AS owned, collect(CASE WHEN m_who = 'tenant' AND size(m_of) > 1 THEN m_of END) AS several
  SET x.tenure_owned = coalesce(x.tenure_owned, []) + owned, x.tenure_more = coalesce(x.tenure_more, []) + reduce(joined = [], part IN several | joined + part)
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 MATCH (a)-[x:`REL`]->(b) WHERE (x.`project_id` IS NULL OR x.`project_id` IN ['', 'default'])
CALL (a, x, b) {
  WITH *, a.`project_id` AS a_p
  WITH *, CASE WHEN a_p = toStringOrNull(a_p) THEN a_p WHEN toStringOrNull(a_p) ENDS WITH '.0' THEN toString(toInteger(a_p)) ELSE toStringOrNull(a_p) END AS a_px
  OPTIONAL MATCH (a_k:tenure_value) WHERE a_k.value = a_px
  WITH *, CASE WHEN a_p IS NULL OR a_p = [] OR a_p IN ['', 'default'] THEN 'nothing' WHEN a_px = '__quarantine__' THEN 'quarantined' WHEN a_px = '__shared__' THEN 'shared' WHEN a_k IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS a_e, coalesce(a_k.tenant, a_px) AS a_ev
  WITH *, CASE WHEN a:`Entrevista` THEN a_e WHEN a:`Fragmento` THEN a_e WHEN a:`Codigo` THEN coalesce(a.tenure_says, 'nothing') WHEN a:`Categoria` THEN coalesce(a.tenure_says, 'nothing') ELSE 'nothing' END AS a_who,
    CASE WHEN a:`Entrevista` THEN CASE a_e WHEN 'tenant' THEN [a_ev] ELSE [] END WHEN a:`Fragmento` THEN CASE a_e WHEN 'tenant' THEN [a_ev] ELSE [] END WHEN a:`Codigo` THEN coalesce(a.tenure_several, []) WHEN a:`Categoria` THEN coalesce(a.tenure_several, []) ELSE [] END AS a_of
  WITH *, b.`project_id` AS b_p
  WITH *, CASE WHEN b_p = toStringOrNull(b_p) THEN b_p WHEN toStringOrNull(b_p) ENDS WITH '.0' THEN toString(toInteger(b_p)) ELSE toStringOrNull(b_p) END AS b_px
  OPTIONAL MATCH (b_k:tenure_value) WHERE b_k.value = b_px
  WITH *, CASE WHEN b_p IS NULL OR b_p = [] OR b_p IN ['', 'default'] THEN 'nothing' WHEN b_px = '__quarantine__' THEN 'quarantined' WHEN b_px = '__shared__' THEN 'shared' WHEN b_k IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS b_e, coalesce(b_k.tenant, b_px) AS b_ev
  WITH *, CASE WHEN b:`Entrevista` THEN b_e WHEN b:`Fragmento` THEN b_e WHEN b:`Codigo` THEN coalesce(b.tenure_says, 'nothing') WHEN b:`Categoria` THEN coalesce(b.tenure_says, 'nothing') ELSE 'nothing' END AS b_who,
    CASE WHEN b:`Entrevista` THEN CASE b_e WHEN 'tenant' THEN [b_ev] ELSE [] END WHEN b:`Fragmento` THEN CASE b_e WHEN 'tenant' THEN [b_ev] ELSE [] END WHEN b:`Codigo` THEN coalesce(b.tenure_several, []) WHEN b:`Categoria` THEN coalesce(b.tenure_several, []) ELSE [] END AS b_of
  WITH *, CASE WHEN a_who = 'shared' THEN b_of WHEN b_who = 'shared' THEN a_of ELSE [t IN a_of WHERE t IN b_of] END AS common
  WITH *, CASE WHEN size(common) > 1 THEN [t IN common WHERE t IN coalesce(x.tenure_owned, []) + coalesce(x.tenure_more, [])] ELSE common END AS entries
  WITH *, CASE WHEN 'quarantined' IN [a_who, b_who] THEN 'quarantined' WHEN a_who = 'shared' AND b_who = 'shared' THEN 'shared' WHEN NOT (a_who IN ['shared', 'tenant'] AND b_who IN ['shared', 'tenant']) THEN 'nothing' WHEN size(entries) > 0 THEN 'tenant' ELSE 'several' END AS ends_says,
    CASE WHEN size(entries) > 1 THEN reduce(best = head([t IN entries | [t, size([o IN coalesce(x.tenure_owned, []) WHERE o = t])]]), one IN [t IN entries | [t, size([o IN coalesce(x.tenure_owned, []) WHERE o = t])]] | CASE WHEN one[1] > best[1] OR (one[1] = best[1] AND one[0] < best[0]) THEN one ELSE best END)[0] ELSE entries[0] END AS ends_value
  WITH *, [ends_says] AS x_says, [ends_value] AS x_values
  WITH *, [i IN range(0, 0) WHERE NOT x_says[i] IN ['nothing', 'shared']][0] AS x_place
  WITH *, CASE
      WHEN 'quarantined' IN x_says THEN 'quarantine'
      WHEN x_place IS NULL AND 'shared' IN x_says THEN 'shared'
      WHEN x_place IS NULL OR x_says[x_place] = 'unknown' THEN 'unassigned'
      WHEN x_says[x_place] = 'several' THEN 'conflict'
      WHEN any(i IN range(x_place + 1, 0) WHERE x_says[i] = 'several' OR (x_says[i] = 'tenant' AND x_values[i] <> x_values[x_place])) THEN 'conflict'
      ELSE 'assigned' END AS x_b,
    CASE WHEN x_place IS NULL OR 'quarantined' IN x_says OR x_says[x_place] IN ['unknown', 'several'] THEN null ELSE x_values[x_place] END AS x_t
  WITH *, 'nothing' AS x_e, null AS x_ev, null AS x_px, x_b AS x_d, x_t AS x_w
  WITH *, CASE WHEN x_e IN ['quarantined', 'shared'] THEN null ELSE CASE x_d WHEN 'assigned' THEN x_w WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN '__quarantine__' ELSE null END END AS x_key
  FOREACH (_ IN CASE WHEN x_key IS NOT NULL AND x_key <> coalesce(x_px, '') THEN [1] ELSE [] END | SET x.`project_id` = x_key)
  REMOVE x.tenure_owned, x.tenure_more
} IN TRANSACTIONS OF 5000 ROWS;
// MERGED_INTO
CYPHER 5 MATCH (a)-[x:`MERGED_INTO`]->(b) WHERE (x.`project_id` IS NULL OR x.`project_id` IN ['', 'default'])
CALL (a, x, b) {
  WITH *, a.`project_id` AS a_p
  WITH *, CASE WHEN a_p = toStringOrNull(a_p) THEN a_p WHEN toStringOrNull(a_p) ENDS WITH '.0' THEN toString(toInteger(a_p)) ELSE toStringOrNull(a_p) END AS a_px
  OPTIONAL MATCH (a_k:tenure_value) WHERE a_k.value = a_px
  WITH *, CASE WHEN a_p IS NULL OR a_p = [] OR a_p IN ['', 'default'] THEN 'nothing' WHEN a_px = '__quarantine__' THEN 'quarantined' WHEN a_px = '__shared__' THEN 'shared' WHEN a_k IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS a_e, coalesce(a_k.tenant, a_px) AS a_ev
  WITH *, CASE WHEN a:`Entrevista` THEN a_e WHEN a:`Fragmento` THEN a_e WHEN a:`Codigo` THEN coalesce(a.tenure_says, 'nothing') WHEN a:`Categoria` THEN coalesce(a.tenure_says, 'nothing') ELSE 'nothing' END AS a_who,
    CASE WHEN a:`Entrevista` THEN CASE a_e WHEN 'tenant' THEN [a_ev] ELSE [] END WHEN a:`Fragmento` THEN CASE a_e WHEN 'tenant' THEN [a_ev] ELSE [] END WHEN a:`Codigo` THEN coalesce(a.tenure_several, []) WHEN a:`Categoria` THEN coalesce(a.tenure_several, []) ELSE [] END AS a_of
  WITH *, b.`project_id` AS b_p
  WITH *, CASE WHEN b_p = toStringOrNull(b_p) THEN b_p WHEN toStringOrNull(b_p) ENDS WITH '.0' THEN toString(toInteger(b_p)) ELSE toStringOrNull(b_p) END AS b_px
  OPTIONAL MATCH (b_k:tenure_value) WHERE b_k.value = b_px
  WITH *, CASE WHEN b_p IS NULL OR b_p = [] OR b_p IN ['', 'default'] THEN 'nothing' WHEN b_px = '__quarantine__' THEN 'quarantined' WHEN b_px = '__shared__' THEN 'shared' WHEN b_k IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS b_e, coalesce(b_k.tenant, b_px) AS b_ev
  WITH *, CASE WHEN b:`Entrevista` THEN b_e WHEN b:`Fragmento` THEN b_e WHEN b:`Codigo` THEN coalesce(b.tenure_says, 'nothing') WHEN b:`Categoria` THEN coalesce(b.tenure_says, 'nothing') ELSE 'nothing' END AS b_who,
    CASE WHEN b:`Entrevista` THEN CASE b_e WHEN 'tenant' THEN [b_ev] ELSE [] END WHEN b:`Fragmento` THEN CASE b_e WHEN 'tenant' THEN [b_ev] ELSE [] END WHEN b:`Codigo` THEN coalesce(b.tenure_several, []) WHEN b:`Categoria` THEN coalesce(b.tenure_several, []) ELSE [] END AS b_of
  WITH *, CASE WHEN a_who = 'shared' THEN b_of WHEN b_who = 'shared' THEN a_of ELSE [t IN a_of WHERE t IN b_of] END AS common
  WITH *, CASE WHEN size(common) > 1 THEN [t IN common WHERE t IN []] ELSE common END AS entries
  WITH *, CASE WHEN 'quarantined' IN [a_who, b_who] THEN 'quarantined' WHEN a_who = 'shared' AND b_who = 'shared' THEN 'shared' WHEN NOT (a_who IN ['shared', 'tenant'] AND b_who IN ['shared', 'tenant']) THEN 'nothing' WHEN size(entries) > 0 THEN 'tenant' ELSE 'several' END AS ends_says,
    CASE WHEN size(entries) > 1 THEN reduce(best = head([t IN entries | [t, size([o IN coalesce(x.tenure_owned, []) WHERE o = t])]]), one IN [t IN entries | [t, size([o IN coalesce(x.tenure_owned, []) WHERE o = t])]] | CASE WHEN one[1] > best[1] OR (one[1] = best[1] AND one[0] < best[0]) THEN one ELSE best END)[0] ELSE entries[0] END AS ends_value
  WITH *, [ends_says] AS x_says, [ends_value] AS x_values
  WITH *, [i IN range(0, 0) WHERE NOT x_says[i] IN ['nothing', 'shared']][0] AS x_place
  WITH *, CASE
      WHEN 'quarantined' IN x_says THEN 'quarantine'
      WHEN x_place IS NULL AND 'shared' IN x_says THEN 'shared'
      WHEN x_place IS NULL OR x_says[x_place] = 'unknown' THEN 'unassigned'
      WHEN x_says[x_place] = 'several' THEN 'conflict'
      WHEN any(i IN range(x_place + 1, 0) WHERE x_says[i] = 'several' OR (x_says[i] = 'tenant' AND x_values[i] <> x_values[x_place])) THEN 'conflict'
      ELSE 'assigned' END AS x_b,
    CASE WHEN x_place IS NULL OR 'quarantined' IN x_says OR x_says[x_place] IN ['unknown', 'several'] THEN null ELSE x_values[x_place] END AS x_t
  WITH *, 'nothing' AS x_e, null AS x_ev, null AS x_px, x_b AS x_d, x_t AS x_w
  WITH *, CASE WHEN x_e IN ['quarantined', 'shared'] THEN null ELSE CASE x_d WHEN 'assigned' THEN x_w WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN '__quarantine__' ELSE null END END AS x_key
  FOREACH (_ IN CASE WHEN x_key IS NOT NULL AND x_key <> coalesce(x_px, '') THEN [1] ELSE [] END | SET x.`project_id` = x_key)
} IN TRANSACTIONS OF 5000 ROWS;

// 6. Uniqueness per tenant, beside the old one, which stays.

CYPHER 5 CREATE CONSTRAINT `tenure_uq_Categoria_project_id_nombre` IF NOT EXISTS FOR (x:`Categoria`) REQUIRE (x.`project_id`, x.`nombre`) IS UNIQUE;
CYPHER 5 CREATE RANGE INDEX `tenure_idx_Categoria_project_id` IF NOT EXISTS FOR (x:`Categoria`) ON (x.`project_id`);
CYPHER 5 CREATE CONSTRAINT `tenure_uq_Codigo_project_id_nombre` IF NOT EXISTS FOR (x:`Codigo`) REQUIRE (x.`project_id`, x.`nombre`) IS UNIQUE;
CYPHER 5 CREATE RANGE INDEX `tenure_idx_Codigo_project_id` IF NOT EXISTS FOR (x:`Codigo`) ON (x.`project_id`);
CYPHER 5 CREATE CONSTRAINT `tenure_uq_Entrevista_project_id_nombre` IF NOT EXISTS FOR (x:`Entrevista`) REQUIRE (x.`project_id`, x.`nombre`) IS UNIQUE;
CYPHER 5 CREATE RANGE INDEX `tenure_idx_Entrevista_project_id` IF NOT EXISTS FOR (x:`Entrevista`) ON (x.`project_id`);
CYPHER 5 CREATE CONSTRAINT `tenure_uq_Fragmento_project_id_id` IF NOT EXISTS FOR (x:`Fragmento`) REQUIRE (x.`project_id`, x.`id`) IS UNIQUE;
CYPHER 5 CREATE RANGE INDEX `tenure_idx_Fragmento_project_id` IF NOT EXISTS FOR (x:`Fragmento`) ON (x.`project_id`);

// The old uniqueness holds over all tenants: a second tenant cannot use a name of the first yet. Drop
// it only when all of this is true: the counts at the end of this file are 0; SHOW CONSTRAINTS has the
// constraints above; every writer sends the key; nobody merges by the old name alone. It cannot come
// back once two tenants have used one name.
// CYPHER 5 DROP CONSTRAINT `categoria_nombre` IF EXISTS;  // its nodes are split first: leave it to `tenure apply --through cutover`
// CYPHER 5 DROP CONSTRAINT `codigo_nombre` IF EXISTS;  // its nodes are split first: leave it to `tenure apply --through cutover`
// CYPHER 5 DROP CONSTRAINT `ent_nombre` IF EXISTS;
// CYPHER 5 DROP CONSTRAINT `frag_id` IF EXISTS;

// 7. Nodes that belong to several tenants: cutover splits them (`tenure apply --through cutover`).

CYPHER 5 MATCH (n:`Codigo`) WHERE size(n.tenure_several) > 1
RETURN 'Codigo' AS label, n.`nombre` AS node, n.tenure_several AS tenants
ORDER BY node LIMIT 100;
CYPHER 5 MATCH (n:`Categoria`) WHERE size(n.tenure_several) > 1
RETURN 'Categoria' AS label, n.`nombre` AS node, n.tenure_several AS tenants
ORDER BY node LIMIT 100;

// 8. Away with what was temporary.

CYPHER 5 MATCH (v:tenure_value)
CALL (v) {
  DELETE v
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 MATCH (n:`Entrevista`) WHERE n.tenure_says_0 IS NOT NULL OR n.tenure_value_0 IS NOT NULL
CALL (n) {
  REMOVE n.tenure_says_0, n.tenure_value_0
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 MATCH (n:`Fragmento`) WHERE n.tenure_says_0 IS NOT NULL OR n.tenure_value_0 IS NOT NULL OR n.tenure_says_1 IS NOT NULL OR n.tenure_value_1 IS NOT NULL OR n.tenure_more IS NOT NULL
CALL (n) {
  REMOVE n.tenure_says_0, n.tenure_value_0, n.tenure_says_1, n.tenure_value_1, n.tenure_more
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 MATCH (n:`Codigo`) WHERE n.tenure_says_0 IS NOT NULL OR n.tenure_value_0 IS NOT NULL OR n.tenure_more IS NOT NULL OR n.tenure_says IS NOT NULL OR n.tenure_several IS NOT NULL
CALL (n) {
  REMOVE n.tenure_says_0, n.tenure_value_0, n.tenure_more, n.tenure_says, n.tenure_several
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 MATCH (n:`Categoria`) WHERE n.tenure_says_0 IS NOT NULL OR n.tenure_value_0 IS NOT NULL OR n.tenure_more IS NOT NULL OR n.tenure_says IS NOT NULL OR n.tenure_several IS NOT NULL
CALL (n) {
  REMOVE n.tenure_says_0, n.tenure_value_0, n.tenure_more, n.tenure_says, n.tenure_several
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 MATCH ()-[x:`REL`]->() WHERE x.tenure_owned IS NOT NULL OR x.tenure_more IS NOT NULL
CALL (x) {
  REMOVE x.tenure_owned, x.tenure_more
} IN TRANSACTIONS OF 5000 ROWS;
CYPHER 5 DROP INDEX tenure_value IF EXISTS;

// 9. What has no key now: each must give 0.

CYPHER 5 MATCH (n:`Entrevista`) WHERE (n.`project_id` IS NULL OR n.`project_id` IN ['', 'default'])
RETURN 'Entrevista' AS object, count(n) AS `without a key`;
CYPHER 5 MATCH (n:`Fragmento`) WHERE (n.`project_id` IS NULL OR n.`project_id` IN ['', 'default'])
RETURN 'Fragmento' AS object, count(n) AS `without a key`;
CYPHER 5 MATCH (n:`Codigo`) WHERE (n.`project_id` IS NULL OR n.`project_id` IN ['', 'default'])
RETURN 'Codigo' AS object, count(n) AS `without a key`;
CYPHER 5 MATCH (n:`Categoria`) WHERE (n.`project_id` IS NULL OR n.`project_id` IN ['', 'default'])
RETURN 'Categoria' AS object, count(n) AS `without a key`;
CYPHER 5 MATCH ()-[x:`TIENE_FRAGMENTO`]->() WHERE (x.`project_id` IS NULL OR x.`project_id` IN ['', 'default'])
RETURN 'TIENE_FRAGMENTO' AS object, count(x) AS `without a key`;
CYPHER 5 MATCH ()-[x:`TIENE_CODIGO`]->() WHERE (x.`project_id` IS NULL OR x.`project_id` IN ['', 'default'])
RETURN 'TIENE_CODIGO' AS object, count(x) AS `without a key`;
CYPHER 5 MATCH ()-[x:`REL`]->() WHERE (x.`project_id` IS NULL OR x.`project_id` IN ['', 'default'])
RETURN 'REL' AS object, count(x) AS `without a key`;
CYPHER 5 MATCH ()-[x:`MERGED_INTO`]->() WHERE (x.`project_id` IS NULL OR x.`project_id` IN ['', 'default'])
RETURN 'MERGED_INTO' AS object, count(x) AS `without a key`;
