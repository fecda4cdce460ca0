"""What a simulated dialect has to say, and nothing about how bytes travel. One module per dialect implements it, purely:
a request's body becomes an `Ask`, a `Generation` becomes an answer or frames of a stream, a refusal becomes an error.

To add one: write its module and a table of its routes, and name the table in `site.py`.
"""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from .generation import Ask, Generation
from .refusals import RefusedError
from .wire import Request

Frame = tuple[bytes, int]
"""One event of a stream as it is written, and the output tokens it carries. A frame with tokens is a piece."""


class Dialect(Protocol):
    """One API of one provider."""

    @property
    def name(self) -> str:
        """The dialect, as the bill names it."""

    @property
    def provider(self) -> str:
        """Whose prices and models: the provider's name in genai-prices."""

    @property
    def id_header(self) -> bytes:
        """The response header that carries the request id."""

    @property
    def account_headers(self) -> bytes:
        """Response headers that describe the provider's customer, each line ended."""

    def has_credential(self, request: Request) -> bool:
        """Whether the call carries any."""

    def read(self, request: Request) -> Ask:
        """The request. Raises `RefusedError` in the provider's words."""

    def answer(self, generation: Generation) -> bytes:
        """The body of an answer that is not streamed."""

    def frames(self, generation: Generation) -> Iterator[Frame]:
        """The events of a streamed one, up to its end."""

    def error(self, refused: RefusedError, call_id: bytes) -> bytes:
        """The body of an error."""

    def error_frame(self, refused: RefusedError, call_id: bytes) -> bytes:
        """The event of an error in the middle of a stream."""

    def no_credential(self) -> RefusedError:
        """The call carries none."""

    def unknown_model(self, name: str) -> RefusedError:
        """The provider has no such model."""

    def too_long(self, tokens: int, window: int) -> RefusedError:
        """The input does not fit the model's context window."""


@runtime_checkable
class HeadsErrors(Protocol):
    """A dialect whose errors say something in the head of the answer too."""

    def error_headers(self, refused: RefusedError) -> bytes:
        """Header lines, each ended."""
