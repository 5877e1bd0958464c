"""Capped output: the beginning and the end of what an import prints."""

from orch.dagfiles.capped import CappedOutput


def text_of(pieces: list[bytes], limit: int) -> str:
    output = CappedOutput(limit)
    for piece in pieces:
        output.add(piece)
    return output.text()


def test_short_output_is_kept_whole() -> None:
    assert text_of([b"one\n", b"two\n"], 100) == "one\ntwo\n"


def test_long_output_keeps_both_ends_whatever_its_pieces() -> None:
    content = b"0123456789" * 10
    expected = "01234\n... 90 bytes left out ...\n56789"
    for size in (1, 3, 7, 100):
        pieces = [content[start : start + size] for start in range(0, len(content), size)]
        assert text_of(pieces, 10) == expected


def test_bytes_that_are_not_text_show_as_escapes() -> None:
    assert text_of([b"a\xffb"], 100) == "a\\xffb"
