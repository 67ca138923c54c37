"""The console's own table of the configuration file: what it may hold, and what else is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.console_settings import NOTIFY, REFERENCE, ConsoleSettings, load_console_settings
from core.errors import SettingsError
from core.settings import load_settings


def load(place: Path, text: str, **environment: str) -> ConsoleSettings:
    file = place / "config.toml"
    file.write_text(text)
    return load_console_settings(environment, str(file))


def test_without_a_file_everything_is_as_usual(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = load_console_settings({"XDG_CONFIG_HOME": str(tmp_path)})
    assert found == ConsoleSettings(theme="gpubench-dark", notify="unfocused", keys={})


@pytest.mark.parametrize("text", ["", "[console]\n", "repeats = 3\n"])
def test_a_file_without_the_table_changes_nothing(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == ConsoleSettings()


def test_the_table_says_how_the_console_looks_and_answers(tmp_path: Path) -> None:
    text = '[console]\ntheme = "nord"\nnotify = "always"\n[console.keys]\n"run.stop" = "ctrl+x"\n'
    assert load(tmp_path, text) == ConsoleSettings("nord", "always", {"run.stop": "ctrl+x"})


def test_the_variable_comes_before_the_file(tmp_path: Path) -> None:
    text = '[console]\ntheme = "nord"\n'
    assert load(tmp_path, text, GPUBENCH_THEME="dracula").theme == "dracula"
    assert load(tmp_path, text, GPUBENCH_THEME="").theme == "nord"


def test_the_file_is_found_as_that_of_the_runs_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "config" / "gpubench-tui" / "config.toml"
    place.parent.mkdir(parents=True)
    place.write_text('[console]\ntheme = "far"\n')
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    assert load_console_settings(environment).theme == "far"
    (tmp_path / "gpubench.toml").write_text('[console]\ntheme = "near"\n')
    assert load_console_settings(environment).theme == "near"
    named = tmp_path / "named.toml"
    named.write_text('[console]\ntheme = "named"\n')
    environment["GPUBENCH_CONFIG"] = str(named)
    assert load_console_settings(environment).theme == "named"


@pytest.mark.parametrize("notify", NOTIFY)
def test_every_way_to_be_told_is_taken(tmp_path: Path, notify: str) -> None:
    assert load(tmp_path, f'[console]\nnotify = "{notify}"\n').notify == notify


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("console = 3", "console must be a table"),
        ("console = []", "console must be a table"),
        ('[console]\nthema = "x"', "console.thema is no setting of the console"),
        ("[console]\ntheme = 3", "console.theme must be a theme's name"),
        ('[console]\nnotify = "loud"', "console.notify must be one of unfocused, always, never"),
        ("[console]\nnotify = 3", "console.notify must be one of"),
        ("[console]\nnotify = []", "console.notify must be one of"),
        ("[console]\nnotify = {}", "console.notify must be one of"),
        ('[console]\nkeys = "x"', "console.keys must be a table of command ids and keys"),
        ('[console.keys]\n"run.stop" = 3', "console.keys must be a table"),
        ('[console.keys]\nrun.stop = "x"', "console.keys must be a table"),
    ],
)
def test_what_cannot_be_is_refused_with_its_file_and_field(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert caught.value.sentence.startswith(f"Wrong settings: {tmp_path / 'config.toml'}: {said}")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["[console", "theme = \x00", '"'])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="is not valid TOML"):
        load(tmp_path, text)


def test_a_named_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml cannot be read"):
        load_console_settings({}, str(tmp_path / "nowhere.toml"))


def test_a_run_does_not_mind_the_table(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('repeats = 3\n[console]\ntheme = "nord"\n')
    assert load_settings({}, {}, str(file)).settings.repeats == 3


def test_every_setting_is_explained() -> None:
    assert REFERENCE.keys() == ConsoleSettings.__dataclass_fields__.keys()
