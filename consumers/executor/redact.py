"""Keeps a secret out of what a task says: its log outlives its token, and is shown to whoever is given its output."""

from collections.abc import Callable

MASK = b"[token]"


class Redacted:
    """Hands output on without the secret, wherever the pieces are cut. `close` hands on what was held back."""

    def __init__(self, on_output: Callable[[bytes], object], secret: bytes) -> None:
        self._on_output = on_output
        self._secret = secret
        self._held = b""

    def __call__(self, data: bytes) -> None:
        """The next piece."""
        text = (self._held + data).replace(self._secret, MASK)
        cut = len(text) - self._beginning_in(text)
        self._held = text[cut:]
        self._on_output(text[:cut])

    def close(self) -> None:
        """The end of the output."""
        self._on_output(self._held)
        self._held = b""

    def _beginning_in(self, text: bytes) -> int:
        """How many bytes at the end may be the beginning of the secret."""
        longest = min(len(self._secret) - 1, len(text))
        return next((size for size in range(longest, 0, -1) if text.endswith(self._secret[:size])), 0)
