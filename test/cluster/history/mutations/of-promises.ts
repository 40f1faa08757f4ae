import { type Mutation, startedOtherwise } from './mutation.js'

/**
 * Histories in which all is well only because less was promised, or because a client said what it did. Without that, some of
 * them are wrong: the checker asks for it, and the generator makes what needs it.
 */
export const promiseMutations: readonly Mutation[] = [
  {
    name: 'every producer asked for acks=all',
    finds: 'lost write',
    mutate: (history) =>
      startedOtherwise(history, (start) =>
        start.producer?.acks === 1 ? { ...start, producer: { ...start.producer, acks: 'all' } } : start,
      ),
  },
  ...(['duplicate', 'reordered writes'] as const).map((finds): Mutation => ({
    name: 'every producer is idempotent',
    finds,
    mutate: (history) =>
      startedOtherwise(history, (start) =>
        start.producer?.idempotent === false
          ? { ...start, producer: { ...start.producer, idempotent: true } }
          : start,
      ),
  })),
  {
    name: 'what nobody knows the outcome of was acknowledged',
    finds: 'lost write',
    mutate: (history) =>
      history.events.map((event) =>
        event.type === 'info' && history.operationOf(event).invoke.call === 'produce'
          ? { type: 'ok', time: event.time, client: event.client, operation: event.operation }
          : event,
      ),
  },
  {
    name: 'nothing was deleted',
    finds: 'vanished record',
    mutate: (history) =>
      history.events.map((event) =>
        event.type === 'ok' && event.ends !== undefined
          ? {
              ...event,
              ends: Object.fromEntries(
                Object.entries(event.ends).map(([name, [, end]]) => [name, [0, end] as const]),
              ),
            }
          : event,
      ),
  },
  ...(['poll goes back', 'poll skips'] as const).flatMap((finds): Mutation[] => [
    {
      name: 'nobody says that it seeks',
      finds,
      mutate: (history) => history.events.filter(({ type }) => type !== 'seek'),
    },
    {
      name: 'nobody says that it is assigned something or not any more',
      finds,
      mutate: (history) => history.events.filter(({ type }) => type !== 'assigned' && type !== 'revoked'),
    },
  ]),
  {
    name: 'commits happen at once',
    finds: 'group goes back',
    mutate: (history) =>
      history.events.map((event) =>
        event.type === 'info' && history.operationOf(event).invoke.call === 'commit'
          ? { type: 'ok', time: event.time, client: event.client, operation: event.operation }
          : event,
      ),
  },
]
