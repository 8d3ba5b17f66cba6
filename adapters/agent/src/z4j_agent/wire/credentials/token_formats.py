# SPDX-License-Identifier: Apache-2.0

"""Values that are credentials by their form: vendors' tokens, private keys, card and account numbers. Pure.

No pattern has an unbounded repetition of characters that can also occur before its start; so each takes linear time.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import Final

from z4j_agent.wire.credentials import randomness
from z4j_agent.wire.credentials.lazy_patterns import lazy

Span = tuple[int, int]

_B64: Final = r"[A-Za-z0-9_-]"
#: Tokens that vendors mark by a prefix. Each is searched at the start of a word only.
_PREFIXED: Final = (
    rf"eyJ{_B64}{{8,}}\.{_B64}{{4,}}(?:\.{_B64}*){{1,3}}",  # JWT, JWE
    r"(?:AKIA|ASIA|AGPA|AROA|AIDA|ANPA|ANVA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])",  # AWS
    r"bedrock-api-key-[\w=+/-]{20,}|ABSK[A-Za-z0-9+/]{60,}",
    rf"AIza{_B64}{{30,}}|ya29\.[\w.-]{{16,}}|GOCSPX-{_B64}{{20,}}|1//0{_B64}{{20,}}|AQ\.Ab{_B64}{{20,}}",  # Google
    r"gh[opsur]_[A-Za-z0-9_]{20,}|github_pat_[A-Za-z0-9_]{20,}|v1\.[0-9a-f]{40}",  # GitHub
    r"gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat|oas|rtr|sbt|ffct)-[\w.-]{16,}|_gitlab_session=\S+|GR1348941[\w-]{16,}",  # GitLab
    r"(?:sk|pk|rk)_(?:live|test|prod)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{12,}|whsec_[\w-]{12,}",  # Stripe, Clerk, Svix
    r"sk-(?:proj|ant|or|live|test|svcacct|admin|None|lf|v1|kimi|litellm)-[\w-]{12,}|sk-[A-Za-z0-9]{20,}|sess-[A-Za-z0-9]{30,}",
    # These need their separator: without it, UUIDs and digests that begin with `fc` or `e2b`, and names that begin with `re`, are the same.
    r"(?:gsk|xai|pplx|fw|r8|co|nvapi|tvly|cpk|csk|jina|hf|api_org|fc|e2b|sntrys|sntryu|sgp|lsv2_pt|lsv2_sk|re|rdme)"
    r"[-_](?=\w*\d)[A-Za-z0-9_=-]{24,}|(?:dapi|ATATT3|ATCTT3|ATBB)[-_]?(?=\w*\d)[A-Za-z0-9_=-]{24,}",
    r"hf_[A-Za-z0-9]{20,}|lin_(?:api|oauth)_[A-Za-z0-9]{20,}|dckr_(?:pat|oat)_[\w-]{16,}|nvapi-[\w-]{30,}|ntn_[A-Za-z0-9]{30,}",
    r"xox[abcdeoprs](?:\.[a-z]+)?-[A-Za-z0-9-]{10,}|xapp-\d-[A-Za-z0-9-]{10,}|xwfp-[\w-]{10,}",  # Slack
    r"SG\.[\w-]{12,}\.[\w-]{12,}|xkeysib-[\w-]{20,}|xsmtpsib-[\w-]{20,}|key-[0-9a-f]{32}|pubkey-[0-9a-f]{32}|md-[\w-]{22}(?![\w-])"
    r"|[0-9a-f]{32}-us\d{1,2}(?!\w)|[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}(?!\w)",  # SendGrid, Brevo, Mailgun, Mandrill, Mailchimp
    r"npm_[A-Za-z0-9]{20,}|pypi-[\w-]{16,}|rubygems_[0-9a-f]{32,}|crates\.io-[\w-]{20,}|cio[A-Za-z0-9]{32}(?!\w)|oy2[a-z0-9]{43}|pul-[0-9a-f]{40}"
    r"|AKCp[A-Za-z0-9]{10,}|cmVmd[A-Za-z0-9]{40,}|glc_[A-Za-z0-9+/=]{20,}|glsa_[A-Za-z0-9_]{20,}",
    r"do[opr]_v1_[0-9a-f]{20,}|shp(?:at|ca|pa|ss|ua|tka)_[0-9A-Za-z]{16,}|(?:SK|AC|AP)[0-9a-f]{32}(?!\w)",  # DigitalOcean, Shopify, Twilio
    r"sq0[a-z]{3}-[\w-]{16,}|EAAA[\w-]{40,}|EAA[A-Za-z0-9]{60,}|access_token\$(?:production|sandbox)\$[\w$]{20,}|PMAK-[0-9a-f-]{20,}",
    r"hv[bsr]\.[\w-]{16,}|[bs]\.[A-Za-z0-9]{24}(?![\w.])|AGE-SECRET-KEY-1[0-9A-Z]{20,}|age-secret-key-1[0-9a-z]{20,}",  # Vault, age
    r"vc[pkrai]_[A-Za-z0-9]{20,}|nf[pkbo]_[A-Za-z0-9]{20,}|rnd_[A-Za-z0-9]{20,}|fo1_[\w-]{20,}|fm[12][ar]?_[\w+/=,-]{20,}|HRKU-[\w-]{20,}",
    r"sb(?:p|_secret|_publishable)_[A-Za-z0-9_]{20,}|pscale_(?:tkn|pw|oauth)_[\w.=-]{16,}|nrk_[\w-]{20,}|NR(?:AK|JS|II|RA|BR)-[A-Za-z0-9]{16,}"
    r"|napi_[a-z0-9]{30,}|phc_[A-Za-z0-9]{30,}|ph[xs]_[A-Za-z0-9]{30,}|dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.]{20,}|prt_[\w-]{30,}",
    r"tfp_[\w-]{30,}|[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{30,}|dt0[a-zA-Z]01\.[A-Z0-9]{24}\.[A-Z0-9]{30,}|LTAI[A-Za-z0-9]{12,24}(?!\w)",
    r"AKID[A-Za-z0-9]{28,}|t1\.[A-Z0-9a-z_-]+[=]{0,2}\.[\w-]{60,}|YC[a-zA-Z0-9_-]{38}(?!\w)|AQVN[\w-]{30,}|figd_[\w-]{30,}|figo[a-z]?_[\w-]{30,}",
    r"pat[A-Za-z0-9]{14}\.[0-9a-f]{40,}|pat-(?:na|eu)\d-[0-9a-f-]{36}|secret_[A-Za-z0-9]{40,}|CFPAT-[\w-]{40,}|EZ[AT]K[A-Za-z0-9]{40,}|shippo_\w+_[0-9a-f]{30,}",
    r"duffel_(?:test|live)_[\w-]{30,}|(?:live|test)_[A-Za-z0-9]{30,}|A3T[A-Z0-9]{17}(?!\w)|ops_eyJ[\w+/=-]{40,}|A3-[A-Z0-9]{6}-[A-Z0-9-]{24,}",
    r"bkua_[0-9a-f]{30,}|ccipat_[\w-]{20,}|CCIPRJ_[\w]{20,}|tk-us-[\w-]{30,}|sl\.[\w-]{60,}|SFMyNTY\.[\w-]{10,}\.[\w-]{10,}|sha256~[\w-]{40,}",
    r"z4[ak]_[\w-]{20,}(?:\.[\w-]{20,})?",  # our own
    r"[MNO][A-Za-z0-9_-]{23,25}\.[\w-]{6}\.[\w-]{27,}|mfa\.[\w-]{80,}",  # Telegram, Discord
)  # fmt: skip
PREFIXED: Final = lazy("|".join(_PREFIXED))
_HASHED: Final = lazy(
    r"\$(?:2[abxy]|argon2id?|argon2d|5|6|y|scrypt)\$[^\s\"'<>]{12,}|(?<!\w)pbkdf2_sha\d+\$\d+\$[^\s\"'<>]{12,}|\{SSHA\d*\}[\w+/=]{12,}"
    r"|(?<!\w)access_token\$(?:production|sandbox)\$[\w$]{20,}"
)
_TELEGRAM: Final = lazy(r"(?<!\d)\d{8,10}:[A-Za-z0-9_-]{32,}")
_INNER: Final = lazy(r"(?<=[_.-])(?:gh[opsur]_[A-Za-z0-9]{30,}|z4[ak]_[\w-]{20,}|(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])|sk_live_\w{10,})")
#: Words that may begin with any of these.
LONG: Final = lazy(r"(?<![A-Za-z0-9_.-])[A-Za-z0-9_.-]{14,}")
_BASE64: Final = lazy(r"(?<![A-Za-z0-9_+/-])[A-Za-z0-9_+/-]{15,}={0,2}")
_HAS_DIGIT: Final = lazy(r"\d")
_CAPITALS: Final = lazy(r"[A-Z]{2,}")

KEY_BLOCK: Final = lazy(
    r"-----BEGIN [A-Z0-9 ]{0,40}(?:PRIVATE KEY(?: BLOCK)?|PGP MESSAGE|MESSAGE)-----.*?(?:-----END [A-Z0-9 ]{0,40}-----|\Z)"
    r"|PuTTY-User-Key-File-\d:.*?(?:Private-MAC:\s*\w+|\Z)",
    re.S,
)
KEY_TAIL: Final = lazy(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_SCHEME: Final = lazy(
    r"(?i)\b(?:bearer|basic|token|apikey|negotiate|ntlm|digest|splunk|ghs|ssws|genie ?key|bot)\s{1,8}([A-Za-z0-9+/._~=:-]{8,})"
)
#: One of these is in every text that `_SCHEME` matches: looking for them is cheaper.
_SCHEMES: Final = ("bearer", "basic", "token", "apikey", "negotiate", "ntlm", "digest", "splunk", "ghs", "ssws", "genie", "bot")
_IBAN: Final = lazy(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_CARD: Final = lazy(r"(?<![\w.-])(?:\d{4}([ -]?)\d{4}\1\d{4}\1\d{4}|3[47]\d{2}([ -]?)\d{6}\2\d{5})(?![\w-])")
#: What every card number, account number and Telegram token contains.
_DIGITS8: Final = lazy(r"\d{4}[ -]?\d{4}")
_WEBHOOK: Final = lazy(
    r"(?<=hooks\.slack\.com/)[\w/-]{10,}|(?<=/api/webhooks/)\d+/[\w-]{10,}|(?<=webhook\.office\.com/)[^\s\"'<>]{10,}"
    r"|(?<=hooks\.zapier\.com/hooks/catch/)[\w/-]{6,}|(?<=chat\.googleapis\.com/v1/spaces/)[^\s\"'<>]{10,}|(?<=logic\.azure\.com)[^\s\"'<>]{10,}"
    r"|(?<=maker\.ifttt\.com/trigger/)[^\s\"'<>]{10,}|(?<=api\.telegram\.org/bot)[^\s\"'<>/]{10,}|(?<=discordapp\.com/api/webhooks/)[^\s\"'<>]{10,}"
    r"|(?<=hooks\.slack-gov\.com/)[\w/-]{10,}|(?<=oapi\.dingtalk\.com/robot/send)[^\s\"'<>]{10,}|(?<=open\.feishu\.cn/open-apis/bot/)[^\s\"'<>]{10,}"
    r"|(?<=events\.pagerduty\.com/integration/)\w{10,}|(?<=hc-ping\.com/)[\w-]{20,}|(?<=ingest\.sentry\.io/)\S{30,}|(?<=hook\.[eu][us]\d\.make\.com/)\w{10,}"
)

#: The same for `_WEBHOOK`.
_WEBHOOK_HOSTS: Final = (
    "hooks.slack.com/", "/api/webhooks/", "webhook.office.com/", "hooks.zapier.com/", "chat.googleapis.com/", "logic.azure.com",
    "maker.ifttt.com/", "api.telegram.org/", "hooks.slack-gov.com/", "oapi.dingtalk.com/", "open.feishu.cn/", "events.pagerduty.com/",
    "hc-ping.com/", "ingest.sentry.io/", ".make.com/",
)  # fmt: skip


def spans(text: str) -> Iterator[Span]:
    """Yields (start, end) of the credentials in a text that are recognised by their form, in no order; they may overlap."""
    if "-----" in text or "PuTTY" in text:
        yield from (match.span() for match in KEY_BLOCK.finditer(text))
        yield from _tails(text)
    if (" " in text or "\t" in text) and has_any(text, _SCHEMES):
        for match in _SCHEME.finditer(text):
            if _is_credential(match[1]):
                yield match.span(1)
    may_have_webhook = (
        "hook" in text or "maker." in text or "api." in text or "chat." in text or "logic." in text or "events." in text or "ping" in text
    )
    if may_have_webhook and has_word(text, _WEBHOOK_HOSTS):
        yield from (match.span() for match in _WEBHOOK.finditer(text))
    if "$" in text or "{SSHA" in text:
        yield from (match.span() for match in _HASHED.finditer(text))
    for word in LONG.finditer(text):
        start, end = word.span()
        if _HAS_DIGIT.search(text, start, end) is None and end - start < 20:
            continue
        if (token := PREFIXED.match(text, start)) is not None:
            yield token.span()
        if end - start > 24 and (text.find("_", start, end) >= 0 or text.find("IA", start, end) >= 0):
            yield from (match.span() for match in _INNER.finditer(text, start, end))
    if _HAS_DIGIT.search(text) is not None:
        for word in _BASE64.finditer(text):
            if _is_bare(text, word.start(), word[0]):
                yield word.span()
        if _DIGITS8.search(text) is not None:
            if ":" in text:
                yield from (match.span() for match in _TELEGRAM.finditer(text))
            yield from _numbers(text)


def has_any(text: str, words: tuple[str, ...]) -> bool:
    """Whether a text may contain one of these words in any case. Beyond ASCII, other letters fold to those of a word."""
    return not text.isascii() or has_word(text.lower(), words)


def has_word(text: str, words: tuple[str, ...]) -> bool:
    """Whether one of the words is in a text."""
    for word in words:  # noqa: SIM110 -- a loop takes half the time of `any`
        if word in text:
            return True
    return False


def _tails(text: str) -> Iterator[Span]:
    """The last part of a private key whose beginning was cut off: from the last line that is not base64."""
    done = 0
    for match in KEY_TAIL.finditer(text):
        before = text[max(done, match.start() - 16_384) : match.start()]
        done = match.end()
        if "-----BEGIN" in before:
            continue
        body = re.split(r"[^A-Za-z0-9+/=\s\\]", before)[-1]
        # Words of a sentence before the key are not masked: lines of a key contain no spaces.
        lines = re.split(r"\s*[\n]", body)
        last = next((i for i in range(len(lines) - 1, -1, -1) if " " in lines[i].strip()), -1)
        yield match.start() - len("\n".join(lines[last + 1 :])), match.end()


def _is_credential(word: str) -> bool:
    """Whether the value after the name of an authentication scheme does not look like prose."""
    word = word.rstrip(".:")
    if len(word) < 8:
        return False
    if randomness.has_all(word) or randomness.is_hex(word) or (word.endswith("=") and not word.islower()):
        return True
    if word.isalpha():  # letters alone: longer than any word, or with randomly mixed case, not CamelCase
        return len(word) >= 32 or (len(word) >= 20 and randomness.turns(word) >= len(word) / 3 and len(_CAPITALS.findall(word)) >= 2)
    return len(word) >= 12 and any(map(str.isdigit, word))


def _is_bare(text: str, start: int, word: str) -> bool:
    """Whether a long word without a name is a key of 32 bytes in base64, a secret of 40 characters, or wraps a credential in base64."""
    size = len(word)
    if size > 4_096 or not randomness.has_all(word) or word.startswith(_DIGESTS):
        return False
    if text[max(0, start - 8) : start].endswith(("base64,", *_DIGESTS, "SHA256:")):
        return False
    if (size == 40 or (size >= 42 and word.endswith("="))) and randomness.turns(word) >= size / (4 if size == 40 else 5):
        return True
    return size % 4 != 1 and _wraps(word)


_DIGESTS: Final = ("sha256-", "sha384-", "sha512-")


def _wraps(word: str) -> bool:
    """Whether it is the base64 of a text with a credential in it."""
    if "." in word or word.count("-") > 1:
        return False
    try:
        inner = base64.b64decode(word.replace("-", "+").replace("_", "/") + "=" * (-len(word) % 4), validate=True)
        plain = inner.decode("ascii")
    except (binascii.Error, ValueError):
        return False
    return plain.isprintable() and _inner is not None and _inner(plain)


_inner: Callable[[str], bool] | None = None


def set_inner(looks: Callable[[str], bool]) -> None:
    """Sets the function that searches a decoded base64 text for credentials; called by `assignments`, which imports this module."""
    global _inner
    _inner = looks


def _numbers(text: str) -> Iterator[Span]:
    for match in _CARD.finditer(text):
        if _is_card(re.sub(r"\D", "", match[0])):
            yield match.span()
    for match in _IBAN.finditer(text):
        if _is_iban(match[0].replace(" ", "")):
            yield match.span()


def _is_card(digits: str) -> bool:
    if not (
        digits[0] == "4"
        or "51" <= digits[:2] <= "55"
        or "2221" <= digits[:4] <= "2720"
        or digits[:2] in ("34", "37", "65")
        or digits[:4] == "6011"
    ):
        return False
    total = sum(sum(divmod(int(digit) * (1 + index % 2), 10)) for index, digit in enumerate(reversed(digits)))
    return total % 10 == 0


def _is_iban(text: str) -> bool:
    if not 15 <= len(text) <= 34:
        return False
    return int("".join(str(int(letter, 36)) for letter in text[4:] + text[:4])) % 97 == 1
