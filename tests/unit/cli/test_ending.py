"""What a service is told while it runs: no word is lost, and a stop goes first."""

from __future__ import annotations

from rco.cli.serve import _Ending


async def test_a_stop_goes_before_any_number_of_reloads_and_is_not_lost_among_them() -> None:
    ending = _Ending()
    for _ in range(100):
        ending.put("reload")
    ending.put("stop")
    assert await ending.next() == "stop"
    assert await ending.next() == "reload"
    await ending.stopped()


async def test_a_word_that_comes_again_after_it_was_taken_is_another() -> None:
    ending = _Ending()
    ending.put("reload")
    assert await ending.next() == "reload"
    ending.put("reload")
    assert await ending.next() == "reload"
