"""Every cell of the table for kafka-python, with its default settings but for what a cell is about."""

import threading
import time

import kafka
from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions, NewTopic
from kafka.errors import MessageSizeTooLargeError

from cells import bootstrap_servers, broker_count, replication_factor, run

# By default it gives up a broker that a busy machine gives no time for a second.
at = {'bootstrap_servers': bootstrap_servers, 'api_version_auto_timeout_ms': 60_000}
admin = KafkaAdminClient(**at)


def create(topic, partitions=1, **configs):
    admin.create_topics([NewTopic(topic, partitions, replication_factor, topic_configs=configs)])
    return topic


def produce(topic, records, **settings):
    producer = KafkaProducer(**at, **settings)
    sent = [producer.send(topic, value, key, headers, partition) for key, value, headers, partition in records]
    producer.flush()
    producer.close()
    for future in sent:
        future.get(0)


def member(group, topic, **settings):
    return KafkaConsumer(topic, **at, group_id=group, **settings)


def poll_until(consumers, done, seconds=60):
    """Polls all consumers until `done(records)`; the records are those of all."""
    records, deadline = [], time.monotonic() + seconds
    while not done(records):
        assert time.monotonic() < deadline, f'after {seconds} s only {len(records)} records'
        for consumer in consumers:
            records += [record for batch in consumer.poll(50).values() for record in batch]
    return records


def consume(topic, count):
    consumer = KafkaConsumer(**at)
    first = TopicPartition(topic, 0)
    consumer.assign([first])
    consumer.seek(first, 0)
    records = poll_until([consumer], lambda records: len(records) >= count)
    consumer.close()
    return records


def codec(name):
    topic = create(f'kafka-python-{name}')
    sent = [(b'k%d' % i, None if i % 5 == 4 else b'value %d ' % i * 20, [('h', b'%d' % i), ('empty', b'')], 0) for i in range(50)]
    produce(topic, sent, compression_type=None if name == 'none' else name)
    assert [(r.key, r.value, list(r.headers), 0) for r in consume(topic, 50)] == sent


def large():
    topic, value = create('kafka-python-large'), bytes(i * 7 % 251 for i in range(900_000))
    produce(topic, [(None, value, None, 0)])
    assert consume(topic, 1)[0].value == value
    small = create('kafka-python-small', **{'max.message.bytes': '10000'})
    try:
        produce(small, [(None, b'x' * 20_000, None, 0)])
    except MessageSizeTooLargeError:
        pass
    else:
        raise AssertionError('20 KB were taken')
    produce(small, [(None, b'small', None, 0)])
    assert [r.value for r in consume(small, 1)] == [b'small']


def idempotent():
    topic = create('kafka-python-idempotent')
    sent = [b'%d' % i for i in range(500)]
    produce(topic, [(None, value, None, 0) for value in sent], enable_idempotence=True)
    assert [r.value for r in consume(topic, 500)] == sent


class Member:
    """A member that polls in a thread of its own: this client's poll waits for a rebalance to end, which takes all members."""

    def __init__(self, group, topic):
        self.consumer = member(group, topic, auto_offset_reset='earliest')
        self.records, self.failure, self.leaving = [], None, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while not self.leaving.is_set():
                for batch in self.consumer.poll(100).values():
                    self.records += batch
            self.consumer.close()
        except Exception as error:
            self.failure = error

    def leave(self):
        self.leaving.set()
        self.thread.join(60)
        assert not self.thread.is_alive() and self.failure is None, self.failure


def until(done, what, seconds=90):
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f'after {seconds} s not {what}'
        time.sleep(0.05)


def group():
    topic = create('kafka-python-group', 6)
    members = []

    def share(each):
        return sorted(len(m.consumer.assignment()) for m in members) == [each] * len(members)

    for each in (6, 3, 2):
        members.append(Member('kafka-python-three', topic))
        until(lambda: share(each), f'{each} partitions for each')
    produce(topic, [(None, b'%d' % i, None, i % 6) for i in range(60)])
    until(lambda: sum(len(m.records) for m in members) >= 60, 'all records')
    assert sorted(int(r.value) for m in members for r in m.records) == list(range(60))
    members.pop().leave()
    until(lambda: share(3), '3 partitions for each')
    for m in members:
        m.leave()
    produce(topic, [(None, b'after', None, 0)])
    late = member('kafka-python-three', topic, auto_offset_reset='earliest')
    assert [r.value for r in poll_until([late], len)] == [b'after']
    late.close()


def reset():
    topic = create('kafka-python-reset')
    produce(topic, [(None, b'before', None, 0)])
    earliest = member('kafka-python-earliest', topic, auto_offset_reset='earliest')
    assert [r.value for r in poll_until([earliest], len)] == [b'before']
    earliest.close()
    latest = member('kafka-python-latest', topic)
    poll_until([latest], lambda _: latest.assignment())
    latest.position(TopicPartition(topic, 0))
    produce(topic, [(None, b'after', None, 0)])
    assert [r.value for r in poll_until([latest], len)] == [b'after']
    latest.close()
    # What a group has committed may be gone.
    # By default it waits for the leader alone, and the end that anybody is told is that of what all replicas in sync have.
    produce(topic, [(None, b'kept', None, 0)], acks='all')
    admin.delete_records({TopicPartition(topic, 0): 2})
    late = member('kafka-python-earliest', topic, auto_offset_reset='earliest')
    assert [r.value for r in poll_until([late], len)] == [b'kept']
    late.close()


def administration():
    topic = create('kafka-python-admin', 2)

    def partitions():
        return len(admin.describe_topics([topic])[0]['partitions'])

    assert partitions() == 2
    admin.create_partitions({topic: NewPartitions(3)})
    assert partitions() == 3
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {'retention.ms': '12345'})])
    answers = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {'retention.ms': None})])
    assert [entry[1] for answer in answers for resource in answer.resources for entry in resource[4]] == ['12345']
    before, first = int(time.time() * 1000), TopicPartition(topic, 0)
    produce(topic, [(None, b'%d' % i, None, 0) for i in range(6)], acks='all')
    consumer = KafkaConsumer(**at)
    assert consumer.end_offsets([first]) == {first: 6}
    assert consumer.offsets_for_times({first: before - 1})[first].offset == 0
    assert admin.delete_records({first: 2})[first]['low_watermark'] == 2
    assert consumer.beginning_offsets([first]) == {first: 2}
    consumer.close()
    assert len(admin.describe_cluster()['brokers']) == broker_count
    admin.delete_topics([topic])
    assert topic not in admin.list_topics()


def groups():
    topic, group = create('kafka-python-groups'), 'kafka-python-listed'
    produce(topic, [(None, b'one', None, 0)])
    consumer = member(group, topic, auto_offset_reset='earliest')
    poll_until([consumer], len)
    described = admin.describe_consumer_groups([group])[0]
    assert described.state == 'Stable' and len(described.members) == 1, described
    consumer.close()
    assert group in [name for name, *_ in admin.list_consumer_groups()]
    first = TopicPartition(topic, 0)
    assert admin.list_consumer_group_offsets(group)[first].offset == 1
    # Offsets are altered by whoever is no member.
    committer = KafkaConsumer(**at, group_id=group, enable_auto_commit=False)
    committer.assign([first])
    committer.commit({first: OffsetAndMetadata(0, '', -1)})
    committer.close()
    assert admin.list_consumer_group_offsets(group)[first].offset == 0
    admin.delete_consumer_groups([group])
    assert group not in [name for name, *_ in admin.list_consumer_groups()]


run(kafka.__version__, {
    **{name: lambda name=name: codec(name) for name in ('none', 'gzip', 'snappy', 'lz4', 'zstd')},
    'large': large, 'idempotent': idempotent, 'group': group, 'reset': reset,
    'administration': administration, 'groups': groups,
})
