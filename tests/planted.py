"""Secrets to plant: words of the forms that real ones have, and that nobody has issued."""

import base64
import random
import string

ALNUM = string.ascii_letters + string.digits
WORD = f"{ALNUM}_-"
DRAWN = random.Random(20_261_122)


def drawn(alphabet: str, length: int) -> str:
    """Return a random word with at least one digit and one capital, as nearly every real token has."""
    word = "".join(DRAWN.choices(alphabet, k=length - 2))
    return f"{word}7{'F' if 'F' in alphabet else 'f'}"


def part(text: str) -> str:
    """Return one part of a signed token."""
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


JWT = ".".join((part('{"alg":"HS256","typ":"JWT"}'), part('{"sub":"1234567890","iat":1}'), drawn(WORD, 43)))
# Put together here, so that no line of this file looks like a secret to others' tools.
SECRETS = {
    "anthropic": f"sk-ant-api03-{drawn(WORD, 93)}AA",
    "anthropic oauth": f"sk-ant-oat01-{drawn(WORD, 60)}",
    "openai": f"sk-{drawn(ALNUM, 20)}T3BlbkFJ{drawn(ALNUM, 20)}",
    "openai project": f"sk-proj-{drawn(WORD, 120)}",
    "openai service": f"sk-svcacct-{drawn(WORD, 120)}",
    "router": f"sk-or-v1-{drawn('0123456789abcdef', 64)}",
    "hexadecimal": f"sk-{drawn('0123456789abcdef', 32)}",
    **{f"github {kind}": f"gh{kind}_{drawn(ALNUM, 36)}" for kind in "pousr"},
    "github refresh": f"ghr_{drawn(ALNUM, 76)}",
    "github stateless": f"ghs_1234567_{JWT}",
    "github fine": f"github_pat_{drawn(ALNUM, 22)}_{drawn(ALNUM, 59)}",
    "gitlab": f"glpat-{drawn(WORD, 20)}",
    "gitlab routable": f"glpat-{drawn(WORD, 27)}.01.{drawn(string.ascii_lowercase, 9)}",
    "gitlab runner": f"glrt-{drawn(WORD, 20)}",
    "aws": f"AKIA{drawn(string.ascii_uppercase + '234567', 16)}",
    "aws temporary": f"ASIA{drawn(string.ascii_uppercase + '234567', 16)}",
    "slack bot": f"xoxb-123456789012-1234567890123-{drawn(ALNUM, 24)}",
    "slack user": f"xoxp-123456789012-123456789012-123456789012-{drawn('0123456789abcdef', 32)}",
    "slack refresh": f"xoxe-1-{drawn(ALNUM, 140)}",
    "slack app": f"xapp-1-A0123456789-1234567890123-{drawn('0123456789abcdef', 64)}",
    "slack webhook": f"https://hooks.slack.com/services/T0123ABCD/B0123ABCD/{drawn(ALNUM, 24)}",
    "google": f"AIza{drawn(WORD, 35)}",
    "google access": f"ya29.a0{drawn(WORD, 160)}",
    "google refresh": f"1//0{drawn(WORD, 60)}",
    "google client": f"GOCSPX-{drawn(WORD, 28)}",
    "stripe": f"sk_live_{drawn(ALNUM, 24)}",
    "stripe long": f"sk_test_{drawn(ALNUM, 99)}",
    "stripe restricted": f"rk_live_{drawn(ALNUM, 24)}",
    "stripe webhook": f"whsec_{drawn(ALNUM, 32)}",
    "npm": f"npm_{drawn(ALNUM, 36)}",
    "pypi": f"pypi-AgEIcHlwaS5vcmc{drawn(WORD, 150)}",
    "hugging face": f"hf_{drawn(string.ascii_letters + '7', 34)}",
    "signed": JWT,
    "sealed": ".".join((part('{"alg":"dir","enc":"A128GCM"}'), *(drawn(WORD, 30) for _ in range(4)))),
}
