"""The output of a command: copied to the log as it comes, with its last line remembered."""

import codecs
import sys

from orch import Fail

MAX_LINE = 16 * 1024 * 1024
"""Characters; a longer last line is no result that could be handed over."""


class Output:
    """Takes bytes and writes text to stdout, with an escape for each byte that the encoding does not know."""

    def __init__(self, encoding: str) -> None:
        self._decoder = codecs.getincrementaldecoder(encoding)(errors="backslashreplace")
        self._line: list[str] = []
        self._length = 0
        self._last_line: str | None = ""

    def write(self, chunk: bytes) -> None:
        """Pass on the text of these bytes; a character cut in two waits for its other half."""
        self._take(self._decoder.decode(chunk))

    def finish(self) -> None:
        """Pass on what is left; there is no more to come."""
        self._take(self._decoder.decode(b"", final=True))
        if self._length:
            self._end_line()

    @property
    def last_line(self) -> str:
        """The last line, without trailing white space; empty when there was no output."""
        if self._last_line is None:
            raise Fail(
                f"the last line of the output has more than {MAX_LINE:,} characters, too many for a result; "
                "write it to a file and print the path, or set do_xcom_push=False"
            )
        return self._last_line

    def _take(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
        *complete, rest = text.split("\n")
        if complete:
            self._extend(complete[0])
            self._end_line()
            if len(complete) > 1:
                self._extend(complete[-1])
                self._end_line()
        self._extend(rest)

    def _extend(self, text: str) -> None:
        self._length += len(text)
        if self._length <= MAX_LINE:
            self._line.append(text)

    def _end_line(self) -> None:
        self._last_line = None if self._length > MAX_LINE else "".join(self._line).rstrip()
        self._line, self._length = [], 0
