"""The addresses of a sandbox. They are known only when its server listens."""


class Addresses:
    """URLs below `root_url`, which the server sets as soon as it has a port."""

    def __init__(self) -> None:
        self.root_url = ""

    @property
    def base_url(self) -> str:
        """The base URL of the API, ending in `/client/v4`: clients are configured with it."""
        return f"{self.root_url}/client/v4"

    @property
    def webhook_key_url(self) -> str:
        """The address of the public key that verifies webhooks."""
        return f"{self.root_url}/.well-known/webhooks.json"

    @property
    def control_url(self) -> str:
        """The address of the control plane."""
        return f"{self.root_url}/sandbox"
