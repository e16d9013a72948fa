"""Turns the simulators' population into the configuration documents and secrets of an installation.

The documents have the form that `docs/adding-an-institution.md` describes.
"""

from typing import Any

from casebridge.secrets import variable_name

Document = dict[str, Any]


def configuration(population: Document, addresses: dict[str, str]) -> tuple[list[Document], list[Document]]:
    """The documents of `configDB.orgs` and of `oai.KlageBegrunnelseEnvs`."""
    orgs = [_org(institution, addresses) for institution in population["institutions"]]
    environments = [
        {
            "_id": f"{institution['orgId']}/{institution['env']}/WISEFLOW",
            "orgId": institution["orgId"],
            "env": institution["env"],
            "examSystem": "WISEFLOW",
            "begrunnelse": True,
            "klage": False,
            "instance": institution["instance"],
        }
        for institution in population["institutions"]
    ]
    return orgs, environments


def _org(institution: Document, addresses: dict[str, str]) -> Document:
    wiseflow, choices = institution["wiseflow"], institution["settings"]
    return {
        "_id": institution["orgId"],
        "orgId": institution["orgId"],
        "navn": institution["navn"],
        "institusjonsnr": institution["institusjonsnr"],
        "digex": {"baseUrl": addresses["fs"], "credentialRef": f"{institution['orgId']}-fs"},
        "wiseflow": {
            "baseUrl": addresses["wiseflow"],
            "licenseId": wiseflow["licenseId"],
            "credentialRef": f"{institution['orgId']}-wiseflow",
            "authentication": wiseflow["auth"],
            "answerState": choices["answer_state"],
            "showJustification": choices["show_justification"],
            "participantsEndpoint": choices["participants_endpoint"],
            "flowSearch": choices["flow_search"],
        },
        "aktiv": True,
    }


def secrets(population: Document) -> dict[str, str]:
    """The environment variables that hold the institutions' credentials."""
    variables: dict[str, str] = {}
    for institution in population["institutions"]:
        fs_ref, wiseflow_ref = f"{institution['orgId']}-fs", f"{institution['orgId']}-wiseflow"
        variables[variable_name(fs_ref, "USERNAME")] = institution["fs"]["username"]
        variables[variable_name(fs_ref, "PASSWORD")] = institution["fs"]["password"]
        for part in ("client_id", "client_secret", "api_key"):
            if value := institution["wiseflow"].get(part):
                variables[variable_name(wiseflow_ref, part.upper())] = value
    return variables
