// A broker that says "open it again" to somebody who has no log in hand, only a full disk, is of no help. What the
// operator reads names the file, what the system said of it, and what to do.
import { errors } from '@varve/protocol'
import { VarveError } from '@varve/records'
import { expect, test } from 'vitest'
import { kafkaErrorOf } from '../src/kafka-error.js'
import { isStorageFailure, storageFailureText } from '../src/storage-failure.js'

const system = (code: string): Error => Object.assign(new Error(`${code}: it did not work`), { code })

test('a log that has failed is recovered by a restart, after what the system wants', () => {
  const failed = (cause?: Error): VarveError =>
    new VarveError(
      'VARVE_LOG_FAILED',
      'the log /data/a-0 takes no more writes: could not write /data/a-0/0.log: No space left on device (os error 28). ' +
        'Durable records stay readable; open it again to recover',
      { cause },
    )
  expect(storageFailureText(failed(system('ENOSPC')), 'try again')).toBe(
    'could not write /data/a-0/0.log: No space left on device (os error 28). Durable records stay readable. ' +
      'To recover, free space on its disk, then restart the broker',
  )
  expect(storageFailureText(failed())).toMatch(
    /Durable records stay readable. To recover, restart the broker$/,
  )
})

test('other failures say what comes next, and what is no failure of the storage is left as it is', () => {
  const full = new VarveError('VARVE_IO', 'could not write x', { cause: system('ENOSPC') })
  expect(storageFailureText(full, 'try again')).toMatch(/free space on its disk, then try again$/)
  expect(storageFailureText(system('EMFILE'), 'try again')).toMatch(/raise .* \(ulimit -n\), then restart/)
  expect(storageFailureText(new VarveError('VARVE_LOG_CLOSED', 'the log x is closed; open it again'))).toBe(
    'the log x is closed',
  )
  expect(storageFailureText(new TypeError('x is not a function; open it again'))).toMatch(/; open it again$/)
})

test.each(['ENOSPC', 'EMFILE', 'EIO', 'EROFS'])('%s is a storage error for clients', (code) => {
  expect(isStorageFailure(system(code))).toBe(true)
  expect(kafkaErrorOf(system(code))).toBe(errors.KAFKA_STORAGE_ERROR)
  expect(kafkaErrorOf(new VarveError('VARVE_NOT_WRITABLE', 'no', { cause: system(code) }))).toBe(
    errors.KAFKA_STORAGE_ERROR,
  )
})

test('a mistake of ours is not', () => {
  expect(kafkaErrorOf(new TypeError('x is not a function'))).toBe(errors.UNKNOWN_SERVER_ERROR)
  expect(kafkaErrorOf(system('ECONNRESET'))).toBe(errors.UNKNOWN_SERVER_ERROR)
})
