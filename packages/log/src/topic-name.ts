/** Kafka's longest topic name: with `-` and five digits of partition it still is a legal file name. */
const LONGEST_NAME = 249

/**
 * What is wrong with a topic's name by Kafka's rules, or null.
 *
 * @example
 * ```ts
 * import { topicNameProblem } from '@varve/log'
 *
 * console.log(topicNameProblem('orders'), topicNameProblem('or ders')) // null, and what is wrong
 * ```
 */
export function topicNameProblem(name: string): string | null {
  if (name === '') return 'Topic name is invalid: the empty string is not allowed'
  if (name === '.' || name === '..') return `Topic name is invalid: '${name}' is not allowed`
  if (name.length > LONGEST_NAME) {
    return `Topic name is invalid: the length of '${name.slice(0, 32)}…' is longer than the max allowed length ${LONGEST_NAME}`
  }
  if (!/^[a-zA-Z0-9._-]+$/.test(name)) {
    return `Topic name is invalid: '${name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'`
  }
  return null
}
