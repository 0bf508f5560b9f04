"""How a sandbox is set up."""

from pathlib import Path

import msgspec

from recording_sandbox.model.behaviour import Behaviour


class SandboxOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a sandbox is set up.

    `port` 0 takes any free port. `public_url` is the address that clients use, if it differs from
    the address the sandbox listens on (behind a proxy). `speed` is the number of sandbox seconds
    in a real second. `seed` makes recording ids and the dice of faults repeatable. `tokens` are
    the valid ones in strict mode. `request_log_limit` bounds how many entries of each kind are
    kept. All entries are written to `request_log_path` as JSON lines.
    """

    host: str = "127.0.0.1"
    port: int = 0
    public_url: str | None = None
    speed: float = 1.0
    seed: int | None = None
    tokens: tuple[str, ...] = ()
    request_log_limit: int | None = None
    request_log_path: Path | None = None
    behaviour: Behaviour = msgspec.field(default_factory=Behaviour)

    def __repr__(self) -> str:
        # Without `tokens`, so that no token gets into a log.
        return f"SandboxOptions(host={self.host!r}, port={self.port}, speed={self.speed})"
