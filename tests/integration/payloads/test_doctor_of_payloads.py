"""Whether the object store answers is said by the doctor, where payloads go there."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.servers.s3 import S3Server

from rco.cli.checkup.objects import reach
from rco.cli.checkup.report import Word
from rco.config.settings import Settings
from rco.objects.options import ObjectOptions
from rco.payloads.options import PayloadOptions

LARGE = PayloadOptions(object_store_over_bytes=4096)


def settings(folder: Path, objects: ObjectOptions, payloads: PayloadOptions = LARGE) -> Settings:
    return Settings(data_dir=str(folder), objects=objects, payloads=payloads)


def test_a_folder_that_is_there_and_one_that_is_not(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (found,) = reach(settings(tmp_path, ObjectOptions(place=f"file:{there}")))
    assert (found.result, found.found) == (Word.PASS, f"file:{there} answers")
    (found,) = reach(settings(tmp_path, ObjectOptions(place=f"file:{tmp_path}/gone")))
    assert found.result is Word.FAIL
    assert not (tmp_path / "gone").exists(), "it changes nothing"


def test_nothing_is_asked_where_no_payload_goes_there(tmp_path: Path) -> None:
    gone = ObjectOptions(place=f"file:{tmp_path}/gone")
    assert list(reach(settings(tmp_path, gone, PayloadOptions()))) == []
    assert list(reach(settings(tmp_path, ObjectOptions(place="memory")))) == []


def test_a_bucket_that_answers_and_one_that_is_away(
    tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY", "testing")
    bucket = ObjectOptions(
        place=f"s3://{s3.bucket}/doctor",
        endpoint=s3.endpoint,
        access_key_id="env:KEY",
        secret_access_key="env:KEY",
    )
    (found,) = reach(settings(tmp_path, bucket))
    assert found.result is Word.PASS
    nobody = ObjectOptions(
        place="s3://b/p", endpoint="http://127.0.0.1:9", access_key_id="env:KEY", secret_access_key="env:KEY"
    )
    (found,) = reach(settings(tmp_path, nobody))
    assert found.result is Word.FAIL
    assert "objects" in found.cure
