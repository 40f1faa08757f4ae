import { gunzipSync, gzipSync } from 'node:zlib'
import { limitExceeded, undecodable, type Codec } from './codec.js'

export const gzip: Codec = {
  compress: (records, level) => gzipSync(records, { level }),

  decompress(bytes, maxBytes) {
    try {
      return gunzipSync(bytes, { maxOutputLength: maxBytes })
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
        throw limitExceeded('gzip', maxBytes, cause)
      throw undecodable('gzip', cause)
    }
  },
}
