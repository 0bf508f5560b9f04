"""What is no command goes to the dead-letter queue, with its bytes and the reason."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from tests.oracle.evidence import Evidence

HEADERS: Final = ("x-reason-code", "x-reason", "x-attempts", "x-first-seen")


def check_dead_letters(evidence: Evidence) -> Iterator[str]:
    """Yield what is wrong."""
    dead = Counter(letter.body for letter in evidence.dead)
    commands = evidence.commands()
    for sent in evidence.sent:
        alike = commands[sent.id]  # another body with this id is not executed, only answered
        is_wrong = not any(each.is_right for each in alike)
        if is_wrong and not any(dead[each.body] for each in alike):
            yield f"no dead letter of {sent.id}"
    known = {sent.body: sent for sent in evidence.sent}
    for letter in evidence.dead:
        if letter.body not in known:
            yield f"a dead letter that nobody sent: {letter.body[:100]!r}"
        elif all(each.is_right for each in commands[known[letter.body].id]):
            yield f"{known[letter.body].id} is right, and it is a dead letter"
        if missing := [name for name in HEADERS if name not in letter.headers]:
            yield f"a dead letter without {missing}: {letter.body[:100]!r}"
    if evidence.left_in_queues:
        yield f"{evidence.left_in_queues} commands are left in the queue"
