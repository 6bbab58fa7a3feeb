"""Which phase may follow which.

The table is made from what sessions really do, not from a straight line:

* One step forward is the normal way: spec, plan, build, docs, complete. Docs may be skipped (build to
  complete); many sessions have nothing to document.
* One step back is a need: a build shows that the plan is wrong, a review of the docs finds a bug. Going back
  is not failing, so it is allowed rather than done by hand behind our back.
* A complete session can be reopened, for a fix (build) or a forgotten page (docs). Spec and plan are not
  reopened from there: another spec is another session, linked by ``prior_session``.
* ``quick`` sessions start with plan or build. Templates put them into spec all the same, so from spec they
  may go to either. Spec or plan may also turn out to be all there was to do: "complete as is".
* ``research`` sessions are a spec and its answer: spec to complete, and back to ask further. One that was
  taken into another phase by hand goes on as a full session would.
* A session of no or unknown type is taken as full. One without a phase may take any first phase of its type;
  one with an unknown phase may take any phase at all, so that a slip of the pen can be mended.
"""

from sessionlib.models.base import Phase, SessionType

_SPEC, _PLAN, _BUILD, _DOCS, _COMPLETE = (phase.value for phase in Phase)

_FULL = {
    None: (_SPEC,),
    _SPEC: (_PLAN,),
    _PLAN: (_BUILD, _SPEC),
    _BUILD: (_DOCS, _COMPLETE, _PLAN),
    _DOCS: (_COMPLETE, _BUILD),
    _COMPLETE: (_BUILD, _DOCS),
}
_QUICK = {
    **_FULL,
    None: (_PLAN, _BUILD),
    _SPEC: (_PLAN, _BUILD, _COMPLETE),
    _PLAN: (_BUILD, _COMPLETE),
}
_RESEARCH = {
    **_FULL,
    _SPEC: (_COMPLETE,),
    _COMPLETE: (_SPEC,),
}
TABLE: dict[str, dict[str | None, tuple[str, ...]]] = {
    SessionType.FULL.value: _FULL,
    SessionType.QUICK.value: _QUICK,
    SessionType.RESEARCH.value: _RESEARCH,
}
"""For each session type and phase (None: not begun) the phases that may follow, the usual one first."""

_ANY = tuple(phase.value for phase in Phase)


def allowed(session_type: str | None, current: str | None) -> tuple[str, ...]:
    """Return the phases a session may go to from `current`, the usual one first.

    Args:
        session_type: ``full``, ``quick``, ``research``; anything else counts as full.
        current: The phase it is in; None asks for the phases it may begin with.
    """
    table = TABLE.get(session_type or "", _FULL)
    return table.get(current, _ANY)
