import { readFile } from 'node:fs/promises'

/** PEM text, as a string or bytes, or the path of a file with it; a string that has no PEM in it is taken for a path. */
export type Pem = string | Buffer

export function isPath(given: Pem): given is string {
  return typeof given === 'string' && given !== '' && !given.includes('-----BEGIN')
}

/** What is given, or what is in the file that is named. */
export async function pemContent(given: Pem): Promise<string | Buffer> {
  return isPath(given) ? await readFile(given) : given
}
