"""A search in a flow's list finds everybody who agrees with a person in any piece of evidence, in any spelling."""

from hypothesis import given
from hypothesis import strategies as st

from casebridge.exams.identity import Person, compare
from resources.wiseflow.participant_list import ParticipantList
from resources.wiseflow.records import USUAL_NAMES, EvidenceNames, Participant, UnreadableParticipant

NUMBERS = ["1042", " 01042 ", "1042.0", "\uff11\uff10\uff14\uff12", "1042a", "7", "", "  "]
USERS = [
    "kari.n",
    "KARI.N@uis.no",
    "feide:kari.n@uis.no.",
    "kari.n@other.no",
    "ka\u00adri.n",
    "ola",
    "@uis.no",
    "",
    None,
]

PERSONS = st.builds(
    Person,
    st.sampled_from([1042, 7, None]),
    st.sampled_from([481223, 1042, None]),
    st.sampled_from(USERS),
    st.sampled_from(["uis.no", "other.no"]),
)


def row(number: str | None, names: list[tuple[str, str | None]]) -> dict[str, object]:
    external = [{"name": name, "value": value} for name, value in names]
    return {"participantId": 1, "uniqueExamId": number, "user": {"id": 3, "externalIds": external}}


ROWS = st.builds(
    row,
    st.sampled_from([*NUMBERS, None]),
    st.lists(
        st.tuples(st.sampled_from(["feide", "FS", "other"]), st.sampled_from([*USERS, *NUMBERS, "481223"])), max_size=3
    ),
)


@given(PERSONS, st.lists(ROWS, max_size=6))
def test_all_who_agree_in_something_are_found_in_the_order_of_the_list(
    person: Person, rows: list[dict[str, object]]
) -> None:
    everyone = [Participant.model_validate({**row, "participantId": place}) for place, row in enumerate(rows)]
    listed = ParticipantList(everyone, USUAL_NAMES)

    agreeing = [one for one in everyone if compare(person, one.evidence(USUAL_NAMES)).agreeing]
    found = listed.with_a_mark_of(person)

    assert [one for one in found if compare(person, one.evidence(USUAL_NAMES)).agreeing] == agreeing
    assert [one.participant_id for one in found] == sorted({one.participant_id for one in found})


def test_a_list_is_rebuilt_only_for_other_names_of_the_systems() -> None:
    bad = UnreadableParticipant.of("x")
    listed = ParticipantList([bad], USUAL_NAMES)

    assert ParticipantList.of(listed, USUAL_NAMES) is listed
    assert ParticipantList.of(listed, EvidenceNames.of("azure", "fs")) is not listed
    assert (listed[0], listed[:1], len(listed), list(listed), listed.unreadable) == (bad, (bad,), 1, [bad], (bad,))
