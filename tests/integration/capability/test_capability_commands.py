"""``rco capability`` and ``rco keys`` as a user types them, against a running service."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rco.capability.token import parse


async def rco(world: Any, *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "rco", *words],
            input=said,
            capture_output=True,
            text=True,
            check=False,
            cwd=world.folder,
            timeout=60,
            env={
                "PATH": "/usr/bin:/bin",
                "RCO_URL": world.service.url,
                "RCO_TOKEN_FILE": str(world.folder / "data" / "admin.token"),
                "RCO_DATA_DIR": str(world.folder / "data"),
                "PYTHONPATH": ":".join(sys.path),
            },
        )

    return await asyncio.to_thread(run)


async def test_from_minting_to_revoking(governed: Any) -> None:
    made = await rco(
        governed, "capability", "mint", "--scope", "run:start:asks", "--scope", "call:stock", "--ttl", "5m"
    )
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    seen = await rco(governed, "capability", "inspect", said=made.stdout)
    assert "caveat  act=run:start:asks call:stock" in seen.stdout
    narrower = await rco(governed, "capability", "attenuate", "--scope", "run:start:asks", "--ttl", "30s", said=token)
    assert parse(narrower.stdout.strip()).caveats[: len(parse(token).caveats)] == parse(token).caveats
    good = await rco(
        governed, "capability", "inspect", "--check", "--scope", "run:start:asks", "--json", said=narrower.stdout
    )
    assert json.loads(good.stdout)["good"] is True
    bad = await rco(governed, "capability", "inspect", "--check", "--scope", "call:stock", said=narrower.stdout)
    assert bad.returncode == 4
    assert "does not allow call:stock" in bad.stdout
    done = await rco(governed, "capability", "revoke", "--id", parse(token).id, "--reason", "over", "--json")
    assert json.loads(done.stdout)["seq"] == 1
    gone = await rco(governed, "capability", "inspect", "--check", "--json", said=narrower.stdout)
    assert json.loads(gone.stdout)["reason"] == "The capability was revoked."
    assert "over" in (await rco(governed, "capability", "revoked")).stdout


async def test_a_token_goes_into_a_file_of_its_owner_and_comes_from_one(governed: Any) -> None:
    made = await rco(governed, "capability", "mint", "--scope", "write:put", "--out", "token", "--json")
    assert "rcap1_" not in made.stdout
    path: Path = governed.folder / "token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = await rco(governed, "capability", "mint", "--scope", "write:put", "--out", "token")
    assert again.returncode == 2
    narrower = await rco(governed, "capability", "attenuate", "token", "--caveat", "corr=c0rr-0001", "--json")
    assert parse(json.loads(narrower.stdout)["token"]).caveats[-1] == b"corr=c0rr-0001"


@pytest.mark.parametrize(
    ("words", "said", "status"),
    [
        (["capability", "inspect"], "rubbish", 4),
        (["capability", "inspect", "absent"], "", 3),
        (["capability", "attenuate"], "TOKEN", 2),
        (["capability", "attenuate", "--caveat", "tenant=t1"], "TOKEN", 2),
        (["capability", "attenuate", "--ttl", "soon"], "TOKEN", 2),
        (["capability", "revoke", "--reason", "x"], "", 2),
        (["capability", "revoke", "--reason", "x", "--id", "a", "--kid", "b"], "", 2),
        (["capability", "mint", "--scope", "fly:moon"], "", 2),
    ],
)
async def test_mistakes_are_told(governed: Any, words: list[str], said: str, status: int) -> None:
    if said == "TOKEN":
        said = (await rco(governed, "capability", "mint", "--scope", "write:put")).stdout
    done = await rco(governed, *words, said=said)
    assert done.returncode == status, done.stderr
    assert done.stderr.startswith("rco: ")
    assert "Traceback" not in done.stderr
    assert "rubbish" not in done.stderr


async def test_a_rotation_is_taken_up_by_a_running_service(governed: Any) -> None:
    done = await rco(governed, "keys", "rotate", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["added"]["kid"] == "k2"

    async def taken_up() -> bool:
        return [one.kid for one in (await governed.client.keys()).items] == ["k2", "k1"]

    await governed.until(taken_up)
    listed = await rco(governed, "keys", "list", "--json")
    assert [one["state"] for one in json.loads(listed.stdout)["items"]] == ["waiting", "minting"]
    secrets = [one["secret"] for one in json.loads(governed.ring.read_text())["keys"]]
    assert not any(secret in listed.stdout + done.stdout for secret in secrets)
