"""The signature on webhooks: RSASSA-PKCS1-v1_5 with SHA-256 over the body as it is sent."""

import base64

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa


class Signer:
    """The key that webhooks are signed with. Made when first needed, replaced by `rotate`."""

    def __init__(self) -> None:
        self._key: rsa.RSAPrivateKey | None = None

    def rotate(self) -> None:
        """Sign with a new key from now on; the published one is the new one at once."""
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def public_pem(self) -> str:
        """The public key as PEM (SubjectPublicKeyInfo)."""
        public = self._private().public_key()
        return public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()

    def signature(self, body: bytes) -> str:
        """Base64 of RSASSA-PKCS1-v1_5 with SHA-256 over the bytes."""
        signed = self._private().sign(body, padding.PKCS1v15(), hashes.SHA256())
        return base64.b64encode(signed).decode()

    def _private(self) -> rsa.RSAPrivateKey:
        if self._key is None:
            self.rotate()
        assert self._key is not None  # noqa: S101 -- for the type checker
        return self._key
