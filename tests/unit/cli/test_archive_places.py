"""Where copies are that are not below the URL of the archive."""

import pytest

from worker.cli.archive.places import Places


def places(*urls: str) -> list[str]:
    found = Places()
    for url in urls:
        found.add(url)
    first, *rest = found.lines()
    return [first.partition(" elsewhere")[0], *(line.split("--archive-url ")[1] for line in rest)]


@pytest.mark.parametrize(
    ("urls", "lines"),
    [
        (["s3://old/a/b.webm"], ["1 object lies", "s3://old  # 1"]),
        (
            ["s3://old/a/b.webm", "s3://old/c", "gs://b/d/e", "az://c/f"],
            ["4 objects lie", "s3://old  # 2", "gs://b  # 1", "az://c  # 1"],
        ),
        (["file:///srv/old/r1/a.webm"], ["1 object lies", "file:///srv/old/r1  # 1"]),
        (
            ["file:///srv/old/r1/a.webm", "file:///srv/old/r2/b.webm", "file:///srv/older/c.webm"],
            ["3 objects lie", "file:///srv  # 3"],
        ),
        (["file:///srv/a.webm", "file:///b.webm"], ["2 objects lie", "file:///  # 2"]),
        (["file:///srv/my%20old/a.webm"], ["1 object lies", "file:///srv/my%20old  # 1"]),
    ],
)
def test_objects_elsewhere_are_counted_by_place(urls: list[str], lines: list[str]) -> None:
    assert places(*urls) == lines
