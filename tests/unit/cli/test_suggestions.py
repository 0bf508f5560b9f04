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
        (("xyzzy",), "It must be one of run, send, tail, status,"),
        (("send", "strat_recording"), "Did you mean 'start_recording'"),
        (("send", "stop"), "Did you mean 'stop_recording'?"),
        (("send", "start"), "Did you mean 'start_track_recording' or 'start_recording'?"),
        (("send", "xyzzy"), "It must be one of start_track_recording, start_recording,"),
        (("outcomes", "--type", "stop_recordin"), "Did you mean 'stop_recording'?"),
        (("recordings", "--status", "RECODING"), "Did you mean 'RECORDING'?"),
        (("recordings", "--status", "paus"), "Did you mean 'PAUSED'?"),
        (("STATUS",), "Did you mean 'status'?"),
        (("archive", "list", "--state", "quued"), "Did you mean 'queued'?"),
        (("dead", "list", "--type", "sync_recordings"), "Did you mean 'sync_recording'"),
        (("tail", "--exchange", "statsu"), "Did you mean 'status'?"),
        (("outcomes", "--outcom", "failed"), "--outcome"),
        (("outcomes", "--outcome", "faild"), "'failed'"),
    ],
)
def test_a_misspelt_word_gets_a_suggestion(arguments: tuple[str, ...], suggestion: str) -> None:
    result = CliRunner().invoke(root, arguments)

    assert result.exit_code == 2
    assert suggestion in " ".join(result.output.split())
