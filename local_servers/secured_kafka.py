"""Apache Kafka secured as in production: TLS, login by each mechanism that the settings know, and access rights."""

import secrets
from pathlib import Path
from typing import Final

from local_servers.child_process import Children, free_port
from local_servers.kafka import Kafka

USER: Final = "casebridge"
STRANGER: Final = "stranger"
PROPERTIES: Final = """\
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:{user}
"""
LOGINS: Final = """\
listener.name.{listener}.plain.sasl.jaas.config=\\
  org.apache.kafka.common.security.plain.PlainLoginModule required {users};
listener.name.{listener}.scram-sha-256.sasl.jaas.config=\\
  org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.{listener}.scram-sha-512.sasl.jaas.config=\\
  org.apache.kafka.common.security.scram.ScramLoginModule required;
"""


class SecuredKafka(Kafka):
    """A broker with `certificate` and two users: `USER`, and `STRANGER`, who may do nothing. Both have `password`.

    Clients that use TLS without a login, and the broker itself, may do everything.
    """

    def __init__(self, children: Children, certificate: Path, key: Path, name: str = "kafka-secured") -> None:
        self.password = secrets.token_urlsafe(16)
        self._ports = {protocol: free_port() for protocol in ("SASL_SSL", "SASL_PLAINTEXT", "SSL")}
        self._keystore = children.folder / f"{name}.keystore.pem"
        self._keystore.touch(mode=0o600)
        self._keystore.write_text(key.read_text() + certificate.read_text())
        super().__init__(children, name)

    def address_by(self, protocol: str) -> str:
        return f"127.0.0.1:{self._ports[protocol]}"

    def listeners(self) -> dict[str, int]:
        return self._ports | {"PLAINTEXT": self.port}

    def more_properties(self) -> str:
        users = " ".join(f'user_{user}="{self.password}"' for user in (USER, STRANGER))
        logins = [LOGINS.format(listener=listener, users=users) for listener in ("sasl_ssl", "sasl_plaintext")]
        return "".join([PROPERTIES.format(keystore=self._keystore, user=USER), *logins])

    def users_of_scram(self) -> list[str]:
        return [
            f"{mechanism}=[name={user},password={self.password}]"
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for user in (USER, STRANGER)
        ]
