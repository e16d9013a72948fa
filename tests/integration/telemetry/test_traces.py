"""One case is one trace, from the source to the answer, whichever processes work on it. No outside system gets any of it."""

from collections import Counter

from casebridge.exams.explanations.answer_poller import QUEUE as ANSWERS
from casebridge.exams.explanations.request_intake import QUEUE as REQUESTS
from local_servers.child_process import Child
from resources.wiring.observing import observing
from tests.support.explanation_rounds import poll_answers, read_requests
from tests.support.otlp_receiver import ERROR, OtlpReceiver, ReceivedSpan
from tests.support.processes import Processes
from tests.support.waiting import wait_until
from tests.support.world import World


def carried(world: World, processes: Processes) -> Child:
    """All cases are handled, by a listener and by this process, which reads FS and WISEflow. Both have ended then."""
    listener = processes.listener()
    process = world.process()
    with observing(world.settings.telemetry, process.stores):
        institutions = process.stores.institutions.active()
        read_requests(process, institutions)
        wait_until(lambda: not world.database.messages.find_one({}), "the requests are handled")
        world.control.wait("submitted", world.control.summary()["dispatched"])
        poll_answers(process, institutions)
        wait_until(lambda: not world.database.messages.find_one({}), "the answers are handled")
    listener.stop()
    return listener


def test_a_case_is_one_trace_from_source_to_answer(world: World, processes: Processes) -> None:
    with OtlpReceiver() as receiver:
        world.configure(telemetry={"traces_endpoint": receiver.endpoint, "traces_ratio": 1.0})
        world.populate(institutions=1, courses=1, requests=3)
        carried(world, processes)

    cases = list(world.database.cases.find())
    assert len(cases) == 3
    for case in cases:
        spans = receiver.of_trace(case["correlationId"])
        check_that_it_is_one_tree(spans)
        names = Counter(span.name for span in spans)
        for message in world.database.processed_messages.find({"correlationId": case["correlationId"]}):
            queue = message["queue"]
            assert names[f"send {queue}"] == names[f"process {queue}"] == names[f"settle {queue}"] == 1
            assert message["steps"]
            assert all(names[f"step {step}"] == 1 for step in message["steps"])
        assert names[f"send {REQUESTS}"] == names[f"send {ANSWERS}"] == 1
        assert names["deliver log_index"] == names["POST /{index}/_doc"] == 2
        assert names[f"read {REQUESTS}"] + names["read klage-beg-dispatcher"] == 1
        assert names["read wiseflow-begrunnelse-poll"] == 1
        assert not any(span.status == ERROR for span in spans)
        (registered,) = (span for span in spans if span.name == "POST /begrunnelser/{exam_system}")
        assert registered.attributes["http.response.status_code"] == 200
        (step,) = (span for span in spans if span.span_id == registered.parent)
        assert step.name == "step register_explanation"


def check_that_it_is_one_tree(spans: list[ReceivedSpan]) -> None:
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans)
    (root,) = (span for span in spans if not span.parent)
    assert root.name == f"send {REQUESTS}"
    for span in spans:
        assert span is root or span.parent in by_id
        assert span.start <= span.end


def test_a_failure_is_an_error_with_its_code(world: World, processes: Processes) -> None:
    with OtlpReceiver() as receiver:
        world.configure(telemetry={"traces_endpoint": receiver.endpoint, "traces_ratio": 1.0})
        population = world.populate(institutions=1, courses=1, requests=0)
        world.control.add_request(population["institutions"][0]["orgId"], oddity="no_candidate")
        listener = processes.listener()
        process = world.process()
        read_requests(process, process.stores.institutions.active())
        message = wait_until(lambda: world.database.messages.find_one({"status": "dead"}), "it is set aside")
        listener.stop()

    spans = receiver.of_trace(message["correlationId"])
    failed = {span.name: span.attributes["error.type"] for span in spans if span.status == ERROR}
    assert failed == dict.fromkeys(("step find_candidate", f"process {REQUESTS}"), "wiseflow.participant_missing")


def test_the_sample_is_the_same_in_every_process(world: World, processes: Processes) -> None:
    with OtlpReceiver() as receiver:
        world.configure(telemetry={"traces_endpoint": receiver.endpoint, "traces_ratio": 0.5})
        world.populate(institutions=1, courses=2, requests=10)
        carried(world, processes)

    chosen = {
        case["correlationId"] for case in world.database.cases.find() if int(case["correlationId"], 16) % 2**56 >= 2**55
    }
    assert {span.trace_id for span in receiver.spans} == chosen
    for trace_id in chosen:
        check_that_it_is_one_tree(receiver.of_trace(trace_id))


def test_a_collector_that_is_away_stops_no_case(world: World, processes: Processes) -> None:
    with OtlpReceiver() as receiver:
        receiver.status = 403
        world.configure(telemetry={"traces_endpoint": receiver.endpoint, "traces_ratio": 1.0})
        world.populate(institutions=1, courses=1, requests=2)
        listener = carried(world, processes)

    assert world.control.summary()["registered"] == 2
    log = listener.log.read_text()
    assert log.count("casebridge.traces_not_taken") == 1
    assert receiver.endpoint not in log
