import { ProtocolError } from './protocol-error.js'

/** A response header is the shortest message there is. */
export const MIN_FRAME_BYTES = 4

// What the first four bytes of other protocols say when they are taken for a length.
const strangers: readonly [match: (length: number) => boolean, name: string][] = [
  [(length) => length >>> 16 === 0x1603, 'TLS; is the listener a plaintext one?'],
  [(length) => ['GET ', 'POST', 'PUT ', 'HEAD', 'HTTP'].includes(ascii(length)), 'HTTP'],
]

const ascii = (length: number): string =>
  String.fromCharCode(...[24, 16, 8, 0].map((shift) => (length >>> shift) & 0xff))

export function frameLengthError(declared: number, maxFrameBytes: number): ProtocolError {
  const stranger = strangers.find(([match]) => match(declared))
  const hint = stranger === undefined ? '' : ` The peer seems to speak ${stranger[1]}`
  if (declared >= 0 && declared < MIN_FRAME_BYTES) {
    return new ProtocolError(
      'VARVE_PROTOCOL_FRAME_TOO_SMALL',
      `a frame declares ${declared} bytes, and no message has fewer than ${MIN_FRAME_BYTES}; close the connection.`,
    )
  }
  return new ProtocolError(
    'VARVE_PROTOCOL_FRAME_TOO_LARGE',
    `a frame declares ${declared} bytes, at most ${maxFrameBytes} are accepted; close the connection.${hint}`,
  )
}
