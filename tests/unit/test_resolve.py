"""The order of resolution (DESIGN.md §4), one rule a test, and a brute-force reference over everything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from key_kit import KEY as PLAIN_KEY
from tenure.attribution.resolve import NOTHING, Answer, Decision, Says, decide
from tenure.attribution.spec import Policy

KEY = PLAIN_KEY.model_copy(update={"untagged": ("default",)})
A, B = Answer(Says.TENANT, "a"), Answer(Says.TENANT, "b")
UNKNOWN = Answer(Says.UNKNOWN, "zz")
SEVERAL = Answer(Says.SEVERAL)
QUARANTINED = Answer(Says.QUARANTINED, "__quarantine__")
SHARED = Answer(Says.SHARED, "__shared__")
QUARANTINE_ALL = Policy(unassigned="quarantine", conflict="quarantine")


def run(
    *answers: Answer, existing: Answer = NOTHING, present: str | None = None, policy: Policy | None = None
) -> Decision:
    return decide(answers, existing, present, policy or Policy(), KEY)


class TestFirst:
    def test_the_first_source_with_a_value_decides(self) -> None:
        assert run(NOTHING, A, A) == Decision("assigned", "a")

    def test_a_witness_that_disagrees_makes_a_conflict(self) -> None:
        decision = run(A, B)
        assert (decision.bin, decision.write) == ("conflict", None)
        assert decision.reason == "source 1 says a, source 2 says b"

    def test_a_witness_that_says_nothing_or_no_tenant_does_not(self) -> None:
        assert run(A, NOTHING, UNKNOWN).bin == "assigned"

    def test_a_witness_of_several_tenants_is_a_conflict(self) -> None:
        assert run(A, SEVERAL).reason == "source 1 says a, source 2 says several tenants"

    def test_a_value_that_is_no_tenant_stops_there(self) -> None:
        decision = run(UNKNOWN, A)
        assert decision.bin == "unassigned"
        assert decision.reason == "source 1 says zz, which is not a tenant"

    def test_several_matches_are_a_conflict_that_first_cannot_settle(self) -> None:
        assert run(SEVERAL, policy=Policy(conflict="first")) == Decision(
            "conflict", None, "source 1 matches several tenants", undecided=True
        )

    def test_what_first_settles_is_not_undecided_once_its_key_is_there(self) -> None:
        """Nothing is to be written then, which a conflict without an answer has in common with it."""
        settled = run(A, B, existing=A, present="a", policy=Policy(conflict="first"))
        assert (settled.bin, settled.write, settled.undecided) == ("conflict", None, False)
        assert run(A, B).undecided, "`fail` gives no key either"

    def test_no_source_with_a_value_is_unassigned(self) -> None:
        assert run(NOTHING, NOTHING) == Decision("unassigned", None, "no source has a value")


class TestPolicies:
    @pytest.mark.parametrize(
        ("policy", "written"),
        [
            (Policy(unassigned="fail"), None),
            (Policy(unassigned="keep_null"), None),
            (Policy(unassigned="quarantine"), "__quarantine__"),
            (Policy(unassigned="shared"), "__shared__"),
            (Policy(unassigned="assign", assign="b"), "b"),
        ],
    )
    def test_unassigned(self, policy: Policy, written: str | None) -> None:
        assert run(NOTHING, policy=policy).write == written

    @pytest.mark.parametrize(
        ("conflict", "written"), [("fail", None), ("quarantine", "__quarantine__"), ("first", "a")]
    )
    def test_conflict(self, conflict: str, written: str | None) -> None:
        assert run(A, B, policy=Policy.model_validate({"conflict": conflict})).write == written


class TestParents:
    def test_a_child_of_a_quarantined_parent_is_quarantined_whatever_else_is_known(self) -> None:
        assert run(A, QUARANTINED) == Decision("quarantine", "__quarantine__", "its parent is quarantined")

    def test_what_belongs_to_a_shared_parent_only_is_shared(self) -> None:
        assert run(SHARED, NOTHING).write == "__shared__"

    def test_a_shared_parent_gives_way_to_a_tenant(self) -> None:
        assert run(SHARED, A) == Decision("assigned", "a")


class TestExisting:
    def test_the_same_tenant_is_left_alone(self) -> None:
        assert run(A, existing=A, present="a") == Decision("assigned", None)

    def test_an_alias_of_the_same_tenant_is_written_canonically(self) -> None:
        assert run(A, existing=A, present="Tenant A").write == "a"

    def test_another_tenant_is_a_conflict_by_default(self) -> None:
        decision = run(A, existing=B, present="b")
        assert (decision.bin, decision.write) == ("conflict", None)
        assert decision.reason == "the existing key is b, the sources say a"

    def test_keep_keeps_it(self) -> None:
        decision = run(A, existing=B, present="b", policy=Policy(existing="keep"))
        assert (decision.bin, decision.write) == ("assigned", None)

    def test_rederive_overwrites_it(self) -> None:
        assert run(A, existing=B, present="b", policy=Policy(existing="rederive")).write == "a"

    def test_a_valid_key_with_no_source_behind_it_was_set_by_the_application(self) -> None:
        decision = run(NOTHING, existing=B, present="b", policy=QUARANTINE_ALL)
        assert (decision.bin, decision.write, decision.by_application) == ("assigned", None, True)

    def test_a_key_that_is_no_tenant_is_a_conflict_unless_rederived(self) -> None:
        assert run(A, existing=UNKNOWN, present="zz").bin == "conflict"
        assert run(A, existing=UNKNOWN, present="zz", policy=Policy(existing="rederive")).write == "a"

    def test_a_key_that_is_no_tenant_without_a_source_is_unassigned(self) -> None:
        assert run(NOTHING, existing=UNKNOWN, present="zz").bin == "unassigned"

    @pytest.mark.parametrize("existing", ["conflict", "keep", "rederive"])
    @pytest.mark.parametrize("conflict", ["fail", "quarantine", "first"])
    def test_a_key_that_is_no_tenant_gives_way_to_a_quarantined_parent(self, existing: str, conflict: str) -> None:
        policy = Policy.model_validate({"existing": existing, "conflict": conflict})
        reason = "its parent is quarantined, and the existing key zz is not a tenant"
        decided = run(A, QUARANTINED, existing=UNKNOWN, present="zz", policy=policy)
        assert decided == Decision("quarantine", "__quarantine__", reason)

    def test_a_sentinel_stays_until_it_is_released(self) -> None:
        assert run(A, existing=QUARANTINED, present="__quarantine__") == Decision("quarantine", None)
        assert run(A, existing=SHARED, present="__shared__") == Decision("shared", None)


answers = st.sampled_from([NOTHING, A, B, UNKNOWN, SEVERAL, QUARANTINED, SHARED])
policies = st.builds(
    Policy,
    unassigned=st.sampled_from(["fail", "quarantine", "shared", "keep_null"]),
    conflict=st.sampled_from(["fail", "quarantine", "first"]),
    existing=st.sampled_from(["conflict", "keep", "rederive"]),
)


def reference_bin(sources: list[Answer]) -> str:
    """The bin by the sources alone, written down once more from the words of the design."""
    if QUARANTINED in sources:
        return "quarantine"
    values = [source for source in sources if source not in (NOTHING, SHARED)]
    if not values:
        return "shared" if SHARED in sources else "unassigned"
    first, witnesses = values[0], values[1:]
    if first == UNKNOWN:
        return "unassigned"
    if first == SEVERAL or any(w == SEVERAL or (w in (A, B) and w != first) for w in witnesses):
        return "conflict"
    return "assigned"


@given(st.lists(answers, min_size=1, max_size=5), policies)
def test_every_item_is_in_exactly_the_bin_of_the_reference(sources: list[Answer], policy: Policy) -> None:
    assert decide(sources, NOTHING, None, policy, KEY).bin == reference_bin(sources)


@given(st.lists(answers, min_size=1, max_size=4), answers, policies)
def test_deciding_again_after_the_write_changes_nothing(
    sources: list[Answer], existing: Answer, policy: Policy
) -> None:
    present = existing.value if existing is not NOTHING and existing != SEVERAL else None
    before = existing if present is not None else NOTHING
    first = decide(sources, before, present, policy, KEY)
    if first.write is None:
        return
    says = {KEY.quarantine: Says.QUARANTINED, KEY.shared: Says.SHARED}.get(first.write, Says.TENANT)
    again = decide(sources, Answer(says, first.write), first.write, policy, KEY)
    assert again.write is None


@given(st.lists(answers, min_size=1, max_size=4), policies)
def test_no_owner_is_guessed(sources: list[Answer], policy: Policy) -> None:
    """Whatever tenant is written was said by a source."""
    written = decide(sources, NOTHING, None, policy, KEY).write
    assert written in {None, KEY.quarantine, KEY.shared} | {source.value for source in sources}
