import { fail } from '../errors.ts'
import type { KeyVersion } from '../keyring/key-version.ts'
import { SigningKeyring } from '../signing/signing-keyring.ts'
import { environmentTokenKey, storedTokenKey, type TokenKey } from '../signing/token-key.ts'
import { type TokenCounts, TokenLedger, type TokenListener } from '../signing/token-ledger.ts'
import { signOf } from './check-signing.ts'
import type { Config } from './config.ts'
import type { OpenedKeyring } from './open-keyrings.ts'

/** A signing keyring as a configuration opens it. */
export interface OpenedSigning {
  readonly signing: SigningKeyring
  /** Where its tokens are counted; null where they are not. */
  readonly counts: TokenCounts | null
  /** Ends the counting: what is counted here is added to what is kept. */
  close(): Promise<void>
}

/** What signing keyrings are opened with. */
export interface SigningWorld {
  readonly refreshMs: number
  readonly readOnly: boolean
  readonly counts: TokenCounts
  readonly listener: TokenListener | undefined
  /** Runs a change and has one that fails on record. */
  readonly recorded: <T>(action: string, keyring: string, work: () => Promise<T>) => Promise<T>
}

/** The keyrings of a configuration whose keys sign tokens. */
export function openSigning(
  config: Config,
  keyrings: ReadonlyMap<string, OpenedKeyring>,
  world: SigningWorld,
): ReadonlyMap<string, OpenedSigning> {
  const opened = new Map<string, OpenedSigning>()
  for (const [name, keyring] of keyrings) {
    if (signOf(config.keyrings[name]) !== undefined) opened.set(name, openOne(config, keyring, world))
  }
  return opened
}

function openOne(config: Config, { live, stored, store, kind }: OpenedKeyring, world: SigningWorld): OpenedSigning {
  const { name } = live
  const keyring = config.keyrings[name]
  const algorithm = signOf(keyring)
  if (keyring === undefined || algorithm === undefined) throw fail('ERR_UNKNOWN_NAME', 'signing keyring', name, '')
  const tokens = ('tokens' in keyring ? keyring.tokens : undefined) ?? {}
  const first = 'first' in keyring && keyring.first !== undefined ? { kid: keyring.first.kid ?? null } : undefined
  // A keyring in a file stands without our tables.
  const counts = stored !== null && store?.name !== 'file' ? world.counts : null
  const ledger = new TokenLedger(name, world.readOnly ? null : counts, world.listener)
  const timer = setInterval(() => void ledger.flush().catch(() => {}), world.refreshMs)
  timer.unref()
  const keyOf = (version: KeyVersion): TokenKey => {
    const { material } = version
    if (material === null) throw fail('ERR_KEY_NOT_FOUND', name, version.id)
    return kind === 'stored' ? storedTokenKey(material) : environmentTokenKey(material, algorithm)
  }
  const changes =
    stored === null || store === null || world.readOnly
      ? null
      : { counts: counts ?? noCounts, now: () => store.now(), recorded: world.recorded }
  return {
    signing: new SigningKeyring({ algorithm, tokens, refreshMs: world.refreshMs, live, stored, keyOf, ledger, first, changes }),
    counts,
    close: async () => {
      clearInterval(timer)
      await ledger.flush()
    },
  }
}

const noCounts: TokenCounts = { add: async () => {}, list: async () => [] }
