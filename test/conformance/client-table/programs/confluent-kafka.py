"""Every cell of the table for confluent-kafka (librdkafka), with its default settings but for what a cell is about."""

import time

from confluent_kafka import (
    Consumer, ConsumerGroupTopicPartitions, KafkaError, Producer, TopicCollection, TopicPartition, libversion, version,
)
from confluent_kafka.admin import (
    AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic, OffsetSpec,
)

from cells import bootstrap_servers, broker_count, replication_factor, run

at = {'bootstrap.servers': bootstrap_servers}
admin = AdminClient(at)


def create(topic, partitions=1, **config):
    admin.create_topics([NewTopic(topic, partitions, replication_factor, config=config)])[topic].result(20)
    return topic


def delete_before(topic, offset):
    return admin.delete_records([TopicPartition(topic, 0, offset)])[TopicPartition(topic, 0, offset)].result(20)


def deliver(topic, records, **settings):
    """Sends records, and is told what became of them."""
    failures = []
    producer = Producer({**at, **settings})
    for key, value, headers, partition in records:
        producer.produce(
            topic, value, key, partition=partition, headers=headers,
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
    assert producer.flush(30) == 0
    return failures


def produce(topic, records, **settings):
    failures = deliver(topic, records, **settings)
    assert not failures, failures


def member(group, topic, reset='earliest'):
    consumer = Consumer({**at, 'group.id': group, 'auto.offset.reset': reset})
    consumer.subscribe([topic])
    return consumer


def poll_until(consumers, done, seconds=60):
    """Polls all consumers until `done(records)`; the records are those of all."""
    records, deadline = [], time.monotonic() + seconds
    while not done(records):
        assert time.monotonic() < deadline, f'after {seconds} s only {len(records)} records'
        for consumer in consumers:
            message = consumer.poll(0.05)
            if message is not None:
                assert message.error() is None, message.error()
                records.append(message)
    return records


def codec(name):
    topic = create(f'confluent-kafka-{name}')
    sent = [(b'k%d' % i, None if i % 5 == 4 else b'value %d ' % i * 20, [('h', b'%d' % i), ('none', None)], 0) for i in range(50)]
    produce(topic, sent, **{'compression.type': name})
    consumer = Consumer({**at, 'group.id': f'of-{topic}'})
    consumer.assign([TopicPartition(topic, 0, 0)])
    got = poll_until([consumer], lambda records: len(records) >= 50)
    consumer.close()
    assert [(m.key(), m.value(), m.headers(), 0) for m in got] == sent


def first(topic):
    consumer = Consumer({**at, 'group.id': f'of-{topic}'})
    consumer.assign([TopicPartition(topic, 0, 0)])
    [message] = poll_until([consumer], len)
    consumer.close()
    return message.value()


def large():
    topic, value = create('confluent-kafka-large'), bytes(i * 7 % 251 for i in range(900_000))
    produce(topic, [(None, value, None, 0)])
    assert first(topic) == value
    small = create('confluent-kafka-small', **{'max.message.bytes': '10000'})
    [refused] = deliver(small, [(None, b'x' * 20_000, None, 0)])
    assert refused.code() == KafkaError.MSG_SIZE_TOO_LARGE, refused
    produce(small, [(None, b'small', None, 0)])
    assert first(small) == b'small'


def idempotent():
    topic = create('confluent-kafka-idempotent')
    produce(topic, [(None, b'%d' % i, None, 0) for i in range(500)], **{'enable.idempotence': True})
    consumer = Consumer({**at, 'group.id': 'of-idempotent'})
    consumer.assign([TopicPartition(topic, 0, 0)])
    got = poll_until([consumer], lambda records: len(records) >= 500)
    consumer.close()
    assert [m.value() for m in got] == [b'%d' % i for i in range(500)]


def group():
    topic = create('confluent-kafka-group', 6)
    members = []
    for count in (1, 2, 3):
        members.append(member('confluent-kafka-three', topic))
        poll_until(members, lambda _: sorted(len(m.assignment()) for m in members) == [6 // count] * count)
    sent = [(None, b'%d' % i, None, i % 6) for i in range(60)]
    produce(topic, sent)
    got = poll_until(members, lambda records: len(records) >= 60)
    assert sorted(int(m.value()) for m in got) == list(range(60))
    members.pop().close()
    poll_until(members, lambda _: sorted(len(m.assignment()) for m in members) == [3, 3])
    for each in members:
        each.close()
    late = member('confluent-kafka-three', topic)
    produce(topic, [(None, b'after', None, 0)])
    assert [m.value() for m in poll_until([late], len)] == [b'after']
    late.close()


def reset():
    topic = create('confluent-kafka-reset')
    produce(topic, [(None, b'before', None, 0)])
    earliest, latest = member('confluent-kafka-earliest', topic), member('confluent-kafka-latest', topic, 'latest')
    assert [m.value() for m in poll_until([earliest], len)] == [b'before']
    # It tells of no position before its first record, so there is one more until one arrives.
    def arrived(records):
        if not records and latest.assignment():
            produce(topic, [(None, b'after', None, 0)])
        return records

    assert poll_until([latest], arrived)[0].value() == b'after'
    earliest.close()
    latest.close()
    # What a group has committed may be gone.
    produce(topic, [(None, b'kept', None, 0)])
    [end] = admin.list_offsets({TopicPartition(topic, 0): OffsetSpec.latest()}).values()
    delete_before(topic, end.result(20).offset - 1)
    late = member('confluent-kafka-earliest', topic)
    assert [m.value() for m in poll_until([late], len)] == [b'kept']
    late.close()


def offset_at(topic, spec):
    at = TopicPartition(topic, 0)
    return admin.list_offsets({at: spec})[at].result(20).offset


def administration():
    topic = create('confluent-kafka-admin', 2)

    def partitions():
        described = admin.describe_topics(TopicCollection([topic]))[topic].result(20)
        return len(described.partitions)

    assert partitions() == 2
    admin.create_partitions([NewPartitions(topic, 3)])[topic].result(20)
    assert partitions() == 3
    change = ConfigEntry('retention.ms', '12345', incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[change])
    admin.incremental_alter_configs([resource])[resource].result(20)
    described = admin.describe_configs([resource])[resource].result(20)
    assert described['retention.ms'].value == '12345'
    before = int(time.time() * 1000)
    produce(topic, [(None, b'%d' % i, None, 0) for i in range(6)])
    assert offset_at(topic, OffsetSpec.latest()) == 6
    assert offset_at(topic, OffsetSpec.for_timestamp(before - 1)) == 0
    assert delete_before(topic, 2).low_watermark == 2
    assert offset_at(topic, OffsetSpec.earliest()) == 2
    assert len(admin.describe_cluster().result(20).nodes) == broker_count
    admin.delete_topics([topic])[topic].result(20)
    assert topic not in admin.list_topics(timeout=20).topics


def groups():
    topic, group = create('confluent-kafka-groups'), 'confluent-kafka-listed'
    produce(topic, [(None, b'one', None, 0)])
    consumer = member(group, topic)
    poll_until([consumer], len)
    described = admin.describe_consumer_groups([group])[group].result(20)
    assert described.state.name == 'STABLE' and len(described.members) == 1
    consumer.close()
    assert group in [g.group_id for g in admin.list_consumer_groups().result(20).valid]

    def committed():
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0)])
        [found] = admin.list_consumer_group_offsets([asked])[group].result(20).topic_partitions
        return found.offset

    assert committed() == 1
    wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 0)])
    admin.alter_consumer_group_offsets([wanted])[group].result(20)
    assert committed() == 0
    admin.delete_consumer_groups([group])[group].result(20)
    assert group not in [g.group_id for g in admin.list_consumer_groups().result(20).valid]


run(f'{version()} (librdkafka {libversion()[0]})', {
    **{name: lambda name=name: codec(name) for name in ('none', 'gzip', 'snappy', 'lz4', 'zstd')},
    'large': large, 'idempotent': idempotent, 'group': group, 'reset': reset,
    'administration': administration, 'groups': groups,
})
