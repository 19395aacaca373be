import type { Opened } from './definition.ts'

/** What the application hears of a read. Never a value. */
export interface FieldEvent {
  /**
   * `encryption-rewrap-needed`: the value stands under an older key, format or name than would be written today. `retired-key-used`: its
   * key was retired by proof, so the value comes from a lagging replica or a restored backup. A read gives one of them at most.
   */
  readonly event: 'encryption-rewrap-needed' | 'retired-key-used'
  readonly field: string
  /** Whose key opened it; null for `plain`. */
  readonly keyring: string | null
  /** Null for `plain`, and for keys from the environment: their ids are derived from the keys and would help to guess a passphrase. */
  readonly keyId: string | null
  readonly codec: string
}
export type FieldListener = (event: FieldEvent) => void

/**
 * Tells a listener what was opened, unless it is what would be written today. What the listener throws, now or later, is its own affair:
 * the read has succeeded.
 */
export function tellOf(listener: FieldListener, field: string, opened: Opened): void {
  const { codec, version, keyring } = opened
  // A version that this process does not write with yet is a newer one, and nothing is to be done about it.
  if (opened.current || opened.newer) return
  const event: FieldEvent = Object.freeze({
    event: version?.state === 'retired' ? 'retired-key-used' : 'encryption-rewrap-needed',
    field,
    keyring: keyring?.name ?? null,
    keyId: version !== null && keyring !== null && keyring.snapshot.revision > 0 ? version.id : null,
    codec: codec.name,
  })
  try {
    const result: unknown = listener(event)
    if (result instanceof Promise) result.catch(() => {})
  } catch {}
}
