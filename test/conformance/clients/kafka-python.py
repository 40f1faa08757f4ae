"""A line client on kafka-python, with assigned partitions and seek: no consumer group takes part.

produce BROKER TOPIC FILE COMPRESSION    each line to partition 0, in order
produce-keyed BROKER TOPIC FILE          each KEY:VALUE line to the partition of its key
consume BROKER TOPIC PARTITION           each value and a newline, from the first record to the end
"""

import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition


def lines(path):
    with open(path, "rb") as file:
        for line in file:
            yield line[:-1] if line.endswith(b"\n") else line


def produce(broker, topic, path, compression):
    producer = KafkaProducer(
        bootstrap_servers=broker,
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
    producer = KafkaProducer(bootstrap_servers=broker, acks="all", linger_ms=5, max_in_flight_requests_per_connection=1)
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
    consumer = KafkaConsumer(bootstrap_servers=broker, enable_auto_commit=False)
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


{"produce": produce, "produce-keyed": produce_keyed, "consume": consume}[sys.argv[1]](*sys.argv[2:])
