"""A line client on kafka-python, with assigned partitions and seek, and a member of a consumer group.

produce BROKER TOPIC FILE COMPRESSION    each line to partition 0, in order
produce-keyed BROKER TOPIC FILE          each KEY:VALUE line to the partition of its key
consume BROKER TOPIC PARTITION           each value and a newline, from the first record to the end
group BROKER GROUP TOPIC                 PARTITION OFFSET VALUE of each record, until SIGTERM, upon which it leaves
"""

import signal
import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition


# By default it gives up a broker that a busy machine gives no time for a second.
PATIENT = {"api_version_auto_timeout_ms": 60_000}


def lines(path):
    with open(path, "rb") as file:
        for line in file:
            yield line[:-1] if line.endswith(b"\n") else line


def produce(broker, topic, path, compression):
    producer = KafkaProducer(
        bootstrap_servers=broker,
        **PATIENT,
        acks="all",
        linger_ms=5,
        compression_type=None if compression == "none" else compression,
        # Two batches on their way to a partition could change places if one had to be sent again.
        max_in_flight_requests_per_connection=1,
    )
    sent = [producer.send(topic, value=line, partition=0) for line in lines(path)]
    producer.flush()
    for future in sent:
        future.get(timeout=0)
    producer.close()


def produce_keyed(broker, topic, path):
    producer = KafkaProducer(
        bootstrap_servers=broker, **PATIENT, acks="all", linger_ms=5, max_in_flight_requests_per_connection=1
    )
    sent = []
    for line in lines(path):
        key, value = line.split(b":", 1)
        sent.append(producer.send(topic, key=key, value=value))
    producer.flush()
    for future in sent:
        future.get(timeout=0)
    producer.close()


def consume(broker, topic, partition):
    at = TopicPartition(topic, int(partition))
    consumer = KafkaConsumer(bootstrap_servers=broker, **PATIENT, enable_auto_commit=False)
    consumer.assign([at])
    consumer.seek(at, consumer.beginning_offsets([at])[at])
    end = consumer.end_offsets([at])[at]
    out = sys.stdout.buffer
    while consumer.position(at) < end:
        for record in consumer.poll(timeout_ms=1000).get(at, ()):
            if record.offset < end:
                out.write(record.value or b"")
                out.write(b"\n")
    out.flush()
    consumer.close()


def group(broker, group_id, topic):
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=broker,
        **PATIENT,
        group_id=group_id,
        auto_offset_reset="earliest",
        auto_commit_interval_ms=200,
        session_timeout_ms=6000,
        heartbeat_interval_ms=300,
        metadata_max_age_ms=1000,
    )
    leaving = []
    signal.signal(signal.SIGTERM, lambda *_: leaving.append(True))
    while not leaving:
        for records in consumer.poll(timeout_ms=200).values():
            for record in records:
                print(record.partition, record.offset, record.value.decode(), flush=True)
    consumer.close()


commands = {"produce": produce, "produce-keyed": produce_keyed, "consume": consume, "group": group}
commands[sys.argv[1]](*sys.argv[2:])
