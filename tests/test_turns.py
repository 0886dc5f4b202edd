"""Tests that are marked ``alone`` run while no other does."""

import threading
import time

from turns import turn


def test_one_that_wants_to_be_alone_is_alone_and_is_not_passed_by_others(tmp_path):
    seen, running, lock, last = [], set(), threading.Lock(), threading.Event()

    def run(name, *, alone):
        with turn(tmp_path, alone=alone):
            with lock:
                running.add(name)
                seen.append((name, frozenset(running)))
            last.wait(30)
            with lock:
                running.remove(name)

    threads = []
    for name, alone in (("first", False), ("alone", True), ("later", False), ("latest", False)):
        threads.append(threading.Thread(target=run, args=(name,), kwargs={"alone": alone}))
        threads[-1].start()
        time.sleep(0.1)  # it runs, or waits behind the turnstile
    assert seen == [("first", {"first"})]
    last.set()
    for thread in threads:
        thread.join(30)
    assert [name for name, _ in seen][:2] == ["first", "alone"]
    assert seen[1][1] == {"alone"}
    assert {name for name, _ in seen[2:]} == {"later", "latest"}
