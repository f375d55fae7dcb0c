"""Loads the example into Postgres: the legacy schema, then every table by COPY."""

from __future__ import annotations

from importlib.resources import files

from tenure.demo.example.data import Example, Progress
from tenure.demo.example.tables import COLUMNS, rows

VIEWS = ("mv_categoria_por_rol", "mv_categoria_por_genero", "mv_categoria_por_periodo")
# Tables whose generated ids are given here, so that their sequences must be moved past them.
_NUMBERED = ("app_users", "doctoral_reports")


def schema(name: str = "legacy.sql") -> str:
    """Return the text of one of the package's schema files: ``legacy.sql`` or ``base.sql``."""
    return files("tenure.demo.example").joinpath(name).read_text(encoding="utf-8")


def load_postgres(dsn: str, example: Example, *, progress: Progress | None = None) -> None:
    """Create the legacy schema in the empty database *dsn* and fill it in one transaction.

    *progress* is called as (store, table, done, total) as rows go in.
    """
    import psycopg
    from psycopg import sql

    expected = example.manifest.postgres
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(schema().encode())
        for table, columns in COLUMNS.items():
            statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
                sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
            )
            done = 0
            with cursor.copy(statement) as copy:
                for done, row in enumerate(rows(example, table), start=1):
                    copy.write_row(row)
                    if progress and done % 1000 == 0:
                        progress("postgres", table, done, expected[table])
            if progress:
                progress("postgres", table, done, expected[table])
        for table in _NUMBERED:
            cursor.execute(
                sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'id'), (SELECT max(id) FROM {}))").format(
                    sql.Literal(table), sql.Identifier(table)
                )
            )
        for view in VIEWS:
            cursor.execute(sql.SQL("REFRESH MATERIALIZED VIEW {}").format(sql.Identifier(view)))
        cursor.execute("ANALYZE")
