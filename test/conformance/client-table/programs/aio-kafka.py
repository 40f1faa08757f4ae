"""Every cell of the table for aiokafka, with its default settings but for what a cell is about."""

import asyncio
import sys
import time

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from cells import run

broker = sys.argv[1]


async def create(topic, partitions=1):
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    await admin.create_topics([NewTopic(topic, partitions, 1)])
    await admin.close()
    return topic


async def produce(topic, records, **settings):
    async with AIOKafkaProducer(bootstrap_servers=broker, **settings) as producer:
        sent = [await producer.send(topic, value, key, partition, headers=headers) for key, value, headers, partition in records]
        await asyncio.gather(*sent)


async def member(group, topic, **settings):
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=broker, group_id=group, **settings)
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
    async with AIOKafkaConsumer(bootstrap_servers=broker) as consumer:
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


async def administration():
    topic = await create('aiokafka-admin', 2)
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    assert len((await admin.describe_topics([topic]))[0]['partitions']) == 2
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {'retention.ms': '12345'})])
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {'retention.ms': None})])
    assert [entry[1] for answer in answers for resource in answer.resources for entry in resource[4]] == ['12345']
    await admin.delete_topics([topic])
    assert topic not in await admin.list_topics()
    await admin.close()


async def groups():
    topic = await create('aiokafka-groups')
    await produce(topic, [(None, b'one', None, 0)])
    consumer = await member('aiokafka-listed', topic, auto_offset_reset='earliest')
    await poll_until([consumer], len)
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    described = (await admin.describe_consumer_groups(['aiokafka-listed']))[0].groups[0]
    assert described[2] == 'Stable' and len(described[5]) == 1, described
    await consumer.stop()
    assert 'aiokafka-listed' in [name for name, *_ in await admin.list_consumer_groups()]
    await admin.close()


run(aiokafka.__version__, {
    **{name: lambda name=name: asyncio.run(codec(name)) for name in ('none', 'gzip', 'snappy', 'lz4', 'zstd')},
    **{do.__name__: lambda do=do: asyncio.run(do()) for do in (large, idempotent, group, reset, administration, groups)},
})
