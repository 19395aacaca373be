import { presetNames } from '@keyturn/presets'
import { expect, test } from 'vitest'
import { createFolder, runCommand } from '../../../../test/harness/command.ts'

test('presets lists every preset, in words and as JSON', async () => {
  const names = await presetNames()
  const { code, stdout } = await runCommand(['presets'])
  expect(code).toBe(0)
  for (const name of names) expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'))
  const { presets } = JSON.parse((await runCommand(['presets', '--json'])).stdout)
  expect(presets.map(({ name }: { name: string }) => name)).toEqual(names)
})

test('presets show names the key, the places, what else hangs on the key and why it is not rotated online', async () => {
  const { code, stdout } = await runCommand(['presets', 'show', 'langfuse'])
  expect(code).toBe(0)
  for (const part of ['its key is ENCRYPTION_KEY (hex)', 'llm_api_keys.secret_key', 'What else hangs on the same key', 'not online: '])
    expect(stdout).toContain(part)
  expect(JSON.parse((await runCommand(['presets', 'show', 'langfuse', '--json'])).stdout)).toMatchObject({ name: 'langfuse' })
})

test('a preset that is not there is refused with the nearest name', async () => {
  const { code, stdout, stderr } = await runCommand(['presets', 'show', 'langfus'])
  expect([code, stdout, stderr]).toEqual([2, '', expect.stringContaining('there is no preset named "langfus". Did you mean "langfuse"?')])
})

const keys = ['--old-env', 'OLD', '--new-env', 'NEW']
test.each([
  ['a preset that is not there', ['--preset', 'langfus', ...keys], 'Did you mean "langfuse"?'],
  ['a format beside it', ['--preset', 'langfuse', '--format', 'blob', ...keys], '--format does not go with --preset'],
  ['a key rule beside it', ['--preset', 'langfuse', '--key-rule', 'hex', ...keys], '--key-rule does not go with --preset'],
  ['no old key', ['--preset', 'langfuse', '--new-env', 'NEW'], 'the old key is missing'],
  ['no new key', ['--preset', 'langfuse', '--old-env', 'OLD'], 'the new key is missing'],
  ['another keyring', ['app', '--preset', 'langfuse', ...keys], 'a keyring was named, and the flags declare fields'],
  ['a field that it has not', ['--preset', 'langfuse', '--field', 'llm_api_keys.secret', ...keys], 'there is no field named'],
])('%s is refused before a database is looked for', async (_, options, sentence) => {
  const { code, stdout, stderr } = await runCommand(['plan', ...options], { cwd: await createFolder() })
  expect([code, stdout, stderr]).toEqual([2, '', expect.stringContaining(sentence)])
})
