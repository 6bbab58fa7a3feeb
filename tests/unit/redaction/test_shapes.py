"""Secrets are known by how they look, wherever they stand; what only resembles them is left alone."""

import json
import shlex
import string
import time
from collections.abc import Callable
from urllib.parse import quote
from uuid import UUID

import pytest

from sessionlib.redaction import MASK, Redactor
from tests.planted import ALNUM, DRAWN, SECRETS, WORD, drawn


def shell(secret: str) -> str:
    """Return a line of a shell that holds the secret."""
    return f"curl -s -H 'X-Auth: {secret}' {shlex.quote('https://host/' + secret)} | tee -a log"


EMBEDDINGS: dict[str, Callable[[str], str]] = {
    "alone": lambda secret: secret,
    "in a sentence": lambda secret: f"It is {secret}, and it works.",
    "in JSON": lambda secret: json.dumps({"a": {"b": [secret, 1]}}),
    "in quotes": lambda secret: f"x = '{secret}' or \"{secret}\" or `{secret}`",
    "after a sign": lambda secret: f"VALUE={secret}\nvalue:{secret}",
    "in a shell": shell,
    "escaped twice": lambda secret: json.dumps(json.dumps({"a": f"\n{secret}\n"})),
    "after an escape": lambda secret: f"one\\n{secret}\\ttwo \\u00e9{secret} \\x1b{secret}",
    "in colours": lambda secret: f"\x1b[31m{secret}\x1b[0m \\u001b[1;32m{secret}\\u001b[0m",
    "in a URL": lambda secret: f"https://host/path?x={quote(f' {secret}', safe='')}&y=1",
    "in a URL's user": lambda secret: f"git clone https://{secret}@host/a.git",
    "in a table": lambda secret: f"| name | {secret} |\n     12\u2192{secret}",
    "in brackets": lambda secret: f"<key>{secret}</key> ({secret}) [{secret}] {{{secret}}}",
    "in a document": lambda secret: f"key:\n  - {secret}\n  - >\n    {secret}\n",
    "in a difference": lambda secret: f"+VALUE={secret}\n-{secret}",
}


@pytest.mark.parametrize("embedding", EMBEDDINGS)
@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_known_by_its_shape(name: str, embedding: str) -> None:
    """Nothing of it is left, whatever it stands in, and cleaning once more changes nothing."""
    secret = SECRETS[name]
    tail = secret[-16:]
    text = EMBEDDINGS[embedding](secret)
    assert tail in text
    shown = Redactor().clean(text)
    assert tail not in shown
    assert MASK in shown
    assert Redactor().clean(shown) == shown
    assert not Redactor().is_harmless(text)


def test_what_stands_around_a_secret_stays() -> None:
    """The mask takes the secret's place and nothing else."""
    for name in (
        "anthropic",
        "github p",
        "gitlab",
        "aws",
        "slack bot",
        "google",
        "stripe",
        "npm",
        "pypi",
        "signed",
    ):
        assert Redactor().clean(f'before "{SECRETS[name]}" after') == f'before "{MASK}" after', name
    webhook = Redactor().clean(f"post to {SECRETS['slack webhook']} now")
    assert webhook == f"post to https://hooks.slack.com/services/{MASK} now"


LINES = [drawn(f"{ALNUM}+/", 64) for _ in range(12)]
KINDS = ("", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", "DSA ")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_whole", [True, False])
@pytest.mark.parametrize("spelt", ["plain", "escaped", "twice", "indented", "numbered", "list", "headers"])
def test_private_keys_are_masked(kind: str, spelt: str, is_whole: bool) -> None:
    """With and without an end, and in every spelling of their line ends."""
    begin, end = f"-----BEGIN {kind}PRIVATE KEY-----", f"-----END {kind}PRIVATE KEY-----"
    lines = [begin, *LINES, *([end] if is_whole else [])]
    if spelt == "headers":
        lines[1:1] = ["Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-128-CBC,0011", ""]
    if spelt == "numbered":
        lines = [f"{number:6}\u2192{line}" for number, line in enumerate(lines, 1)]
    text = ("\n    " if spelt == "indented" else "\n").join(lines)
    if spelt == "list":
        text = json.dumps(lines, indent=1)
    for _ in range(("plain", "escaped", "twice").index(spelt) if spelt in {"escaped", "twice"} else 0):
        text = json.dumps(text)
    shown = Redactor().clean(f"the file holds {text}")
    assert not [line for line in LINES if line[-12:] in shown]
    assert shown.startswith(f"the file holds {text.partition('BEGIN')[0]}BEGIN")
    if is_whole:
        assert shown.rstrip('"]\n\\').endswith(end)


@pytest.mark.parametrize(
    "before", ["private_key: ", 'private_key="', "PRIVATE_KEY=", '{"private_key": "', "--token "]
)
def test_private_keys_are_masked_behind_a_telling_name(before: str) -> None:
    """A place that ends at the first space does not hide where a key begins that has no end."""
    text = "\n".join([f"{before}-----BEGIN RSA PRIVATE KEY-----", *LINES])
    shown = Redactor().clean(text)
    assert not [line for line in LINES if line[-12:] in shown]


def test_a_key_that_was_cut_at_its_beginning_is_masked() -> None:
    """What stands before the end of a key that begins nowhere belongs to it."""
    text = "\n".join([*LINES, "-----END PRIVATE KEY-----", "and then some words"])
    assert Redactor().clean(text) == f"{MASK}-----END PRIVATE KEY-----\nand then some words"


def test_edges_of_keys_in_a_program_are_left_alone() -> None:
    """A program that looks for keys holds none."""
    text = 'if "-----BEGIN RSA PRIVATE KEY-----" in text and "-----END RSA PRIVATE KEY-----" in text: pass'
    assert Redactor().clean(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("aws configure set aws_secret_access_key {40}", "aws configure set aws_secret_access_key ***"),
        ("aws_secret_access_key = {40}", "aws_secret_access_key = ***"),
        ("export AWS_SECRET_ACCESS_KEY={40}", "export AWS_SECRET_ACCESS_KEY=***"),
        ('{"SecretAccessKey": "{40}"}', '{"SecretAccessKey": "***"}'),
        ("Authorization: Splunk {40}", "Authorization: ***"),
        ("Proxy-Authorization: Negotiate {40}", "Proxy-Authorization: ***"),
        ("Authorization: ApiKey {40}", "Authorization: ***"),
    ],
)
def test_secrets_of_no_shape_are_known_by_their_place(text: str, shown: str) -> None:
    """The secret key of AWS, and what stands in a header behind the name of its scheme."""
    assert Redactor().clean(text.replace("{40}", drawn(f"{ALNUM}/+", 40))) == shown


HARMLESS = [
    "3f2c9a1d4e5b60718293a4b5c6d7e8f901234567 is the commit, sha256:" + "ab" * 32,
    f"agent {UUID(int=2**127 + 12345)} of msg_01AbCdEfGhIjKlMnOpQrStUv and toolu_01AbCdEfGhIjKlMnOpQrStUv",
    "task-list, risk-assessment-of-the-whole-project, disk-usage-2024-10-report, desk-to-desk",
    "sk-estimator-doc-link sk-toggleable__control sk-container-id-1 sk-parallel-item-wrapper-12",
    "class sk-learn-some-very-long-branch-name and feature/sk-1234-redact-everything-that-is-stored",
    "npm_config_registry npm_lifecycle_event npm_package_dependencies_typescript_version npm_execpath",
    "weighs_and_highs_of_all_measurements_that_were_taken_in_spring ghp_ gho_token_of_some_kind",
    "github_pat_expiry_days_before_a_warning_is_sent_to_its_owner",
    "glpat-rotation-of-old-ones-script glpat- gl-sast-report.json",
    "pypi-mirror-for-internal-use-only-in-the-europe-region pypi-publish@v1.12.4",
    "hf_hub_download hf_transfer hf_some_function_with_a_very_long_name_indeed",
    "task_test_implementation1 disk_live_migration_of_machines sk_test_ sk_live_",
    "xoxo-hugs-and-kisses xox-1 AKIA ASIA in ASIAN markets, AKIAN",
    "eyJhbGciOiJIUzI1NiJ9.png and eyJhIjoxfQ== and eyJ.tar.gz and eyJhbGciOiJIUzI1NiJ9/a.b.c",
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk_M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==.png",
    "hooks.slack.com/services/ is the address of https://api.slack.com/messaging/webhooks",
    "AIza is how they begin; ya29. too; 1//0 and 1//04 as well",
    "-----BEGIN CERTIFICATE-----\n" + "MIIB" * 16 + "\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\n" + "MIIB" * 16 + "\n-----END PUBLIC KEY-----",
    "the private key of a table, PRIVATE methods and KEY columns",
    "secret access keys are kept elsewhere; access tokens, too",
    "claude-sonnet-4-5-20250929 us.anthropic.claude-opus-4-1-20250805-v1:0 gpt-5.2-20251211",
    "/home/dev/.cache/pypoetry/virtualenvs/sessiond-9kQ2vX_z-py3.11/lib/site-packages/_pytest/assertion",
    "chunk-vendors.3f2c9a1d.js index-DXm3kz9Q.js _next/static/chunks/1a2b3c4d5e6f7890abcdef.js?v=12",
    "https://example.org/search?q=risk-free&page=2#top and git@github.com:owner/name.git",
    "input_tokens=512 output_tokens: 44 cache_read_input_tokens: 16000 max_tokens: 4096",
    "Fix(auth): refresh before expiry (#1234)\n\nCo-written with a colleague on 2026-11-22T10:00:00Z",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    """Words, hashes, ids, file names and certificates come out as they went in, whatever they resemble."""
    assert Redactor().clean(text) == text
    assert Redactor().clean(json.dumps(text)) == json.dumps(text)


def test_random_names_are_left_alone() -> None:
    """Hashes and file names in any of the usual alphabets are not taken for secrets by chance."""
    for alphabet in ("0123456789abcdef", string.ascii_uppercase + "234567", WORD):
        for length in (8, 22, 40, 64):
            text = " ".join("".join(DRAWN.choices(alphabet, k=length)) for _ in range(500))
            assert Redactor().clean(text) == text


BEGINNINGS = (
    *(
        "sk-",
        "sk-ant-",
        "sk-ant-api03-",
        "sk-proj-",
        "sk_live_",
        "ghp_",
        "ghs_1.",
        "github_pat_",
        "glpat-",
        "AKIA",
    ),
    *(
        "xoxb-",
        "xoxe.xoxp-",
        "xapp-1-",
        "hooks.slack.com/services/",
        "hooks.slack.com\\",
        "AIza",
        "ya29.",
        "1//0",
    ),
    *(
        "npm_",
        "pypi-",
        "pypi-AgE",
        "hf_",
        "eyJ",
        "eyJhbGciOi",
        "eyJhbGciOiJI.eyJhbGciOiJI",
        "\\neyJ",
        "[1meyJ",
    ),
    *(
        "1meyJ",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY",
        "-----BEGIN ",
        "-----END PRIVATE KEY-----",
    ),
    *("-----BEGIN PRIVATE KEY-----x-----END PRIVATE KEY-----", "://", "://a:", '://a:"', "://a@", "password"),
    *(
        "password='",
        "token=\\",
        "token = ",
        "token\\",
        "--token ",
        "--a",
        "-",
        "?a",
        "&%",
        "&",
        "key ",
        "key='",
    ),
    *("secret_access_key ", "Bearer ", "authorization: ", "authorization: Bearer ", "passwpassw"),
)


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_hostile_text_does_not_take_long(beginning: str) -> None:
    """Text made to provoke a pattern is cleaned at a megabyte a second, in whatever way it goes on."""
    size = 1_000_000
    # Without these words some patterns would not even be tried.
    hints = " key: 1 token= --x sk- PRIVATE ://a@b "
    fillings = ("a", "A7", "-", "\\", " ", "a.")
    texts = [beginning * (size // len(beginning)) + hints]
    # A fifth of a megabyte for each way to go on: what is quadratic shows there as well.
    texts += [f"{hints}{beginning}{filling * (size // 5 // len(filling))}" for filling in fillings]
    for text in texts:
        began = time.process_time()
        Redactor(["hunter2!"]).clean(text)
        taken = time.process_time() - began
        assert taken < len(text) / size, (beginning, text[:60], taken)
