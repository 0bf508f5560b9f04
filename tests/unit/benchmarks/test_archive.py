"""The table of `make bench-archive`."""

from benchmarks.archive.bench import WAYS, Copied, table


def copied(way: str, megabytes: int, seconds: float, *, at_once: int = 1) -> Copied:
    checksums = 1.8 if WAYS[way] is None else None
    return Copied(way, megabytes, 4, at_once, seconds, seconds / 2, 50 * 2**20, checksums)


def test_each_size_number_and_way_has_a_row_with_its_medians() -> None:
    rounds = [
        copied(way, megabytes, seconds, at_once=at_once)
        for seconds in (4.0, 9.0, 5.0)
        for megabytes in (250, 25)
        for at_once in (4, 1)
        for way in WAYS
    ]
    _, *rows = table(rounds)
    assert [row[:3] for row in rows] == [
        (way, megabytes, at_once)
        for megabytes in ("25", "250")
        for at_once in ("1", "4")
        for way in WAYS
    ]
    versions = {"recording-worker": "1.8"}
    assert {(row[0], *row[3:]) for row in rows if row[1] == "250"} == {
        (way, "200", "2.5", versions.get(way, ""), "50") for way in WAYS
    }
    assert {(row[0], *row[3:]) for row in rows if row[1] == "25"} == {
        (way, "20", "25.0", versions.get(way, ""), "50") for way in WAYS
    }
