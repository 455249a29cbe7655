"""Flags that have a variable each, for what ``make`` hands on."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.variables import Variables, one_of, port, words


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Variables:
    monkeypatch.setenv("FLINK_PORT", "80")
    monkeypatch.setenv("WHERE", "here")
    made = Variables("make thing", "Makes a thing.")
    made.add("--flink-port", port, "8081", "the port")
    made.add("--place", Path, None, "the place", variable="WHERE")
    made.add("--unset-port", port, "7", "another port")
    return made


def test_a_variable_has_its_flags_name_or_one_of_its_own(variables: Variables) -> None:
    assert vars(variables.parse([])) == {"flink_port": 80, "place": Path("here"), "unset_port": 7}


def test_a_flag_wins_even_over_a_variable_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLINK_PORT", "none")
    made = Variables("make thing", "Makes a thing.")
    made.add("--flink-port", port, None, "the port")
    assert made.parse(["--flink-port=81"]).flink_port == 81
    with pytest.raises(SystemExit):
        made.parse([])


@pytest.mark.parametrize("flag", ["--flink=1", "--flink-ports=1", "thing"])
def test_what_is_no_flag_is_refused(variables: Variables, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        variables.parse([flag])
    assert end.value.code == 2
    assert f"unrecognized arguments: {flag}" in capsys.readouterr().err


def test_what_does_not_go_together_is_refused_in_the_programs_name(
    variables: Variables, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        variables.refuse("WHERE needs FLINK_PORT")
    assert end.value.code == 2
    assert "make thing: error: WHERE needs FLINK_PORT" in capsys.readouterr().err


def test_help_tells_a_default_only_where_there_is_one(variables: Variables, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        variables.parse(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "the port [env: FLINK_PORT] (default: 8081)" in told
    assert "the place [env: WHERE] --unset-port" in told


def test_one_of_takes_its_words_and_no_others() -> None:
    parse = one_of("a", "b", "c")
    assert [parse(word) for word in "abc"] == ["a", "b", "c"]
    with pytest.raises(argparse.ArgumentTypeError, match="expected a or b or c, got 'A'"):
        parse("A")


@given(st.lists(st.text()))
def test_words_are_those_of_a_shell(texts: list[str]) -> None:
    assert words(shlex.join(texts)) == texts
