"""Settings: the first source that has a value gives it, and every mistake is named at once."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cli.flags import COMMON_FLAGS, RUN_FLAGS
from core.errors import SettingsError
from core.settings import Settings, load_settings

GOOD: dict[str, list[Any]] = {
    "leg": ["xen", "baseline", "a.b-c"],
    "profile": ["quick", "reference", "mine.toml"],
    "repeats": [1, 7, 1000],
    "probes": [True, False],
    "device": ["cpu", "auto", "cuda:1"],
    "precision": ["fp32", "bf16", "auto"],
    "execution": ["eager", "compile", "graph"],
    "threads": [0, 1, 64],
    "arrival_rates_from": ["none", "baseline", "auto"],
}


def write_toml(folder: Path, values: Mapping[str, Any]) -> str:
    path = folder / "settings.toml"
    lines = [
        f"{name} = {str(value).lower()}" if isinstance(value, int) else f'{name} = "{value}"'
        for name, value in values.items()
    ]
    path.write_text("\n".join(lines))
    return str(path)


some = st.fixed_dictionaries({}, optional={n: st.sampled_from(v) for n, v in GOOD.items()})


@given(some, some, some)
def test_flag_comes_before_variable_before_file_before_default(
    flags: dict[str, Any], variables: dict[str, Any], file: dict[str, Any]
) -> None:
    environment = {f"GPUBENCH_{name.upper()}": str(value) for name, value in variables.items()}
    # The command line hands over None for a flag that was not given.
    given_flags = dict.fromkeys(GOOD) | {n: str(v) for n, v in flags.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = write_toml(Path(folder), file)
        loaded = load_settings(given_flags, environment, path)
    for name in GOOD:
        if name in flags:
            value, origin = flags[name], f"flag --{name.replace('_', '-')}"
        elif name in variables:
            value, origin = variables[name], f"GPUBENCH_{name.upper()}"
        elif name in file:
            value, origin = file[name], path
        else:
            value, origin = Settings.model_fields[name].default, "default"
        assert getattr(loaded.settings, name) == value
        assert loaded.origins[name] == origin


def test_every_setting_has_a_flag_and_every_flag_a_setting() -> None:
    assert {*RUN_FLAGS, *COMMON_FLAGS} == set(Settings.model_fields)
    assert not RUN_FLAGS.keys() & COMMON_FLAGS.keys()


def test_every_setting_says_what_it_means() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_all_mistakes_of_all_sources_are_named_at_once(tmp_path: Path) -> None:
    path = write_toml(tmp_path, {"threads": "many", "reapeats": 3})
    with pytest.raises(SettingsError) as caught:
        load_settings({"leg": "NO SPACES", "device": None}, {"GPUBENCH_PRECISION": "fp8"}, path)
    sentence = caught.value.sentence
    assert "flag --leg: leg" in sentence
    assert "GPUBENCH_PRECISION: precision" in sentence
    assert f"{path}: threads" in sentence
    assert f"{path}: reapeats is not a known field" in sentence
    assert "'many'" in sentence
    assert sentence.count(". ") == 0
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("repeats", "0"),
        ("repeats", "1001"),
        ("repeats", "two"),
        ("repeats", "1.5"),
        ("repeats", ""),
        ("threads", "-1"),
        ("leg", ""),
        ("leg", "../up"),
        ("leg", "Xen"),
        ("leg", "a" * 42),
        ("leg", "a\nb"),
        ("device", "gpu"),
        ("device", "cuda:"),
        ("precision", "int8"),
        ("target", "moon"),
        ("profile", ""),
        ("profile", "a\0b"),
        ("weights", "x" * 5000),
        ("results_dir", "~nobody-of-that-name/x"),
        ("results_dir", "a\0b"),
        ("results_dir", "/tmp/\udcff"),
    ],
)
def test_what_cannot_be_is_refused_with_its_source(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"flag --{name.replace('_', '-')}: {name}") as caught:
        load_settings({name: value}, {})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", ["leg = [", "= 3", 'leg = "a"\nleg = "b"', "\ufffe", "leg = 'unclosed"]
)
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(content)
    with pytest.raises(SettingsError, match="not valid TOML") as caught:
        load_settings({}, {}, str(path))
    assert str(path) in caught.value.sentence


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="not valid TOML"):
        load_settings({}, {}, str(path))


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    for place in (tmp_path / "missing.toml", tmp_path, Path("~nobody-of-that-name/x")):
        with pytest.raises(SettingsError, match="cannot be read"):
            load_settings({}, {}, str(place))


def test_one_file_is_read_the_nearest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "config"
    environment = {"XDG_CONFIG_HOME": str(home)}

    def leg(**more: str) -> str:
        return load_settings({}, {**environment, **more}).settings.leg

    assert leg() == "baseline"
    (home / "gpubench-tui").mkdir(parents=True)
    (home / "gpubench-tui" / "config.toml").write_text('leg = "of-the-user"')
    assert leg() == "of-the-user"
    Path("gpubench.toml").write_text('leg = "of-the-folder"')
    assert leg() == "of-the-folder"
    Path("named.toml").write_text('leg = "named"')
    assert leg(GPUBENCH_CONFIG="named.toml") == "named"
    Path("flag.toml").write_text('leg = "of-the-flag"')
    found = load_settings({}, {**environment, "GPUBENCH_CONFIG": "named.toml"}, "flag.toml")
    assert found.settings.leg == "of-the-flag"


def test_folders_mean_the_same_wherever_the_run_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    settings = load_settings({"results_dir": "here", "state_dir": "~/there"}, {}).settings
    assert settings.results_dir == tmp_path / "here"
    assert settings.state_dir == Path("/home/somebody/there")
    assert load_settings({}, {}).settings.results_dir == tmp_path / "results"


def test_the_journal_is_where_the_desktop_keeps_state() -> None:
    loaded = load_settings({}, {"XDG_STATE_HOME": "/var/state"})
    assert loaded.settings.state_dir == Path("/var/state/gpubench-tui")
    assert loaded.origins["state_dir"] == "XDG_STATE_HOME"
    nearer = load_settings({}, {"XDG_STATE_HOME": "/var/state", "GPUBENCH_STATE_DIR": "/nearer"})
    assert nearer.settings.state_dir == Path("/nearer")


def test_loading_settings_makes_nothing(tmp_path: Path) -> None:
    load_settings({"results_dir": str(tmp_path / "r"), "state_dir": str(tmp_path / "s")}, {})
    assert list(tmp_path.iterdir()) == []
