-- lib/cuts: reads which limits were cut (lib/rates), once, where somebody wants to know.

pool.cuts = pool.cuts or read_json(redis.call("HGET", KEYS[1], "cuts"), {})
