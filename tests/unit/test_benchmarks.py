"""The frame of the benchmarks: one shape for all."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.spatial import cKDTree

from pipelines.simulate.places import unit
from tests.benchmarks import BENCHMARKS, RUNS, Result, in_turns
from tests.benchmarks.command import bench
from tests.benchmarks.facts import built_server
from tests.benchmarks.growth import LONG_NIGHT, apart
from tests.benchmarks.visits import CENTRE, FIELD_DEG


def test_the_list_names_every_benchmark():
    listed = CliRunner().invoke(bench, []).output
    assert all(f"{name} " in listed and what in listed for name, what in BENCHMARKS.items())


@pytest.mark.parametrize(
    ("value", "peer_value", "goal", "higher", "met"),
    [
        (8, 10, 0.8, True, True),
        (7, 10, 0.8, True, False),
        (2, 10, 0.3, False, True),
        (4, 10, 0.3, False, False),
        (5, None, 4, True, True),
        (5, 10, None, True, None),
    ],
)
def test_the_goal_is_for_the_ratio_or_without_peer_the_value(value, peer_value, goal, higher, met):
    peer = "peer" if peer_value else None
    assert Result("load", value, "rows/s", peer, peer_value, goal, higher).as_dict()["met"] is met


def test_candidates_take_turns():
    calls = []
    in_turns({"ours": lambda: calls.append("ours"), "peer": lambda: calls.append("peer")})
    assert calls == ["ours", "peer"] * RUNS


def test_the_median_of_a_candidate_that_measures_itself():
    times = iter([9.0, 1.0, 2.0, 3.0, 100.0])
    assert in_turns({"ours": lambda: next(times)}) == {"ours": 3.0}


@pytest.mark.parametrize("options", [["--json"], []])
def test_ingest_reports_in_the_one_shape(options):
    output = CliRunner().invoke(bench, ["ingest", "--size", "tiny", *options], catch_exceptions=False).output
    *table, line = output.splitlines()
    assert bool(table) == (not options)
    report = json.loads(line)
    assert list(report) == ["bench", "machine", "versions", "rows", "results"]
    assert report["rows"]["columns"] == 59
    for result in report["results"]:
        keys = ["what", "value", "unit", "peer", "peer_value", "ratio", "goal", "met"]
        assert list(result) == keys
        assert result["value"] > 0


def test_an_unknown_size_is_named():
    result = CliRunner().invoke(bench, ["ingest", "--size", "huge"])
    assert result.exit_code == 2
    assert "night, visit, tiny" in result.output


def test_all_ways_to_cross_match_agree():
    report = json.loads(
        CliRunner().invoke(bench, ["crossmatch", "--size", "tiny", "--json"], catch_exceptions=False).output
    )
    assert {result["peer"] for result in report["results"]} - {"stilts and export"} == {
        "scipy and export", "q3c_join", "pgSphere", "astropy and export",
    }  # fmt: skip
    assert report["rows"]["pairs"] > 1500


def test_a_kept_database_is_built_once(monkeypatch, new_folder):
    monkeypatch.setenv("HVEN_HOME", str(new_folder()))
    times = []
    for _ in range(2):
        with built_server(times.append, 7, "name"):
            pass
    with built_server(times.append, 8, None):
        pass
    assert times == [7, 8]


def test_digests_are_measured_against_text():
    done = CliRunner().invoke(bench, ["checksum", "--size", "tiny", "--json"], catch_exceptions=False)
    peers = {result["peer"] for result in json.loads(done.output)["results"]}
    assert peers == {"md5 of rows as text", "COPY as text and sha256"}


def test_the_fields_of_a_long_night_do_not_meet():
    centres = unit(*apart(LONG_NIGHT).T)
    nearest = cKDTree(centres).query(centres, k=2)[0][:, 1]
    assert np.degrees(2 * np.arcsin(nearest.min() / 2)) > 2 * FIELD_DEG
    assert np.degrees(np.arccos((centres @ unit(*CENTRE)).min())) < 90


@pytest.mark.long
@pytest.mark.parametrize(("name", "what"), [
    ("associate", "pairs unlike cKDTree's beyond 1e-9 arcsec"),
    ("growth", "Visit 30 of a night v Visit 10, processor time"),
])
def test_association_is_measured_at_any_size(name, what):
    done = CliRunner().invoke(bench, [name, "--size", "tiny", "--json"], catch_exceptions=False)
    figures = {result["what"]: result["value"] for result in json.loads(done.stdout.splitlines()[-1])["results"]}
    assert what in figures
    assert figures.get("pairs unlike cKDTree's beyond 1e-9 arcsec", 0) == 0
