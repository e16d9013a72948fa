"""`casebridge simulate`: runs only the simulators, for trying things by hand."""

import json
import threading
from typing import Annotated

import typer

from command_line.output import notes, print_json
from demo.institutions import configuration, secrets
from demo.sizes import MOST_COURSES, MOST_DAYS, MOST_INSTITUTIONS, MOST_REQUESTS, MOST_SEED
from simulators.process import running


def simulate(
    institutions: Annotated[int, typer.Option(min=1, max=MOST_INSTITUTIONS)] = 12,
    courses: Annotated[int, typer.Option(min=1, max=MOST_COURSES)] = 60,
    requests: Annotated[int, typer.Option(min=0, max=MOST_REQUESTS)] = 600,
    days: Annotated[int, typer.Option(min=1, max=MOST_DAYS)] = 5,
    seed: Annotated[int, typer.Option(min=0, max=MOST_SEED)] = 1,
) -> None:
    """Run FS-Digex, WISEflow, LaaS and Slack as simulators until Ctrl-C.

    Prints one JSON object: addresses, the documents for configDB.orgs and KlageBegrunnelseEnvs, and the secrets'
    environment variables. The control interface is described in simulators/README.md.
    """
    with running(seed=seed) as simulators:
        population = simulators.control.population(
            institutions=institutions, courses=courses, requests=requests, days=days, seed=seed, hold=False
        )
        orgs, environments = configuration(population, simulators.addresses)
        print_json(
            {
                "addresses": simulators.addresses,
                "configDB.orgs": orgs,
                "oai.KlageBegrunnelseEnvs": environments,
                "environment": secrets(population),
                "expected": json.loads(json.dumps(population["expected"])),
            }
        )
        notes.print(f"Simulating until Ctrl-C. Control interface: {simulators.addresses['control']}")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            notes.print("Stopped.")
