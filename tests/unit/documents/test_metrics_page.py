"""The page about metrics lists every metric."""

from tests import metrics_page


def test_the_table_of_metrics_is_as_it_would_be_written() -> None:
    assert metrics_page.page() == metrics_page.PAGE.read_text()
