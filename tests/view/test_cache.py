from palpate.view.cache import Cache


def test_the_least_recently_used_goes_and_two_always_stay():
    made = []
    cache = Cache(10, len)

    def value(name, size):
        return cache.get(name, lambda: made.append(name) or b"x" * size)

    for name in ("a", "b", "a", "c", "a", "b"):  # 4 bytes each: two fit
        value(name, 4)
    assert made == ["a", "b", "c", "b"] and cache.held == 8
    value("large", 100)
    value("larger", 200)
    value("large", 100)
    assert made[4:] == ["large", "larger"] and cache.held == 300
