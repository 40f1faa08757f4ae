/**
 * A bank account as an aggregate: what may happen to it, and what it is after that. Pure functions, without a disk or a
 * clock, so that its rules can be tested by calling them.
 *
 * @typedef {{ type: 'opened', owner: string } | { type: 'deposited' | 'withdrawn', amount: number } | { type: 'closed' }} AccountEvent
 * @typedef {{ owner: string | null, balance: number, isOpen: boolean }} AccountState
 */

/** Of an account that does not exist yet. */
export const initial = Object.freeze({ owner: null, balance: 0, isOpen: false })

/**
 * Says what an event makes of a state. Whatever was stored has happened: nothing is refused here.
 *
 * @param {AccountState} state
 * @param {AccountEvent} event
 * @returns {AccountState}
 */
export function evolve(state, event) {
  switch (event.type) {
    case 'opened':
      return { owner: event.owner, balance: 0, isOpen: true }
    case 'deposited':
      return { ...state, balance: state.balance + event.amount }
    case 'withdrawn':
      return { ...state, balance: state.balance - event.amount }
    case 'closed':
      return { ...state, isOpen: false }
  }
}

/** @param {AccountState} state @param {string} owner @returns {AccountEvent[]} */
export function open(state, owner) {
  if (state.owner !== null) throw new Error('the account exists already')
  return [{ type: 'opened', owner }]
}

/** @param {AccountState} state @param {number} amount @returns {AccountEvent[]} */
export function deposit(state, amount) {
  if (!state.isOpen) throw new Error('the account is not open')
  return [{ type: 'deposited', amount }]
}

/** @param {AccountState} state @param {number} amount @returns {AccountEvent[]} */
export function withdraw(state, amount) {
  if (!state.isOpen) throw new Error('the account is not open')
  if (amount > state.balance)
    throw new Error(`the balance is ${state.balance}, which does not cover ${amount}`)
  return [{ type: 'withdrawn', amount }]
}

/** Pays out what is left and closes: two events that are stored together or not at all. @param {AccountState} state @returns {AccountEvent[]} */
export function close(state) {
  if (!state.isOpen) throw new Error('the account is not open')
  /** @type {AccountEvent[]} */
  const events = [{ type: 'closed' }]
  if (state.balance > 0) events.unshift({ type: 'withdrawn', amount: state.balance })
  return events
}
