"""Random playbooks over the example, and random courses of a run and of the way back: drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from trap import Trap

from tenure.demo.example import directory
from tenure.demo.example.vectors import COLLECTION
from tenure.values import Phase

ALIAS = "fragmentos_vivos"
APP = "way_back_app"
SLUG = "jd-007"
PARENTS = ("entrevista_fragmentos", "analisis_codigos_abiertos", "doctoral_reports", "analysis_memos")
Playbook = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One example: the playbook with what was changed in it, and the course of the run and of the way back.

    `keyed` names the stores in which the application had set some keys itself before; `owner` says that tenure works as
    the tables' owner and not as a superuser. `stops` are the phases at which the way back halts, `forward` says
    that it goes forward again from there, `broken` and `broken_back` where run and way back break, by an error or by
    SIGKILL (`killed`); `again` says that the broken run is finished before it is taken back.
    """

    number: int
    changes: tuple[str, ...]
    playbook: Playbook
    through: Phase
    keyed: frozenset[str]
    owner: bool
    broken: Trap | None
    killed: bool
    again: bool
    stops: tuple[Phase, ...]
    forward: bool
    broken_back: Trap | None
    writes: bool

    def __str__(self) -> str:
        """Tell it in one line."""
        way = "kill" if self.killed else "error"
        parts = [f"through {self.through}"]
        parts += [f"{way} at {self.broken.as_json()}{', finished' if self.again else ''}"] if self.broken else []
        parts += (
            [f"back by {', '.join(self.stops)}{' and forward again' if self.forward else ''}"] if self.stops else []
        )
        parts += [f"way back broken at {self.broken_back.as_json()}"] if self.broken_back else []
        parts += ["a writer meanwhile"] if self.writes else []
        parts += ["as the tables' owner"] if self.owner else []
        parts += [f"keys before in {', '.join(sorted(self.keyed))}"] if self.keyed else []
        return f"case {self.number}: {'; '.join(parts)}; {', '.join(self.changes) or 'the playbook as it is'}"


def draw(seed: str, number: int) -> Case:
    """Return the *number*-th case of a *seed*."""
    rng = random.Random(f"{seed}|{number}")
    playbook: Playbook = YAML(typ="safe").load((directory() / "tenure.yaml").read_text(encoding="utf-8"))
    # Strays of every table go somewhere: a playbook that inspect refuses has no way back to look at.
    playbook["defaults"] = {"unassigned": "quarantine", "conflict": "quarantine"}
    changes = tuple(_vary(playbook, rng))
    owner = rng.random() < 0.4
    if owner and "row_security" in playbook:
        playbook["row_security"]["force"] = False  # it would blind the owner, and is refused
    # An old writer does not survive cutover, as the plan says; the others go as far as they like.
    writes = rng.random() < 0.25
    phases = [Phase.EXPAND, Phase.BACKFILL, Phase.BACKFILL, Phase.CONSTRAIN, Phase.CONSTRAIN]
    through = rng.choice(phases if writes else [*phases, Phase.CUTOVER, Phase.CUTOVER, Phase.CONTRACT, Phase.CONTRACT])
    if through is Phase.CONTRACT and "re-keyed" in changes:
        through = Phase.CUTOVER  # the replaced collection is gone after contract, and rollback says so
    broken = _trap(rng, "start", 110) if rng.random() < 0.6 else None
    earlier = [phase for phase in (Phase.EXPAND, Phase.BACKFILL, Phase.CONSTRAIN) if phase.order < through.order]
    stops = tuple(sorted(rng.sample(earlier, min(len(earlier), rng.choice((0, 0, 1, 2)))), key=lambda p: -p.order))
    return Case(
        number=number,
        changes=changes,
        playbook=playbook,
        through=through,
        keyed=frozenset(store for store in ("neo4j", "qdrant") if rng.random() < 0.3 and not writes),
        owner=owner,
        broken=broken,
        killed=rng.random() < 0.4,
        again=rng.random() < 0.4,
        stops=stops,
        forward=bool(stops) and rng.random() < 0.4,
        broken_back=_trap(rng, "undo", 90) if rng.random() < 0.4 else None,
        writes=writes,
    )


def _trap(rng: random.Random, on: Any, operations: int) -> Trap:
    return Trap(on, rng.randint(1, operations), int(rng.expovariate(1 / 8)), rng.random() < 0.5)


def _vary(playbook: Playbook, rng: random.Random) -> list[str]:
    """Change *playbook* in place and return what was changed."""
    changes = []
    for chance, change in CHANGES:
        if rng.random() < chance:
            said = change(playbook, rng)
            changes += [said] if said else []
    return changes


def _without_store(playbook: Playbook, rng: random.Random) -> str:
    store = rng.choice(("neo4j", "qdrant"))
    playbook.pop(store, None)
    return f"{store} left alone"


def _key_name(playbook: Playbook, rng: random.Random) -> str:
    playbook["tenant"]["key"] = "clave_proyecto"
    return "another key"


def _row_security(playbook: Playbook, rng: random.Random) -> str:
    force = rng.random() < 0.5
    playbook["row_security"] = {"role": APP, "setting": "app.project_id", "force": force}
    return "row security" + (" forced" if force else "")


def _policies(playbook: Playbook, rng: random.Random) -> str:
    said = []
    for name, rule in _keyed(playbook):
        # Strays of a parent that go elsewhere than their children are references across tenants, which are refused.
        if rng.random() < 0.3 and name not in PARENTS:
            choices: list[Any] = ["quarantine", "shared", {"assign": SLUG}, {"keep_null": "the application reads it"}]
            rule["unassigned"] = rng.choice(choices)
            said.append(f"{name} unassigned {rule['unassigned']}")
        if rng.random() < 0.3 and "first" in rule["tenant"]:
            rule["conflict"] = rng.choice(("quarantine", "first"))
            said.append(f"{name} conflict {rule['conflict']}")
    return ", ".join(said)


def _keyed(playbook: Playbook) -> list[tuple[str, Playbook]]:
    graph = playbook.get("neo4j", {})
    every = [playbook["postgres"], graph.get("nodes", {}), graph.get("relationships", {}), playbook.get("qdrant", {})]
    return [(name, rule) for rules in every for name, rule in rules.items() if "tenant" in rule]


def _kept(playbook: Playbook, rng: random.Random) -> str:
    said = []
    for rule in playbook["postgres"].values():
        for unique in rule.get("unique", {}):
            if rng.random() < 0.2:
                rule["unique"][unique] = {"keep": "one for all"}
                said.append(unique)
    return f"global: {', '.join(said)}" if said else ""


def _classified(playbook: Playbook, rng: random.Random) -> str:
    leaves = ["project_members", "analisis_nucleo_notas", "discovery_navigation_log", "api_idempotency", "report_jobs"]
    chosen = rng.sample(leaves, rng.randint(1, 3))
    for name in chosen:
        playbook["postgres"][name] = {rng.choice(("shared", "exempt")): "none of its business"}
    return f"without a key: {', '.join(chosen)}"


def _constant(playbook: Playbook, rng: random.Random) -> str:
    name = rng.choice(("schema_migrations", "ui_analytics"))
    playbook["postgres"][name] = {"tenant": {"constant": SLUG}}
    return f"{name} of one tenant"


def _existing(playbook: Playbook, rng: random.Random) -> str:
    existing = rng.choice(("conflict", "keep", "rederive"))
    playbook["postgres"]["doctoral_reports"]["existing"] = existing
    return f"existing {existing}"


def _several(playbook: Playbook, rng: random.Random) -> str:
    said = []
    for label in ("Codigo", "Categoria"):
        rule = playbook.get("neo4j", {}).get("nodes", {}).get(label)
        if rule is not None and rng.random() < 0.6:
            rule["several"] = rng.choice(("conflict", "shared"))
            rule.pop("stale", None)
            said.append(f"{label} {rule['several']}")
    return ", ".join(said)


def _rekeyed(playbook: Playbook, rng: random.Random) -> str:
    rule = playbook.get("qdrant", {}).get(COLLECTION)
    if rule is None:
        return ""
    template = rng.choice(("{tenant}|{archivo}|{par_idx}", "{tenant}|{id}"))
    rule |= {"ids": {"rekey": template, "namespace": "url"}, "alias": ALIAS}
    return "re-keyed"


CHANGES: tuple[tuple[float, Callable[[Playbook, random.Random], str]], ...] = (
    (0.15, _without_store),
    (0.25, _key_name),
    (0.4, _row_security),
    (0.35, _several),
    (0.6, _policies),
    (0.4, _kept),
    (0.4, _classified),
    (0.3, _constant),
    (0.4, _existing),
    (0.4, _rekeyed),
)
