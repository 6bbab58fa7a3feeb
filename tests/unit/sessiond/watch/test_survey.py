"""Surveys: what has to be watched, as a whole and for new folders only."""

import pytest

from sessiond.watch.survey import survey_of, survey_of_new
from sessionlib.state.scan import FinderOptions
from tests.watching import sessions_root

OPTIONS = FinderOptions(depth=2)


def _paths(top, found):
    return {path.removeprefix(str(top)).strip("/") for path in found}


def test_watch_root(tmp_path):
    """Of a watch root: every candidate, the ways inside its projects, and the sessions roots."""
    sessions_root(tmp_path / "group" / "project")
    survey = survey_of(str(tmp_path), OPTIONS, under=True)
    assert _paths(tmp_path, survey.roots) == {"group/project/agents/sessions"}
    assert _paths(tmp_path, survey.chain) == {"", "group", "group/project", "group/project/agents"}


def test_project(tmp_path):
    """Of a project: its ways and roots, and nothing below other folders."""
    sessions_root(tmp_path)
    sessions_root(tmp_path / "inner")
    survey = survey_of(str(tmp_path), OPTIONS, under=False)
    assert _paths(tmp_path, survey.roots) == {"agents/sessions"}
    assert _paths(tmp_path, survey.chain) == {"", "agents"}


@pytest.mark.parametrize(
    ("new", "roots"),
    [
        ("group", {"group/project/agents/sessions"}),
        ("group/project/agents/sessions", {"group/project/agents/sessions"}),
        ("other", set()),
    ],
)
def test_new_folder(tmp_path, new, roots):
    """A new folder is searched, and so is what it completes above itself, and nothing else."""
    sessions_root(tmp_path / "group" / "project")
    sessions_root(tmp_path / "neighbour")
    (tmp_path / "other").mkdir()
    survey = survey_of_new(str(tmp_path), [str(tmp_path / new)], OPTIONS, under=True)
    assert _paths(tmp_path, survey.roots) == roots


@pytest.mark.parametrize("marker", [".git", "agents/sessions"])
def test_leaf(tmp_path, marker):
    """Below a project or a repository a new folder is not searched, as by the finder."""
    (tmp_path / "leaf" / marker).mkdir(parents=True)
    sessions_root(tmp_path / "leaf" / "inner")
    survey = survey_of_new(str(tmp_path), [str(tmp_path / "leaf" / "inner")], OPTIONS, under=True)
    assert "leaf/inner/agents/sessions" not in _paths(tmp_path, survey.roots)
    assert "leaf/inner" not in _paths(tmp_path, survey.chain)


def test_too_deep_or_passed_over(tmp_path):
    """A new folder that the finder would not reach is not searched."""
    for project in ("a/b/c", "node_modules", ".hidden"):
        sessions_root(tmp_path / project)
    new = [str(tmp_path / name) for name in ("a/b/c", "node_modules", ".hidden")]
    assert not survey_of_new(str(tmp_path), new, OPTIONS, under=True).roots


def test_same_as_the_finder(tmp_path):
    """Searching each new folder finds what a search of the whole finds."""
    for project in ("a/b", "c", "d/e"):
        sessions_root(tmp_path / project)
    whole = survey_of(str(tmp_path), OPTIONS, under=True)
    parts = survey_of_new(str(tmp_path), [str(tmp_path / n) for n in "acd"], OPTIONS, under=True)
    assert parts.roots.keys() == whole.roots.keys()
    assert parts.chain.keys() == whole.chain.keys()
