/**
 * Tests run the command line that users run, which is a bundle. The compiler alone does not write it, so that a run behind
 * `tsc -b` would test what the command line was.
 */
import { bootstrap } from '../../scripts/bootstrap.mjs'

export default function freshBundle(): Promise<void> {
  return bootstrap({ only: 'bundle' })
}
