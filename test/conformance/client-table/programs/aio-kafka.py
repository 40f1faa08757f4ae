"""Every cell of the table for aiokafka, with its default settings but for what a cell is about."""

import asyncio
import time
from contextlib import asynccontextmanager

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError

from cells import bootstrap_servers, broker_count, replication_factor, run


@asynccontextmanager
async def administrator():
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def create(topic, partitions=1, **configs):
    async with administrator() as admin:
        await admin.create_topics([NewTopic(topic, partitions, replication_factor, topic_configs=configs)])
    return topic


async def produce(topic, records, **settings):
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers, **settings) as producer:
        sent = [await producer.send(topic, value, key, partition, headers=headers) for key, value, headers, partition in records]
        await asyncio.gather(*sent)


async def member(group, topic, **settings):
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap_servers, group_id=group, **settings)
    await consumer.start()
    return consumer


async def poll_until(consumers, done, seconds=90):
    """Polls all consumers until `done(records)`; the records are those of all."""
    records, deadline = [], time.monotonic() + seconds
    while not done(records):
        assert time.monotonic() < deadline, f'after {seconds} s only {len(records)} records'
        for batches in await asyncio.gather(*(consumer.getmany(timeout_ms=100) for consumer in consumers)):
            records += [record for batch in batches.values() for record in batch]
    return records


async def consume(topic, count):
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap_servers) as consumer:
        at = TopicPartition(topic, 0)
        consumer.assign([at])
        consumer.seek(at, 0)
        return await poll_until([consumer], lambda records: len(records) >= count)


async def codec(name):
    topic = await create(f'aiokafka-{name}')
    sent = [(b'k%d' % i, None if i % 5 == 4 else b'value %d ' % i * 20, [('h', b'%d' % i), ('none', None)], 0) for i in range(50)]
    await produce(topic, sent, compression_type=None if name == 'none' else name)
    assert [(r.key, r.value, list(r.headers), 0) for r in await consume(topic, 50)] == sent


async def large():
    topic, value = await create('aiokafka-large'), bytes(i * 7 % 251 for i in range(900_000))
    await produce(topic, [(None, value, None, 0)])
    assert (await consume(topic, 1))[0].value == value
    small = await create('aiokafka-small', **{'max.message.bytes': '10000'})
    try:
        await produce(small, [(None, b'x' * 20_000, None, 0)])
    except MessageSizeTooLargeError:
        pass
    else:
        raise AssertionError('20 KB were taken')
    await produce(small, [(None, b'small', None, 0)])
    assert [r.value for r in await consume(small, 1)] == [b'small']


async def idempotent():
    topic = await create('aiokafka-idempotent')
    sent = [b'%d' % i for i in range(500)]
    await produce(topic, [(None, value, None, 0) for value in sent], enable_idempotence=True)
    assert [r.value for r in await consume(topic, 500)] == sent


async def group():
    topic = await create('aiokafka-group', 6)
    members = []

    def share(each):
        return lambda _: sorted(len(m.assignment()) for m in members) == [each] * len(members)

    for each in (6, 3, 2):
        members.append(await member('aiokafka-three', topic, auto_offset_reset='earliest'))
        await poll_until(members, share(each))
    await produce(topic, [(None, b'%d' % i, None, i % 6) for i in range(60)])
    got = await poll_until(members, lambda records: len(records) >= 60)
    assert sorted(int(r.value) for r in got) == list(range(60))
    await members.pop().stop()
    await poll_until(members, share(3))
    for m in members:
        await m.stop()
    await produce(topic, [(None, b'after', None, 0)])
    late = await member('aiokafka-three', topic, auto_offset_reset='earliest')
    assert [r.value for r in await poll_until([late], len)] == [b'after']
    await late.stop()


async def reset():
    topic = await create('aiokafka-reset')
    await produce(topic, [(None, b'before', None, 0)])
    earliest = await member('aiokafka-earliest', topic, auto_offset_reset='earliest')
    assert [r.value for r in await poll_until([earliest], len)] == [b'before']
    await earliest.stop()
    latest = await member('aiokafka-latest', topic)
    await latest.position(TopicPartition(topic, 0))
    await produce(topic, [(None, b'after', None, 0)])
    assert [r.value for r in await poll_until([latest], len)] == [b'after']
    await latest.stop()
    # What a group has committed may be gone.
    # By default it waits for the leader alone, and the end that anybody is told is that of what all replicas in sync have.
    await produce(topic, [(None, b'kept', None, 0)], acks='all')
    async with administrator() as admin:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(2)})
    late = await member('aiokafka-earliest', topic, auto_offset_reset='earliest')
    assert [r.value for r in await poll_until([late], len)] == [b'kept']
    await late.stop()


async def administration():
    topic = await create('aiokafka-admin', 2)
    async with administrator() as admin, AIOKafkaConsumer(bootstrap_servers=bootstrap_servers) as consumer:
        async def partitions():
            return len((await admin.describe_topics([topic]))[0]['partitions'])

        assert await partitions() == 2
        await admin.create_partitions({topic: NewPartitions(3)})
        assert await partitions() == 3
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {'retention.ms': '12345'})])
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {'retention.ms': None})])
        assert [entry[1] for answer in answers for resource in answer.resources for entry in resource[4]] == ['12345']
        before, first = int(time.time() * 1000), TopicPartition(topic, 0)
        await produce(topic, [(None, b'%d' % i, None, 0) for i in range(6)], acks='all')
        assert await consumer.end_offsets([first]) == {first: 6}
        assert (await consumer.offsets_for_times({first: before - 1}))[first].offset == 0
        assert await admin.delete_records({first: RecordsToDelete(2)}) == {first: 2}
        assert await consumer.beginning_offsets([first]) == {first: 2}
        assert len((await admin.describe_cluster())['brokers']) == broker_count
        await admin.delete_topics([topic])
        assert topic not in await admin.list_topics()


async def groups():
    topic, group = await create('aiokafka-groups'), 'aiokafka-listed'
    await produce(topic, [(None, b'one', None, 0)])
    consumer = await member(group, topic, auto_offset_reset='earliest')
    await poll_until([consumer], len)
    async with administrator() as admin:
        described = (await admin.describe_consumer_groups([group]))[0].groups[0]
        assert described[2] == 'Stable' and len(described[5]) == 1, described
        await consumer.stop()
        assert group in [name for name, *_ in await admin.list_consumer_groups()]
        first = TopicPartition(topic, 0)
        assert (await admin.list_consumer_group_offsets(group))[first].offset == 1
        # Offsets are altered by whoever is no member.
        committer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, group_id=group, enable_auto_commit=False)
        await committer.start()
        committer.assign([first])
        await committer.commit({first: 0})
        await committer.stop()
        assert (await admin.list_consumer_group_offsets(group))[first].offset == 0


run(aiokafka.__version__, {
    **{name: lambda name=name: asyncio.run(codec(name)) for name in ('none', 'gzip', 'snappy', 'lz4', 'zstd')},
    **{do.__name__: lambda do=do: asyncio.run(do()) for do in (large, idempotent, group, reset, administration, groups)},
})
