import { fail, isKeyturnError } from '../errors.ts'
import { answered } from './answered.ts'
import type { KeyringStore } from './keyring-store.ts'

const FIRST_BLOCK = 1024
const LARGEST_BLOCK = 2 ** 20

interface Account {
  /** Reserved and not spent yet. */
  left: number
  /** The block reserved last, and the one to reserve next. */
  block: number
  next: number
  reserving: Promise<void> | null
}

/**
 * The messages that this process may still encrypt under each key version, reserved in the store before they are used.
 *
 * Blocks begin at 1,024 and double up to 2^20 as the process consumes them; at half of a block the next one is reserved in the
 * background. What a process has not spent when it ends is lost: the count may be too high and is never too low.
 */
export class MessageBudget {
  readonly #store: KeyringStore
  readonly #keyring: string
  readonly #patienceMs: number
  readonly #accounts = new Map<string, Account>()

  constructor(store: KeyringStore, keyring: string, patienceMs: number) {
    this.#store = store
    this.#keyring = keyring
    this.#patienceMs = patienceMs
  }

  /** @throws `ERR_KEY_NOT_LOADED` when fewer are reserved */
  spend(versionId: string, messages: number): void {
    const account = this.#account(versionId)
    if (account.left < messages) {
      throw fail('ERR_KEY_NOT_LOADED', this.#keyring, `a message count for ${messages} encryptions under key version ${versionId}`)
    }
    account.left -= messages
    // A failure is raised by `reserve`, when the block at hand is used up.
    if (account.left * 2 < account.block) this.#top(versionId, account, 1).catch(() => {})
  }

  /** Makes sure that `spend` succeeds. @throws `ERR_KEY_EXHAUSTED` at 2^32 messages, `ERR_DATABASE` when the store does not answer */
  async reserve(versionId: string, messages: number): Promise<void> {
    const account = this.#account(versionId)
    while (account.left < messages)
      await answered(
        this.#top(versionId, account, messages - account.left),
        this.#patienceMs,
        `counting messages under keyring "${this.#keyring}"`,
      )
  }

  #account(versionId: string): Account {
    const known = this.#accounts.get(versionId)
    if (known !== undefined) return known
    const account: Account = { left: 0, block: 0, next: FIRST_BLOCK, reserving: null }
    this.#accounts.set(versionId, account)
    return account
  }

  /** One reservation at a time for each version. */
  #top(versionId: string, account: Account, least: number): Promise<void> {
    account.reserving ??= this.#reserveBlock(versionId, account, least).finally(() => {
      account.reserving = null
    })
    return account.reserving
  }

  async #reserveBlock(versionId: string, account: Account, least: number): Promise<void> {
    const size = Math.max(account.next, least)
    const block = await this.#store.reserve(this.#keyring, versionId, size).then(
      () => size,
      async (error: unknown) => {
        // Near the end of a key a whole block may be too much where what is needed is not.
        if (!isKeyturnError(error, 'ERR_KEY_EXHAUSTED') || size === least) throw error
        await this.#store.reserve(this.#keyring, versionId, least)
        return least
      },
    )
    account.left += block
    account.block = block
    account.next = Math.min(account.next * 2, LARGEST_BLOCK)
  }
}
