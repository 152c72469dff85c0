"""A setting of the process stays while any thread needs it, and is then what it was."""

import threading

from misc.shared_setting import SharedSetting


def test_the_last_one_out_restores_what_was_there() -> None:
    events: list[str] = []
    setting = SharedSetting(lambda: events.append("changed") or (lambda: events.append("restored")))
    inside, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with setting:
            inside.set()
            leave.wait(10)

    other = threading.Thread(target=stay)
    with setting:
        other.start()
        assert inside.wait(10)
    assert events == ["changed"], "the other thread is still inside"
    leave.set()
    other.join()
    assert events == ["changed", "restored"]
    with setting, setting:
        pass
    assert events == ["changed", "restored"] * 2
