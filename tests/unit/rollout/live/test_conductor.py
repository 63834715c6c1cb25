from tests.unit.rollout.live.service import phases_of


def test_a_good_candidate_comes_to_everybody_and_becomes_stable(service, versions):
    running = service()
    running.begin()
    kept = running.run()
    assert kept.state.result == "success"
    print(phases_of(running.store, kept), running.told)
