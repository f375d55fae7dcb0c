"""One round: a migration with faults on its way, each followed by a resume and a comparison."""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import psycopg
from fault_nursery import PATIENCE, Command
from fault_world import COMMANDS, DONE, Reference
from faults import ENVIRONMENT, STORES, WRITES, Kind, Scene, begins, deal
from proxy import Link, Then, Trap

# What a round's commands may be: the way forward, back, and forward again.
WAYS: tuple[tuple[str, ...], ...] = (
    ("apply", "cutover"),
    ("apply", "cutover", "back to verify"),
    ("apply", "back"),
    ("apply", "cutover", "contract"),
    ("apply", "cutover", "back"),
    ("apply", "apply"),
)
DISK_FULL = "disk full under Postgres"
HANDS = {"apply": 7, "cutover": 4, "contract": 3, "back to verify": 3, "back": 5}
"""How many faults are dealt to each command of a round: as many as it has room for."""
INSTALLED = 12
"""One command in so many is the installed program, the others come from the nursery."""
SHARES = {"postgres": 1, "neo4j": 2, "qdrant": 1}
"""Postgres has kinds of its own, and the ledger's conversation goes on beside the others'."""
STORE_BROKE, ANOTHER_RUNS, FAILED = 5, 4, 1
KILLED = -signal.SIGKILL
GENTLE = frozenset({"stall", "slow down", "lease in the past"})
"""Kinds that end no command."""
MOST_STOPPED = 30.0
"""Seconds that a stopped runner sleeps at most."""
# Never how a command ends, whatever happens around it.
FORBIDDEN = re.compile(r"Traceback|a fault of tenure|Fatal Python error")
# A cutover that meets a fault takes back what it had begun, and says so with this exit code.
GIVEN_UP = re.compile(r"[Cc]utover was given up")


Plan = list[tuple[str, ...]]
"""Operations in order: id, phase and store of each."""


@dataclass(frozen=True)
class Struck:
    """A fault that was done to a command that ran."""

    seed: int
    number: int
    kind: str
    store: str
    command: str
    flying: str

    def __str__(self) -> str:
        return f"seed {self.seed} fault {self.number}: {self.kind} ({self.store}) in {self.command}: {self.flying}"


@dataclass
class Told:
    """What the rounds came to, for the report."""

    struck: list[Struck] = field(default_factory=list)
    endings: Counter[tuple[str, str]] = field(default_factory=Counter)
    commands: int = 0
    left_out: tuple[str, ...] = ()
    rounds: int = 0
    compared: int = 0
    seconds: float = 0.0


class RoundError(AssertionError):
    """A round did not end as an undisturbed run does."""


class Round:
    """The round of one seed."""

    def __init__(self, scene: Scene, references: dict[str, Reference], plan: Plan, seed: int, told: Told) -> None:
        """Nothing happens before `run`; *plan* has the operations that the ledger will know."""
        self._scene, self._references, self._plan = scene, references, plan
        self._seed, self._told = seed, told
        self._rng = random.Random(f"round|{seed}")
        self._way = WAYS[seed % len(WAYS)]
        sizes = [HANDS[command] for command in self._way]
        kinds = deal(seed, sum(sizes), frozenset(told.left_out))
        self._hands = [[kinds.pop() for _ in range(size)] for size in sizes]
        self._looked = 0.0
        self._number = 0
        self._here: list[Struck] = []
        self._log: list[str] = []

    def run(self) -> None:
        """Run it. Errors: RoundError with everything that is needed to see what happened."""
        scene = self._scene
        scene.application.put_back()
        try:
            for command, hand in zip(self._way, self._hands, strict=True):
                self._command(command, list(hand))
        except RoundError:
            raise
        except Exception as error:
            raise self._error(f"the round broke: {type(error).__name__}: {error}") from error
        finally:
            for each in (scene.command, scene.successor):
                if each is not None:
                    each.send(signal.SIGCONT)
                    each.send(signal.SIGKILL)
            scene.command = scene.successor = None
            scene.calm()
        self._told.rounds += 1

    def _command(self, command: str, hand: list[Kind]) -> None:
        """Run one command until it has ended well, starting it again after every fault that ended it."""
        scene = self._scene
        scene.arguments = scene.application.arguments(command)
        for attempt in range(1, 3 * HANDS[command]):
            self._here = []
            self._told.commands += 1
            start = scene.nursery.install if self._rng.random() < 1 / INSTALLED else scene.nursery.start
            scene.command = start(scene.arguments, ENVIRONMENT)
            self._say(f"{command}: attempt {attempt}, process {scene.command.pid}")
            process = scene.command
            self._strike(command, hand, process)
            code = self._end(process)
            said = process.output
            self._say(f"{command}: exit {code}")
            if FORBIDDEN.search(said):
                raise self._error(f"a command said what it must never say:\n{said[-6000:]}")
            for struck in self._here:
                self._told.endings[struck.kind, str(code)] += 1
            if scene.successor is not None:
                other, scene.successor = scene.successor, None
                late = code
                code = self._end(other)
                self._say(f"{command}: the other runner's exit {code}")
                if late not in (ANOTHER_RUNS, 0) and not self._excused(late, said):
                    raise self._error(f"the late runner ended with {late}:\n{said[-6000:]}")
                said = other.output
                if FORBIDDEN.search(said):
                    raise self._error(f"the other runner said what it must never say:\n{said[-6000:]}")
            scene.calm()
            self._clear_stolen()
            if code == 0:
                break
            if not self._excused(code, said):
                raise self._error(f"{command} ended with {code}:\n{said[-6000:]}")
            self._between(command)
        else:
            raise self._error(f"{command} did not end well in {attempt} attempts")
        found = scene.application.unlike(self._references[command], command)
        self._told.compared += 1
        if found:
            raise self._error("\n".join([f"after {command}:", *found]))

    def _excused(self, code: int, said: str) -> bool:
        """Return whether a command may end like this after what was done to it: never when that was nothing."""
        if all(struck.kind in GENTLE for struck in self._here):
            return False
        if code in (KILLED, STORE_BROKE, ANOTHER_RUNS):
            return True
        return code == FAILED and GIVEN_UP.search(said) is not None

    def _between(self, command: str) -> None:
        """Nothing is lost, doubled or mis-assigned in what a fault left behind."""
        loaded, keyed = self._references["back"].picture, self._references["apply"].picture
        found = self._scene.application.torn(loaded, keyed, command != "apply")
        self._told.compared += 1
        if found:
            raise self._error("\n".join([f"in the middle of {command}:", *found]))

    def _clear_stolen(self) -> None:
        """The runner that a fault made up is gone."""
        with self._scene.admin() as connection:
            if connection.execute("SELECT to_regclass('tenure.lease') IS NOT NULL").fetchone() == (True,):
                connection.execute("UPDATE tenure.lease SET token = NULL, holder = NULL WHERE holder = 'a fault'")

    # Doing one fault after another to a process.

    def _strike(self, command: str, hand: list[Kind], process: Command) -> None:
        """Do the faults of *hand* to *process*, the next one when the last is done, until it ends or none is left."""
        while hand and process.code is None:
            kind = hand[0]
            done = self._set(command, kind, process, len(hand))
            while not done.is_set() and not process.ended.is_set():
                done.wait(0.005)
                self._look_after()
            for proxy in self._scene.proxies.values():
                proxy.set(None)
            with self._scene.busy:
                pass  # what has been begun is done to its end
            if not done.is_set():
                return
            hand.pop(0)
            if kind.name.startswith("SIGKILL tenure"):
                process.ended.wait(PATIENCE)  # it is on its way
            if kind.name.startswith("SIGSTOP"):
                self._wake(process)

    def _set(self, command: str, kind: Kind, process: Command, left: int) -> threading.Event:
        """Set the trap of the next fault; return what is set when it was done."""
        scene, rng = self._scene, self._rng
        store = rng.choices(kind.stores, [SHARES[each] for each in kind.stores])[0]
        operation, word = self._operation(command, kind, store, left)
        if operation and store != "postgres":
            store = operation.partition(".")[0] if operation.partition(".")[0] in kind.stores else store
        answer = rng.random() < 0.5 if kind.answer is None else kind.answer
        writes = rng.random() < 0.7
        count = rng.randint(1, 4) if operation else rng.randint(1, 12)
        own = random.Random(rng.random())
        done = threading.Event()
        self._number += 1
        number = self._number

        def strike(link: Link) -> Then:
            struck = Struck(self._seed, number, kind.name, store, command, scene.in_flight())
            if process.code is not None:
                return Then.PASS  # too late: it has ended
            with scene.busy:
                # Told first: a command may end while its server is being restarted.
                self._here.append(struck)
                self._told.struck.append(struck)
                then = kind.deed(scene, own, link)
                self._say(f"{struck}; {'answer' if answer else 'request'} {then.value}")
                done.set()
            return then

        trap = Trap(strike, WRITES[store] if writes else None, count, answer)
        self._say(
            f"next: {kind.name} on {store}, {count} {'write' if writes else 'message'}(s) after {operation or 'now'}"
        )
        if not operation:
            scene.proxies[store].set(trap)
            return done

        def arrive(_: Link) -> Then:
            scene.proxies[store].set(trap)
            return Then.PASS

        scene.proxies["postgres"].set(Trap(arrive, begins(operation, word)))
        return done

    def _operation(self, command: str, kind: Kind, store: str, left: int) -> tuple[str, str]:
        """Draw an operation that is still to come, early enough that the faults that are left have their place."""
        rng = self._rng
        if rng.random() < 0.2:
            return "", ""
        back = command.startswith("back")
        phases = [phase for phase in DONE["contract"] if phase not in DONE[command]] if back else list(DONE[command])
        state = "attempts > 0" if back else "state = 'planned'"
        query = f"""SELECT id, phase, store FROM tenure.operation WHERE {state}
                    ORDER BY position {"DESC" if back else ""}"""
        try:
            open_ = [tuple(row) for row in self._scene.application.rows(query)]
        except psycopg.errors.UndefinedTable:
            open_ = []
        anywhere = kind.stores == ("postgres",)  # the ledger is written to whatever is being done
        found = [
            identity
            for identity, phase, where in open_ or ([] if back else self._plan)
            if phase in phases and (anywhere or where == store)
        ]
        if not found:
            return "", ""
        most = max(1, min(len(found), 2 * len(found) // (left + 1)))
        return found[rng.randrange(most)], "undo" if back else "start"

    def _wake(self, process: Command) -> None:
        """Wake a stopped runner when the other holds the lease, or has ended, or waits for what this one has locked."""
        other = self._scene.successor
        assert other is not None
        deadline = time.monotonic() + MOST_STOPPED
        query = "SELECT holder FROM tenure.lease WHERE token IS NOT NULL"
        while other.code is None:
            try:
                holders = [holder for (holder,) in self._scene.application.rows(query)]
            except psycopg.errors.UndefinedTable:
                holders = []  # stopped before there was a ledger
            if any(holder.endswith(f":{other.pid}") for holder in holders):
                break
            if time.monotonic() > deadline:
                self._say("the other runner does not get the lease")
                break
            other.ended.wait(0.01)
        process.send(signal.SIGCONT)

    def _end(self, process: Command) -> int:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and not process.ended.wait(0.5):
            self._look_after()
        try:
            return process.wait(1)
        except AssertionError as error:
            raise self._error(f"a command hangs: {error}") from error

    def _look_after(self) -> None:
        if time.monotonic() > self._looked + 1:
            self._looked = time.monotonic()
            self._scene.keep_up()

    def _say(self, text: str) -> None:
        self._log.append(text)
        if os.environ.get("TENURE_FAULT_TALK"):
            print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    def _error(self, problem: str) -> RoundError:
        again = f"TENURE_FAULT_SEED={self._seed}"
        if os.environ.get("TENURE_FAULT_TALK"):
            print(problem, flush=True)
        return RoundError("\n".join([f"seed {self._seed} ({again} runs it alone)", *self._log, problem]))


def undisturbed(scene: Scene) -> tuple[dict[str, Reference], Plan]:
    """Run every command once with nobody near it; return what each leaves, and the operations."""
    application = scene.application
    application.put_back()
    found = {"back": application.reference()}
    for command in ("apply", "cutover", "contract"):
        process = scene.nursery.start(application.arguments(command), ENVIRONMENT)
        code = process.wait()
        assert code == 0, f"{command} ended with {code} though nobody disturbed it:\n{process.output}"
        found[command] = application.reference()
        wrong = application.unlike(found[command], command)
        assert not wrong, (command, wrong)
    # A way back leads to where the way forward came from.
    found["back to verify"] = found["apply"]
    query = "SELECT id, phase, store FROM tenure.operation ORDER BY position"
    return found, [tuple(row) for row in application.rows(query)]


def shares(struck: list[Struck]) -> list[str]:
    """Return how many faults there were of each kind, and where, as lines."""
    kinds = Counter(each.kind for each in struck)
    places: dict[str, Counter[str]] = {}
    for each in struck:
        places.setdefault(each.kind, Counter())[each.store] += 1
    return [
        f"{count:6,}  {name} ({', '.join(f'{store} {places[name][store]}' for store in STORES if places[name][store])})"
        for name, count in kinds.most_common()
    ]


assert set(DONE) == set(COMMANDS)
