import pytest

from data.secrets import masked, shown_address, without_parts
from tests.time_limit import no_longer_than


@pytest.mark.parametrize(
    "text",
    [
        "postgresql+psycopg://tuner:hunter2@db/studies",
        "postgresql://tuner:hunter2@[::1",
        "cannot open postgresql://tuner:hunter2@db:port/x: invalid",
        "postgresql://tuner@db/studies?password=hunter2",
        "s3://:hunter2@bucket/folder and more",
        "https://x/?token=hunter2&y=1",
        "postgresql://tuner:hunt@hunter2@db/studies",
        "the storage postgresql://tuner:hunter2 cannot be opened",
        "postgresql://db/studies?sslpassword=hunter2",
    ],
)
def test_no_password_is_left(text: str):
    assert "hunter2" not in masked(text)


@pytest.mark.parametrize(
    "text", ["fold 3: pauc 0.1534", "s3://bucket/folder", "postgresql://tuner@db/x", "a@b: c", "http://host:8080/x"]
)
def test_other_text_stays_as_it_is(text: str):
    assert masked(text) == text


def test_a_password_with_blanks_is_hidden_in_an_address_and_in_words_about_it():
    address = "postgresql://tuner:my hunter2@db/studies"
    assert "hunter2" not in shown_address(address)
    assert "hunter2" not in without_parts("invalid literal: 'hunter2'", address)
    assert "hunter2" not in without_parts("no port: 'hunter2'", "postgresql://tuner:hunter2")


@pytest.mark.parametrize("word", ["x", "a:", "a:/", "@a:", "password", "a://u:p", "-"])
def test_long_text_takes_no_time_and_gives_nothing_away(word: str):
    """A forged report holds 100,000 characters where a name is expected; every letter was a place to begin."""
    with no_longer_than(2):
        said = masked(f"of {word * 100_000}://tuner:hunter2@db, as is {word}")
    assert len(said) < 200
    assert said.startswith("of ")
    assert said.endswith(f" as is {masked(word)}")
    assert "hunter2" not in said
