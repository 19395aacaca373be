import { type Config, type FieldConfig, fail, nearest, type RotationMode, type SecretRef } from '@keyturn/core'
import type { Preset, PresetField } from './preset.ts'

/** From which key to which, and what of the preset is there. */
export interface PresetUse {
  /** The key that the application has now. */
  readonly old: SecretRef
  /** Keys it had before: some values may still stand under them. */
  readonly previous?: readonly SecretRef[]
  /** The key it is to have; values keep the application's own format. Or `to`. */
  readonly new?: SecretRef
  /** A keyring of `base`: values move to it, in format kt1, which the application must then read through Keyturn. */
  readonly to?: string
  /** Only these fields: those that a database has (`fitsPreset`). All of them unless given. */
  readonly fields?: readonly string[]
}

/**
 * The configuration that a preset stands for.
 *
 * With `new`, a keyring of the preset's name whose key is the new one; every field goes on writing the application's own format and
 * reads it under the old key. With `to`, fields of that keyring that write kt1, bound to their row, and read the application's format.
 *
 * @param base - the configuration that `to` names a keyring of; its database, schema and signing key are kept
 * @throws `ERR_USAGE` where not exactly one of `new` and `to` is given; `ERR_UNKNOWN_NAME` for a keyring or a field that is not there
 */
export function presetConfig(preset: Preset, use: PresetUse, base: Config | null = null): Config {
  const { to, fields: chosen = Object.keys(preset.fields) } = use
  if ((use.new === undefined) === (to === undefined))
    throw fail('ERR_USAGE', `preset "${preset.name}" needs a new key, or a keyring to move its values to`)
  if (to !== undefined && !Object.hasOwn(base?.keyrings ?? {}, to))
    throw fail('ERR_UNKNOWN_NAME', 'keyring', to, nearest(to, Object.keys(base?.keyrings ?? {})))
  const fields = chosen.map((name): [string, FieldConfig] => {
    const field = preset.fields[name]
    if (field === undefined) throw fail('ERR_UNKNOWN_NAME', 'field', name, nearest(name, Object.keys(preset.fields)))
    return [name, fieldOf(preset, field, use)]
  })
  const keyrings = use.new === undefined ? (base?.keyrings ?? {}) : { [preset.name]: { primary: use.new, keyRule: preset.key.rule } }
  return { ...base, keyrings, fields: Object.fromEntries(fields) }
}

function fieldOf(preset: Preset, field: PresetField, { old, previous = [], to }: PresetUse): FieldConfig {
  const { writes, optional: _optional, bind, ...place } = field
  const format = typeof writes === 'string' ? { codec: writes } : writes
  const keys = { key: old, ...(previous.length === 0 ? {} : { previous }), keyRule: preset.key.rule }
  const shared = { ...place, reads: [{ ...format, ...keys }] }
  // The application's own format authenticates nothing of the row: bound columns would be read along for nothing.
  if (to === undefined) return { ...shared, keyring: preset.name, writes }
  return { ...shared, keyring: to, ...(bind === undefined ? {} : { bind }) }
}

/**
 * How values of a preset are rotated: as asked; unless asked, as the preset says, or online where they move to a keyring.
 *
 * @throws `ERR_USAGE` where online is asked for and the preset says why it would break the application
 */
export function presetMode(preset: Preset, { to }: Partial<PresetUse>, asked?: RotationMode): RotationMode {
  if (to !== undefined) return asked ?? 'online'
  if (asked === 'online' && preset.online !== true)
    throw fail('ERR_USAGE', `preset "${preset.name}" cannot be rotated online: ${preset.online}. Use --mode transaction`)
  return asked ?? preset.mode
}
