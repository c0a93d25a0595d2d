"""From a fresh machine to a venv."""

import pytest

from db import bootstrap
from db.bootstrap import PackagesMissing, ensure_venv, install, install_script, missing_packages


def test_nothing_is_missing_where_tests_run():
    assert missing_packages() == []


def test_an_existing_server_needs_no_server_packages(monkeypatch):
    monkeypatch.setattr(bootstrap, "SERVER_PACKAGES", {"postgresql-15": bootstrap.CHECKOUT / "absent"})
    assert missing_packages() == ["postgresql-15"]
    monkeypatch.setenv("PGHOST", "db.example")
    assert missing_packages() == []


def test_after_an_interrupted_installation_all_packages_count_as_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(bootstrap, "NO_MAIN_CLUSTER", tmp_path)
    assert {"postgresql-15", "postgresql-15-pgsphere", "python3-venv"} <= set(missing_packages())


@pytest.mark.parametrize(
    ("text", "version"),
    [("default_version = '1.4.2'\n", (1, 4, 2)), ("a = 'x'\ndefault_version='1.10'", (1, 10)), ("", (0,))],
)
def test_pgsphere_version(tmp_path, text, version):
    control = tmp_path / "pg_sphere.control"
    control.write_text(text)
    assert bootstrap.pgsphere_version(control) == version


def test_pgsphere_that_is_not_installed_is_older_than_any(tmp_path):
    assert bootstrap.pgsphere_version(tmp_path / "absent") < bootstrap.PGSPHERE_LEAST


def test_script_makes_no_main_cluster_and_names_the_suite():
    lines = install_script(["postgresql-15", "postgresql-15-pgsphere"]).splitlines()
    switched_off = next(n for n, line in enumerate(lines) if "create_main_cluster = false" in line)
    installed = next(n for n, line in enumerate(lines) if "postgresql-15-pgsphere/bookworm-backports" in line)
    assert switched_off < installed
    assert lines[-1].startswith("rm ")


def test_without_rights_the_message_holds_list_and_commands(monkeypatch):
    monkeypatch.setattr(bootstrap, "_rights", lambda: None)
    with pytest.raises(PackagesMissing) as caught:
        install(["openssl", "python3-venv"])
    assert caught.value.exit_status == 69
    assert "neither root nor sudo, and missing are openssl, python3-venv" in str(caught.value)
    assert "--no-install-recommends install -o DPkg::Lock::Timeout=300 openssl python3-venv" in str(caught.value)


def test_without_apt_the_message_holds_the_list(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PackagesMissing, match="no apt-get here, and missing are openssl"):
        install(["openssl"])


def test_interrupted_venv_is_made_anew_and_a_complete_one_kept(tmp_path, monkeypatch):
    lock = tmp_path / "requirements.lock"
    lock.write_text("# nothing\n")
    monkeypatch.setattr(bootstrap, "LOCK", lock)
    venv = tmp_path / "venv"
    half = venv / "lib/python3.11/site-packages/numpy"
    half.mkdir(parents=True)
    python = ensure_venv(venv)
    assert python.exists()
    assert not half.exists()
    half.mkdir()
    assert ensure_venv(venv) == python
    assert half.exists()
