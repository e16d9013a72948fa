"""Makes the data of the simulated systems from one seed: institutions, courses, flows, participants and requests.

The same seed and the same day give the same data, byte for byte. ``added_request`` adds single requests later. The objects
themselves are in their own modules.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from random import Random
from typing import Any, Literal

from simulators.exam_case import REGISTERED, Case, Exam, deadline_after
from simulators.flow import Assessor, Flow, FlowState, FlowVariant, Participant, ShareType, Source
from simulators.institution import Institution, Settings, Student
from simulators.names import COURSES, FIRST_NAMES, INSTITUTIONS, LAST_NAMES, user_name
from simulators.order_fields import DAY_OF_A_POPULATION, FLAG, TEXT, check_fields, whole
from simulators.oslo import OSLO
from simulators.state import World

ODD_COURSES = ("no_flow", "two_flows", "explanations_off")
"""Oddities of a whole course. In contrast, ``no_candidate`` is an oddity of a single candidate."""
ODDITIES = ("no_candidate", *ODD_COURSES)
ODD_SHARE = 0.025
REQUESTS_OF_ODD_COURSE = 3
FIRST_KANDIDATNR = 1001
EVERY_NTH_FLOW_IS_LARGE = 5
DAY_S = 86_400
FIELDS = {
    "institutions": whole(1, 1_000),
    "courses": whole(1, 100_000),
    "requests": whole(0, 1_000_000),
    "days": whole(1, 3_660),
    "seed": whole(),
    "oddities": FLAG,
    "variety": FLAG,
    "hold": FLAG,
    "env": TEXT,
    "today": DAY_OF_A_POPULATION.or_null(),
}


@dataclass(frozen=True, slots=True)
class PopulationOrder:
    """The data to make. The fields have the names of the control interface."""

    institutions: int = 12
    courses: int = 60
    requests: int = 600
    days: int = 5
    seed: int = 1
    oddities: bool = True
    variety: bool = True
    """Whether institutions and flows differ in ways that must work, too. With False all of them are plain."""
    hold: bool = True
    env: str = "test"
    today: date | None = None

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> PopulationOrder:
        """Read an order.

        :raises ValueError: an unknown field, or a value that no data can be made from
        """
        check_fields(body, FIELDS)
        today = body.get("today")
        return cls(**{**body, "today": None if today is None else date.fromisoformat(today)})


class Population:
    """Makes the objects of the simulated systems."""

    def __init__(self, world: World, order: PopulationOrder, draws: Random | None = None) -> None:
        self._world = world
        self._order = order
        self._random = draws or Random(f"{order.seed}:population")
        self._today = order.today or datetime.now(OSLO).date()

    def make(self) -> None:
        institutions = [self.add_institution(index) for index in range(self._order.institutions)]
        odd_requests = self._odd_requests()
        without_candidate = odd_requests.pop("no_candidate", 0)
        shares = self._shares(self._order.requests - sum(odd_requests.values()), self._order.courses)
        for index, share in enumerate(shares):
            missing = min(without_candidate, share, 1 + without_candidate // len(shares))
            without_candidate -= missing
            self._add_course(institutions[index % len(institutions)], index, share, missing=missing)
        for oddity, count in odd_requests.items():
            for start in range(0, count, REQUESTS_OF_ODD_COURSE):
                institution = institutions[self._random.randrange(len(institutions))]
                requests = min(REQUESTS_OF_ODD_COURSE, count - start)
                self._add_course(institution, len(self._world.exams), requests, oddity=oddity)
        self._publish()

    def add_institution(self, index: int) -> Institution:
        """Add the institution with this index. The index decides how it is connected: authentication, settings, endpoints."""
        draw = Random(f"{self._order.seed}:institution:{index}")
        if index < len(INSTITUTIONS):
            name, org_id = INSTITUTIONS[index]
        else:
            name, org_id = f"Høgskole {index}", f"hogskole{index}.no"
        slug = org_id.split(".")[0]
        uses_key = self._order.variety and index % 12 == 1
        institution = Institution(
            org_id=org_id,
            name=name,
            institusjonsnr=901 + index,
            env=self._order.env,
            instance=slug,
            fs_username=f"digex-{slug}",
            fs_password=f"fs-{draw.getrandbits(64):016x}",
            license_id=next(self._world.numbers.license),
            auth="api_key" if uses_key else "oauth2",
            client_id=None if uses_key else f"client-{draw.getrandbits(64):016x}",
            client_secret=None if uses_key else f"secret-{draw.getrandbits(64):016x}",
            api_key=f"key-{draw.getrandbits(64):016x}" if uses_key else None,
            settings=self._settings(index),
        )
        self._world.institutions[org_id] = institution
        return institution

    def _settings(self, index: int) -> Settings:
        if not self._order.variety:
            return Settings()
        place = index % 12
        answer_state: Literal[2, 3] = 2 if place % 3 == 1 else 3
        return Settings(
            answer_state=answer_state,
            show_justification=place in {3, 6, 10},
            participants_endpoint="old" if place == 2 else "new",
            flow_search="sis_flows" if place == 5 else "sources",
        )

    def _odd_requests(self) -> dict[str, int]:
        """The number of requests for each oddity: two to three in a hundred of all, and at least one of ten or more."""
        if not self._order.oddities or self._order.requests < 10:
            return {}
        total = max(1, round(self._order.requests * ODD_SHARE))
        each, left = divmod(total, len(ODDITIES))
        return {oddity: each + (place < left) for place, oddity in enumerate(ODDITIES)}

    def _shares(self, requests: int, courses: int) -> list[int]:
        """Spread the requests unevenly over the courses, as in reality."""
        if requests == 0:
            return [0] * courses
        weights = [self._random.uniform(0.3, 2.0) for _ in range(courses)]
        total = sum(weights)
        shares = [int(requests * weight / total) for weight in weights]
        for index in range(requests - sum(shares)):
            shares[index % courses] += 1
        return shares

    def _add_course(
        self, institution: Institution, index: int, requests: int, *, missing: int = 0, oddity: str | None = None
    ) -> None:
        exam = self.add_exam(institution, index)
        large = index % EVERY_NTH_FLOW_IS_LARGE == 0
        others = self._random.randint(110, 190) if large else self._random.randint(12, 60)
        students = self.students(institution, requests + others)
        numbers = self._random.sample(range(FIRST_KANDIDATNR, FIRST_KANDIDATNR + 2 * len(students)), len(students))
        candidates = list(zip(students, numbers, strict=True))
        asking = candidates[:requests]
        flows = self.add_flows(exam, index, candidates[missing:], oddity)
        place = {p.unique_exam_id: p for flow in flows for p in flow.participants}
        for position, (student, kandidatnr) in enumerate(asking):
            absent = "no_candidate" if position < missing else oddity
            self.add_case(exam, student, kandidatnr, place.get(str(kandidatnr)), absent)

    def add_exam(self, institution: Institution, index: int) -> Exam:
        prefix, title = COURSES[index % len(COURSES)]
        results_of_last_year = self._today.month <= 3
        spring = 4 <= self._today.month <= 9
        exam = Exam(
            institution=institution,
            emnekode=f"{prefix}{100 + index}",
            versjonskode=self._random.choice(("1", "1", "2", "A")),
            vurdkombkode=self._random.choice(("S", "S", "H", "SKR")),
            arstall=self._today.year - results_of_last_year,
            vurdtidkode="VÅR" if spring else "HØST",
            title=title,
        )
        self._world.add_exam(exam)
        return exam

    def students(self, institution: Institution, wanted: int) -> list[Student]:
        """Different students of the institution. Many take several exams, with another kandidatnr each time."""
        while len(institution.students) < wanted + wanted // 2:
            first, last = self._random.choice(FIRST_NAMES), self._random.choice(LAST_NAMES)
            number = len(institution.students) + 1
            institution.students.append(
                Student(
                    personlopenr=next(self._world.numbers.personlopenr),
                    brukernavn=user_name(first, last, number),
                    first_name=first,
                    last_name=last,
                    user_id=next(self._world.numbers.user),
                )
            )
        return self._random.sample(institution.students, wanted)

    def add_flows(
        self, exam: Exam, index: int, candidates: list[tuple[Student, int]], oddity: str | None
    ) -> list[Flow]:
        """Add the flows of a course. Return those in which its candidates can be found."""
        if oddity == "no_flow":
            return []
        if oddity is None and self._order.variety:
            self._add_decoys(exam, index, candidates)
            if index % 6 == 3:
                return self._add_combined(exam, candidates)
        if oddity == "two_flows":
            for _ in range(2):
                self.add_flow(exam, candidates, state=FlowState.CONCLUDED)
            # both flows match equally well, so neither has the right participant
            return []
        flow = self.add_flow(exam, candidates)
        flow.explanations_enabled = oddity != "explanations_off"
        return [flow]

    def _add_decoys(self, exam: Exam, index: int, candidates: list[tuple[Student, int]]) -> None:
        """Add flows with the same source code and some of the same candidates. Clients must ignore them (contract 4.3)."""
        if index % 4 == 1:
            self.add_flow(exam, candidates[:4], variant=FlowVariant.REEXAMINATION)
        if index % 5 == 2:
            self.add_flow(exam, candidates[:2], variant=FlowVariant.REMARKING)
        if index % 7 == 4:
            self.add_flow(exam, [], state=FlowState.NOT_ACTIVATED)

    def _add_combined(self, exam: Exam, candidates: list[tuple[Student, int]]) -> list[Flow]:
        """Add a main flow, which has the source code, and two sub-flows, which have the candidates."""
        main = self.add_flow(exam, [])
        half = len(candidates) // 2
        subs = [self.add_flow(exam, part, with_source=False) for part in (candidates[:half], candidates[half:])]
        main.combined_sub_flow_ids = [sub.flow_id for sub in subs]
        for part, sub in enumerate(subs, start=1):
            sub.combined_main_flow_id = main.flow_id
            sub.sub_name = f"{main.sub_name}, del {part}"
        return subs

    def add_flow(
        self,
        exam: Exam,
        candidates: list[tuple[Student, int]],
        *,
        state: FlowState | None = None,
        variant: FlowVariant = FlowVariant.ORDINARY,
        with_source: bool = True,
    ) -> Flow:
        created = int(datetime.combine(self._today, time_of_day(9), OSLO).timestamp()) - 60 * DAY_S
        late_states = (FlowState.PARTICIPATION_ENDED, FlowState.CONCLUDED, FlowState.CONCLUDED, FlowState.ARCHIVED)
        numbers = self._world.numbers
        flow = Flow(
            flow_id=next(numbers.flow),
            institution=exam.institution,
            name=f"{exam.emnekode} {exam.title}",
            sub_name=f"{exam.vurdtidkode} {exam.arstall}",
            state=self._random.choice(late_states) if state is None else state,
            variant=variant,
            created=created,
            participation_ends=created + 30 * DAY_S,
            assessors=[self._assessor() for _ in range(1 + len(candidates) // 40)],
        )
        if with_source:
            flow.sources.append(Source(next(numbers.source), exam.source_code))
        self._world.flows[flow.flow_id] = flow
        order = self._random.sample(candidates, len(candidates))
        for number, (student, kandidatnr) in enumerate(order, start=1):
            self.add_participant(flow, student, kandidatnr, number)
        return flow

    def _assessor(self) -> Assessor:
        numbers = self._world.numbers
        return Assessor(
            assessor_id=next(numbers.assessor),
            user_id=next(numbers.user),
            first_name=self._random.choice(FIRST_NAMES),
            last_name=self._random.choice(LAST_NAMES),
        )

    def add_participant(self, flow: Flow, student: Student, kandidatnr: int, number: int) -> Participant:
        participant = Participant(
            participant_id=next(self._world.numbers.participant),
            student=student,
            unique_exam_id=str(kandidatnr),
            number=number,
            activated=True,
            submission_id=next(self._world.numbers.submission),
            assessor=flow.assessors[number % len(flow.assessors)],
        )
        flow.participants.append(participant)
        return participant

    def add_case(
        self, exam: Exam, student: Student, kandidatnr: int, participant: Participant | None, oddity: str | None
    ) -> Case:
        """Add a row in FS that is not visible yet. ``World.show`` makes it visible."""
        received = self._today - timedelta(days=self._random.randrange(self._order.days))
        minute = time_of_day(self._random.randint(8, 17), self._random.randrange(60))
        case = Case(
            case_id=next(self._world.numbers.case),
            exam=exam,
            student=student,
            kandidatnr=kandidatnr,
            kommisjons_id=self._random.choice((None, "1", "1", "2", "3")),
            received=received,
            deadline=deadline_after(received),
            changed_at=datetime.combine(received, minute, OSLO).timestamp(),
            expected=oddity or REGISTERED,
            oddity=oddity,
            participant_id=participant.participant_id if participant else None,
        )
        self._world.add_case(case)
        return case

    def add_comments_made_while_marking(self, case: Case, flow: Flow, participant: Participant) -> None:
        """Add comments that the assessor wrote before anybody asked for an explanation. They are never the answer."""
        marked = flow.participation_ends + 2 * DAY_S
        self._world.add_comment(flow, participant, "Se kommentar i margen.", ShareType.PARTICIPANTS, marked)
        if case.case_id % 3 == 0:
            self._world.add_comment(flow, participant, "Grensetilfelle.", ShareType.ASSESSORS, marked + 60)

    def _publish(self) -> None:
        """Add the comments of the marking period. Show all cases at once, or hold them in an order drawn from the seed."""
        where = {p.participant_id: (flow, p) for flow in self._world.flows.values() for p in flow.participants}
        cases = list(self._world.cases.values())
        for case in cases:
            if case.participant_id is not None:
                self.add_comments_made_while_marking(case, *where[case.participant_id])
        if self._order.hold:
            self._world.held = deque(self._random.sample(cases, len(cases)))
        else:
            for case in cases:
                self._world.show(case, changed_at=min(case.changed_at, time.time()))


def populate(world: World, order: PopulationOrder) -> dict[str, Any]:
    """Make all data anew. Return the institutions, the number of requests, and how they should end."""
    world.clear(order.seed)
    Population(world, order).make()
    return {
        "institutions": [institution.as_json() for institution in world.institutions.values()],
        "requests": len(world.cases),
        "expected": expected_ends(world),
    }


def expected_ends(world: World) -> dict[str, Any]:
    """How all cases should end, including held ones."""
    set_aside: dict[str, int] = {}
    registered = 0
    for case in world.cases.values():
        if case.expected == REGISTERED:
            registered += 1
        else:
            set_aside[case.expected] = set_aside.get(case.expected, 0) + 1
    return {"registered": registered, "set_aside": set_aside}
