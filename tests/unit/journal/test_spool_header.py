"""The header of a delivery says what the hook's environment said, whatever that was."""

from hypothesis import example, given
from hypothesis import strategies as st

from sessionlib.hooks import entry
from sessionlib.journal import spool

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200) | st.text(
    st.sampled_from("\\nr\n\r: "), max_size=12
)


@given(_TEXTS)
@example("C:\\new\\reports")
@example("\\\\n")
def test_a_value_comes_as_it_went(value: str) -> None:
    """Line breaks and backslashes among them."""
    header = f"name: {entry._one_line(value)}\nother: x".encode()
    assert spool._fields(header) == {"name": value, "other": "x"}
