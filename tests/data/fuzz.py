"""Read mutated event files in a process of its own, because a fault in a C library would end the caller.

``python fuzz.py FOLDER SEED LAYOUT:COUNT ...`` prints one JSON object: per layout the inputs that gave events
and those refused, peak memory and the longest time. Anything else ends it, and FOLDER/now names the input.
"""

from __future__ import annotations

import json
import random
import resource
import runpy
import signal
import sys
import time
import warnings
from pathlib import Path

from zerobias.errors import DataError
from zerobias.events import chunks, read

_WORDS = [
    bytes(8),
    b"\xff" * 8,
    b"\x7f" + b"\xff" * 7,
    b"\xff" * 7 + b"\x7f",
    (10**9).to_bytes(8, "little"),
    (10**9).to_bytes(8, "big"),
    (1 << 31).to_bytes(8, "little"),
    b"\x01" + bytes(7),
    b"\x00\x00\xc0\x7f" * 2,
]
_SECONDS = 20
_MEMORY = 4 << 30


def mutate(data: bytes, rng: random.Random) -> bytes:
    """``data`` with one to four faults: bits, bytes, words, cut, dropped, repeated or moved pieces."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if not found:
            break
        at, kind = rng.randrange(len(found)), rng.random()
        if kind < 0.3:
            found[at] ^= 1 << rng.randrange(8)
        elif kind < 0.5:
            found[at] = rng.randrange(256)
        elif kind < 0.8:
            word = rng.choice(_WORDS)[: rng.choice((1, 2, 4, 8))]
            found[at : at + len(word)] = word
        elif kind < 0.84:
            del found[at:]
        elif kind < 0.88:
            del found[at : at + rng.randrange(1, 64)]
        elif kind < 0.92:
            found[at:at] = found[at : at + rng.randrange(1, 64)]
        else:
            other, size = rng.randrange(len(found)), rng.randrange(1, 64)
            found[at : at + size] = found[other : other + size]
    return bytes(found)


def attempt(path: Path) -> bool:
    """Whether the file gave events; ``DataError`` is the only other outcome."""
    try:
        whole = read(path)
        assert sum(map(len, chunks(path, size=2))) == len(whole)
    except DataError as error:
        if str(path) not in str(error):
            raise AssertionError(f"the file is not named: {error}") from error
        return False
    return True


def main(folder: Path, seed: int, plan: dict[str, int]) -> dict[str, object]:
    writers = runpy.run_path(str(Path(__file__).with_name("event_files.py")))["LAYOUTS"]
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    found: dict[str, object] = {}
    longest = 0.0
    for layout, count in plan.items():
        good = writers[layout](folder / f"good-{layout}", 3).read_bytes()
        assert attempt(folder / f"good-{layout}"), layout
        events, path = 0, folder / "mutated"
        for number in range(count):
            name = f"{seed}/{layout}/{number}"
            (folder / "now").write_text(name)
            path.write_bytes(mutate(good, random.Random(name)))
            signal.alarm(_SECONDS)  # no handler: a hang, in C too, ends the process
            start = time.perf_counter()
            events += attempt(path)
            longest = max(longest, time.perf_counter() - start)
            signal.alarm(0)
        found[layout] = {"inputs": count, "events": events, "refused": count - events}
    # Not getrusage, whose maximum counts the process that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(status["VmHWM"].split()[0]) / 1024
    return found | {"peak MiB": round(peak), "longest s": round(longest, 3)}


if __name__ == "__main__":
    wanted = dict(part.split(":") for part in sys.argv[3:])
    result = main(Path(sys.argv[1]), int(sys.argv[2]), {name: int(n) for name, n in wanted.items()})
    sys.stdout.write(json.dumps(result) + "\n")
