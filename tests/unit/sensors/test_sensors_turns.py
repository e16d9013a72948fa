"""With a bounded time per tick every institution is polled in its turn, however slow the others are."""

from hypothesis import given
from hypothesis import strategies as some

from casebridge.institutions.institution import FsAccess, Institution
from casebridge.sources.polling import PollOutcome
from sensors.institution_order import in_turn, next_first


def institutions(*names: str) -> list[Institution]:
    return [
        Institution.model_validate(
            {
                "orgId": name,
                "navn": name,
                "institusjonsnr": 1,
                "env": "prod",
                "examSystem": "WISEFLOW",
                "digex": FsAccess(base_url="http://127.0.0.1", credential_ref="x").model_dump(by_alias=True),
            }
        )
        for name in names
    ]


def outcome(institution: str, exam_system: str = "WISEFLOW", *, skipped: bool = False) -> PollOutcome:
    return PollOutcome(institution, skipped=skipped, exam_system=exam_system)


def keys(found: list[Institution]) -> list[str]:
    return [institution.org_id for institution in found]


def test_the_turn_begins_where_the_cursor_says() -> None:
    assert keys(in_turn(institutions("c", "a", "b"), None)) == ["a", "b", "c"]
    assert keys(in_turn(institutions("c", "a", "b"), "b/prod")) == ["b", "c", "a"]


def test_a_removed_institution_gives_its_turn_to_the_next() -> None:
    assert keys(in_turn(institutions("a", "c", "d"), "b/prod")) == ["c", "d", "a"]
    assert keys(in_turn(institutions("a", "b"), "z/prod")) == ["a", "b"]


def test_an_institution_that_was_not_polled_is_first_next_time() -> None:
    outcomes = [outcome("a/prod"), outcome("b/prod", skipped=True), outcome("c/prod", skipped=True)]

    assert next_first(outcomes, paused=()) == "b/prod/WISEFLOW"


def test_a_paused_institution_does_not_count_as_missed() -> None:
    outcomes = [outcome("a/prod", skipped=True), outcome("b/prod"), outcome("c/prod", skipped=True)]

    assert next_first(outcomes, paused={"a/prod"}) == "c/prod/WISEFLOW"
    assert next_first(outcomes[:1], paused={"a/prod"}) is None


def test_a_slow_exam_system_does_not_keep_the_other_from_its_turn() -> None:
    """Both exam systems belong to one institution. The cursor distinguishes them."""
    outcomes = [outcome("a/prod", "INSPERA"), outcome("a/prod", skipped=True), outcome("b/prod", skipped=True)]

    assert next_first(outcomes, paused=()) == "a/prod/WISEFLOW"
    assert next_first(outcomes, paused={"a/prod/WISEFLOW"}) == "b/prod/WISEFLOW"


@given(
    names=some.sets(some.sampled_from("abcdefgh"), min_size=1, max_size=8),
    per_tick=some.integers(1, 8),
    paused=some.sets(some.sampled_from("abcdefgh"), max_size=3),
)
def test_every_institution_is_polled(names: set[str], per_tick: int, paused: set[str]) -> None:
    """As many ticks as there are institutions are enough for all, whatever the budget of a tick allows."""
    everybody, had_a_turn, first = institutions(*names), set(), None
    paused_keys = {f"{name}/prod" for name in paused}
    for _ in names:
        outcomes, left = [], per_tick
        for institution in in_turn(everybody, first):
            skipped = institution.key in paused_keys or left == 0
            left -= not skipped
            outcomes.append(outcome(institution.key, skipped=skipped))
        had_a_turn |= {polled.institution for polled in outcomes if not polled.skipped}
        first = next_first(outcomes, paused_keys)

    assert had_a_turn == {institution.key for institution in everybody} - paused_keys
