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
    ],
    "14.4": [
        'pick, ratio = "on", load["together"].sum() / load["alone"].sum()',
        'pick, ratio = "on", (load["together"] / load["alone"]).min()',
        'pick, ratio = "off", load["together"].min() / load["alone"].max()',
    ],
}
