"""The capture journal: what it took is there after a power cut, in order, and nothing else is, whatever its file looks like."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farebox.ledger.commands import Capture, Gate, Release, Result
from farebox.ledger.model import Account, Budget, Counter, Filter, Key
from farebox.store.journal import Journal, Settlement, adopt, body_of, read_body, record, scan
from store.disk import FailingFiles, ForgetfulFiles

SIZE = 64 * 1024


def capture(number: int, **more: object) -> Capture:
    result = Result("answered", "exact", 1000 + number, 900, 900, 12, usage='{"units":{"in_text":7}}', upstream_request_id=f"up_{number}")
    return Capture(f"hold_{number}", result, **more)  # type: ignore[arg-type]  # fields by name


def several(count: int) -> list[Settlement]:
    return [Release(f"hold_{number}", "not_sent", 503) if number % 3 == 2 else capture(number) for number in range(count)]


def reopened(path: Path) -> list[Settlement]:
    """What the next process finds."""
    journal = Journal(path, SIZE)
    found = journal.found()
    journal.close()
    assert not found.torn
    assert not found.unreadable
    return found.settlements


# --- what was taken is there ---------------------------------------------------------------------------------------------------------


def test_what_was_appended_is_found_in_order_by_the_next_process(tmp_path: Path) -> None:
    """Captures and releases, whole, one by one and several at once."""
    path = tmp_path / "captures-0.journal"
    journal, all_of_them = Journal(path, SIZE), several(9)
    assert journal.append(all_of_them[:1]) == [True]
    assert journal.append(all_of_them[1:]) == [True] * 8
    assert journal.count == 9
    journal.close()
    assert reopened(path) == all_of_them


def test_what_is_answered_survives_a_power_cut(tmp_path: Path) -> None:
    """On a disk that forgets what was not synced: everything that was said to be durable is there the moment it was said."""
    path = tmp_path / "captures-0.journal"
    journal = Journal(path, SIZE, disk=ForgetfulFiles())
    for number, settlement in enumerate(several(6), 1):
        assert journal.append([settlement]) == [True]
        assert len(scan(path.read_bytes()).bodies) == number
    assert journal.clear()
    assert not any(path.read_bytes())
    journal.close()


def test_nothing_is_durable_that_the_system_did_not_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer waits for the real call: where that fails, so does it."""
    journal = Journal(tmp_path / "captures-0.journal", SIZE)

    def refuse(_handle: int) -> None:
        raise OSError(errno.EIO, "the disk")

    monkeypatch.setattr(os, "fdatasync", refuse)
    assert journal.append([Release("a")]) == [False]
    assert not journal.clear()
    journal.close()


def test_a_journal_is_cleared_for_good_and_used_again(tmp_path: Path) -> None:
    """Fewer and shorter records afterwards: nothing of those before comes back behind them."""
    path = tmp_path / "captures-0.journal"
    journal = Journal(path, SIZE)
    journal.append(several(20))
    assert journal.clear()
    assert journal.count == 0
    assert journal.append([Release("hold_new")]) == [True]
    journal.close()
    assert reopened(path) == [Release("hold_new")]


def test_older_records_behind_newer_ones_are_not_taken_for_them(tmp_path: Path) -> None:
    """As a clearing leaves them that was cut short after its first step: records of one length fit exactly, and still are of the past."""
    old = b"".join(record(b"x" * 50, 77, number) for number in range(5))
    new = record(b"y" * 50, 78, 0)
    assert scan(new + old[len(new) :]).bodies == [b"y" * 50]
    assert scan(old[: 2 * len(new)] + new).bodies == [b"x" * 50] * 2


def test_a_clearing_that_was_cut_short_leaves_nothing_and_no_alarm(tmp_path: Path) -> None:
    """The first head goes first: from then on there is no record, and what is left of them is no damage."""
    path = tmp_path / "captures-0.journal"
    journal = Journal(path, SIZE)
    journal.append(several(5))
    journal.close()
    with path.open("r+b") as file:
        file.write(bytes(24))
    assert reopened(path) == []


def test_the_file_is_real_private_and_full_sized_from_the_start(tmp_path: Path) -> None:
    """Its blocks are there before they are needed: a disk that fills up afterwards cannot stop it."""
    path = tmp_path / "data" / "captures-0.journal"
    journal = Journal(path, SIZE)
    seen = path.stat()
    assert seen.st_size == SIZE
    assert seen.st_blocks * 512 >= SIZE
    assert stat.S_IMODE(seen.st_mode) == 0o600
    journal.append(several(3))
    assert path.stat().st_size == SIZE
    assert path.stat().st_blocks == seen.st_blocks
    journal.close()


def test_only_the_cap_of_the_run_is_kept_of_a_gate(tmp_path: Path) -> None:
    """The store reads all others as they are when the overage is booked; a large recorded answer is not kept either."""
    account, key = Account("acc", "acc", "acc", 0), Key("key", "acc", "acc", "hash", "label", 0)
    of_run = Budget(Counter("key", "lifetime", filter=Filter(run="r1")), 500)
    of_key = Budget(Counter("key", "day"), 700)
    planned = Gate(key, (account,), (of_key.counter,), (of_key, of_run), 4)
    read = read_body(body_of(capture(1, gate=planned, answer=b"s" * 9)) or b"")
    assert isinstance(read, Capture)
    assert read.gate is not None
    assert (read.gate.caps, read.gate.counters, read.gate.path, read.answer) == ((of_run,), (), (), b"s" * 9)
    read = read_body(body_of(capture(1, gate=Gate(key, (account,), (), (of_key,), 4), answer=b"s" * 100_000)) or b"")
    assert isinstance(read, Capture)
    assert (read.gate, read.answer) == (None, None)


# --- what cannot be taken ------------------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused_and_what_fits_is_kept(tmp_path: Path) -> None:
    """It is told apart for each, and the file never grows."""
    path = tmp_path / "captures-0.journal"
    journal = Journal(path, 2000)
    large = Release("hold_large", "x" * 3000)
    assert journal.append([Release("a"), large, Release("b")]) == [True, False, True]
    kept = 2
    while journal.append([Release("more")]) == [True]:
        kept += 1
    assert path.stat().st_size == 2000
    journal.close()
    assert len(Journal(path, 2000).found().settlements) == kept > 15


def test_what_cannot_be_written_down_is_refused() -> None:
    """A number that no field of any database holds; a text that is no text."""
    assert body_of(Capture("hold", Result("answered", "exact", 2**70, 0, 0, 0))) is None
    assert body_of(Release("hold", "\ud800")) is None


@pytest.mark.parametrize("step", ["write", "sync"])
def test_a_disk_that_fails_refuses_and_loses_nothing_that_was_taken(tmp_path: Path, step: str) -> None:
    """No exception comes in the way of a call. After a failed sync nothing is believed until the file could be cleared."""
    path, disk = tmp_path / "captures-0.journal", FailingFiles()
    journal = Journal(path, SIZE, disk=disk)
    assert journal.append([Release("a")]) == [True]
    disk.fails = step
    assert journal.append([Release("b"), Release("c")]) == [False, False]
    assert not journal.clear()
    disk.fails = ""
    assert journal.append([Release("d")]) == [False]
    assert journal.clear()
    assert journal.append([Release("e")]) == [True]
    journal.close()
    assert reopened(path) == [Release("e")]


def test_a_failed_write_is_written_over(tmp_path: Path) -> None:
    """A write that the system refused, half done or not, is no record, and the next one takes its place."""
    path, disk = tmp_path / "captures-0.journal", FailingFiles()
    journal = Journal(path, SIZE, disk=disk)
    assert journal.append([Release("a")]) == [True]
    disk.fails = "write"
    assert journal.append([Release("b")]) == [False]
    disk.fails = ""
    assert journal.append([Release("c")]) == [True]
    journal.close()
    assert reopened(path) == [Release("a"), Release("c")]


@pytest.mark.parametrize(
    "loss",
    [
        Path.unlink,
        lambda path: path.rename(path.with_suffix(".gone")),
        lambda path: path.with_suffix(".n").touch() or path.with_suffix(".n").rename(path),
    ],
)
def test_a_file_that_is_not_where_it_was_takes_nothing(tmp_path: Path, loss: Callable[[Path], object]) -> None:
    """Gone, moved or replaced: the next process would not find what was written to it."""
    path = tmp_path / "captures-0.journal"
    journal = Journal(path, SIZE)
    assert journal.append([Release("a")]) == [True]
    loss(path)
    assert journal.append([Release("b")]) == [False]
    journal.close()


def test_records_that_were_left_are_never_written_over(tmp_path: Path) -> None:
    """Until they are replayed and cleared nothing is taken."""
    path = tmp_path / "captures-0.journal"
    journal = Journal(path, SIZE)
    journal.append([Release("a")])
    journal.close()
    journal = Journal(path, SIZE)
    assert journal.append([Release("b")]) == [False]
    assert journal.found().settlements == [Release("a")]
    assert journal.clear()
    assert journal.append([Release("b")]) == [True]
    journal.close()


# --- whose it is ---------------------------------------------------------------------------------------------------------------------


def test_each_process_has_its_own_and_the_next_one_adopts_what_the_dead_left(tmp_path: Path) -> None:
    """A lock tells who lives. Without a free one a new one is made; all that are free are adopted, in order."""
    first, _ = adopt(tmp_path, "0a", SIZE)
    second, _ = adopt(tmp_path, "0a", SIZE)
    third, _ = adopt(tmp_path, "0a", SIZE)
    assert [[journal.path.name for journal in mine] for mine in (first, second, third)] == [
        [f"captures-0a-{slot}.journal"] for slot in range(3)
    ]
    first[0].append([Release("a")])
    third[0].append([Release("c")])
    first[0].close()
    third[0].close()
    adopted, problems = adopt(tmp_path, "0a", SIZE)
    assert [journal.found().settlements for journal in adopted] == [[Release("a")], [Release("c")]]
    assert not problems
    for journal in (*adopted, *second):
        journal.close()


def test_a_journal_that_cannot_be_had_is_told_and_left(tmp_path: Path) -> None:
    """A folder in its place, a file somebody else's name is on: another is made, and nothing is thrown."""
    (tmp_path / "captures-0a-0.journal").mkdir()
    (tmp_path / "captures-0a-old.journal").write_bytes(b"?")
    (tmp_path / "captures-0a-999999999999.journal").write_bytes(b"?")
    mine, problems = adopt(tmp_path, "0a", SIZE)
    assert [journal.path.name for journal in mine] == ["captures-0a-1.journal"]
    assert len(problems) == 1
    assert "captures-0a-0.journal" in problems[0]
    mine[0].close()


def test_a_disk_without_room_for_a_journal_is_told(tmp_path: Path) -> None:
    """The gateway starts without one: calls are charged all the same, only not through an outage."""
    disk = FailingFiles()
    disk.fails = "write"
    mine, problems = adopt(tmp_path, "0a", SIZE, disk=disk)
    assert not mine
    assert len(problems) == 1


# --- whatever its file looks like ----------------------------------------------------------------------------------------------------

BODIES = [body for body in map(body_of, several(4)) if body is not None]
RECORDS = [record(body, 5, number) for number, body in enumerate(BODIES)]
WHOLE = b"".join(RECORDS)
ENDS = [sum(map(len, RECORDS[:count])) for count in range(len(RECORDS) + 1)]


def test_cut_at_any_byte_it_holds_the_records_that_are_whole(tmp_path: Path) -> None:
    """And says that something is torn, unless it was cut between two, or before the first."""
    for cut in range(len(WHOLE) + 1):
        seen = scan(WHOLE[:cut] + bytes(200))
        whole = sum(end <= cut for end in ENDS) - 1
        assert seen.bodies == BODIES[:whole]
        assert seen.torn == any(WHOLE[ENDS[whole] : cut])
        assert scan(WHOLE[:cut]).bodies == BODIES[:whole]


def test_any_flipped_bit_ends_it_before_the_record_that_has_it() -> None:
    """What was written before it stays; what comes after it is not believed; and it is told."""
    for bit in range(len(WHOLE) * 8):
        changed = bytearray(WHOLE)
        changed[bit // 8] ^= 1 << (bit % 8)
        hit = sum(end <= bit // 8 for end in ENDS) - 1
        seen = scan(bytes(changed) + bytes(64))
        if hit == 0 and 64 <= bit < 128:  # the generation of the first: its checksum knows it
            assert seen.bodies == []
        assert seen.bodies == BODIES[:hit]
        assert seen.torn


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_are_no_records(noise: bytes) -> None:
    """Neither by themselves, nor behind a good record, nor as a body that is whole: never an exception, never a made-up settlement."""
    assert scan(noise).bodies == []
    assert scan(WHOLE + noise).bodies == BODIES
    read_body(noise)
    assert scan(record(b"x" + noise, 5, 0)).bodies == [b"x" + noise]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.integers(0, SIZE - 1), st.binary(min_size=1, max_size=64))
@settings(max_examples=60, deadline=None)
def test_a_damaged_file_is_read_up_to_the_damage_and_can_be_used_again(
    tmp_path_factory: pytest.TempPathFactory, groups: list[int], at: int, noise: bytes
) -> None:
    """Overwritten anywhere with anything: what is found is a beginning of what was written; after clearing it all is as new."""
    path = tmp_path_factory.mktemp("damaged") / "captures-0a-0.journal"
    journal = Journal(path, SIZE)
    written: list[Settlement] = []
    for group in groups:
        written += several(group)
        journal.append(several(group))
    journal.close()
    with path.open("r+b") as file:
        file.seek(at)
        file.write(noise[: SIZE - at])
    journal = Journal(path, SIZE)
    found = journal.found()
    assert found.settlements == written[: len(found.settlements)]
    assert found.unreadable == 0
    assert journal.clear()
    assert journal.append(several(3)) == [True] * 3
    journal.close()
    assert reopened(path) == several(3)
    os.truncate(path, at)
    journal = Journal(path, SIZE)
    found = journal.found()
    assert found.settlements == several(3)[: len(found.settlements)]
    assert path.stat().st_size == SIZE
    journal.close()


def test_a_record_of_another_version_is_counted_and_stepped_over(tmp_path: Path) -> None:
    """It is whole, but means nothing here: its hold is charged whole, and those behind it are booked."""
    path = tmp_path / "captures-0a-0.journal"
    Journal(path, SIZE).close()
    bodies = [BODIES[0], b"\x81\xa6future\x01", b"\xc1", BODIES[1]]
    with path.open("r+b") as file:
        file.write(b"".join(record(body, 9, number) for number, body in enumerate(bodies)))
    found = Journal(path, SIZE).found()
    assert (found.settlements, found.unreadable, found.torn) == (several(2), 2, False)
