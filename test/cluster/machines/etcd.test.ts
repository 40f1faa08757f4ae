/**
 * etcd is the one part of a cluster that is not ours, and what is done to it must be what was meant: cut off, it waits and is not
 * gone; killed, it comes back with what it had acknowledged; under a tracer it is late, though its threads are Go's.
 */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { answers } from '../../support/children.js'
import { straceMissing } from '../../support/strace-missing.js'
import type { MachineProcess } from './machine-process.js'
import { Machines } from './machines.js'
import { machinesMissing } from './missing.js'
import { slowCalls } from './traced-calls.js'

const missing =
  machinesMissing() ??
  (answers('etcd', ['--version'])
    ? null
    : 'etcd is not installed; install it with: npm run setup:conformance')

describe.skipIf(missing !== null)(
  `etcd on a machine${missing === null ? '' : ` (skipped: ${missing})`}`,
  () => {
    let machines: Machines
    let etcd: MachineProcess
    let url: string

    const start = async (): Promise<void> => {
      const peers = 'http://127.0.0.1:2380'
      const args = Object.entries({
        name: 'one',
        'data-dir': join(machines.folder, 'etcd'),
        'listen-client-urls': url,
        'advertise-client-urls': url,
        'listen-peer-urls': peers,
        'initial-advertise-peer-urls': peers,
        'initial-cluster': `one=${peers}`,
      }).flatMap(([name, value]) => [`--${name}`, value])
      etcd = await machines.machine('etcd').start('etcd', args)
      await etcd.said(/ready to serve client requests/)
    }

    beforeAll(async () => {
      machines = Machines.create(['etcd'])
      url = `http://${machines.machine('etcd').address}:2379`
      await start()
    })
    afterAll(() => machines?.close())

    const base64 = (text: string): string => Buffer.from(text).toString('base64')
    const ask = async (what: 'put' | 'range', body: object): Promise<{ kvs?: { value: string }[] }> => {
      const response = await fetch(`${url}/v3/kv/${what}`, { method: 'POST', body: JSON.stringify(body) })
      expect(response.status).toBe(200)
      return (await response.json()) as { kvs?: { value: string }[] }
    }
    const put = (key: string, value: string): Promise<object> =>
      ask('put', { key: base64(key), value: base64(value) })
    const get = async (key: string): Promise<string | undefined> =>
      (await ask('range', { key: base64(key) })).kvs?.[0]?.value

    test('answers nobody while it is cut off, and what was asked meanwhile afterwards', async () => {
      await put('key', 'before')
      const fault = machines.network.split([machines.machine('etcd')], [machines.host])
      let isAnswered = false
      const asked = put('key', 'meanwhile').then(() => (isAnswered = true))
      // It would give up by itself behind two seconds.
      const patiently = ['--dial-timeout', '60s', '--command-timeout', '60s']
      const client = await machines.clients.start(
        'etcdctl',
        [...patiently, '--endpoints', url, 'get', 'key'],
        { env: { ETCDCTL_API: '3' } },
      )
      await client.said(/before/)
      expect(isAnswered).toBe(false)
      fault.heal()
      await asked
      expect(await get('key')).toBe(base64('meanwhile'))
    })

    test('keeps what it acknowledged when it is killed', async () => {
      await put('key', 'acknowledged')
      await etcd.kill()
      await expect(get('key')).rejects.toThrow('fetch failed')
      await start()
      expect(await get('key')).toBe(base64('acknowledged'))
    })

    test.skipIf(straceMissing !== null)('is late while its disk is slow', async () => {
      const took = async (): Promise<number> => {
        const began = performance.now()
        await put('key', 'slow')
        return performance.now() - began
      }
      const letGo = await slowCalls(etcd, 400)
      expect(await took()).toBeGreaterThan(400)
      await letGo()
      await expect.poll(took).toBeLessThan(400)
    })
  },
)
