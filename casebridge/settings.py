"""Every setting of casebridge, typed, read once from environment variables `CASEBRIDGE_…`.

These are the choices for a whole installation. Choices for one institution are in `configDB.orgs` (`institutions.institution`),
and credentials are in `secrets`. `docs/settings.md` is generated from this module.
"""

from datetime import timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

LONGEST_WAIT_SECONDS: Final = 86_400
"""A day. Stored times that are much further ahead are not believed (`clock.FAR_AHEAD`)."""

LONGEST_FOLD_MINUTES: Final = 366 * 1440
"""A year."""


class MongoDBSettings(BaseModel):
    """The database that keeps configuration, queue, cases and audit."""

    uri: SecretStr = Field(SecretStr("mongodb://127.0.0.1:27017"), description="Address, with user, password and TLS.")
    config_database: str = Field("configDB", description="Database of `orgs` and `slack-blacklists`.")
    oai_database: str = Field("oai", description="Database of the queue, cases and audit.")
    server_selection_seconds: float = Field(3.0, description="How long one operation waits for a server to appear.")
    socket_seconds: float = Field(20.0, description="How long one operation waits for an answer.")


class HttpSettings(BaseModel):
    """Calls to outside systems."""

    connect_seconds: float = Field(5.0, description="Longest wait for a connection.")
    read_seconds: float = Field(20.0, description="Longest silence while an answer is read.")
    total_seconds: float = Field(40.0, description="Longest time for one call; must be shorter than the lease.")
    maximum_bytes: int = Field(32 * 1024 * 1024, description="Largest answer that is read.")
    connections: int = Field(32, description="Kept connections per institution and system.")
    ca_file: str | None = Field(
        None,
        description="PEM file of the authorities to trust instead of the usual ones. Default: the file of REQUESTS_CA_BUNDLE.",
    )
    calls_per_institution: int = Field(
        16, ge=1, description="Calls that one process has under way to one system of one institution."
    )
    calls_per_system: int = Field(
        64, ge=1, description="Calls that one process has under way to one system, for all institutions."
    )
    calls_per_process: int = Field(
        64, ge=1, description="Calls that one process has under way to FS and the exam systems together."
    )


class RatesSettings(BaseModel):
    """How processes share the vendors' rates. Each process leases a part of the budget of every credential that it uses."""

    lease_seconds: float = Field(
        5.0,
        gt=0,
        description="A process that renews nothing for this time and 1.5 s loses its part. It renews five times as often.",
    )


class FsSettings(BaseModel):
    """FS-Digex: what the contract leaves open is a setting (contract 3, `[inferred]`)."""

    list_path: str = Field("/begrunnelse/{exam_system}", description="Path of the list of changes (singular).")
    exam_path: str = Field("/begrunnelser/{exam_system}/{exam_id}", description="Path of one exam's explanations.")
    register_path: str = Field("/begrunnelser/{exam_system}", description="Path that registers an explanation.")
    siden_format: str = Field("%Y-%m-%dT%H:%M:%S", description="`strftime` format of `siden`, in Oslo time.")
    extra_parameters: dict[str, str] = Field({}, description="Further query parameters of the list call.")
    overlap_seconds: int = Field(120, description="How far each poll reaches back behind the newest change seen.")
    reconcile_overlap_days: float = Field(14.0, description="How far the reconciliation reaches back.")
    first_read_days: float = Field(30.0, description="How far the very first read of an institution reaches back.")
    maximum_text_bytes: int = Field(2 * 1024 * 1024, description="Longest explanation that FS accepts, as UTF-8.")


class WiseflowSettings(BaseModel):
    """WISEflow: limits are the vendor's, per credential set (contract 4.1)."""

    client_name: str = Field("casebridge", description="Sent as `X-Client-Name`.")
    requests_per_second: int = Field(200, description="The vendor's limit per second and credential.")
    requests_per_minute: int = Field(5000, description="The vendor's limit per minute and credential.")
    token_margin_seconds: int = Field(120, description="A token is renewed this long before it expires.")
    ask_with_due_date: bool = Field(True, description="Send FS's deadline as `dueDate` with the request.")
    participants_page: int = Field(100, ge=1, le=100, description="Page size of participants.")
    comments_page: int = Field(1000, ge=1, le=1000, description="Page size of submission comments.")
    user_name_ids: str = Field(
        "Feide",
        description="Names of the `externalIds` that hold a user name, with commas: evidence of who a participant is.",
    )
    person_number_ids: str = Field(
        "FS", description="Names of the `externalIds` that hold FS's `personlopenr`, with commas. Evidence, too."
    )


class QueueSettings(BaseModel):
    """MeldingQ. The seed's rules are the defaults where it has one (contract 1)."""

    maximum_attempts: int = Field(5, ge=1, description="Attempts before a message is dead (seed: 5).")
    group_size: int = Field(100, ge=1, le=100, description="Messages fetched at once (seed: at most 100).")
    workers: int = Field(
        24,
        ge=1,
        description="Messages that one process handles at the same time: some call while others wait for the database.",
    )
    institution_share: float = Field(
        0.75,
        gt=0,
        le=1,
        description="Largest share of a process's workers for one institution. The others keep the rest.",
    )
    lease_seconds: float = Field(
        60.0,
        le=LONGEST_WAIT_SECONDS,
        description="A silent worker loses its messages after this (seed: 10 minutes).",
    )
    retry_base_seconds: float = Field(
        15.0,
        le=LONGEST_WAIT_SECONDS,
        description="Wait after the first failure. Each further wait is four times as long.",
    )
    retry_cap_seconds: float = Field(480.0, le=LONGEST_WAIT_SECONDS, description="Longest wait between two attempts.")
    not_ready_seconds: float = Field(
        300.0, le=LONGEST_WAIT_SECONDS, description="Wait before a message that is not ready is tried again."
    )
    idle_poll_seconds: float = Field(
        0.25, description="Longest pause between two reads of the lanes, on servers without change streams."
    )
    shutdown_seconds: float = Field(30.0, description="How long a shutdown waits for messages in work.")
    probe_seconds: float = Field(
        15.0, description="First wait before refused credentials are tried again. Each further wait is twice as long."
    )
    probe_cap_seconds: float = Field(900.0, description="Longest wait between two such trials.")
    overdue_seconds: float = Field(900.0, description="A message that waits longer than this is reported.")


class AnswerSettings(BaseModel):
    """Answers from the exam systems, and the law's deadline (contract 7: have it checked against Lovdata)."""

    watch_days: float = Field(30.0, description="How long a registered answer is watched for changes.")
    deadline_days: int = Field(14, description="Days from the request to the deadline, if FS gives no `frist`.")
    near_days: int = Field(3, description="An unanswered case is reported from this many days before its deadline.")


class SlackSettings(BaseModel):
    """Alerts. With a token `chat.postMessage` is used, else the incoming webhook; with neither, alerts stay in MongoDB."""

    token: SecretStr | None = Field(None, description="Bot token for `chat.postMessage`.")
    channel: str = Field("mule-prod", description="Channel of the alerts.")
    api_url: str = Field("https://slack.com/api/", description="Base address of the Web API.")
    webhook_url: SecretStr | None = Field(None, description="Incoming webhook.")
    fold_minutes: float = Field(
        60.0,
        ge=0,
        le=LONGEST_FOLD_MINUTES,
        description="Alerts of the same cause within this time are folded into one.",
    )
    seconds_between: float = Field(
        1.0, description="Shortest time between two messages to Slack, which accepts about one a second."
    )


class LaasSettings(BaseModel):
    """The log index. Without an address nothing is sent."""

    url: str | None = Field(None, description="Base address.")
    index: str = Field("casebridge", description="Name of the index.")
    give_up_days: float = Field(7.0, description="An index entry that cannot be delivered for this long is dropped.")


class KafkaSettings(BaseModel):
    """Kafka, optional: without servers nothing connects. The names of the topics are `[inferred]` (contract 11)."""

    bootstrap_servers: str | None = Field(None, description="Brokers, as `host:port,host:port`.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to connect."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="How to log in, with a `SASL_…` protocol."
    )
    user: str | None = Field(None, description="User of the login.")
    password: SecretStr | None = Field(None, description="Password of the login.")
    ca_file: str | None = Field(None, description="Certificates to trust, in PEM; not set: the system's.")
    group: str = Field("casebridge", description="Consumer group of all `casebridge consume` of an installation.")
    session_seconds: float = Field(6.0, description="A silent consumer loses its partitions after this.")
    heartbeat_seconds: float = Field(1.0, description="How often a consumer says that it is alive.")
    fetch_wait_seconds: float = Field(
        0.1, description="Longest time that a broker waits for more records before it answers."
    )
    request_seconds: float = Field(10.0, description="Longest wait for a broker's answer.")
    batch_records: int = Field(500, ge=1, description="Most records that go to the inbox at once.")
    maximum_record_bytes: int = Field(
        1024 * 1024, ge=1, le=2 * 1024 * 1024, description="A larger record is set aside without its value."
    )
    make_topics: bool = Field(True, description="Create missing topics, each with its `.DLT`.")
    partitions: int = Field(1, ge=1, description="Partitions of a topic that is created.")
    replicas: int = Field(1, ge=1, description="Replicas of a topic that is created.")
    retention_days: float = Field(7.0, description="How long a topic that is created keeps its records.")
    maximum_lag: int = Field(1000, ge=0, description="More unread records than this in a partition are reported.")
    explanation_requests_topic: str = Field("begrunnelse-forespoersel", description="Consumed: requests from FS.")
    wiseflow_events_topic: str = Field("wiseflow-webhook", description="Consumed: WISEflow's events on explanations.")
    explanation_answers_topic: str = Field("begrunnelse-svar", description="Produced: what became of each case.")
    appeal_requests_topic: str = Field("klage-forespoersel", description="Created, not consumed yet: appeals from FS.")
    appeal_decisions_topic: str = Field("klage-vedtak", description="Created, not used yet: decisions on appeals.")
    inspera_events_topic: str = Field("inspera-webhook", description="Created, not consumed yet: Inspera's events.")

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        login = {"sasl_mechanism": self.sasl_mechanism, "user": self.user, "password": self.password}
        names = {name: f"CASEBRIDGE_KAFKA__{name.upper()}" for name in login}
        wanted = self.security_protocol.startswith("SASL_")
        missing = [names[name] for name, value in login.items() if not value]
        if wanted and missing:
            raise ValueError(
                f"CASEBRIDGE_KAFKA__SECURITY_PROTOCOL is {self.security_protocol}: set {', '.join(missing)}"
            )
        if not wanted and len(missing) < len(login):
            given = ", ".join(names[name] for name, value in login.items() if value)
            raise ValueError(
                f"CASEBRIDGE_KAFKA__SECURITY_PROTOCOL is {self.security_protocol}, with which nobody logs in: set it to "
                f"SASL_SSL, or leave out {given}"
            )
        return self


class DagsterSettings(BaseModel):
    """Where listeners report counts of what they did."""

    url: str | None = Field(None, description="Address of the Dagster web server; without it nothing is reported.")
    report_seconds: float = Field(10.0, description="Shortest time between two reports.")


class RetentionSettings(BaseModel):
    """How long what is finished is kept (docs/operating.md). Cases and messages that are not processed are never pruned."""

    processed_message_days: float = Field(180.0, gt=0, description="Processed messages, from when they were finished.")
    received_key_days: float = Field(
        730.0,
        gt=0,
        description="Keys that recognise a repeated message; no shorter than processed messages, and longer than any "
        "regular reading of FS or the exam system reaches back.",
    )
    audit_days: float = Field(
        3653.0, ge=0, description="The audit log; no shorter than processed messages. 0 keeps it for ever."
    )
    alert_days: float = Field(90.0, gt=0, description="Alerts that were sent or muted.")
    listener_days: float = Field(1.0, gt=0, description="Entries of listeners that were killed.")
    batch_size: int = Field(500, ge=1, le=10_000, description="Documents, or Dagster's events, removed at once.")
    dagster_run_days: float = Field(90.0, ge=2, description="Dagster's runs and their events.")
    dagster_run_key_days: float = Field(
        180.0,
        ge=2,
        description="Runs that a sensor asked for: their keys prevent a second run. No shorter than other runs.",
    )
    dagster_event_days: float = Field(30.0, ge=2, description="Events reported to Dagster without a run.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for shorter, longer in (
            ("processed_message_days", "received_key_days"),
            ("processed_message_days", "audit_days"),
            ("dagster_run_days", "dagster_run_key_days"),
        ):
            least, kept = getattr(self, shorter), getattr(self, longer)
            if kept < least and not (longer == "audit_days" and kept == 0):
                raise ValueError(
                    f"CASEBRIDGE_RETENTION__{longer.upper()} is {kept:g}, and must be no shorter than "
                    f"CASEBRIDGE_RETENTION__{shorter.upper()}, which is {least:g}"
                )
        return self


class TelemetrySettings(BaseModel):
    """Metrics and traces (docs/observability.md). Without a port and an endpoint nothing of OpenTelemetry is loaded."""

    metrics_port: int | None = Field(
        None,
        ge=1,
        le=65_535,
        description="Port on which `listen` and `consume` answer Prometheus; each process on a host needs its own.",
    )
    metrics_address: str = Field(
        "127.0.0.1", description="Address of that port: loopback, because nobody logs in there."
    )
    queue_read_seconds: float = Field(
        15.0, ge=1, description="The queue's depths are read for a scrape, at most this often."
    )
    traces_endpoint: str | None = Field(
        None, description="Where traces are sent, by OTLP over HTTP: `http://collector:4318/v1/traces`."
    )
    traces_ratio: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Share of the cases that are traced. The case's id decides, so every process chooses the same cases.",
    )
    propagate: bool = Field(
        False, description="Send `traceparent` to FS, exam systems and LaaS with the calls of a case that is traced."
    )


class CapabilitySettings(BaseSettings):
    """Which capabilities there are: all that Dagster's definitions need of the settings."""

    model_config = SettingsConfigDict(
        env_prefix="CASEBRIDGE_", env_nested_delimiter="__", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    capabilities: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Capabilities of this installation, with commas; empty means all that there are."
    )

    @field_validator("capabilities", mode="before")
    @classmethod
    def _with_commas(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


class Settings(CapabilitySettings):
    """All settings. A nested one is set as `CASEBRIDGE_QUEUE__WORKERS=16`."""

    environment: str | None = Field(
        None,
        description="Only institutions of this `env` are handled, and nothing of another `env` is touched. Empty means all.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Level of our own log.")
    mongodb: MongoDBSettings = MongoDBSettings()
    http: HttpSettings = HttpSettings()
    rates: RatesSettings = RatesSettings()
    fs: FsSettings = FsSettings()
    wiseflow: WiseflowSettings = WiseflowSettings()
    queue: QueueSettings = QueueSettings()
    answers: AnswerSettings = AnswerSettings()
    slack: SlackSettings = SlackSettings()
    laas: LaasSettings = LaasSettings()
    kafka: KafkaSettings = KafkaSettings()
    dagster: DagsterSettings = DagsterSettings()
    retention: RetentionSettings = RetentionSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    @model_validator(mode="after")
    def _keys_outlast_the_sources(self) -> Self:
        """Received keys must be kept for longer than sources are read back. Else a listed message would be accepted again."""
        records = self.kafka.retention_days if self.kafka.bootstrap_servers else 0.0
        reach = max(self.fs.reconcile_overlap_days, self.fs.first_read_days, self.answers.watch_days, records)
        kept = self.retention.received_key_days
        if kept <= reach:
            raise ValueError(
                f"CASEBRIDGE_RETENTION__RECEIVED_KEY_DAYS is {kept:g}, and must be longer than the sources are read back: "
                f"{reach:g} days (CASEBRIDGE_FS__RECONCILE_OVERLAP_DAYS, CASEBRIDGE_FS__FIRST_READ_DAYS, "
                "CASEBRIDGE_ANSWERS__WATCH_DAYS, CASEBRIDGE_KAFKA__RETENTION_DAYS)"
            )
        return self

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.queue.lease_seconds)
