"""librdkafka at work on a cluster that is being broken: BROKERS TOPIC PARTITIONS GROUP HISTORY GAP_MS [defaults]. An idempotent
producer, a member of the group and a reader without one write down what they do and see, until SIGTERM. Timeouts are short enough for
faults that last seconds, or those that everybody has."""

import json
import os
import signal
import sys
import threading
import time
import traceback

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

brokers, topic, partitions, group, path, gap_ms, *rest = sys.argv[1:]
has_defaults = rest == ['defaults']
partitions = int(partitions)
over = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: over.set())
RECONNECT = {} if has_defaults else {'reconnect.backoff.max.ms': 500}
history = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


class Client:
    """One client in the history."""

    def __init__(self, name, **settings):
        self.name = name
        self.operations = 0
        self.lock = threading.RLock()
        self.write('start', **settings)

    def write(self, type, **fields):
        with self.lock:
            event = {'time': time.monotonic_ns() // 1000, 'client': self.name, 'type': type, **fields}
            os.write(history, (json.dumps(event) + '\n').encode())

    def invoke(self, call, **fields):
        with self.lock:
            self.operations += 1
            self.write('invoke', operation=self.operations, call=call, **fields)
            return self.operations

    def end(self, operation, type, **fields):
        self.write(type, operation=operation, **fields)


def name_of(partition):
    return f'{topic}-{partition}'


def produce():
    client = Client('librdkafka-producer', producer={'acks': 'all', 'idempotent': True})
    epochs = set()

    def look(statistics):
        epoch = json.loads(statistics)['eos']['producer_epoch']
        if epoch > 0 and epoch not in epochs:
            epochs.add(epoch)
            print(f'{client.name} numbers its records anew, in epoch {epoch}', file=sys.stderr, flush=True)

    producer = Producer({
        'statistics.interval.ms': 1000,
        'stats_cb': look,
        'bootstrap.servers': brokers,
        'enable.idempotence': True,
        **({} if has_defaults else {'request.timeout.ms': 10_000}),
        **RECONNECT,
    })

    def send(n):
        partition = n % partitions
        value = f'librdkafka-{n}'
        operation = client.invoke('produce', partition=name_of(partition), value=value)

        def delivered(error, message):
            if error is None:
                # A later record whose answer has come acknowledges this one, whose answer was lost, without saying where it is.
                known = {} if message.offset() is None else {'offset': message.offset()}
                client.end(operation, 'ok', **known)
            else:
                client.end(operation, 'info', error=str(error))

        producer.produce(topic, value, partition=partition, on_delivery=delivered)

    n = 0
    while not over.is_set():
        if len(producer) < 200:
            send(n)
            n += 1
        producer.poll(int(gap_ms) / 1000)
        time.sleep(int(gap_ms) / 1000)
    if producer.flush(100) > 0:
        raise RuntimeError('what was sent is neither delivered nor given up')


COMMON = {
    'bootstrap.servers': brokers,
    'enable.auto.commit': False,
    'auto.offset.reset': 'earliest',
    **RECONNECT,
}


class Poller:
    """Polls for what is there, and writes it down."""

    def __init__(self, client, consumer, rebalances=()):
        self.client = client
        self.consumer = consumer
        self.rebalances = rebalances
        self.waiting = None

    def poll(self):
        """What came, as the offsets behind it."""
        operation = self.client.invoke('poll')
        records = {}
        message, self.waiting = self.waiting or self.consumer.poll(0.2), None
        while message is not None and sum(map(len, records.values())) < 500:
            # What came with a rebalance is of the new assignment: it must be told behind that.
            if self.rebalances:
                self.waiting = message
                break
            # What is no record is told to a consumer as one, such as that a broker is away.
            if message.error() is None:
                those = records.setdefault(name_of(message.partition()), [])
                those.append((message.offset(), message.value().decode()))
            elif message.error().code() == KafkaError._AUTO_OFFSET_RESET:
                raise KafkaException(message.error())
            message = self.consumer.poll(0)
        else:
            self.waiting = message
        self.client.end(operation, 'ok', records=records)
        return {partition: those[-1][0] + 1 for partition, those in records.items()}


def take_part():
    client = Client('librdkafka-member', consumer={'group': group, 'reset': 'earliest'})
    consumer = Consumer({
        **COMMON,
        'group.id': group,
        **({} if has_defaults else {'session.timeout.ms': 10_000, 'heartbeat.interval.ms': 1000}),
    })
    rebalances = []

    def assigned(_, those):
        rebalances.append(('assigned', [each.partition for each in those]))

    def revoked(_, those):
        rebalances.append(('revoked', [each.partition for each in those]))

    consumer.subscribe([topic], on_assign=assigned, on_revoke=revoked, on_lost=revoked)
    poller = Poller(client, consumer, rebalances)
    while not over.is_set():
        offsets = poller.poll()
        for what, those in rebalances:
            if what == 'assigned':
                client.write('assigned', positions={name_of(partition): None for partition in those})
            else:
                client.write('revoked', partitions=[name_of(partition) for partition in those])
        is_disturbed = bool(rebalances)
        rebalances.clear()
        if not offsets or is_disturbed:
            continue
        operation = client.invoke('commit', offsets=offsets)
        try:
            commit = [TopicPartition(topic, int(name.rsplit('-', 1)[1]), offset) for name, offset in offsets.items()]
            failures = [each.error for each in consumer.commit(offsets=commit, asynchronous=False) if each.error is not None]
            if failures:
                client.end(operation, 'info', error=str(failures[0]))
            else:
                client.end(operation, 'ok')
        except KafkaException as failure:
            client.end(operation, 'info', error=str(failure))
    consumer.close()


def read():
    client = Client('librdkafka-reader', consumer={})
    consumer = Consumer({**COMMON, 'group.id': 'nobody', 'auto.offset.reset': 'error'})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    client.write('assigned', positions={name_of(partition): 0 for partition in range(partitions)})
    poller = Poller(client, consumer)
    while not over.is_set():
        poller.poll()
    consumer.close()


def play(role):
    try:
        role()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


threads = [threading.Thread(target=play, args=(role,)) for role in (produce, take_part, read)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
