import { type Call, print } from '../call.ts'
import { exit } from '../exit.ts'
import { formats, keyRules } from '../formats.ts'
import { section } from '../screens/words.ts'

/** Lists the formats with their options, and the key rules. */
export default async function list(call: Call): Promise<number> {
  const facts = formats.map(({ name, what, options }) => ({ name, what, options }))
  const lines = formats.flatMap(({ name, what, options }) => [
    `${name.padEnd(10)}  ${what}`,
    ...Object.entries(options).map(([option, values]) => `${''.padEnd(12)}${option}=${values}`),
  ])
  const rules = Object.entries(keyRules).map(([rule, what]) => `${rule.padEnd(10)}  ${what}`)
  print(call, { formats: facts, keyRules }, [...section('Formats', lines), ...section('Key rules', rules)].slice(1).join('\n'))
  return exit.done
}
