"""Amounts, durations and bars as the commands print them."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from rich.console import Console

from llm_fleet.cli.render import Bar, duration, open_console, short_amount, some_of


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.04, "40 ms"),
        (0.44, "0.4 s"),
        (12.34, "12.3 s"),
        (75, "75 s"),
        (300, "5 min"),
        (9000, "2.5 h"),
        (259_200, "3 d"),
    ],
)
def test_a_duration_has_the_unit_that_suits_it(seconds, text):
    """Never more digits than help."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (950, "950"),
        (12_345, "12.3k"),
        (60_000, "60k"),
        (999_960, "1000k"),
        (1.2e6, "1.2M"),
        (-300, "-300"),
    ],
)
def test_a_short_amount_is_short(number, text):
    """Five characters at most, as a bar's label needs it."""
    assert short_amount(number) == text


@pytest.mark.parametrize(
    ("share", "held", "cells"),
    [
        (0.0, 0.0, (0, 0, 10)),
        (1.0, 0.0, (10, 0, 0)),
        (0.5, 0.2, (5, 2, 3)),
        (0.01, 0.0, (1, 0, 9)),
        (0.0, 0.01, (0, 1, 9)),
        (0.99, 0.01, (9, 1, 0)),
        (3.0, 0.0, (10, 0, 0)),
        (-1.0, 0.0, (0, 0, 10)),
    ],
)
def test_a_bar_shows_something_of_whatever_is_there(share, held, cells):
    """Full, held and empty cells fill the width; what is not nothing has a cell."""
    assert Bar(share, held).cells() == cells


def test_a_bar_is_plain_where_nothing_else_can_be_shown():
    """An encoding without blocks gets ASCII, an output that is no terminal no colours."""
    sheet = StringIO()
    console = Console(file=sheet)
    console.print(Bar(0.5, 0.2, label="5/10"))
    assert sheet.getvalue() == "█████▒▒░░░ 5/10\n"
    options = console.options.copy()
    options.encoding = "ascii"
    assert console.render_lines(Bar(0.5, 0.2), options)[0][0].text == "#####"


def test_no_color_is_respected(monkeypatch):
    """NO_COLOR wins on a terminal too."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert open_console().no_color


def test_long_lists_are_cut_short():
    """Three names, and how many more; a list of four is printed whole."""
    assert some_of("abcd") == "a, b, c, d"
    assert some_of("abcdef") == "a, b, c and 3 more"
    assert json.dumps(some_of([])) == '""'
