import type { CodecConfig, FieldConfig, KeyRule, RotationMode } from '@keyturn/core'

/**
 * An application whose encryption key Keyturn changes in place: where its values stand, how it writes them, and what else hangs on
 * the same key. Read from the application's own source, and tested on its tables with values that its own code wrote.
 */
export interface Preset {
  /** As its file: `langfuse`. */
  readonly name: string
  /** As its makers write it: `Langfuse`. */
  readonly application: string
  /** The version it was tested with: `langfuse@6275144 (2026-08-22)`. */
  readonly tested: string
  /** Where its facts were read: the repository at one commit, and paths in it. */
  readonly source: { readonly repository: string; readonly commit: string; readonly paths: readonly string[] }
  /** The variable in which the application has its key, how the key is written there, and what to know about it. */
  readonly key: { readonly env: string; readonly rule: KeyRule; readonly note: string }
  /** How its values are rotated from key to key unless told. */
  readonly mode: RotationMode
  /** True, or the reason why an online rotation from key to key would break the application while it runs. */
  readonly online: true | string
  readonly fields: { readonly [name: string]: PresetField }
  /** What else hangs on the same key, each with what becomes of it when the key changes. */
  readonly alsoUsedFor: readonly { readonly what: string; readonly becomes: string }[]
  /** What looks as if it hung on the key and does not. */
  readonly notAffected: readonly string[]
}

/** One place in which the application keeps encrypted values. Keyring and keys are added when the preset is used. */
export interface PresetField extends Omit<FieldConfig, 'keyring' | 'reads' | 'writes'> {
  /** The format of the application's own. */
  readonly writes: CodecConfig
  /** Whether the place may be absent: older versions of the application do not have it. */
  readonly optional?: true
}
