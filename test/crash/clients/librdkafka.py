"""librdkafka, while its broker is killed: `produce BROKER TOPIC PARTITION…` or `consume BROKER TOPIC GROUP`, until standard input
ends. The producer is idempotent. What the lines say, kill-clients.test.ts says."""

import os
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

role, broker, topic, *rest = sys.argv[1:]
over = threading.Event()


def wait_for_end():
    sys.stdin.read()
    over.set()


threading.Thread(target=wait_for_end, daemon=True).start()


def say(*words):
    print(*words, flush=True)


def delivered(error, message):
    if error is not None:
        print('not delivered:', error, file=sys.stderr, flush=True)
        os._exit(1)
    say('acked', message.partition(), message.offset(), message.value().split(b'/')[2].decode())


def produce():
    producer = Producer({'bootstrap.servers': broker, 'enable.idempotence': True})
    n = 0
    while not over.is_set():
        for partition in map(int, rest):
            value = f'librdkafka/{partition}/{n}/{"x" * (n * 31 % 300)}'
            producer.produce(topic, value, partition=partition, on_delivery=delivered)
        n += 1
        producer.poll(0)
        # Its queue would take all that is sent while the broker is away.
        while len(producer) > 500:
            producer.poll(0.05)
        time.sleep(0.001)
    assert producer.flush(60) == 0


# Another member reads them again, or this one does.
NOT_COMMITTED = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError._TRANSPORT,
    KafkaError._WAIT_COORD,
    KafkaError._TIMED_OUT,
    KafkaError._DESTROY,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
}


def consume():
    consumer = Consumer({
        'bootstrap.servers': broker,
        'group.id': rest[0],
        'enable.auto.commit': False,
        'auto.offset.reset': 'earliest',
        'session.timeout.ms': 6000,
        'heartbeat.interval.ms': 300,
    })
    consumer.subscribe([topic])
    while not over.is_set():
        read = {}
        for message in consumer.consume(500, 0.2):
            # What is no record is told to a consumer as one, such as that the broker is away.
            if message.error() is None:
                read.setdefault(message.partition(), []).append(message.offset())
        for partition, offsets in read.items():
            say('read', partition, offsets[0], offsets[-1])
        if not read:
            continue
        try:
            commit = [TopicPartition(topic, partition, offsets[-1] + 1) for partition, offsets in read.items()]
            for each in consumer.commit(offsets=commit, asynchronous=False):
                if each.error is None:
                    say('committed', each.partition, each.offset)
                elif each.error.code() not in NOT_COMMITTED:
                    raise KafkaException(each.error)
        except KafkaException as failure:
            if failure.args[0].code() not in NOT_COMMITTED:
                raise
    consumer.close()


if role == 'produce':
    produce()
else:
    consume()
