"""Misspelt commands get a suggestion, on every level."""

import pytest
from click.testing import CliRunner

from worker.cli.root import root


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (("recodings",), "Did you mean 'recordings'?"),
        (("sned",), "Did you mean 'send'?"),
        (("statsu",), "Did you mean 'status'?"),
        (("dead", "lst"), "Did you mean 'list'?"),
        (("recordings", "shwo"), "Did you mean 'show'?"),
        (("topology", "chek"), "Did you mean 'check'?"),
        (("store", "copi"), "Did you mean 'copy'?"),
        (("config", "chekc"), "Did you mean 'check'?"),
        (("webhooks", "lits"), "Did you mean 'list'?"),
        (("xyzzy",), "The commands are run, send, tail, status,"),
        (("outcomes", "--outcom", "failed"), "--outcome"),
        (("outcomes", "--outcome", "faild"), "'failed'"),
    ],
)
def test_a_misspelt_word_gets_a_suggestion(arguments: tuple[str, ...], suggestion: str) -> None:
    result = CliRunner().invoke(root, arguments)

    assert result.exit_code == 2
    assert suggestion in " ".join(result.output.split())
