"""A virtual host of the shared broker, with the users of `examples/permissions.json`."""

import json
import uuid
from pathlib import Path
from typing import Final

from recording_sandbox.services.rabbitmq import RabbitMQNode

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
PERMISSIONS: Final = EXAMPLES / "permissions.json"
PASSWORD: Final = "example"  # noqa: S105 - of users that end with the test


class VirtualHost:
    """The examples use the worker's default names, so each module needs a virtual host."""

    def __init__(self, rabbitmq: RabbitMQNode) -> None:
        self._rabbitmq = rabbitmq
        self.name = f"examples-{uuid.uuid4().hex[:10]}"
        self.amqp_url = f"{rabbitmq.amqp_url.rstrip('/')}/{self.name}"
        self._urls: dict[str, str] = {}
        self._eval(f'rabbit_vhost:add(<<"{self.name}">>, <<"tests">>)', self._grant("guest"))

    def user(self, name: str) -> str:
        """The URL of a user with exactly the permissions that the document gives to `name`."""
        if name not in self._urls:
            self._urls[name] = self._add_user(name)
        return self._urls[name]

    def delete(self) -> None:
        """Delete it with its queues."""
        self._eval(f'rabbit_vhost:delete(<<"{self.name}">>, <<"tests">>)')

    def list_queues(self) -> str:
        """Its queues, as Erlang writes their names."""
        return self._list_names("rabbit_amqqueue")

    def list_exchanges(self) -> str:
        """Its exchanges, as Erlang writes their names."""
        return self._list_names("rabbit_exchange")

    def _list_names(self, module: str) -> str:
        # In both records the name is the first field.
        name = "lists:flatten(rabbit_misc:rs(element(2, Item)))"
        return self._eval(f'[{name} || Item <- {module}:list(<<"{self.name}">>)]')

    def _add_user(self, name: str) -> str:
        (rights,) = (
            entry
            for entry in json.loads(PERMISSIONS.read_text())["permissions"]
            if entry["user"] == name
        )
        login = f"{self.name}-{name}"
        patterns = [rights[right] for right in ("configure", "write", "read")]
        self._eval(
            f'rabbit_auth_backend_internal:add_user(<<"{login}">>, <<"{PASSWORD}">>, <<"tests">>)',
            self._grant(login, *patterns),
        )
        return f"amqp://{login}:{PASSWORD}@127.0.0.1:{self._rabbitmq.port}/{self.name}"

    def _grant(self, user: str, *patterns: str) -> str:
        permissions = patterns or (".*", ".*", ".*")
        written = ", ".join(f"<<{json.dumps(pattern)}>>" for pattern in permissions)
        return (
            f'rabbit_auth_backend_internal:set_permissions(<<"{user}">>, <<"{self.name}">>, '
            f'{written}, <<"tests">>)'
        )

    def _eval(self, *expressions: str) -> str:
        return self._rabbitmq.evaluate(", ".join(expressions) + ".").strip()
