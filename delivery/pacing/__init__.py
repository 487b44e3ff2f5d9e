"""When somebody's turn has come: send windows, quiet hours, waves by day, domain limits. State lives in Postgres.

`rules` says what was decided, `calendar` when a time zone is open, `quota` how many may leave; these three are pure,
and both the engine (`turnstile`) and the simulator (`forecast`) ask them.
"""
