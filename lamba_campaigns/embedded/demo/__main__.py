"""`make demo`: run the story, print the closing balance, exit 0 only if every count agrees to the last message."""

import argparse
import json
import sys
import time
from collections.abc import Callable

from lamba_campaigns.embedded.demo import story
from lamba_campaigns.embedded.demo.proof import Proof, prove
from lamba_campaigns.embedded.demo.rest import Refused, TookTooLong, Unexpected
from lamba_campaigns.embedded.demo.stage import Stage, instance, stage
from lamba_campaigns.embedded.demo.story import Told
from lamba_campaigns.embedded.problems import CannotStart
from lamba_campaigns.embedded.terminal import Terminal

PEOPLE_DEFAULT = 1_500
PEOPLE_MAX = 5_000  # the plan that the remedy leads to carries so many


def main() -> int:
    options = _options()
    terminal = Terminal()
    terminal.title("The main job, from outside", f"{options.people:,} people")
    try:
        with instance(terminal) as up:
            proof = _play(terminal, stage(up, f"demo-{int(time.time())}"), options)
    except (Refused, Unexpected, TookTooLong, CannotStart, RuntimeError) as failure:
        terminal.error(str(failure))
        return 1
    _print(terminal, proof)
    print(json.dumps(proof.summary), flush=True)
    return 1 if proof.disagreements else 0


def _play(terminal: Terminal, on: Stage, options: argparse.Namespace) -> Proof:
    told = Told()
    steps: list[tuple[str, Callable[[], str]]] = [
        ("Lamba's events", lambda: story.tell_events(on, told, people=options.people)),
        ("Template, audience, campaign", lambda: story.prepare(on, told)),
        ("Launch", lambda: story.launch(on, told)),
        ("Pause and resume", lambda: story.pause_and_resume(on, told)),
        *([("Kill the worker", lambda: story.kill_worker(on, told))] if options.kill_worker else []),
        ("Receipts", lambda: story.receive(on, told)),
    ]
    for label, act in steps:
        with terminal.step(label) as step:
            step.detail = act()
    return prove(on, told)


def _print(terminal: Terminal, proof: Proof) -> None:
    books = proof.books
    terminal.say()
    terminal.say("  Closing balance")
    rows = [("Planned", f"{books['planned']:>8,}"), ("Excluded", f"{books['excluded']:>8,}")]
    rows += [(f"  {reason.replace('_', ' ')}", f"{count:>8,}") for reason, count in books["excludedByReason"].items()]
    rows += [
        (name.replace("_", " ").capitalize(), f"{count:>8,}") for name, count in books["accounts"].items() if count
    ]
    terminal.rows([*rows, ("Residual", f"{books['residual']:>8,}")])
    terminal.say()
    terminal.rows([("Breaks", str(proof.summary["breaks"])), ("Audit chain", proof.summary["audit"])])
    terminal.say()
    for line in proof.disagreements:
        terminal.error(line)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lamba_campaigns.embedded.demo", description=__doc__)
    parser.add_argument(
        "--people", type=int, default=PEOPLE_DEFAULT, help=f"how many people Lamba tells of ({PEOPLE_DEFAULT})"
    )
    parser.add_argument(
        "--kill-worker", action="store_true", help="kill -9 the delivery worker in the middle of sending"
    )
    options = parser.parse_args()
    if not 600 <= options.people <= PEOPLE_MAX:
        parser.error(
            f"--people takes 600 to {PEOPLE_MAX:,}: fewer would fit the free plan, more would not fit the next"
        )
    return options


if __name__ == "__main__":
    sys.exit(main())
