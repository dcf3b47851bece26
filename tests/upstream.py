"""A service that announces recordings until it is told to stop: upstream.py BROKER TOPIC S3 BUCKET SEED.

Then it prints two lines: the ids that it announced, and those that were acknowledged. It is a process of its own,
since the client leaves sockets open when a broker is killed under it.
"""

from __future__ import annotations

import json
import random
import select
import sys

import kafka
import kafka.errors
import obstore
import obstore.store
from peers import s3

from aftercall.contracts import events


def main(address: str, topic: str, endpoint: str, bucket: str, seed: str) -> None:
    """Announce ten recordings a second."""
    rng = random.Random(int(seed))
    inbox = obstore.store.S3Store(
        bucket,
        endpoint=endpoint,
        region=s3.REGION,
        access_key_id=s3.ACCESS_KEY,
        secret_access_key=s3.SECRET_KEY,
        client_options={"allow_http": True},
    )
    producer = kafka.KafkaProducer(
        bootstrap_servers=address, delivery_timeout_ms=60_000, request_timeout_ms=3_000, reconnect_backoff_max_ms=1_000
    )
    announced, acknowledged, sent = [], [], []
    while not select.select([sys.stdin], [], [], 0.1)[0]:
        name = f"r{len(announced):05d}"
        obstore.put(inbox, name, json.dumps({"sleep_s": rng.uniform(0.02, 0.5)}).encode())
        data = {"tenant": "acme", "call_id": name, "recording_uri": f"s3://{bucket}/{name}", "version": "1"}
        plain = {"specversion": "1.0", "id": name, "source": "test", "type": events.RECORDING_READY, "data": data}
        announced.append(name)
        try:
            sent.append((name, producer.send(topic, value=json.dumps(plain).encode(), key=name.encode())))
        except kafka.errors.KafkaError:
            continue  # not known to be there: it may come or not
    for name, future in sent:
        try:
            future.get(timeout=90)
        except kafka.errors.KafkaError:
            continue
        acknowledged.append(name)
    print(*announced)
    print(*acknowledged, flush=True)
    producer.close(timeout=5)


if __name__ == "__main__":
    main(*sys.argv[1:])
