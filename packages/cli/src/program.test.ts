import { describe, expect, test } from 'vitest'
import { runCommand } from '../../../test/harness/command.ts'
import { verbs } from './verbs.ts'

test('help shows one line for each verb', async () => {
  const { code, stdout, stderr } = await runCommand(['--help'])
  expect([code, stderr]).toEqual([0, ''])
  const width = Math.max(...verbs.map(({ name }) => name.length))
  for (const { name, summary } of verbs) expect(stdout.split('\n')).toContain(`  ${name.padEnd(width)}  ${summary}`)
})

test.each(verbs.map(({ name }) => name))('help of %s shows usage, options, an example and exit codes', async (name) => {
  const { code, stdout } = await runCommand([...name.split(' '), '--help'])
  expect(code).toBe(0)
  expect(stdout).toMatch(new RegExp(`^keyturn ${name}: .*\\n\\nUsage: keyturn ${name} `))
  for (const heading of ['Options:', 'Example:', 'Exit codes:']) expect(stdout).toContain(`\n${heading}\n`)
})

test('a verb of two words is found by both, and its help by the first', async () => {
  for (const argv of [
    ['help', 'audit', 'verify'],
    ['audit', 'verify', '-h'],
  ])
    expect((await runCommand(argv)).stdout).toMatch(/^keyturn audit verify: /)
  for (const argv of [
    ['audit', '--help'],
    ['help', 'audit'],
  ]) {
    const { code, stdout } = await runCommand(argv)
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^ {2}audit verify .*\n {2}audit export .*\n {2}audit checkpoint /m)])
  }
  expect((await runCommand(['help', 'presets'])).stdout).toMatch(/^keyturn presets: /)
})

test('the version is that of the package', async () => {
  expect((await runCommand(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
})

const mistakes: [string, string[], string][] = [
  ['a verb that is not there', ['roate'], 'there is no verb "roate". Did you mean "rotate"? See "keyturn --help"'],
  ['a verb that is near to none', ['xyzzy'], 'there is no verb "xyzzy". See "keyturn --help"'],
  [
    'an option that is not there',
    ['plan', '--feld', 'a.b'],
    'there is no option --feld of "keyturn plan". Did you mean "--field"? See "keyturn plan --help"',
  ],
  ['an option of another verb', ['status', '--yes'], 'there is no option --yes of "keyturn status". See "keyturn status --help"'],
  ['an option without its value', ['plan', '--field'], 'the option --field needs a value'],
  ['too many arguments', ['plan', 'app', 'marked-secret'], '"keyturn plan" takes one argument, [KEYRING]; 2 were given'],
  ['an argument too many', ['formats', 'marked-secret'], '"keyturn formats" takes no argument; 1 were given'],
  ['an unknown option with a value', ['plan', '--old-ky=marked-secret'], 'there is no option --old-ky of "keyturn plan"'],
  ['a mode that is not there', ['plan', '--mode', 'marked-secret', '--config', 'x.json'], 'there is no configuration at'],
  ['nothing at all', [], 'say what to do: init, keygen'],
  ['help of a verb that is not there', ['rotat', '--help'], 'there is no verb "rotat". Did you mean "rotate"? See "keyturn --help"'],
  ['help of a verb that is not there, first', ['help', 'rotat'], 'there is no verb "rotat". Did you mean "rotate"?'],
  ['half a verb', ['audit'], 'say what of "keyturn audit": audit verify, audit export, audit checkpoint. See "keyturn audit --help"'],
  ['half a verb and an option', ['audit', '--expect', 'marked-secret'], 'say what of "keyturn audit": audit verify'],
  ['a second word that is not there', ['audit', 'verfy'], 'there is no verb "audit verfy". Did you mean "audit verify"?'],
  ['help of a second word that is not there', ['help', 'audit', 'verfy'], 'there is no verb "audit verfy". Did you mean "audit verify"?'],
  ['an option before two words', ['--expect', 'audit', 'verify'], 'options come after the verb: keyturn audit verify …'],
  ['an argument that is missing', ['destroy', 'app'], '"keyturn destroy" needs KEYRING and VERSION. See "keyturn destroy --help"'],
  ['an argument too many of two', ['destroy', 'app', 'v', 'marked-secret'], 'takes 2 arguments, KEYRING VERSION; 3 were given'],
  [
    'an option of a verb of two words',
    ['audit', 'verify', '--expct', 'x'],
    'there is no option --expct of "keyturn audit verify". Did you mean "--expect"?',
  ],
  ['an option and no verb', ['--old', 'marked-secret'], 'say what to do: init, keygen'],
  ['an option before the verb', ['--old', 'marked-secret', 'plan'], 'options come after the verb: keyturn plan …'],
]
describe('one sentence and exit 2 for', () => {
  test.each(mistakes)('%s', async (_, argv, sentence) => {
    const { code, stdout, stderr } = await runCommand(argv)
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^keyturn: .*\[ERR_\w+\]\n$/)
    expect(stderr).toContain(sentence)
    expect(stderr).not.toContain('marked-secret')
  })
})

test('with --json an error is one line of JSON on standard output, and a sentence on standard error', async () => {
  const { code, stdout, stderr } = await runCommand(['roate', '--json'])
  expect(code).toBe(2)
  expect(stdout).toMatch(/^[^\n]+\n$/)
  expect(JSON.parse(stdout)).toEqual({ error: { code: 'ERR_USAGE', message: expect.stringContaining('roate') } })
  expect(stderr).toContain('[ERR_USAGE]')
})

test('with --json and no verb the sentence says what there is to do', async () => {
  const { code, stdout } = await runCommand(['--json'])
  expect([code, JSON.parse(stdout).error.message]).toEqual([2, expect.stringContaining('say what to do: init, keygen')])
})

test('options that are given several times are all kept, in their order', async () => {
  const { stderr } = await runCommand(['plan', '--field', 'a.b', '--field', 'c.d', '--format', 'hex-colon', '--old', 'x', '--old', 'y'])
  expect(stderr).toContain('the new key is missing')
})

test('options and summaries of the table are written alike', () => {
  for (const { summary, options, example, name } of verbs) {
    expect(summary).toMatch(/^[a-z].*[^.]$/)
    expect(example).toContain(`keyturn ${name}`)
    for (const { flags, help } of options) {
      expect(flags).toMatch(/^--[a-z-]+( <[A-Z_,=…]+>)?$/)
      expect(help).toMatch(/^[a-z].*[^.]$/)
    }
  }
})
