import { loadPreset } from '@keyturn/presets'
import { type Call, print } from '../../call.ts'
import { exit } from '../../exit.ts'
import { presetScreen } from '../../screens/preset.ts'

/** Shows what Keyturn knows of an application: its fields, its key, and what else hangs on that key. */
export default async function show(call: Call): Promise<number> {
  const preset = await loadPreset(call.args[0] ?? '')
  print(call, preset, presetScreen(preset))
  return exit.done
}
