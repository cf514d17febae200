"""Plausible mistakes in the exercises of lesson 14."""

NAMES = (
    '["a good scan", "grey stripes, saved as PNG", "half a scan", "a picture of 13000 × 13000 pixels in 164 kB", '
    '"a body of one gigabyte", "a client that connects and says nothing", "one request more than may wait"]'
)
PATIENT = (
    "def patient(send, sleep):\n"
    "    for wait in ({waits}):\n"
    "        try:\n"
    "            status = send()\n"
    "            if {done}:\n"
    "                return status\n"
    "        except ConnectionError:\n"
    "            pass\n"
    "        {sleep}\n"
    "    return False"
)
READ = (
    "def read(pieces, max_bytes):\n"
    "    body = b''\n"
    "    {more}\n"
    "        piece = next(pieces, None)\n"
    "        if {stop}:\n"
    "            return body\n"
    "        body += piece\n"
    "        if len(body) > max_bytes:\n"
    "            raise ValueError('too large')\n"
    "    return body"
)

WRONG = {
    "14.1": [
        f"guesses = dict(zip({NAMES}, [200, 200, 500, 500, 413, 408, 429]))",
        f"guesses = dict(zip({NAMES}, [200, 422, 422, 422, 413, 408, 429]))",
        f"guesses = dict(zip({NAMES}, [200, 200, 422, 413, 413, 408, 429]))",
        f"guesses = dict(zip({NAMES}, [200, 200, 422, 422, 422, 408, 429]))",
    ],
    "14.2": [
        PATIENT.format(waits="1, 2, 4, 8, 16", done="status == 200", sleep="sleep(wait)"),
        PATIENT.format(waits="1, 2, 4, 8, 16", done="status != 429", sleep="sleep(wait)"),
        PATIENT.format(waits="1, 2, 4, 8, 16", done="status != 429", sleep="pass"),
        PATIENT.format(waits="1, 1, 1, 1, 1", done="status != 429", sleep="sleep(wait)"),
        PATIENT.format(waits="1, 2, 4, 8, 16", done="True", sleep="sleep(wait)"),
        PATIENT.format(waits="1, 2, 4, 8, 0", done="status in (200, 422)", sleep="wait and sleep(wait)"),
        PATIENT.format(waits="1, 2, 4, 8, 0", done="status != 429", sleep="wait and sleep(wait)").replace(
            "except ConnectionError", "except Exception"
        ),
        PATIENT.format(waits="1, 2, 4, 8, 0", done="status != 429", sleep="wait and sleep(wait)")[
            : -len("return False")
        ]
        + "pass",
        "def patient(send, sleep):\n"
        "    broken = busy = 0\n"
        "    while broken < 5 and busy < 5:\n"
        "        if broken + busy:\n"
        "            sleep(2 ** (broken + busy - 1))\n"
        "        try:\n"
        "            status = send()\n"
        "            if status != 429:\n"
        "                return status\n"
        "            busy += 1\n"
        "        except ConnectionError:\n"
        "            broken += 1\n"
        "    return False",
    ],
    "14.3": [
        "def read(pieces, max_bytes):\n"
        "    body = b''.join(pieces)\n"
        "    if len(body) > max_bytes:\n"
        "        raise ValueError('too large')\n"
        "    return body",
        "def read(pieces, max_bytes):\n    return b''.join(pieces)[:max_bytes]",
        "def read(pieces, max_bytes):\n"
        "    body = b''\n"
        "    for piece in pieces:\n"
        "        body += piece\n"
        "        if len(body) >= max_bytes:\n"
        "            raise ValueError('too large')\n"
        "    return body",
        "def read(pieces, max_bytes):\n    return list(pieces)",
        READ.format(more="while len(body) < max_bytes:", stop="piece is None"),
        READ.format(more="while len(body) <= max_bytes:", stop="not piece"),
        READ.format(more="while len(body) <= max_bytes:", stop="piece is None").replace("ValueError", "OverflowError"),
        READ.format(more="while True:", stop="piece is None").replace("b''", "next(pieces)"),
    ],
    "14.4": [
        'pick, ratio = "on", load["together"].sum() / load["alone"].sum()',
        'pick, ratio = "on", (load["together"] / load["alone"]).min()',
        'pick, ratio = "off", load["together"].min() / load["alone"].max()',
        'pick, ratio = "off", (load["together"] / load["alone"]).min() - 1',
        'pick, ratio = "off", (load["alone"] / load["together"]).min()',
    ],
}
