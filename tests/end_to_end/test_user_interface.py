"""What an operator sees in Dagster's UI after one round: the pictures of README and docs, and the texts in them."""

import pytest
from playwright.sync_api import Locator, Page, expect

from demo.platform import Platform
from tests.end_to_end.conftest import SIZE, TakePicture
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(400)  # the first test also waits for the platform and its round

ASSETS = (
    "explanation_requests",
    "request_ledger",
    "dispatched_requests",
    "explanation_answers",
    "registered_explanations",
    "audit_log",
)
OUTSIDE = ("fs_requests", "wiseflow_explanations", "fs_explanations", "slack_alerts", "laas_outcomes")
AUTOMATION = (
    "fs_requests_sensor",
    "wiseflow_answers_sensor",
    "backlog_sensor",
    "run_failure_alerts",
    "reconcile_every_two_hours",
)


def test_the_asset_graph_shows_all_steps_of_a_case(
    page: Page, after_one_round: Platform, take_picture: TakePicture
) -> None:
    page.set_viewport_size({"width": 2560, "height": 1100})  # wide enough for whole cards
    page.goto("/asset-groups")
    page.get_by_text("Hide navigation").click()
    expand_groups(page)
    for asset in ASSETS:
        expect(node(page, asset).first).to_be_visible()
    for clients in OUTSIDE:
        expect(node(page, clients.rpartition("/")[2]).first).to_be_visible()
    expect(page.get_by_text("Failed", exact=True)).to_have_count(0)
    expect(page.get_by_text("3 / 4 Passed")).to_be_visible()  # one request waits for a person, by the population's plan
    take_picture(page, "asset-graph")


def test_a_materialisation_shows_its_result(page: Page, after_one_round: Platform, take_picture: TakePicture) -> None:
    page.goto("/assets/explanation_requests?view=events")
    expect(page.get_by_text("Materialized in run").first).to_be_visible()
    for key in ("seen", "accepted", "known", "institutions_failed", "by_institution", "how_to_recover"):
        expect(page.get_by_role("cell", name=key, exact=True).first).to_be_attached()
    expect(row(page, "seen")).to_contain_text(str(SIZE.requests))
    expect(row(page, "institutions_failed")).to_contain_text("0")
    take_picture(page, "materialisation")


def test_a_check_says_what_waits_for_a_person(page: Page, after_one_round: Platform, take_picture: TakePicture) -> None:
    page.goto("/assets/registered_explanations?view=checks&checkDetail=dead_letters")
    for check in ("dead_letters", "deadline_overdue", "nothing_lost", "oldest_pending"):
        expect(page.get_by_text(check, exact=True).first).to_be_visible()
    expect(page.get_by_text("wiseflow.participant_missing").first).to_be_visible()
    expect(page.get_by_text("then replay the message").first).to_be_visible()
    take_picture(page, "checks", height=780)


def test_the_sensors_run(page: Page, after_one_round: Platform, take_picture: TakePicture) -> None:
    page.goto("/automation")
    for name in AUTOMATION:
        line = page.locator("[data-index]").filter(has=page.get_by_role("link", name=name))
        expect(line.get_by_role("checkbox").last).to_be_checked()
    take_picture(page, "sensors", height=490)
    page.goto("/locations/casebridge/sensors/fs_requests_sensor")
    expect(page.get_by_text("Reads new and changed requests from FS")).to_be_visible()
    expect(page.get_by_role("button", name="View logs").first).to_be_visible()  # the sensor has ticked


def test_a_failed_run_says_why_and_what_to_do(page: Page, failed_run: str, take_picture: TakePicture) -> None:
    page.goto(f"/runs/{failed_run}")
    expect(page.get_by_text("Failure", exact=True).first).to_be_visible()
    expect(page.get_by_text("RUN_FAILURE")).to_be_visible()
    page.get_by_placeholder("Filter…").fill("type:STEP_FAILURE")
    expect(page.get_by_text("RUN_FAILURE")).to_have_count(0)
    message = page.get_by_text("FS could not be read for any institution")
    expect(message).to_be_visible()
    expect(message).to_contain_text(f"fs.http_503, {SIZE.institutions} institutions")
    expect(message).to_contain_text("Next:")
    stack = page.get_by_text("Stack Trace:").bounding_box()
    assert stack is not None
    take_picture(page, "failed-run", height=min(stack["y"], 680))  # the stack trace names folders of this machine


def node(page: Page, asset: str) -> Locator:
    """The card of an asset in the graph. The name in the list beside it does not count."""
    return page.locator(f'svg foreignObject [data-tooltip="{asset}"]')


def expand_groups(page: Page) -> None:
    """Several groups are closed at first. Alt+E opens them all."""
    drawn = page.locator("svg foreignObject").first
    expect(drawn).to_be_visible()
    if node(page, ASSETS[0]).count() == 0:
        page.keyboard.press("Alt+e")


def row(page: Page, key: str) -> Locator:
    """A line of a metadata table."""
    return page.get_by_role("row").filter(has=page.get_by_role("cell", name=key, exact=True)).first


def test_a_listener_reports_its_work_to_dagster(after_one_round: Platform) -> None:
    query = """{ assetOrError(assetKey: {path: ["registered_explanations"]}) { ... on Asset {
        assetObservations(limit: 100) { metadataEntries { label ... on TextMetadataEntry { text } } } } } }"""

    def reported_by_a_listener() -> bool:
        observations = after_one_round.dagster.ask(query)["assetOrError"]["assetObservations"]
        entries = [{entry["label"]: entry.get("text") for entry in one["metadataEntries"]} for one in observations]
        return any(entry.get("driver") == "listener" and "handled" in entry for entry in entries)

    wait_until(reported_by_a_listener, "the listener has reported", 30.0, every=0.5)
