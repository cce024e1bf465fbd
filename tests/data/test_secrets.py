import pytest

from data.secrets import masked


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
    ],
)
def test_no_password_is_left(text: str):
    assert "hunter2" not in masked(text)


@pytest.mark.parametrize("text", ["fold 3: pauc 0.1534", "s3://bucket/folder", "postgresql://tuner@db/x", "a@b: c"])
def test_other_text_stays_as_it_is(text: str):
    assert masked(text) == text
