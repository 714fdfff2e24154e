"""Cards: every key is there, or the file is refused."""

import pytest
import yaml

from reference.card import Card, load_card
from reference.errors import BadInput

DOCUMENT = {
    "summary": "tells a from b",
    "weights_license": "Apache-2.0",
    "trained_on": ["a set", "another"],
    "training": {"command": "python -m reference.train tiny"},
    "accuracy": {"top1": 90.5},
    "accuracy_data": "held-out pictures",
    "parity": {"fp16": {"psnr_db": 60.0}},
    "limitations": ["none known"],
}


@pytest.fixture
def write(tmp_path):
    def to_file(content):
        (tmp_path / "tiny").mkdir(exist_ok=True)
        (tmp_path / "tiny" / "card.yaml").write_bytes(content)
        return tmp_path

    return to_file


def test_a_card_is_read(write):
    card = load_card("tiny", write(yaml.safe_dump(DOCUMENT).encode()))
    assert card == Card(**DOCUMENT | {"trained_on": ("a set", "another"), "limitations": ("none known",)})


@pytest.mark.parametrize("key", DOCUMENT)
def test_missing_key(write, key, refused):
    folder = write(yaml.safe_dump({k: v for k, v in DOCUMENT.items() if k != key}).encode())
    with refused(BadInput, folder / "tiny" / "card.yaml", key, "its keys are"):
        load_card("tiny", folder)


def test_unknown_key(write, refused):
    with refused(BadInput, "'colour'", "its keys are"):
        load_card("tiny", write(yaml.safe_dump(DOCUMENT | {"colour": 1}).encode()))


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"\xff\xfe\x00", b"text"])
def test_no_card_at_all(write, content, refused):
    with refused(BadInput, "card.yaml can't be used", "its keys are"):
        load_card("tiny", write(content))


def test_yaml_errors_stay_in_one_line(write, refused):
    with refused(BadInput, "card.yaml can't be used", "its keys are"):
        load_card("tiny", write(b"a: [1\nb: 2\n"))


def test_missing_card(tmp_path, refused):
    with refused(BadInput, tmp_path / "tiny" / "card.yaml", "its keys are"):
        load_card("tiny", tmp_path)
