"""What the stand-in of the model's API answers, as data.

A prompt names its script as ``[[scenario:NAME]]``; the answer is the step whose number is that of the turns
the model has taken since. So the stand-in remembers nothing, and parallel agents cannot disturb each other.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

AGENT_TOOL = "@agent"
"""The tool that spawns agents, whatever the client calls it."""

PROJECT = "@project@"
"""In a text of a tool's input: the folder that the client was started in."""


class Tool(NamedTuple):
    """A call that the model asks for."""

    name: str
    given: Mapping[str, Any]


class Step(NamedTuple):
    """One answer of the model.

    Attributes:
        text: What it says.
        calls: The tools it calls, all at once.
        refusal: Status and kind of an error, instead of an answer.
        spent: Tokens in and out, so that steps can be told apart in sums.
    """

    text: str = ""
    calls: tuple[Tool, ...] = ()
    refusal: tuple[int, str] | None = None
    spent: tuple[int, int] = (11, 42)


def marked(name: str) -> str:
    """Return a prompt that plays a script."""
    return f"Please go on. [[scenario:{name}]]"


def shell(command: str) -> Tool:
    """Return a call of the shell."""
    return Tool("Bash", {"command": command, "description": "run it"})


def spawn(script: str, kind: str = "scout", **more: object) -> Tool:
    """Return a call that spawns an agent, which plays a script; the caller waits for it by default."""
    waits = {"run_in_background": False}
    given = {"description": f"do {script}", "prompt": marked(script), "subagent_type": kind}
    return Tool(AGENT_TOOL, given | waits | more)


def add(a: int, b: int) -> Tool:
    """Return a call of the server's tool that works."""
    return Tool("mcp__demo__add", {"a": a, "b": b})


BOOM = Tool("mcp__demo__boom", {"why": "as scripted"})
READ = Tool("Read", {"file_path": f"{PROJECT}/README.md"})
WRITE = Tool("Write", {"file_path": f"{PROJECT}/new.txt", "content": "new"})

SCRIPTS: Mapping[str, tuple[Step, ...]] = {
    "basic": (
        Step("A command.", (shell("echo hello; echo sid=$CLAUDE_CODE_SESSION_ID"),)),
        Step("Two at once.", (add(2, 40), READ)),
        Step("Two that fail.", (shell("exit 3"), BOOM)),
        Step("An agent.", (spawn("scout"),)),
        Step("The answer is 42.", spent=(5, 13)),
    ),
    "scout": (
        Step("Looking.", (shell("echo from below"),), spent=(7, 9)),
        Step("Adding.", (add(1, 1),), spent=(8, 10)),
        Step("Nothing found.", spent=(3, 17)),
    ),
    "two": (
        Step("Two agents.", (spawn("scout"), spawn("nested", "general-purpose"))),
        Step("Both are done."),
    ),
    "nested": (Step("I delegate.", (spawn("scout"),)), Step("Passed on.")),
    "background": (
        Step("One for later.", (spawn("scout", run_in_background=True),)),
        Step("Waiting for it."),
        Step("It has come back."),
    ),
    "denied": (Step("This needs leave.", (WRITE,)), Step("I may not.")),
    "impossible": (
        Step("No such thing.", (Tool("Bash", {"cmd": "x"}), Tool("NoSuchTool", {}))),
        Step("Right."),
    ),
    "broken": (Step(refusal=(400, "invalid_request_error")),),
    "again": (Step("Once more.", (shell("echo second"),)), Step("Done again.", spent=(2, 3))),
    "todos": (
        Step("One.", (Tool("TaskCreate", {"subject": "Write it", "description": "all of it"}),)),
        Step("Two.", (Tool("TaskCreate", {"subject": "Read it", "description": "twice"}),)),
        Step("Begun.", (Tool("TaskUpdate", {"taskId": "2", "status": "in_progress"}),)),
        Step("Finished.", (Tool("TaskUpdate", {"taskId": "1", "status": "completed"}),)),
        Step("One is left."),
    ),
    "slow": (Step("Wait.", (shell("tail -f /dev/null"),)), Step("Never said.")),
}
