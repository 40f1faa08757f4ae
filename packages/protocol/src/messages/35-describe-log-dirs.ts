import { api, type Api } from '../api.js'
import { array, bool, int16, int32, int64, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * The data directories of a broker, and what its replicas take of them; all replicas with null instead of topics.
 * Version 3 has an error for the whole request, 4 the size of the volumes, 5 whether a directory takes no new replicas
 * (KIP-1066).
 */
const request = {
  topics: array(
    '0+',
    {
      topic: string('0+'),
      partitions: array('0+', 'int32'),
    },
    { nullable: '0+' },
  ),
}

const response = {
  throttleTimeMs: int32('0+'),
  errorCode: int16('3+'),
  results: array('0+', {
    errorCode: int16('0+'),
    logDir: string('0+'),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        partitionSize: int64('0+'),
        offsetLag: int64('0+'),
        isFutureKey: bool('0+'),
      }),
    }),
    totalBytes: int64('4+', { default: -1 }),
    usableBytes: int64('4+', { default: -1 }),
    isCordoned: bool('5+', { default: false }),
  }),
}

export interface DescribeLogDirsRequest extends Decoded<typeof request> {}
export interface DescribeLogDirsResponse extends Decoded<typeof response> {}
export type DescribeLogDirsRequestInput = Encodable<typeof request>
export type DescribeLogDirsResponseInput = Encodable<typeof response>

export const describeLogDirs: Api<
  DescribeLogDirsRequest,
  DescribeLogDirsResponse,
  DescribeLogDirsRequestInput,
  DescribeLogDirsResponseInput
> = api({
  key: 35,
  name: 'DescribeLogDirs',
  versions: '1-5',
  flexible: '2+',
  request,
  response,
})
