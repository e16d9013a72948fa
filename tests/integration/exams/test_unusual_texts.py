"""Answers in HTML, huge answers, with control characters or without visible text: registered as a person reads them, or never."""

import pytest

from tests.support.failures import check_nothing_is_lost, check_set_aside, dead_messages
from tests.support.malformed_world import OTHERS, PLAIN, carry, first_org
from tests.support.world import World


@pytest.mark.parametrize("justification", ["comment", "justification"])
def test_answers_in_html_are_registered_as_a_person_reads_them(justification: str, world: World) -> None:
    world.control.modes(justification=justification, comment_format="html")
    org_id = first_org(world.populate(**PLAIN))
    world.control.add_request(org_id, answer_text="Drøfter R&D, a < b og <p>:\n- én\n- to\n\nKarakter: C\xa0(god)")

    carry(world)

    check_nothing_is_lost(world)
    assert world.control.summary()["registered"] == OTHERS + 1


@pytest.mark.parametrize("justification", ["comment", "justification"])
def test_a_text_of_a_megabyte_is_registered_whole(justification: str, world: World) -> None:
    world.control.modes(justification=justification)
    org_id = first_org(world.populate(**PLAIN))
    text = "Æ" * 500_000 + " slutt."
    world.control.add_request(org_id, answer_text=text)

    carry(world)

    check_nothing_is_lost(world)
    assert world.control.summary()["registered"] == OTHERS + 1
    assert not dead_messages(world)


def test_control_characters_are_removed_and_readable_text_stays(world: World) -> None:
    org_id = first_org(world.populate(**{**PLAIN, "requests": 0}))
    text = "\ufeffBra!\x00\x07 👩‍🎓🇳🇴 \x1b[31mrødt\x1b[0m\r\n\tæøå Ω ½ \u202eomvendt \x7f"
    added = world.control.add_request(org_id, answer_text=text)

    process = carry(world)

    (institution,) = (one for one in process.stores.institutions.active() if one.org_id == org_id)
    (row,) = process.clients.student_registry(institution).explanation_rows(added["examId"])
    assert row["begrunnelse"]["tekst"] == text.replace("\x00", "").replace("\x07", "").replace("\x1b", "")


@pytest.mark.parametrize(
    "text",
    [
        " \n ",
        "<p><br></p>",
        "<p>&nbsp;</p>",
        "\u200b\u200c\ufeff",
        "\u00ad\u2060",
        "<p>&shy;&#8203;</p>",
        "\u0301",
        "\u3164",
    ],
)
@pytest.mark.parametrize("justification", ["comment", "justification"])
def test_an_answer_without_visible_text_is_never_registered(justification: str, text: str, world: World) -> None:
    world.control.modes(justification=justification)
    org_id = first_org(world.populate(**PLAIN))
    world.control.add_request(org_id, answer_text=text)

    carry(world)

    check_set_aside(world, "wiseflow.answer_empty", "fetch_answer")
    check_nothing_is_lost(world)
