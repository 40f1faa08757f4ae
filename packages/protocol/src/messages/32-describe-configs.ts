import { api, type Api } from '../api.js'
import { array, bool, int16, int32, int8, string } from '../schema.js'
import type { Decoded, Encodable } from '../schema.js'

/**
 * The settings of topics (resource type 2), brokers (4), a broker's loggers (8), client metrics (16) and groups (32):
 * all of them with null instead of names. Version 1 says where a value comes from, 3 what type it has.
 */
const request = {
  resources: array('0+', {
    resourceType: int8('0+'),
    resourceName: string('0+'),
    configurationKeys: array('0+', 'string', { nullable: '0+' }),
  }),
  includeSynonyms: bool('1+', { default: false }),
  includeDocumentation: bool('3+', { default: false }),
}

const response = {
  throttleTimeMs: int32('0+'),
  results: array('0+', {
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+' }),
    resourceType: int8('0+'),
    resourceName: string('0+'),
    configs: array('0+', {
      name: string('0+'),
      value: string('0+', { nullable: '0+' }),
      readOnly: bool('0+'),
      configSource: int8('1+', { default: -1 }),
      isSensitive: bool('0+'),
      synonyms: array('1+', {
        name: string('1+'),
        value: string('1+', { nullable: '0+' }),
        source: int8('1+'),
      }),
      configType: int8('3+', { default: 0 }),
      documentation: string('3+', { nullable: '0+' }),
    }),
  }),
}

export interface DescribeConfigsRequest extends Decoded<typeof request> {}
export interface DescribeConfigsResponse extends Decoded<typeof response> {}
export type DescribeConfigsRequestInput = Encodable<typeof request>
export type DescribeConfigsResponseInput = Encodable<typeof response>

export const describeConfigs: Api<
  DescribeConfigsRequest,
  DescribeConfigsResponse,
  DescribeConfigsRequestInput,
  DescribeConfigsResponseInput
> = api({
  key: 32,
  name: 'DescribeConfigs',
  versions: '1-4',
  flexible: '4+',
  request,
  response,
})
