"""What lets somebody into a repository has no place in a record."""

import pytest

from coordinator.canonical import BadTask
from coordinator.taskfields import repository

SECRET = "hunter2"


@pytest.mark.parametrize(
    "place",
    [
        f"https://somebody:{SECRET}@example.org/tool.git",
        f"https://{SECRET}@example.org/tool.git",
        f"HTTPS://{SECRET}:x-oauth-basic@example.org/tool.git",
        f"ssh://git:{SECRET}@example.org/tool.git",
        f"git://a:{SECRET}@example.org/",
    ],
)
def test_a_url_with_a_login_is_refused_without_showing_it(place):
    with pytest.raises(BadTask, match=r"^repository: a URL with a login in it") as refused:
        repository("repository", place)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "place",
    [
        "https://example.org/tool.git",
        "https://example.org/a@b.git",
        "ssh://git@example.org/tool.git",
        "git@example.org:tool.git",
        "file:///srv/a:b@c",
        "../tool",
        "/srv/tool@2",
        "",
    ],
)
def test_every_other_place_is_taken(place):
    assert repository("repository", place) == place
