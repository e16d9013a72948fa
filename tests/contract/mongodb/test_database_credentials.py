"""User, password and TLS in the address of the database. A wrong address is reported, and no secret is shown."""

import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest
from pymongo.errors import PyMongoError

from casebridge.database import Database
from casebridge.settings import MongoDBSettings
from command_line.output import ExitCode
from local_servers.child_process import Children
from local_servers.secured_mongodb import AWKWARD, USER, SecuredMongoDB
from tests.support.certificates import make_certificate
from tests.support.indexes import ensure_all_indexes
from tests.support.processes import COMMAND

OTHER_PASSWORD: Final = "Tolv-Troll-Trommer"
COMMAND_SECONDS: Final = 60.0
START_SECONDS: Final = 30.0


@pytest.fixture(scope="module")
def wrong_addresses(secured_mongodb: SecuredMongoDB, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Wrong addresses. Each has a password that must not be shown anywhere."""
    right, password = secured_mongodb.uri, secured_mongodb.password
    stranger = make_certificate(tmp_path_factory.mktemp("stranger")).authority
    authority = right.partition("tlsCAFile=")[2].partition("&")[0]
    return {
        "wrong password": secured_mongodb.uri_with(OTHER_PASSWORD + AWKWARD),
        "no TLS": right.replace("tls=true", "tls=false").replace(f"tlsCAFile={authority}&", ""),
        "authority of somebody else": right.replace(authority, quote(str(stranger), safe="")),
        "no such file": right.replace(authority, quote(str(stranger.with_name("nothing.pem")), safe="")),
        "password not escaped": right.replace(quote(password, safe=""), password),
        "port that is none": right.replace(f":{secured_mongodb.port}/", f":{OTHER_PASSWORD}/"),
        "option that is none": right + f"&{OTHER_PASSWORD}=true&tlsInsecure={OTHER_PASSWORD}",
    }


KINDS: Final = (
    "wrong password",
    "no TLS",
    "authority of somebody else",
    "no such file",
    "password not escaped",
    "port that is none",
    "option that is none",
)


def environment(uri: str) -> dict[str, str]:
    """The most verbose settings, with a short timeout."""
    return {
        "CASEBRIDGE_MONGODB__URI": uri,
        "CASEBRIDGE_MONGODB__SERVER_SELECTION_SECONDS": "0.5",
        "CASEBRIDGE_LOG_LEVEL": "DEBUG",
    }


def run(uri: str, *command: str, **more: str) -> tuple[int, str]:
    """Run a command. Returns its exit code and its whole output."""
    ended = subprocess.run(
        command,
        env={**os.environ, **environment(uri), **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
    )
    return ended.returncode, ended.stdout


def check_secret(said: str, secured: SecuredMongoDB) -> None:
    """The output must have no password, plain or escaped as in an address, and no recognisable part of one."""
    assert said
    for secret in (
        secured.password,
        quote(secured.password, safe=""),
        secured.password[: -len(AWKWARD)],
        OTHER_PASSWORD,
    ):
        # No assertion on the secret itself: its failure would print the secret.
        found = secret in said
        assert not found


def test_the_right_address_is_served(secured_mongodb: SecuredMongoDB, uses_server: Callable[[str], None]) -> None:
    uses_server("one with user, password and TLS")
    for command in ("prepare", "status"):
        exit_code, said = run(secured_mongodb.uri, COMMAND, command)
        assert exit_code == ExitCode.DONE, said
        check_secret(said, secured_mongodb)


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_address_is_reported_in_a_sentence(
    kind: str, wrong_addresses: dict[str, str], secured_mongodb: SecuredMongoDB
) -> None:
    exit_code, said = run(wrong_addresses[kind], COMMAND, "status")
    assert exit_code == ExitCode.UNREACHABLE, said
    assert "CASEBRIDGE_MONGODB__URI" in said
    assert "Traceback" not in said
    check_secret(said, secured_mongodb)


@pytest.mark.parametrize("kind", KINDS)
def test_the_error_itself_gives_nothing_away(
    kind: str,
    wrong_addresses: dict[str, str],
    secured_mongodb: SecuredMongoDB,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """For a failed run Dagster shows the error with its causes. A log shows what the driver logs."""
    caplog.set_level(logging.DEBUG)
    settings = MongoDBSettings.model_validate({"uri": wrong_addresses[kind], "server_selection_seconds": 0.5})
    with pytest.raises(PyMongoError) as caught, closing(Database(settings)) as database:
        ensure_all_indexes(database)
    shown = "".join(traceback.format_exception(caught.value))
    check_secret(f"{shown}\n{caplog.text}\n{settings!r}\n{settings.model_dump_json()}", secured_mongodb)


def test_a_driver_at_work_gives_nothing_away(secured_mongodb: SecuredMongoDB, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with closing(Database(MongoDBSettings.model_validate({"uri": secured_mongodb.uri}))) as database:
        assert database.server_time()
    assert "hello" in caplog.text
    check_secret(caplog.text, secured_mongodb)


def test_a_listener_that_is_refused_waits_and_gives_nothing_away(
    wrong_addresses: dict[str, str], secured_mongodb: SecuredMongoDB, children: Children
) -> None:
    listener = children.start("listener-refused", [COMMAND, "listen"], environment(wrong_addresses["wrong password"]))
    listener.wait_until(lambda: "the database does not answer yet" in listener.log.read_text(), START_SECONDS)
    assert listener.stop() == 0
    check_secret(listener.log.read_text(), secured_mongodb)


def test_a_dagster_run_that_is_refused_gives_nothing_away(
    wrong_addresses: dict[str, str], secured_mongodb: SecuredMongoDB, tmp_path: Path
) -> None:
    command = (
        sys.executable,
        "-m",
        "dagster",
        "job",
        "execute",
        "-m",
        "orchestration.definitions",
        "-j",
        "process_queue",
    )
    exit_code, said = run(wrong_addresses["wrong password"], *command, DAGSTER_HOME=str(tmp_path))
    assert exit_code == ExitCode.FAILED
    assert USER not in said
    check_secret(said, secured_mongodb)
    for file in filter(Path.is_file, tmp_path.rglob("*")):
        check_secret(file.read_bytes().decode(errors="replace") or "empty", secured_mongodb)
