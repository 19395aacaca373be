import { type Config, type Database, fail, nearest } from '@keyturn/core'
import { fitsPreset, loadPreset, type Preset, type PresetUse, presetConfig } from '@keyturn/presets'
import { type Call, caution, say } from '../call.ts'
import { oneLine } from '../printable.ts'
import { assertMeant, type Selection } from './field-config.ts'
import type { FlagKeys } from './key-source.ts'

/** A preset as the command line uses it. */
export interface ChosenPreset {
  readonly preset: Preset
  readonly use: PresetUse
  readonly base: Config | null
}

/** Flags that say what a preset says already. */
const superfluous = ['format', 'keyRule', 'bind', 'insertedFirst', 'keepEmpty', 'keep', 'where', 'keyId', 'sensitive'] as const

/**
 * The configuration that `--preset` stands for: an environment keyring of the preset's name, or with `--to` a keyring of the
 * configuration.
 *
 * @param base - the configuration file, or null if there is none
 * @throws `ERR_UNKNOWN_NAME` for a preset or a field that is not there; `ERR_USAGE` for what is missing or does not go together
 */
export async function presetSelection(call: Call, base: Config | null, keys: FlagKeys): Promise<Selection> {
  const { options } = call
  const preset = await loadPreset(options.preset ?? '')
  const flag = superfluous.find((name) => options[name] !== undefined)
  if (flag !== undefined) {
    const written = `--${flag.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
    throw fail('ERR_USAGE', `${written} does not go with --preset, which knows it. Leave it out`)
  }
  const [old, ...previous] = keys.old
  if (old === undefined) throw fail('ERR_USAGE', 'the old key is missing: give --old-env, --old-file or --old-stdin')
  if (options.to !== undefined && keys.new !== null) throw fail('ERR_USAGE', '--to takes its key from the keyring. Leave out the new key')
  if (options.to === undefined && keys.new === null)
    throw fail('ERR_USAGE', 'the new key is missing: give --new-env, --new-file or --new-stdin, or --to KEYRING')
  const keyring = options.to ?? preset.name
  assertMeant(call, keyring)
  const use: PresetUse = {
    old,
    ...(previous.length === 0 ? {} : { previous }),
    ...(keys.new === null ? {} : { new: keys.new }),
    ...(options.to === undefined ? {} : { to: options.to }),
    fields: chosenFields(preset, options.field),
  }
  return { config: presetConfig(preset, use, base), keyring, fields: [...(use.fields ?? [])], preset: { preset, use, base } }
}

function chosenFields(preset: Preset, refs: readonly string[] | undefined): string[] {
  const all = Object.entries(preset.fields)
  if (refs === undefined) return all.map(([name]) => name)
  return refs.map((ref) => {
    const found = all.find(([name, { column }]) => name === ref || column === ref)?.[0]
    const names = all.map(([name]) => name)
    if (found === undefined) throw fail('ERR_UNKNOWN_NAME', 'field', ref, nearest(ref, names))
    return found
  })
}

/**
 * A selection whose fields are those that the database has. Of what is not there or not known the operator is told.
 *
 * @throws `ERR_PRESET_FIT` where the database is not that of the application
 */
export async function fitted(call: Call, selection: Selection, database: Database): Promise<Selection> {
  const { preset: chosen } = selection
  if (chosen === undefined) return selection
  const { preset, use, base } = chosen
  const fit = await fitsPreset(preset, database)
  const fields = (use.fields ?? []).filter((name) => fit.fields.includes(name))
  if (fields.length === 0) throw fail('ERR_USAGE', `none of these fields of preset "${preset.name}" is in the database`)
  for (const note of fit.notes) say(call, `note: ${oneLine(note)}`)
  for (const warning of fit.warnings) caution(call, warning)
  return { ...selection, config: presetConfig(preset, { ...use, fields }, base), fields }
}
