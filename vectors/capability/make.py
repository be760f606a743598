"""Writes the capability vectors beside this file, from the description of the format and the ``blake3`` package alone:
nothing of RCO is imported. Run it as ``python vectors/capability/make.py``; its output does not change from run to run.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from blake3 import blake3

HERE = Path(__file__).parent
CONTEXT = "svc-interop 2026-11 macaroon root key v1"
SECRET = bytes(range(32))
OTHER_SECRET = bytes(range(32, 64))
ID = "mac_01HZZZZZZZZZZZZZZZZZZZZZZZ"
NOW_S = 1_790_000_000
B3 = "b3:" + blake3(b'{"amount":4200}').hexdigest()


def lp(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part


def root(secret: bytes) -> bytes:
    return blake3(secret, derive_key_context=CONTEXT).digest()


def chain(secret: bytes, kid: str, id: str, caveats: list[str]) -> list[bytes]:
    """The tag after the identifier and after each caveat."""
    tags = [blake3(lp(b"id") + lp(kid.encode()) + lp(id.encode()), key=root(secret)).digest()]
    for caveat in caveats:
        tags.append(blake3(lp(b"cav") + lp(caveat.encode()), key=tags[-1]).digest())
    return tags


def binary(kid: bytes, id: bytes, caveats: list[bytes], tag: bytes) -> bytes:
    head = b"RCM\x01" + bytes((len(kid),)) + kid + bytes((len(id),)) + id + bytes((len(caveats),))
    return head + b"".join(len(one).to_bytes(2, "big") + one for one in caveats) + tag


def text(data: bytes) -> str:
    return "rcap1_" + base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(caveats: list[str], *, kid: str = "k1", id: str = ID, secret: bytes = SECRET) -> bytes:
    tag = chain(secret, kid, id, caveats)[-1]
    return binary(kid.encode(), id.encode(), [one.encode() for one in caveats], tag)


def tokens() -> dict[str, Any]:
    """How tags, the binary form and the text form come about."""
    lists = [
        ["act=invoice.write", "exp=1893456000", "tenant=t1"],
        [],
        ["exp=1790000060"],
        ["ns=default", "aud=rco", "epoch=0", "act=run:start:fulfil call:payments:POST:/v1/charges", "exp=1790000060"],
        ["x"] * 32,
        ["a=" + "b" * 2046],
    ]
    return {
        "context": CONTEXT,
        "cases": [
            {
                "secret": SECRET.hex(),
                "root_key": root(SECRET).hex(),
                "kid": "k1",
                "id": ID,
                "caveats": caveats,
                "tags": [tag.hex() for tag in chain(SECRET, "k1", ID, caveats)],
                "binary": token(caveats).hex(),
                "text": text(token(caveats)),
            }
            for caveats in lists
        ],
    }


def malformed() -> dict[str, Any]:
    """Texts that are no token. None may raise anything but the one refusal."""
    good = token(["exp=1790000060"])
    spare = token(["exp=17900000600"])
    assert len(spare) % 3, "there must be such bits"
    tag = good[-32:]
    cases = {
        "empty": "",
        "prefix alone": "rcap1_",
        "another version": "rcap2_" + text(good)[6:],
        "no prefix": text(good)[6:],
        "padded": text(good) + "=",
        "a space behind": text(good) + " ",
        "a line break inside": text(good)[:40] + "\n" + text(good)[40:],
        "the other alphabet": text(good).replace("-", "+").replace("_", "/", 2),
        "not ASCII": text(good)[:-1] + "é",
        "bits in the last character that stand for nothing": text(spare)[:-1] + chr(ord(text(spare)[-1]) + 1),
        "one byte short": text(good[:-1]),
        "one byte long": text(good + b"\0"),
        "other first bytes": text(b"RCX\x01" + good[4:]),
        "another format": text(b"RCM\x02" + good[4:]),
        "no kid": text(binary(b"", ID.encode(), [], tag)),
        "a kid with a capital": text(binary(b"K1", ID.encode(), [], tag)),
        "a kid of 33": text(binary(b"k" * 33, ID.encode(), [], tag)),
        "no id": text(binary(b"k1", b"", [], tag)),
        "an id with a space": text(binary(b"k1", b"mac 1", [], tag)),
        "an id of 65": text(binary(b"k1", b"m" * 65, [], tag)),
        "33 caveats": text(binary(b"k1", b"m", [b"x"] * 33, tag)),
        "a caveat of none": text(binary(b"k1", b"m", [b""], tag)),
        "a caveat of 2049": text(binary(b"k1", b"m", [b"x" * 2049], tag)),
        "over 4096 bytes": text(binary(b"k1", b"m", [b"x" * 2048] * 2, tag)),
        "a count too high": text(good[:4] + good[4:].replace(b"\x01\x00\x0e", b"\x02\x00\x0e")),
        "a length past the end": text(good.replace(b"\x00\x0eexp", b"\xff\xffexp")),
        "64 KiB": "rcap1_" + "A" * 65_536,
        "text of something else": "rcap1_" + base64.urlsafe_b64encode(b"hello, world, this is not one").decode(),
    }
    return {"reason": "UNAUTH", "detail": "cap_malformed", "cases": [{"name": n, "text": t} for n, t in cases.items()]}


BASE = ["ns=default", "aud=rco", "epoch=0", "act=run:start:fulfil call:payments:POST:/v1/charges/** call:stock"]
END = f"exp={NOW_S + 60}"


def asks() -> dict[str, Any]:
    """What a token with these caveats allows, asked of a service called ``rco`` that accepts lives up to an hour."""

    def case(title: str, caveats: list[str], answer: str, data: bytes | None = None, /, **ask: Any) -> dict[str, Any]:
        asked = {"kind": "run:start", "name": "fulfil"} | ask
        given = token(caveats) if data is None else data
        return {"name": title, "caveats": caveats, "text": text(given), "ask": asked, "answer": answer}

    whole = [*BASE, END]
    good = token(whole)
    changed = binary(b"k1", ID.encode(), [one.encode() for one in [*BASE, f"exp={NOW_S + 600}"]], good[-32:])
    call = {"kind": "call", "name": "payments", "method": "POST", "segments": ["v1", "charges", "7"]}
    swapped = [*BASE[:2], *reversed(BASE[2:]), END]
    cases = [
        case("all that it says", whole, "allowed"),
        case("a call", whole, "allowed", **call),
        case("a call with a method that is not named", whole, "cap_act", **{**call, "method": "GET"}),
        case("a call with a path that is not covered", whole, "cap_act", **{**call, "segments": ["v1", "refunds"]}),
        case("the folder itself", whole, "cap_act", **{**call, "segments": ["v1", "charges"]}),
        case("a target with any method", whole, "allowed", kind="call", name="stock", method="GET", segments=["x"]),
        case("another target", whole, "cap_act", kind="call", name="bank", method="GET", segments=["x"]),
        case("another workflow", whole, "cap_act", name="refund"),
        case("another kind", whole, "cap_act", kind="write:put", name=""),
        case("another namespace", whole, "cap_ns", namespace="other"),
        case("another audience", ["aud=them", *whole], "cap_aud"),
        case("no end", BASE, "cap_exp"),
        case("expired this second", [*BASE, f"exp={NOW_S}"], "cap_exp"),
        case("a longer life than the service allows", [*BASE, f"exp={NOW_S + 3601}"], "cap_exp"),
        case("not yet", [*whole, f"nbf={NOW_S + 1}"], "cap_nbf"),
        case("from now", [*whole, f"nbf={NOW_S}"], "allowed"),
        case("two ends, the later one last", [*BASE, f"exp={NOW_S}", END], "cap_exp"),
        case("narrowed, then widened", [*whole, "act=call:stock", "act=run:start:*"], "cap_act"),
        case("narrowed to nothing", [*whole, "act="], "cap_act"),
        case("a caveat that is not known", [*whole, "tenant=t1"], "cap_caveat_unknown"),
        case("a caveat without a form", [*whole, "anything"], "cap_caveat_unknown"),
        case("a number with a sign", [*BASE, "exp=+1790000060"], "cap_exp"),
        case("a number with a zero before it", [*BASE, "exp=01790000060"], "cap_exp"),
        case("a scope of a kind that is not known", [*whole, "act=run:start:fulfil fly:moon"], "cap_act"),
        case("two spaces between scopes", [*whole, "act=run:start:fulfil  call:stock"], "cap_act"),
        case("bound to this request", [*whole, "corr=c0rr-0001"], "allowed", corr_id="c0rr-0001"),
        case("bound to another request", [*whole, "corr=c0rr-0001"], "cap_corr", corr_id="c0rr-0002"),
        case("bound to this body", [*whole, f"body={B3}"], "allowed", b3=B3),
        case("bound to another body", [*whole, f"body={B3}"], "cap_body", b3="b3:" + "0" * 64),
        case("bound to a body, and there is none", [*whole, f"body={B3}"], "cap_body"),
        case("a wildcard", ["act=run:start:*", *whole], "allowed"),
        case("a beginning", ["act=run:start:ful*", *whole], "allowed"),
        case("a beginning of another", ["act=run:start:fulfill*", *whole], "cap_act"),
        case(
            "the last caveat taken away",
            BASE,
            "cap_tag",
            binary(b"k1", ID.encode(), [c.encode() for c in BASE], good[-32:]),
        ),
        case(
            "two caveats swapped",
            swapped,
            "cap_tag",
            binary(b"k1", ID.encode(), [c.encode() for c in swapped], good[-32:]),
        ),
        case("a later end written in", [*BASE, f"exp={NOW_S + 600}"], "cap_tag", changed),
        case("another id", whole, "cap_tag", good.replace(b"mac_01HZ", b"mac_01HY")),
        case("a kid that is not known", whole, "cap_key", token(whole, kid="k9")),
        case("minted under another secret", whole, "cap_tag", token(whole, secret=OTHER_SECRET)),
        case("a tag of zeros", whole, "cap_tag", good[:-32] + bytes(32)),
    ]
    return {"secret": SECRET.hex(), "kid": "k1", "now_s": NOW_S, "audience": "rco", "life_max_s": 3600, "cases": cases}


if __name__ == "__main__":
    for made in (tokens, malformed, asks):
        path = HERE / f"{made.__name__}.json"
        path.write_text(json.dumps(made(), indent=1, ensure_ascii=True) + "\n")
