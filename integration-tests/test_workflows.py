# SPDX-License-Identifier: MIT
"""
The workflows name what exists, and may do no more than they must.

They run elsewhere, where a mistake shows late. Here they are read as data.
"""

from __future__ import annotations

import ast
import re
import shlex
from itertools import chain
from typing import Any

import pytest
import yaml

import house

pytestmark = pytest.mark.once

FOLDER = house.ROOT / ".github" / "workflows"
FLOWS: dict[str, dict[Any, Any]] = {
    path.stem: yaml.safe_load(house.text(path)) for path in sorted(FOLDER.glob("*.yml"))
}
JOBS = {
    f"{flow}/{name}": job
    for flow, told in FLOWS.items()
    for name, job in told["jobs"].items()
}
#: The only jobs that may write, and what.
WRITERS = {
    "release/publish": {"id-token": "write"},
    "pages/deploy": {"pages": "write", "id-token": "write"},
}


def triggers(flow: str) -> dict[str, Any]:
    """Give what starts a workflow. In YAML the bare word `on` is a truth value."""
    told = FLOWS[flow][True]
    return told if isinstance(told, dict) else {told: None}


def steps(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Give a job's steps; one that calls another workflow has none."""
    found: list[dict[str, Any]] = job.get("steps", [])
    return found


def commands(job: dict[str, Any]) -> list[str]:
    """Give each line that a job runs, once for every value of its matrix."""
    matrix = job.get("strategy", {}).get("matrix", {})
    listed = {key: value for key, value in matrix.items() if key != "include"}
    rows = matrix.get("include") or [
        {key: value} for key, values in listed.items() for value in values
    ]
    lines = []
    for line in chain(*(step.get("run", "").splitlines() for step in steps(job))):
        for row in rows or [{}]:

            def put(found: re.Match[str], row: dict[str, str] = row) -> str:
                return str(row.get(found[1], ""))

            lines.append(re.sub(r"\$\{\{ matrix\.(\w+) \}\}", put, line))
    return lines


def sessions(line: str) -> list[str]:
    """Give the sessions of nox that a command names."""
    words = shlex.split(line)
    if "nox" not in words or "-s" not in words:
        return []
    named = words[words.index("-s") + 1 :]
    return named[: named.index("--")] if "--" in named else named


def known() -> dict[str, set[str]]:
    """Give the sessions of the noxfile, each with the words of its parameters."""
    found = {}
    for node in ast.parse(house.text(house.ROOT / "noxfile.py")).body:
        if isinstance(node, ast.FunctionDef):
            words = (ast.walk(one) for one in node.decorator_list)
            values = {w.value for w in chain(*words) if isinstance(w, ast.Constant)}
            found[node.name] = {str(value) for value in values}
    return found


def test_there_are_the_workflows() -> None:
    """Each has a name and a licence, and none starts with a stranger's code in hand."""
    assert FLOWS.keys() == {"ci", "nightly", "pages", "release", "wheels"}
    for flow, told in FLOWS.items():
        assert told["name"]
        first = house.text(FOLDER / f"{flow}.yml").splitlines()[0]
        assert first == "# SPDX-License-Identifier: MIT"
        assert not triggers(flow).keys() & {"pull_request_target", "workflow_run"}


@pytest.mark.parametrize("flow", FLOWS)
def test_a_workflow_may_do_nothing_by_itself(flow: str) -> None:
    """What a workflow may do is said by its jobs."""
    assert FLOWS[flow]["permissions"] == {}


@pytest.mark.parametrize("name", JOBS)
def test_jobs_may_do_what_they_must(name: str) -> None:
    """Every job says what it may: to read the sources, or the little that it writes."""
    assert JOBS[name]["permissions"] == WRITERS.get(name, {"contents": "read"})


@pytest.mark.parametrize("name", JOBS)
def test_jobs_end(name: str) -> None:
    """A job that hangs is ended, unless what it calls sees to that."""
    job = JOBS[name]
    assert ("timeout-minutes" in job) == ("uses" not in job)


@pytest.mark.parametrize("name", JOBS)
def test_actions_are_pinned(name: str) -> None:
    """An action is of a major version; a workflow of ours is there."""
    job = JOBS[name]
    for used in [job.get("uses"), *(step.get("uses") for step in steps(job))]:
        if used and used.startswith("./"):
            assert (house.ROOT / used).is_file()
        elif used:
            assert re.fullmatch(r"(actions/[\w-]+@v\d+|pypa/[\w-]+@release/v\d+)", used)
    for step in steps(job):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"] == {"persist-credentials": False}


@pytest.mark.parametrize("name", JOBS)
def test_commands_name_what_exists(name: str) -> None:
    """Sessions of nox and scripts that are run are in the tree."""
    there = known()
    for line in commands(JOBS[name]):
        assert "${{" not in line
        for session in sessions(line):
            base, _, values = session.partition("(")
            assert base in there, line
            assert set(re.findall(r"'([^']+)'", values)) <= there[base], line
        scripts = re.findall(r"\.ci/[\w.]+", line)
        assert [one for one in scripts if not (house.ROOT / one).is_file()] == []


def test_every_session_that_must_run_is_run() -> None:
    """.ci/run and the nightly jobs together leave out only what writes or lists."""
    lines = list(chain(*(commands(job) for job in JOBS.values())))
    run = house.text(house.ROOT / ".ci" / "run").replace("\\\n", " ")
    lines += re.findall(r"\bnox -s [^|>&;\n]*", run)
    named = chain(*(sessions(line) for line in lines))
    assert {one.partition("(")[0] for one in named} == known().keys() - {
        "records",
        "traps",
    }


def test_all_systems_are_tested() -> None:
    """Tests run, and wheels are built, on Linux, macOS and Windows."""
    tests = {one.split("-")[0] for one in JOBS["ci/tests"]["strategy"]["matrix"]["os"]}
    assert tests == {"ubuntu", "macos", "windows"}
    rows = JOBS["wheels/build"]["strategy"]["matrix"]["include"]
    assert {row["os"].split("-")[0] for row in rows} == tests
    for row in rows:
        old = re.search(r"/manylinux_2_28_(\w+)$", row["container"])
        assert (old is not None) == row["platform"].startswith("linux-")
        assert old is None or row["platform"] == f"linux-{old[1]}"
    whole = [row["platform"] for row in rows if row["files"] == "dist/*"]
    assert whole == ["linux-x86_64"]


def test_a_release_publishes_what_its_run_has_tested() -> None:
    """A tag starts it; the version is checked, all is tested, nothing is secret."""
    assert triggers("release") == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+"]}}
    publish = JOBS["release/publish"]
    assert set(publish["needs"]) == {"version", "ci"}
    assert publish["environment"] == "pypi"
    got, put = steps(publish)
    (built,) = (one for one in steps(JOBS["wheels/build"]) if "upload" in str(one))
    name = built["with"]["name"].partition("${{")[0]
    assert got["with"]["pattern"] == f"{name}*"
    assert got["with"]["path"] == put["with"]["packages-dir"]
    assert put["with"]["attestations"] is True
    (check,) = commands(JOBS["release/version"])
    assert check == 'python .ci/release.py --check "$GITHUB_REF_NAME"'
    assert JOBS["release/ci"]["uses"].endswith("/ci.yml")
    assert JOBS["ci/wheels"]["uses"].endswith("/wheels.yml")
    assert "secrets." not in "".join(house.text(path) for path in FOLDER.iterdir())
