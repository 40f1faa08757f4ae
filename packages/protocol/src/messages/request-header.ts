import { message } from '../message.js'
import { int16, int32, string } from '../schema.js'

/** Version 1 goes before requests of classic versions, version 2 before those of flexible ones. */
export const requestHeader = message({
  name: 'RequestHeader',
  role: 'header',
  versions: '1-2',
  flexible: '2+',
  fields: {
    requestApiKey: int16('0+'),
    requestApiVersion: int16('0+'),
    correlationId: int32('0+'),
    // A broker must be able to read this much of a header from the future, so the length stays as it was.
    clientId: string('1+', { nullable: '1+', neverCompact: true }),
  },
})
