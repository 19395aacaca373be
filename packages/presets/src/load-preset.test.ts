import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { createFolder } from '../../../test/harness/command.ts'
import { loadPreset, presetNames } from './load-preset.ts'

test('the names are those of the files, without their tests', async () => {
  const names = await presetNames()
  expect(names).toContain('langfuse')
  expect(names.filter((name) => !/^[a-z0-9-]+$/.test(name) || name.includes('test'))).toEqual([])
})

test.each(['langfus', 'Langfuse', 'langfuse.test', './langfuse', 'preset', ''])(
  'there is no preset "%s", and the nearest is named where there is one',
  async (name) => {
    const near = /langfus/i.test(name) && !/[./]/.test(name) ? '. Did you mean "langfuse"?' : ''
    await expect(loadPreset(name)).rejects.toMatchObject({ code: 'ERR_UNKNOWN_NAME', message: expect.stringContaining(`"${name}"${near}`) })
  },
)

test('a module of the user’s own is a preset as good as ours, by its path', async () => {
  const preset = { name: 'mine', fields: {}, key: { env: 'KEY', rule: 'hex', note: '' } }
  const folder = await createFolder({ 'mine.mjs': `export default ${JSON.stringify(preset)}`, 'other.mjs': 'export default 1' })
  expect(await loadPreset(pathToFileURL(`${folder}/mine.mjs`).href)).toEqual(preset)
  await expect(loadPreset(`${folder}/other.mjs`)).rejects.toMatchObject({ code: 'ERR_UNKNOWN_NAME' })
})
