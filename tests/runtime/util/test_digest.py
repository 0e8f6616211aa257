from pathlib import Path

from nsfwscan.util.digest import folder_sha256, is_digest


def test_the_digest_is_that_of_names_and_bytes(tmp_path: Path) -> None:
    files = {"a": b"1", "b/c": b"2", "b/fingerprint.pb": b"3"}

    def digest(name: str, changed: dict[str, bytes]) -> str:
        for file, data in (files | changed).items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return folder_sha256(tmp_path / name)

    same = digest("x", {})
    assert digest("y", {"b/fingerprint.pb": b"4"}) == same
    others = [digest("z", {"a": b"2"}), digest("v", {"d": b""}), digest("w", {"b/c": b""})]
    assert len({same, *others}) == 4


def test_only_lower_case_hex_of_the_right_length_has_the_form_of_a_digest() -> None:
    assert is_digest("sha256", "0f" * 32)
    assert is_digest("sha1", "0f" * 20)
    for value in ("0F" * 32, "0f" * 20, "0f" * 32 + "\n", "0g" * 32, 0, None):
        assert not is_digest("sha256", value)
