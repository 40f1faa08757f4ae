const brand = Symbol.for('varve.error')

/**
 * Why a frame, a message or a value was refused.
 *
 * - `VARVE_PROTOCOL_TRUNCATED`: the message ends before its last field does.
 * - `VARVE_PROTOCOL_MALFORMED`: the bytes contradict the schema (a null where none is allowed, a varint without an
 *   end, bytes left over).
 * - `VARVE_PROTOCOL_FRAME_TOO_LARGE`: a frame declares a negative length or more bytes than the reader accepts.
 * - `VARVE_PROTOCOL_FRAME_TOO_SMALL`: a frame declares fewer bytes than any message has.
 * - `VARVE_PROTOCOL_UNSUPPORTED_VERSION`: the message does not exist in that version, or a field that is set cannot
 *   be expressed in it.
 * - `VARVE_PROTOCOL_INVALID_VALUE`: a value handed to an encoder does not fit its field.
 */
export type ProtocolErrorCode =
  | 'VARVE_PROTOCOL_TRUNCATED'
  | 'VARVE_PROTOCOL_MALFORMED'
  | 'VARVE_PROTOCOL_FRAME_TOO_LARGE'
  | 'VARVE_PROTOCOL_FRAME_TOO_SMALL'
  | 'VARVE_PROTOCOL_UNSUPPORTED_VERSION'
  | 'VARVE_PROTOCOL_INVALID_VALUE'

/** The only error that this package throws. Never retriable: the same bytes fail the same way again. */
export class ProtocolError extends Error {
  readonly code: ProtocolErrorCode
  readonly retriable = false

  constructor(code: ProtocolErrorCode, message: string) {
    super(message)
    this.name = 'ProtocolError'
    this.code = code
    // The brand is a registered symbol, so that two installed copies of varve recognise each other's errors.
    Object.defineProperty(this, brand, { value: true })
  }
}
