import { loadPreset, presetNames } from '@keyturn/presets'
import { type Call, print } from '../call.ts'
import { exit } from '../exit.ts'
import { table } from '../screens/words.ts'

/** Lists the applications that Keyturn knows. */
export default async function list(call: Call): Promise<number> {
  const found = await Promise.all((await presetNames()).map((name) => loadPreset(name)))
  const presets = found.map(({ name, application, tested, mode, key, fields }) => ({
    name,
    application,
    tested,
    mode,
    key: key.env,
    fields: Object.keys(fields).length,
  }))
  const rows = presets.map(({ name, application, tested, mode, key, fields }) => [name, application, key, mode, fields, tested])
  const words = table(['preset', 'application', 'key', 'mode', 'fields', 'tested with'], rows)
  print(call, { presets }, `${words}\n\n"keyturn presets show NAME" shows one of them.`)
  return exit.done
}
