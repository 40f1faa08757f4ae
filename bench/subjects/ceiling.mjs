/** The bare system calls, in C++. */
import { createRequire } from 'node:module'

export const { append, overwrite, read, send, receive } = createRequire(import.meta.url)(
  '../ceiling/build/Release/ceiling.node',
)
