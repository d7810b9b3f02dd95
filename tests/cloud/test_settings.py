import pytest

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
