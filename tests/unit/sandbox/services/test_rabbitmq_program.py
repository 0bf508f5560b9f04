"""A private RabbitMQ searches its modules only in the directories that it needs."""

from pathlib import Path

from recording_sandbox.services.rabbitmq_program import without_plugins


def laid_out(home: Path, *libraries: str) -> Path:
    (home / "sbin").mkdir(parents=True)
    (home / "sbin/rabbitmq-server").touch()
    for name in libraries:
        (home / "plugins" / name / "ebin").mkdir(parents=True)
    return home / "sbin"


def test_needed_libraries_are_linked_and_optional_plugins_are_not(tmp_path: Path) -> None:
    needed = {"rabbit-4.0", "rabbitmq_prelaunch-4.0", "ra-2.0"}
    scripts = laid_out(tmp_path / "there", *needed, "rabbitmq_management-4.0")

    environ = without_plugins(scripts, tmp_path / "lean")

    assert {file.name for file in (tmp_path / "lean/plugins").iterdir()} == needed
    assert (Path(environ["RABBITMQ_SCRIPTS_DIR"]) / "rabbitmq-server").exists()


def test_the_links_can_be_made_twice_in_the_same_directory(tmp_path: Path) -> None:
    scripts = laid_out(tmp_path / "there", "rabbit-4.0", "rabbitmq_prelaunch-4.0")
    first = without_plugins(scripts, tmp_path / "lean")

    assert without_plugins(scripts, tmp_path / "lean") == first


def test_a_program_with_an_unexpected_layout_gets_no_links(tmp_path: Path) -> None:
    scripts = laid_out(tmp_path / "there", "rabbit.ez")

    assert without_plugins(scripts, tmp_path / "lean") == {}
    assert not (tmp_path / "lean").exists()
