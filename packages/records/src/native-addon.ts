import { createRequire } from 'node:module'

/** The part of `@varve/native` that this package can do without, and is better with. */
interface NativeAddon {
  crc32c?(bytes: Uint8Array, seed?: number): number
  compress?(codec: 'lz4', bytes: Uint8Array, level: number): Buffer
}

/**
 * The engine's addon, or null where it is not installed or does not load. It is loaded when it is first asked for, so that
 * importing this package loads none. `VARVE_NO_NATIVE=1` leaves it out.
 */
export function nativeAddon(): NativeAddon | null {
  if (process.env['VARVE_NO_NATIVE'] === '1') return null
  try {
    return createRequire(import.meta.url)('@varve/native') as NativeAddon
  } catch {
    return null
  }
}
