"""The signature of webhooks: RSASSA-PKCS1-v1_5 with SHA-256 over the body as it is sent."""

import base64

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa


class Signer:
    """Signs with an RSA key, which is generated at first use and replaced by `rotate`."""

    def __init__(self) -> None:
        self._key: rsa.RSAPrivateKey | None = None

    def rotate(self) -> None:
        """Sign with a new key from now on. `public_pem` is the new one at once."""
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def public_pem(self) -> str:
        """The public key as PEM (SubjectPublicKeyInfo)."""
        public = self._private().public_key()
        return public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()

    def signature(self, body: bytes) -> str:
        """The signature of the body in base64."""
        signature = self._private().sign(body, padding.PKCS1v15(), hashes.SHA256())
        return base64.b64encode(signature).decode()

    def _private(self) -> rsa.RSAPrivateKey:
        if self._key is None:
            self.rotate()
        assert self._key is not None  # noqa: S101 -- for the type checker
        return self._key
