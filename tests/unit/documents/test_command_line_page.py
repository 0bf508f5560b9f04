"""The page of help texts shows those of the commands."""

from tests import command_line_page


def test_the_page_of_help_texts_is_as_it_would_be_written() -> None:
    assert command_line_page.page() == command_line_page.PAGE.read_text()
