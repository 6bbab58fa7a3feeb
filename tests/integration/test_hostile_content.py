"""Every entry of the hostile corpus, down the wired sync path, on both databases."""

from pathlib import Path

import pytest

from sessionlib.errors import StateInvalidError
from sessionlib.state.decoding import decode
from sessionlib.state.files import MAX_BYTES
from tests.hostile import oracle
from tests.hostile.corpus import corpus
from tests.hostile.entry import STATE, Entry
from tests.hostile.garden import Garden


def test_the_corpus_is_large_and_each_entry_has_a_name() -> None:
    """At least eighty files for state.json alone, none named twice."""
    names = [entry.name for entry in corpus()]
    assert len(set(names)) == len(names)
    assert sum(entry.file == STATE for entry in corpus()) > 80
    assert sum(entry.refused is not None for entry in corpus()) > 80


@pytest.mark.parametrize(
    "entry", [entry for entry in corpus() if entry.refused is not None], ids=lambda entry: entry.name
)
def test_what_is_refused_is_refused_in_clear_words(entry: Entry) -> None:
    """Decoding ends in one clear sentence that names the file and says what is wrong with it."""
    data = entry.make()
    if max(entry.length, len(data)) > MAX_BYTES:
        return
    with pytest.raises(StateInvalidError) as caught:
        decode(data.ljust(entry.length, b"\0"), session_dir=Path("a/session"), name=entry.file)
    assert caught.value.message.startswith(f"{entry.file} ")
    assert str(entry.refused) in caught.value.message
    assert oracle.unclear_words(caught.value.message) is None


@pytest.mark.timeout(600)
def test_every_entry_on_the_wired_path(tmp_path: Path, database_url: str) -> None:
    """First good, then bad, then mended: rows follow, and the last good one stays."""
    with Garden(database_url, tmp_path) as garden:
        entries = {garden.slug(number): entry for number, entry in enumerate(corpus())}
        neighbours = [garden.slug(number) for number in range(len(entries), len(entries) + 20)]
        everybody = [*entries, *neighbours]
        garden.heal(everybody)
        assert garden.sync(everybody) == []
        assert garden.check(everybody) == {}
        for slug, entry in entries.items():
            entry.write(garden.folder(slug))
        garden.heal(neighbours, turn=1)
        assert garden.sync(everybody) == []
        said = garden.errors()
        assert garden.check(everybody) == {}
        wrong = [
            f"{entry.name}: {said[slug]}, {warnings}"
            for slug, entry in entries.items()
            if not _as_expected(entry, said[slug], warnings := garden.warnings(slug))
        ]
        assert wrong == []
        assert {said[slug] for slug in neighbours} == {None}
        garden.heal(everybody, turn=2)
        assert garden.sync(everybody) == []
        assert set(garden.errors().values()) == {None}
        assert garden.check(everybody) == {}


def _as_expected(entry: Entry, error: str | None, warnings: list[tuple[str, str]]) -> bool:
    if entry.fails_session:
        return error is not None and str(entry.refused) in error
    noted = [place for place, _ in warnings]
    fits = all(any(place.startswith(wanted) for place in noted) for wanted in entry.warned)
    said = entry.refused is None or any(entry.refused in words for _, words in warnings)
    return error is None and fits and said
