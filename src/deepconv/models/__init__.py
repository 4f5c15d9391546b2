"""Networks that are ready to be trained. A new one is a file here."""

from deepconv.models.digits import digits_network

__all__ = ["digits_network"]
