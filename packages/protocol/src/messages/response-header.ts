import { message } from '../message.js'
import { int32 } from '../schema.js'

/** Version 0 goes before responses of classic versions and of every ApiVersions, version 1 before the flexible ones. */
export const responseHeader = message({
  name: 'ResponseHeader',
  role: 'header',
  versions: '0-1',
  flexible: '1+',
  fields: {
    correlationId: int32('0+'),
  },
})
