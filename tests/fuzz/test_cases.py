"""What was found once: every case is replayed, always, by the rules that it broke.

A case is a file `cases/<what is spoken>/<request or answer>-<what it is>.case`: of a request its content type, a line feed, and its body; of an
answer its bytes, given to every example of the route.
"""

from pathlib import Path

import msgspec
import pytest

from fuzz import rules
from fuzz.spoken import SPOKEN

_CASES = sorted((Path(__file__).parent / "cases").glob("*/*.case"))


def _name(case: Path) -> str:
    return f"{case.parent.name}/{case.stem}"


def test_cases_are_of_what_is_spoken() -> None:
    """And of one of the two kinds."""
    assert _CASES
    assert {case.parent.name for case in _CASES} <= SPOKEN.keys()
    assert {case.stem.partition("-")[0] for case in _CASES} <= {"request", "answer"}


@pytest.mark.parametrize("case", [case for case in _CASES if case.stem.startswith("request-")], ids=_name)
def test_requests_that_were_found_are_bounded_or_refused(case: Path) -> None:
    """Each of them was read to something else, or failed."""
    one = SPOKEN[case.parent.name]
    content_type, _, body = case.read_bytes().partition(b"\n")
    rules.check_request(one, msgspec.structs.replace(one.examples[0], content_type=content_type, body=body))


@pytest.mark.parametrize("case", [case for case in _CASES if case.stem.startswith("answer-")], ids=_name)
def test_answers_that_were_found_are_metered(case: Path) -> None:
    """Each of them failed, or was metered by how it was cut."""
    one, body = SPOKEN[case.parent.name], case.read_bytes()
    for example in one.examples:
        rules.check_answer(one, one.ask(example), {}, body)
        for at in range(len(body)):
            rules.check_stream(one, example, {}, [body[:at], body[at:]])
