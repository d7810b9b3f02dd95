import sys
from datetime import UTC, datetime, timedelta

import pytest

from ghostkit.cloud import profiles
from ghostkit.cloud.settings import StoreSettings, set_flags, settings_for
from ghostkit.errors import UsageError

KEYS = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "SK"}


@pytest.fixture(autouse=True)
def _no_flags():
    yield
    set_flags(StoreSettings())


def test_the_environment_of_s3(tmp_path):
    found = settings_for("s3", {**KEYS, "AWS_REGION": "eu-west-1", "HOME": str(tmp_path)})
    assert (found.access_key, found.secret_key, found.region) == ("AK", "SK", "eu-west-1")
    assert (found.addressing, found.signature, found.endpoint) == ("virtual", "v4", None)
    assert found.origin == "the environment"


def test_an_endpoint_of_ones_own_is_reached_by_path(tmp_path):
    given = {**KEYS, "AWS_ENDPOINT_URL": "http://10.0.0.1:9000/", "HOME": str(tmp_path)}
    found = settings_for("s3", given)
    assert (found.endpoint, found.addressing) == ("http://10.0.0.1:9000", "path")


def test_obs_takes_its_region_from_the_host_and_refuses_to_go_without_one(tmp_path):
    given = {
        "OBS_ACCESS_KEY_ID": "AK",
        "OBS_SECRET_ACCESS_KEY": "SK",
        "OBS_SECURITY_TOKEN": "T",
        "OBS_ENDPOINT": "obs.cn-north-4.myhuaweicloud.com",
        "HOME": str(tmp_path),
    }
    found = settings_for("obs", given)
    assert found.endpoint == "https://obs.cn-north-4.myhuaweicloud.com"
    assert (found.region, found.addressing) == ("cn-north-4", "virtual")
    assert (found.signature, found.token) == ("obs", "T")
    with pytest.raises(UsageError, match="set OBS_ENDPOINT or give --store-endpoint"):
        settings_for("obs", {"HOME": str(tmp_path)})


def test_profiles_in_the_files_of_aws(tmp_path):
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "credentials").write_text(
        "[default]\naws_access_key_id = D\naws_secret_access_key = DS\n"
        "[lab]\naws_access_key_id = L\naws_secret_access_key = LS\naws_session_token = LT\n"
    )
    (folder / "config").write_text(
        "[profile lab]\nregion = eu-north-1\nendpoint_url = https://store.lab:9000\n"
        "s3 =\n  addressing_style = virtual\n"
    )
    assert settings_for("s3", {"HOME": str(tmp_path)}).access_key == "D"
    lab = settings_for("s3", {"HOME": str(tmp_path), "AWS_PROFILE": "lab"})
    assert (lab.access_key, lab.secret_key, lab.token) == ("L", "LS", "LT")
    assert (lab.endpoint, lab.region) == ("https://store.lab:9000", "eu-north-1")
    assert (lab.addressing, lab.origin) == ("virtual", "profile 'lab'")
    with pytest.raises(UsageError, match="no profile 'absent'"):
        settings_for("s3", {"HOME": str(tmp_path), "AWS_PROFILE": "absent"})


def test_keys_of_one_place_are_not_mixed_with_the_token_of_another(tmp_path):
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "credentials").write_text(
        "[default]\naws_access_key_id = D\naws_secret_access_key = DS\naws_session_token = DT\n"
    )
    found = settings_for("s3", {**KEYS, "HOME": str(tmp_path)})
    assert (found.access_key, found.token) == ("AK", None)


def test_keys_under_obs_names_are_not_mixed_with_amazons(tmp_path):
    amazons = {
        "AWS_ACCESS_KEY_ID": "A",
        "AWS_SECRET_ACCESS_KEY": "AS",
        "AWS_SESSION_TOKEN": "AT",
        "OBS_ENDPOINT": "https://obs.cn-north-4.myhuaweicloud.com",
        "HOME": str(tmp_path),
    }
    own = {"OBS_ACCESS_KEY_ID": "O", "OBS_SECRET_ACCESS_KEY": "OS"}
    found = settings_for("obs", amazons | own)
    assert (found.access_key, found.secret_key, found.token) == ("O", "OS", None)
    found = settings_for("obs", amazons)
    assert (found.access_key, found.secret_key, found.token) == ("A", "AS", "AT")
    with pytest.raises(UsageError, match="gives an access key for obs:// and no secret"):
        settings_for("obs", amazons | {"OBS_ACCESS_KEY_ID": "O"})


def test_the_file_of_obsutil(tmp_path):
    (tmp_path / ".obsutilconfig").write_text("endpoint=http://127.0.0.1:1\nak=A\nsk=S\ntoken=\n")
    found = settings_for("obs", {"HOME": str(tmp_path)})
    assert (found.access_key, found.secret_key, found.token) == ("A", "S", None)
    assert (found.endpoint, found.addressing) == ("http://127.0.0.1:1", "path")


def test_flags_go_over_everything(tmp_path):
    set_flags(StoreSettings(endpoint="http://127.0.0.1:9", addressing="virtual", region="r"))
    found = settings_for("s3", {**KEYS, "AWS_ENDPOINT_URL": "http://x", "HOME": str(tmp_path)})
    assert (found.endpoint, found.addressing, found.region) == (
        "http://127.0.0.1:9",
        "virtual",
        "r",
    )
    assert found.access_key == "AK"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"AWS_SECRET_ACCESS_KEY": ""}, "gives an access key for s3:// and no secret"),
        ({"GHOSTKIT_STORE_ADDRESSING": "dns"}, "'dns'; expected path or virtual"),
        ({"GHOSTKIT_STORE_SIGNATURE": "v9"}, "'v9'; expected obs or v2 or v4 or none"),
        ({"AWS_ENDPOINT_URL": "https://host/path"}, "is not https://HOST"),
    ],
)
def test_what_cannot_be_right_is_refused(tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        settings_for("s3", {**KEYS, "HOME": str(tmp_path), **changes})


@pytest.fixture
def profile(tmp_path):
    """Writes one, beside a default one that has keys, and returns the environment that names it."""

    def write(*lines):
        folder = tmp_path / ".aws"
        folder.mkdir()
        keys = "aws_access_key_id=OTHER\naws_secret_access_key=S\n"
        (folder / "credentials").write_text(f"[default]\n{keys}[base]\n{keys}")
        (folder / "config").write_text("\n".join(("[profile prod]", "region = eu-west-1", *lines)))
        return {"HOME": str(tmp_path), "AWS_PROFILE": "prod"}

    return write


@pytest.mark.parametrize(
    "line", ["role_arn = arn:aws:iam::1:role/r", "sso_session = x", "sso_start_url = https://x"]
)
def test_a_profile_whose_keys_are_not_to_be_had_is_refused(profile, line):
    """Another identity was used silently: the machine's role, or none."""
    given = profile(line, "source_profile = base")
    with pytest.raises(UsageError, match="export-credentials --profile prod") as caught:
        settings_for("s3", given)
    assert f"gets its keys by {line.partition(' ')[0]}" in str(caught.value)
    assert settings_for("s3", given | KEYS).access_key == "AK"
    assert settings_for("s3", given | {"GHOSTKIT_STORE_SIGNATURE": "none"}).access_key is None


def program(tmp_path, *lines):
    path = tmp_path / "print keys.py"
    path.write_text("\n".join(("import json, os, sys", *lines)))
    return f"credential_process = {sys.executable} '{path}' first"


PRINT = (
    "keys = dict(AccessKeyId='P' + sys.argv[1], SecretAccessKey='PS', SessionToken='PT')",
    "print(json.dumps(dict(keys, Version=1, Expiration=os.environ['TEST_KEYS_END'])))",
    "open(__file__ + '.runs', 'a').write('.')",
)


@pytest.mark.parametrize(("ends", "runs"), [("2999-01-01T00:00:00Z", 1), ("2020-01-01", 2)])
def test_a_profiles_program_prints_its_keys_until_they_end(
    profile, tmp_path, monkeypatch, ends, runs
):
    monkeypatch.setenv("TEST_KEYS_END", ends)
    given = profile(program(tmp_path, *PRINT))
    for _ in range(2):
        found = settings_for("s3", given)
        assert (found.access_key, found.secret_key, found.token) == ("Pfirst", "PS", "PT")
        assert (found.region, found.origin) == ("eu-west-1", "profile 'prod'")
    assert len((tmp_path / "print keys.py.runs").read_text()) == runs


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sys.exit('the token has expired')", "status 1, the token has expired"),
        ("print('{}')", "neither or only one"),
        ("print('no JSON')", "gives no keys: Expecting value"),
    ],
)
def test_a_program_that_prints_no_keys_is_named(profile, tmp_path, line, words):
    with pytest.raises(UsageError, match=words):
        settings_for("s3", profile(program(tmp_path, line)))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"AWS_ENDPOINT_URL_S3": "https://vpce-1.s3.eu-central-1.vpce.amazonaws.com"}, True),
        ({"AWS_ENDPOINT_URL_S3": "https://store.lab"}, False),
        ({"AWS_ENDPOINT_URL_S3": "https://x", "AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}, True),
    ],
)
def test_where_a_role_may_sign(tmp_path, changes, expected):
    assert settings_for("s3", {"HOME": str(tmp_path), **changes}).role is expected


def test_a_program_is_not_run_for_each_use_of_keys_that_end_soon(profile, tmp_path, monkeypatch):
    ends = datetime.now(UTC) + timedelta(minutes=4)
    monkeypatch.setenv("TEST_KEYS_END", ends.isoformat())
    given = profile(program(tmp_path, *PRINT))
    for _ in range(3):
        assert settings_for("s3", given).access_key == "Pfirst"
    assert len((tmp_path / "print keys.py.runs").read_text()) == 1


def test_a_program_that_fails_while_its_keys_still_hold(profile, tmp_path, monkeypatch):
    monkeypatch.setattr(profiles, "AGAIN", timedelta(0))
    ends = datetime.now(UTC) + timedelta(minutes=4)
    monkeypatch.setenv("TEST_KEYS_END", ends.isoformat())
    given = profile(program(tmp_path, *PRINT))
    settings_for("s3", given)
    program(tmp_path, "sys.exit('no network')")
    assert settings_for("s3", given).access_key == "Pfirst"
    [command] = [each for each in profiles._printed if str(tmp_path) in each]
    past = datetime.now(UTC) - timedelta(minutes=1)
    profiles._printed[command] = profiles._printed[command]._replace(renew=past, end=past)
    with pytest.raises(UsageError, match="status 1, no network"):
        settings_for("s3", given)
