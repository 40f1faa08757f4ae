/**
 * A disk that is full takes no checkpoint, no roll and no deletion either. So `varve serve` stops taking records while there
 * is still room for these, without being told to; and it must take them again by itself, for nobody restarts a broker because
 * somebody has cleared up.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Admin, Producer } from '@varve/client'
import { expect, onTestFinished, test, vi } from 'vitest'
import { howToGetOne, smallDisk } from '../../packages/log/test/small-disk.js'
import { contentOfTopic } from '../crash/broker-content.js'
import { BrokerProcess } from '../support/broker-process.js'

const MIB = 1 << 20
const disk = smallDisk(96 * 1024)

test.skipIf(disk === null)(
  `appends are refused before a disk is full, and taken when there is room again${howToGetOne(disk)}`,
  { timeout: 120_000 },
  async () => {
    const broker = await BrokerProcess.start(join(disk!, 'data'), [
      '--admin-port',
      '0',
      '--log-level',
      'info',
    ])
    onTestFinished(() => void broker.stop('SIGKILL'))
    const [url] = /http:\/\/[\d.:]+/.exec(broker.banner)!
    const health = async (): Promise<{ status: string; problems: string[] }> =>
      (await fetch(`${url}/healthz`)).json() as Promise<{ status: string; problems: string[] }>
    const admin = new Admin({ brokers: [broker.address] })
    await admin.createTopics([{ name: 'orders' }])
    await admin.close()
    const producer = new Producer({ brokers: [broker.address] })
    const impatient = new Producer({ brokers: [broker.address], retries: 0 })
    await producer.send('orders', { value: 'before' })
    expect(await health()).toEqual({ status: 'serving', problems: [] })

    // A third of the disk and more is free all the same.
    const ballast = join(disk!, 'ballast')
    writeFileSync(ballast, Buffer.alloc(48 * MIB))
    // It looks at the disk once a second, and behind an append.
    let taken = 1
    const refusal = await vi.waitFor(
      async () => {
        const outcome = await impatient
          .send('orders', { value: 'meanwhile' })
          .catch((error: unknown) => error)
        if (!(outcome instanceof Error)) taken++
        return outcome instanceof Error ? outcome : expect.fail('it is still taken')
      },
      { timeout: 60_000, interval: 100 },
    )
    expect(refusal).toMatchObject({ kafkaName: 'KAFKA_STORAGE_ERROR' })
    const report = await health()
    expect(report.status).toBe('failing')
    expect(report.problems).toEqual([expect.stringMatching(/free bytes, fewer than lowDiskBytes, 67108864/)])
    const found = async (): Promise<number> => (await contentOfTopic([broker.address], 'orders', 1))[0]!.size
    expect(await found(), 'what is stored can be read').toBe(taken)

    const patient = producer.send('orders', { value: 'after' })
    rmSync(ballast)
    await patient
    expect(await found()).toBe(taken + 1)
    expect(await health()).toEqual({ status: 'serving', problems: [] })
    expect(broker.errors.match(/appends are (refused until there is room|taken again)/g)).toEqual([
      'appends are refused until there is room',
      'appends are taken again',
    ])
    await Promise.all([producer.close(), impatient.close()])
    expect(await broker.stop()).toBe(0)
  },
)
