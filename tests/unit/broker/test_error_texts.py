"""What log lines and `/readyz` say about an error of the broker."""

import pytest

from worker.broker.connection import described


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TimeoutError(), "TimeoutError: no answer in time"),
        (TimeoutError("timed out"), "TimeoutError: timed out"),
        (ConnectionResetError(), "ConnectionResetError"),
        (OSError("refused"), "OSError: refused"),
    ],
)
def test_an_error_without_a_text_is_described_all_the_same(error: OSError, text: str) -> None:
    assert described(error) == text
