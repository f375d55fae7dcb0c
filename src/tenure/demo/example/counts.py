"""What a load of the example must hold: counted from the shapes, not from the rows that are written."""

from __future__ import annotations

from tenure.demo.example import data, words
from tenure.demo.example.data import USERS, Example, Manifest
from tenure.demo.example.shape import ODD_FILES
from tenure.demo.example.tables import DOCTORAL_STAGES, candidates, memos, searches


def manifest(x: Example) -> Manifest:
    """Return the manifest of *x*."""
    shapes, odd = x.shapes, {name: (count, coded) for name, count, coded in ODD_FILES}
    odd_fragments, odd_assignments = (sum(numbers) for numbers in zip(*odd.values(), strict=True))
    fragments = sum(s.fragments for s in shapes) + odd_fragments
    assignments = sum(s.assignments for s in shapes) + odd_assignments
    own_codes, own_categories = sum(s.own_codes for s in shapes), sum(s.own_categories for s in shapes)
    triples = sum(1 for _ in x.shared_triples())
    files = sum(s.files for s in shapes)
    with_memo = sum(len(memos(s)) for s in shapes)
    logged = sum(searches(s) for s in shapes)
    doctoral = len(DOCTORAL_STAGES) * len(shapes) + 1
    postgres = {
        "proyectos": len(shapes),
        "app_users": USERS,
        "ui_analytics": max(1, round(200 * x.scale)),
        "schema_migrations": 3,
        "project_members": 3 * len(shapes),
        "interview_files": files + 3,
        "entrevista_fragmentos": fragments,
        "analisis_codigos_abiertos": assignments,
        "codigo_citas": sum(-(-s.assignments // 3) for s in shapes) + sum(-(-coded // 3) for _, coded in odd.values()),
        "analisis_axial": own_codes + triples + 2,
        "codigos_candidatos": sum(candidates(s) for s in shapes) + 1,
        "analisis_nucleo_notas": own_categories,
        "discovery_navigation_log": logged + 2,
        "analysis_memos": with_memo,
        "memo_revisiones": 2 * with_memo,
        "interview_reports": -(-files // 3),
        "doctoral_reports": doctoral,
        "report_jobs": 2 * doctoral,
        "api_idempotency": logged,
    }
    drift = x.drift
    extra_nodes = data.NODES_WITHOUT_ROW if drift else 0
    without_point = sum(s.fragments for s in shapes if s.slug in x.unindexed)
    odd_codes = {x.odd_code(name) for name in odd} - {words.shared_code(0)}
    shared_categories = {s.category(n) for s in shapes for n in range(0, s.own_codes, 3)}
    shared_categories |= {category for category, _, _ in x.shared_triples()}
    nodes = {
        "Entrevista": files + len(odd),
        "Fragmento": fragments - len(x.rows_without_node) + extra_nodes,
        "Codigo": own_codes + len(x.shared_codes) + len(odd_codes),
        "Categoria": own_categories + len(shared_categories),
    }
    relationships = {
        "TIENE_FRAGMENTO": fragments - len(x.rows_without_node) + max(0, extra_nodes - 1),
        "TIENE_CODIGO": assignments,
        "REL": own_codes + triples + sum(len(range(0, s.own_codes - 1, 5)) for s in shapes) + _ambiguous(x),
        "MERGED_INTO": sum(len(range(7, s.own_codes - 1, 25)) for s in shapes),
    }
    quarantined = {
        "interview_files": 1,
        "entrevista_fragmentos": odd_fragments,
        "analisis_codigos_abiertos": odd_assignments,
        "codigo_citas": sum(-(-coded // 3) for _, coded in odd.values()),
        "analisis_axial": 2,
        "codigos_candidatos": 1,
        "discovery_navigation_log": 2,
        "doctoral_reports": 1,
        "report_jobs": 2,
    }
    return Manifest(
        scale=x.scale,
        seed=x.seed,
        drift=drift,
        tenants=tuple(s.slug for s in shapes),
        fragments={s.slug: s.fragments for s in shapes} | {"(quarantine)": odd_fragments},
        postgres=postgres,
        nodes=nodes,
        relationships=relationships,
        points=fragments - without_point + ((data.STALE_POINTS + data.KEYED_STRAY_POINTS) if drift else 0),
        shared_codes=sum(1 for k in x.shared_codes if _users(x, k) > 1),
        rows_without_node=len(x.rows_without_node),
        nodes_without_row=extra_nodes,
        rows_without_point=without_point,
        stale_points=data.STALE_POINTS if drift else 0,
        keyed_stray_points=data.KEYED_STRAY_POINTS if drift else 0,
        quarantined=quarantined,
        quarantined_graph={
            "Entrevista": len(odd),
            "Fragmento": odd_fragments + min(1, extra_nodes),
            "Codigo": len(odd_codes),
            "TIENE_FRAGMENTO": odd_fragments,
            "TIENE_CODIGO": odd_assignments,
            "REL": _ambiguous(x),
        },
        quarantined_points=odd_fragments + (data.STALE_POINTS if drift else 0),
    )


def _users(x: Example, number: int) -> int:
    # The colliding file's fragments are nobody's: they make the first code the quarantine's too.
    return sum(s.shared_use(number) is not None for s in x.shapes) + (number == 0)


def _ambiguous(x: Example) -> int:
    """Return how many relationships no evidence can attribute: one between two shared codes, where both exist."""
    return int({1, 2} <= set(x.shared_codes))
