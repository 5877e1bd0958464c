"""`orch pools` as people type it."""

import pytest

pytestmark = pytest.mark.e2e


def test_a_pool_is_set_listed_and_deleted(site):
    assert (
        site.orch("pools", "set", "db", "3", "--description", "warehouse").stdout == "pool db has 3 slots\n"
    )
    listed = {row["pool"]: row for row in site.json("pools", "list")}
    assert (listed["db"]["slots"], listed["db"]["free"], listed["db"]["description"]) == (3, 3, "warehouse")
    assert site.orch("pools", "set", "db", "--", "-1").stdout == "pool db has no limit\n"
    assert site.orch("pools", "delete", "db").stdout == "pool db is deleted\n"
    assert [row["pool"] for row in site.json("pools", "list")] == ["default"]


def test_bad_input_is_told_by_name(site):
    site.orch("pools", "set", "db", "3")
    assert site.orch("pools", "set", "db", "many").returncode == 2
    refused = site.orch("pools", "delete", "default")
    assert (refused.returncode, refused.stderr[:6]) == (2, "error:")
    unknown = site.orch("pools", "delete", "dbb")
    assert unknown.returncode == 2
    assert "did you mean 'db'?" in unknown.stderr
